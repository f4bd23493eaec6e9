"""mteb on the same data: the same texts, the same figures."""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tiny
from hub import write

pytest.importorskip("mteb", reason="mteb is not installed: pip install mteb")

import datasets  # noqa: E402
import mteb  # noqa: E402
from mteb._create_dataloaders import _retrieval_texts  # noqa: E402
from mteb.abstasks.retrieval_dataset_loaders import RetrievalDatasetLoader  # noqa: E402
from mteb.models import SentenceTransformerEncoderWrapper  # noqa: E402
from mteb.types import PromptType  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402

from hybrid_batch.data.benchmarks import Benchmark, load_benchmark  # noqa: E402
from hybrid_batch.data.streaming import load_collections  # noqa: E402
from hybrid_batch.encoders.load import load, save  # noqa: E402
from hybrid_batch.integrations.mteb import scores, task  # noqa: E402

SETTINGS = (("en", "en"), ("th", None))  # Mo, Mul


@pytest.fixture(scope="module", autouse=True)
def quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture(scope="module")
def benchmark():
    """The first eight passages of our own benchmark with their questions, in two languages."""
    whole = load_benchmark("encyclo11", languages=["en", "th"])
    groups = whole.queries.group.unique()[:8]
    queries = whole.queries[whole.queries.group.isin(groups)]
    relevant = whole.relevant[whole.relevant.item.isin(queries.item)]
    first = whole.passages.groupby("language").head(5 * len(groups)).index  # five sentences each
    assert relevant.passage.isin(first).all()
    place = {old: new for new, old in enumerate(first)}
    return Benchmark("in part", queries.reset_index(drop=True), whole.passages.loc[first].reset_index(drop=True),
                     relevant.assign(passage=relevant.passage.map(place)), whole.checksum)


def measures(queries, passages, grades):
    """mAP, nDCG@10 and recall@100 by hand. queries, passages: vectors; grades: (queries, passages)."""
    found = []
    for scores_, grade in zip(queries @ passages.T, grades):
        ranked = grade[np.argsort(-scores_, kind="stable")]
        hits = np.flatnonzero(ranked) + 1
        discount = 1 / np.log2(np.arange(2, 12))[:len(ranked)]
        found.append((np.mean(np.arange(1, len(hits) + 1) / hits),
                      ranked[:10] @ discount / (np.sort(grade)[::-1][:10] @ discount), np.sum(hits <= 100) / len(hits)))
    return np.mean(found, axis=0)


def of_setting(benchmark, encode_queries, encode_passages, query_language, passage_language):
    """measures of one setting of a benchmark."""
    queries = benchmark.queries[benchmark.queries.language == query_language]
    passages = benchmark.passages[benchmark.passages.language.isin(["en", "th"] if passage_language is None
                                                                   else [passage_language])]
    pairs = set(benchmark.relevant[["item", "passage"]].itertuples(index=False, name=None))
    grades = np.array([[(item, number) in pairs for number in passages.index] for item in queries.item], float)
    return measures(encode_queries(list(queries.text)), encode_passages(list(passages.text)), grades)


