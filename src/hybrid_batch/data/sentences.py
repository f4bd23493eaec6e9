"""From questions with a marked answer in a paragraph to questions with the *sentence* that answers.

The benchmarks of LAReQA ask for the sentence in which the answer begins. The other sentences of the paragraph are on
the same subject and do not answer: the hardest of wrong answers.
"""

import re

# After a mark that ends a sentence, with its closing quotes, if a space follows; after Chinese marks and the danda always.
END = re.compile(r"(?<=[.!?؟…])[\"'”’»)\]]*\s+(?=\S)|(?<=[。！？।])[”」』）]*\s*(?=[^\s。！？।”」』）])|\s*\n\s*")
SHORT = 20  # characters: a shorter stretch is joined to the next, for it is an abbreviation or a heading; the last to the one before


def sentences(text):
    """[(begin, end)] of the sentences of a text, by their marks: rough, since abbreviations have them too."""
    spans, begin, last = [], 0, len(text.rstrip())
    for end, after in [*(mark.span() for mark in END.finditer(text)), (last, last)]:
        if end - begin >= SHORT * (0.4 if text[begin:begin + 1] > "\u2e80" else 1):
            spans.append((begin, end))
            begin = after
    if begin < last:
        spans.append((spans.pop()[0] if spans else begin, last))
    return spans


def nearest(text, place, most):
    """(the sentence of a text that holds the place, up to ``most`` others, the nearest first)."""
    spans = sentences(text)
    own = next((i for i, (_, end) in enumerate(spans) if place < end), len(spans) - 1)
    parts = [" ".join(text[begin:end].split()) for begin, end in spans]
    others = sorted((i for i in range(len(spans)) if i != own and parts[i] != parts[own]), key=lambda i: abs(i - own))
    return parts[own], [parts[i] for i in others[:most]]


def read(source, language, part, tally):
    """A reader, see readers. entry: most, the most negatives; least, the fewest that a row must have."""
    entry = source.entry
    for where, record in source.records(language, part, tally, "id", "question", "context"):
        answers = record.get("answers") or []
        if isinstance(answers, dict):  # as SQuAD's Parquet files have it
            answers = [{"answer_start": start} for start in answers["answer_start"]]
        query = " ".join((record["question"] or "").split())
        if not query:
            tally[language, "left out: an empty query or passage"] += 1
            continue
        if not answers or not record["context"].strip():
            tally[language, "left out: no answer is marked"] += 1
            continue
        passage, negatives = nearest(record["context"], answers[0]["answer_start"], entry["most"])
        if len(negatives) < entry["least"]:
            tally[language, "left out: too few other sentences"] += 1
            continue
        yield dict(item=f"{language}/{where.rpartition('/')[2]}/{record['id']}", query=query, passage=passage, negatives=negatives)
