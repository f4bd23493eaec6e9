"""What `evaluate` prints, end to end, on files that are not quite right: the right value, or an error in words."""

import json
import zlib

import numpy as np
import pytest
import pytrec_eval
import torch

from hybrid_batch import evaluation, experiment


class Drawn:
    """Encodes a text as a vector drawn for it, near to that of its first word, so that questions find their passages."""

    device, prompts, max_seq_length, broken = torch.device("cpu"), {"query": "", "passage": "", "document": ""}, 64, ()

    def state_dict(self):
        return {}

    def get_embedding_dimension(self):
        return 16

    def encode(self, texts, **_):
        vectors = [sum(weight * np.random.default_rng(zlib.crc32(part.encode())).normal(size=16)
                       for weight, part in ((1.0, text.split()[0]), (0.9, text))) for text in texts]
        vectors = np.array(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[[text in self.broken for text in texts]] = np.nan
        return vectors.astype(np.float32)


@pytest.fixture
def encoder(monkeypatch):
    made = Drawn()
    monkeypatch.setattr(evaluation.load, "load", lambda name: made)
    monkeypatch.setattr(experiment, "quiet", lambda: None)
    return made


TOPICS = [f"t{n}" for n in range(6)]


def beir(folder, corpus=None, qrels=None, queries=None, name="mine"):
    """A folder in the form of BEIR: six questions, twenty passages, the first of each topic relevant."""
    place = folder / name
    (place / "qrels").mkdir(parents=True)
    corpus = corpus or [dict(_id=f"d{n}", title="", text=f"t{n % 6} text {n}") for n in range(20)]
    queries = queries or [dict(_id=f"q{n}", text=f"{topic} question?") for n, topic in enumerate(TOPICS)]
    qrels = qrels or "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t2\n" for n in range(6))
    (place / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in corpus))
    (place / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in queries))
    (place / "qrels" / "test.tsv").write_text(qrels)
    return corpus


def evaluate(folder, name="mine", **options):
    return evaluation.evaluate("drawn", name, str(folder), shards=folder / f"shards-{len(list(folder.iterdir()))}", **options)


def by_pytrec_eval(encoder, corpus):
    """nDCG@10 with the last of equal ids, as mteb has it."""
    passages = {line["_id"]: line["text"] for line in corpus}
    vectors = encoder.encode(list(passages.values()))
    run = {f"q{n}": dict(zip(passages, (vectors @ encoder.encode([f"{topic} question?"])[0]).tolist()))
           for n, topic in enumerate(TOPICS)}
    scores = pytrec_eval.RelevanceEvaluator({f"q{n}": {f"d{n}": 2} for n in range(6)}, {"ndcg_cut_10"}).evaluate(run)
    return np.mean([score["ndcg_cut_10"] for score in scores.values()])


@pytest.mark.parametrize("repeated", [dict(_id="d19", text="t0 text 19"), dict(_id="d19", text="t2 another text"),
                                      dict(_id="d1", text="t1 text 1"), dict(_id="d1", text="t5 what it was not")])
def test_of_equal_ids_the_last_counts_once(encoder, tmp_path, repeated):
    corpus = [dict(_id=f"d{n}", text=f"t{n % 6} text {n}") for n in range(20)] + [repeated]
    beir(tmp_path, corpus)
    with pytest.warns(UserWarning, match="1 passages have an id that comes again: the last of equal ids counts"):
        made = evaluate(tmp_path)["macro"]
    assert made["ndcg@10"] == pytest.approx(by_pytrec_eval(encoder, corpus), abs=1e-6)


@pytest.mark.parametrize("qrels", [
    "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\t d{n}\t2\n" for n in range(6)),            # a stray space
    "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t2.0\n" for n in range(6)),           # whole numbers however written
    "\ufeffquery-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t2\n" for n in range(6)) + "\n"])  # byte order mark, blank line
def test_judgements_written_another_way_mean_the_same(encoder, tmp_path, qrels):
    corpus = beir(tmp_path, qrels=qrels)
    assert evaluate(tmp_path)["macro"]["ndcg@10"] == pytest.approx(by_pytrec_eval(encoder, corpus), abs=1e-6)