def test_what_we_save_has_the_same_scores_through_our_loader_the_plain_library_and_mteb(benchmark, tmp_path):
    save(load("offline-e5-small", device="cpu"), tmp_path / "saved")
    ours, plain = load(tmp_path / "saved", device="cpu"), SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    expected = []
    for query_language, passage_language in SETTINGS:
        ask = query_language, passage_language
        expected.append(of_setting(benchmark, lambda texts: ours.encode(texts, prompt_name="query"),
                                   lambda texts: ours.encode(texts, prompt_name="passage"), *ask))
        outside = of_setting(benchmark, plain.encode_query, plain.encode_document, *ask)
        assert outside == pytest.approx(expected[-1], abs=1e-6)
        # mteb rounds to 5 digits
        for encoder in (ours, SentenceTransformerEncoderWrapper(plain)):
            found = scores(encoder, task(benchmark, *ask))
            assert [found[name] for name in ("map_at_1000", "ndcg_at_10", "recall_at_100")] == pytest.approx(
                expected[-1], abs=1e-5)
    assert len({tuple(found) for found in expected}) > 1 and expected[-1][0] < 1  # something was told apart
    plain.prompts["document"] = ""  # as it was saved once: it must show
    without = of_setting(benchmark, plain.encode_query, plain.encode_document, "th", None)
    assert abs(without[0] - expected[-1][0]) > 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set as mteb publishes one, which mteb reads from a folder: two subsets, with titles and grades."""
    folder, configs = tmp_path_factory.mktemp("data") / "made", []
    for subset, key in (("de", "_id"), ("sw", "id")):
        item = lambda n: " ".join(tiny.WORDS[(7 * n + k) % 60] for k in range(3))  # noqa: B023, E731
        parts = {"corpus": [{key: f"d{n}", "title": item(n + 20) if n % 3 else "", "text": f" {item(n)}\n"}
                            for n in range(40)],
                 "queries": [{key: f"q{n}", "text": item(n)} for n in range(12)],
                 "qrels": [{"query-id": f"q{n}", "corpus-id": f"d{(n + k) % 40}", "score": 3 - k}
                           for n in range(10) for k in range(4)]}
        for part, rows in parts.items():
            write(folder / f"{subset}-{part}" / "test-00000-of-00001.parquet", rows)
            configs.append(f"- config_name: {subset}-{part}\n"
                           f"  data_files:\n  - {{split: test, path: {subset}-{part}/test-*}}\n")
    (folder / "README.md").write_text(f"---\nconfigs:\n{''.join(configs)}---\n")
    return folder


@pytest.mark.parametrize("subset", ["de", "sw"])
def test_what_mteb_reads_from_its_own_form_is_what_we_read(subset, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    theirs = RetrievalDatasetLoader(str(folder), revision=None, config=subset).load()
    ours, = load_collections("made", folder.parent, languages=[subset])
    texts = _retrieval_texts(theirs["corpus"], PromptType.document)
    assert list(ours.passages()) == list(zip(theirs["corpus"]["id"], texts))
    judged = ours.queries[ours.queries.id.isin(ours.qrels["query"])]
    assert judged.values.tolist() == [[row["id"], row["text"]] for row in theirs["queries"]]
    assert {query: dict(zip(part.passage, part.grade)) for query, part in ours.qrels.groupby("query")} == {
        query: dict(grades) for query, grades in theirs["relevant_docs"].items()}


def test_a_collection_with_grades_has_the_same_scores_in_mteb(folder, tmp_path):
    tiny.encoder(tmp_path)
    encoder = load(tmp_path / "tiny-e5", device="cpu")
    collection, = load_collections("made", folder.parent, languages=["sw"])
    judged = collection.queries[collection.queries.id.isin(collection.qrels["query"])]
    ids, texts = zip(*collection.passages())
    grades = np.zeros((len(judged), len(ids)))
    for query, passage, grade in collection.qrels[["query", "passage", "grade"]].itertuples(index=False):
        grades[list(judged.id).index(query), ids.index(passage)] = grade
    vectors = encoder.encode(list(judged.text), prompt_name="query"), encoder.encode(list(texts), prompt_name="passage")
    _, ndcg, recall = measures(*vectors, grades)
    theirs = scores(encoder, task(collection))
    assert 0.1 < ndcg < 0.99
    assert theirs["ndcg_at_10"] == pytest.approx(ndcg, abs=1e-4)
    assert theirs["recall_at_100"] == pytest.approx(recall, abs=1e-4)


EVENTS = []
sys.addaudithook(lambda event, details: EVENTS.append((event, details)) if EVENTS and event in (
    "open", "os.mkdir", "socket.connect", "socket.getaddrinfo") else None)


def test_mteb_asks_no_network_and_writes_nothing(folder, tmp_path):
    tiny.encoder(tmp_path)
    encoder = load(tmp_path / "tiny-e5", device="cpu")
    made = task(load_collections("made", folder.parent, languages=["sw"])[0])
    EVENTS.append(("begin", ()))
    try:
        scores(encoder, made)
    finally:
        seen = EVENTS[1:]
        EVENTS.clear()
    changes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    written = [details[0] for event, details in seen if event == "open" and details[2] & changes]
    written += [details[0] for event, details in seen if event == "os.mkdir"]
    assert not [path for path in written if path != os.devnull], written
    assert not [event for event, _ in seen if event.startswith("socket")]
    assert Path(mteb.ResultCache().cache_path).is_relative_to(tempfile.gettempdir())
