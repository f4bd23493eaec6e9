"""mteb on the same data: the same texts, the same figures."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
import tiny
from hub import write

mteb_bridge = pytest.importorskip("hybrid_batch.data.mteb_bridge", reason="mteb is not installed: pip install mteb")

import datasets  # noqa: E402
import mteb  # noqa: E402
from mteb._create_dataloaders import _retrieval_texts  # noqa: E402
from mteb.abstasks.retrieval_dataset_loaders import RetrievalDatasetLoader  # noqa: E402
from mteb.types import PromptType  # noqa: E402

from hybrid_batch import encoders, evaluation, metrics, retrieval  # noqa: E402
from hybrid_batch.data.benchmarks import Benchmark, load, load_benchmark  # noqa: E402

NAMES = {"map": "map_at_1000", "ndcg@10": "ndcg_at_10", "recall@10": "recall_at_10", "recall@100": "recall_at_100"}


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


def test_the_offline_encoder_has_the_same_figures_in_mteb(benchmark, monkeypatch):
    monkeypatch.setitem(metrics.MEASURES, "recall@100", lambda ranks: metrics.recall(ranks, 100))
    encoder = encoders.load("offline-e5-small", device="cpu")
    ranks, _ = retrieval.rank(retrieval.embed(encoder, benchmark), benchmark)
    ours = metrics.per_language(metrics.per_query(ranks, list(NAMES))).set_index(["query_language", "passage_language"])
    for query_language, passage_language in (("en", "en"), ("th", "en"), ("th", None)):  # Mo, Cr, Mul
        task = mteb_bridge.task(benchmark, query_language, passage_language)
        theirs = mteb_bridge.scores(encoder, task)
        for measure, name in NAMES.items():
            expected = ours.loc[(query_language, passage_language or "all"), measure]
            print(f"{query_language} {passage_language}: {measure} {expected:.6f}, in mteb {theirs[name]}")
            assert theirs[name] == pytest.approx(expected, abs=1e-4)
    assert ours["map"].nunique() > 2 and ours.loc[("th", "all"), "map"] < 1  # something was told apart
    assert encoder.prompts["passage"] == "passage: " and not encoder.prompts.get("document")


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
    ours, = load("made", folder.parent, languages=[subset])
    texts = _retrieval_texts(theirs["corpus"], PromptType.document)
    assert list(ours.passages()) == list(zip(theirs["corpus"]["id"], texts))
    judged = ours.queries[ours.queries.id.isin(ours.qrels["query"])]
    assert judged.values.tolist() == [[row["id"], row["text"]] for row in theirs["queries"]]
    assert {query: dict(zip(part.passage, part.grade)) for query, part in ours.qrels.groupby("query")} == {
        query: dict(grades) for query, grades in theirs["relevant_docs"].items()}


def test_a_collection_with_grades_has_the_same_figures_in_mteb(folder, tmp_path):
    encoder = tiny.encoder(tmp_path)
    collection, = load("made", folder.parent, languages=["sw"])
    run = retrieval.search(encoder, collection, tmp_path / "shards", shard=7)
    ours = evaluation.score(run, collection)
    theirs = mteb_bridge.scores(encoder, mteb_bridge.task(collection))
    assert 0.1 < ours["ndcg@10"].mean() < 0.99
    assert theirs["ndcg_at_10"] == pytest.approx(ours["ndcg@10"].mean(), abs=1e-4)
    assert theirs["recall_at_100"] == pytest.approx(ours["recall@100"].mean(), abs=1e-4)


EVENTS = []
sys.addaudithook(lambda event, details: EVENTS.append((event, details)) if EVENTS and event in (
    "open", "os.mkdir", "socket.connect", "socket.getaddrinfo") else None)


def test_mteb_asks_no_network_and_writes_nothing(folder, tmp_path):
    encoder = tiny.encoder(tmp_path)
    task = mteb_bridge.task(load("made", folder.parent, languages=["sw"])[0])
    EVENTS.append(("begin", ()))
    try:
        mteb_bridge.scores(encoder, task)
    finally:
        seen = EVENTS[1:]
        EVENTS.clear()
    changes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    written = [details[0] for event, details in seen if event == "open" and details[2] & changes]
    written += [details[0] for event, details in seen if event == "os.mkdir"]
    assert not [path for path in written if path != os.devnull], written
    assert not [event for event, _ in seen if event.startswith("socket")]
    assert Path(mteb.ResultCache().cache_path).is_relative_to(tempfile.gettempdir())