@pytest.mark.parametrize("score, named", [("0.5", "0.5"), ("Infinity", "Infinity"), ("many", "many"), ("", "score")])
def test_other_scores_are_refused_by_name(encoder, tmp_path, score, named):
    beir(tmp_path, qrels=f"query-id\tcorpus-id\tscore\nq0\td0\t{score}\n")
    with pytest.raises(ValueError) as error:
        evaluate(tmp_path)
    assert named in str(error.value) and "test.tsv" in str(error.value)


def test_judged_passages_that_are_missing_are_counted_with_their_share(encoder, tmp_path):
    qrels = "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t2\n" for n in range(6)) + "q0\td77\t1\n"
    beir(tmp_path, qrels=qrels)
    with pytest.warns(UserWarning, match=r"1 of 7 judged passages \(14.3%\) are not in the corpus, such as 'd77'"):
        assert 0 < evaluate(tmp_path)["macro"]["recall@100"] < 1


def test_a_query_without_text_is_refused_before_anything_is_encoded(encoder, tmp_path, monkeypatch):
    beir(tmp_path, queries=[dict(_id="q0", text=None), dict(_id="q1", text="t1 question?")])
    monkeypatch.setattr(Drawn, "encode", lambda *_, **__: pytest.fail("encodes"))
    with pytest.raises(ValueError, match=r"queries.jsonl, line 1.*text"):
        evaluate(tmp_path)


@pytest.mark.parametrize("broken", [("t3 text 3",), tuple(f"t{n % 6} text {n}" for n in range(20)), ("t0 question?",)])
def test_vectors_that_are_no_numbers_are_refused_not_scored(encoder, tmp_path, broken):
    beir(tmp_path)
    encoder.broken = broken
    with pytest.raises(ValueError, match="vectors that are not finite for"):
        evaluate(tmp_path)


def test_vectors_serve_another_split_of_the_same_passages(encoder, tmp_path):
    corpus = beir(tmp_path)
    (tmp_path / "mine" / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td0\t1\n")
    for split in ("test", "dev"):
        made = evaluation.evaluate("drawn", "mine", str(tmp_path), split=split, shards=tmp_path / "shards")
        assert made["languages"][0]["passages"] == len(corpus)


def lareqa(folder, ids=("a", "b"), questions=("t0 question?", "t1 question?"), answer=None):
    """A folder in the form of LAReQA: two paragraphs in two languages."""
    (folder / "mine").mkdir()
    for language in ("de", "en"):
        paragraphs = []
        for number, (id_, question) in enumerate(zip(ids, questions)):
            context = f"t{number} {language} one. t5 {language} {number} two."
            end = context.index(" t5")
            found = answer or {"text": f"t{number}", "answer_start": 0}
            paragraphs.append({"context": context, "sentence_breaks": [[0, end], [end + 1, len(context)]],
                               "qas": [{"id": id_, "question": question, "answers": [found]}]})
        (folder / "mine" / f"{language}.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))


def test_a_benchmark_in_order_is_measured_in_all_settings(encoder, tmp_path):
    lareqa(tmp_path)
    macro = evaluate(tmp_path)["macro"]
    assert {setting: values["settings"] for setting, values in macro.items()} == {"Mo": 2, "Cr": 2, "Mul": 2}
    assert all(0 < values["map"] <= 1 for values in macro.values()) and macro["Mul"]["rank_distance"] >= 1


@pytest.mark.parametrize("change, named", [
    (dict(ids=("0", "0")), ["'0'", ".json"]), (dict(ids=("", "")), [".json"]),
    (dict(questions=(None, "t1 question?")), [".json", "question"]),
    (dict(answer={"text": "nowhere", "answer_start": 0}), [".json", "nowhere"])])
def test_what_is_wrong_in_a_benchmark_is_named_with_its_file(encoder, tmp_path, change, named):
    lareqa(tmp_path, **change)
    with pytest.raises(ValueError) as error:
        evaluate(tmp_path)
    assert all(part in str(error.value) for part in named), error.value
