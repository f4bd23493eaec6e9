"""Which sentence of a paragraph answers a question, where no answer is marked.

Paragraphs of one item in several languages share a sentence, the one that answers. An encoder finds it: it is like the
question and like a sentence of each other paragraph. So data/mlqa_sentences.tsv was made from MLQA's test split, with the
encoder that this project shipped at commit 75b623c; the one that it ships now was trained on what was found:

    write(pick_sentences(load("offline-hybrid-e5-small", max_length=96), load_corpus("mlqa", "all", data=DATA)), "picks.tsv")
"""

import numpy as np

from hybrid_batch import storage
from hybrid_batch.data.sentences import texts
from hybrid_batch.retrieval import encode

ALIKE = 0.8  # least mean cosine of an item's found sentences; below it they hardly say the same
START = 8  # characters of an id that are written


def pick_sentences(encoder, corpus):
    """{item: {language: number of the sentence that answers, see sentences.texts}} of a corpus's items that have passages in
    two languages or more and whose sentences were found alike in all."""
    rows = corpus.rows.select_columns(["item", "language", "query", "passage"]).to_pandas()
    rows = rows[rows.groupby("item").passage.transform(lambda passages: (passages != "").sum()) > 1]
    parts = [texts(passage) for passage in rows.passage]
    distinct = sorted({sentence for part in parts for sentence in part})
    place = {sentence: number for number, sentence in enumerate(distinct)}
    vectors = encode(encoder, distinct, "passage", progress=None)
    rows = rows.assign(sentences=[vectors[[place[sentence] for sentence in part]] for part in parts],
                       question=list(encode(encoder, rows["query"], "query", progress=None)))
    picks = {}
    for item, found in rows.groupby("item"):
        asked = np.stack(list(found.question[found["query"] != ""]))              # (questions, dim)
        answers = found.sentences[found.passage != ""].tolist()                    # of each: (sentences, dim)
        chosen = [_best(part, asked, [other for other in answers if other is not part]) for part in answers]
        cosines = np.array([part[number] for part, number in zip(answers, chosen)])
        cosines = (cosines @ cosines.T)[np.triu_indices(len(chosen), 1)]
        if cosines.mean() > ALIKE:
            picks[item] = dict(zip(found.language[found.passage != ""], chosen))
    return picks


def _best(sentences, questions, others):
    """The number of the sentence most like the questions and like some sentence of each other paragraph."""
    return int(((sentences @ questions.T).mean(1) + np.mean([(sentences @ other.T).max(1) for other in others], axis=0)).argmax())


def write(picks, path):
    """Picks as a table: the start of an item's id, and language:number of each sentence. There is no text in it."""
    lines = {item.rpartition("/")[2][:START]: " ".join(f"{language}:{number}" for language, number in sorted(found.items()))
             for item, found in sorted(picks.items())}
    if len(lines) < len(picks):
        raise ValueError(f"two ids have the same {START} first characters: write more of them")
    storage.write(path, "".join(f"{start}\t{found}\n" for start, found in lines.items()))
