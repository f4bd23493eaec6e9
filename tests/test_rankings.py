"""Ranked lists of our own corpus: those of the benchmark, by passages that can be named, and refused if the corpus changed."""

import json

import pytest
import tiny

from hybrid_batch import evaluation, metrics, paths, rankings, retrieval, storage
from hybrid_batch.data.benchmarks import load_benchmark
from hybrid_batch.encoders import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("rankings")
    tiny.encoder(made)
    rankings.write("tiny", *evaluation.ranked_lists(str(made / "tiny-e5")), made)
    rankings.write("tiny centred", *evaluation.ranked_lists(str(made / "tiny-e5"), "centring"), made)
    return made


def test_passages_are_numbered_as_the_benchmark_numbers_them():
    named, benchmark = rankings.passages(), load_benchmark("encyclo11")
    assert named.text.tolist() == benchmark.passages.text.tolist()
    assert named.language.tolist() == benchmark.passages.language.tolist()


def test_ranks_are_those_of_the_benchmark_and_the_best_stand_at_the_top(folder):
    about, table = rankings.read("tiny", folder)
    encoder, benchmark = load.load(str(folder / "tiny-e5")), load_benchmark("encyclo11")
    ranks, _ = retrieval.rank(retrieval.embed(encoder, benchmark), benchmark)
    scores = metrics.per_query(ranks)
    expected = scores[scores.setting == "Mul"].set_index(["item", "query_language"]).rank_distance
    assert table.set_index(["item", "language"]).distance.to_dict() == expected.to_dict()
    assert len(table) == len(benchmark.queries) and about["method"] == "" and about["commit"]
    for row in table.sample(50, random_state=0).itertuples():
        assert len(row.top) == 20 == len(set(row.top)) and len(row.relevant) == len(row.ranks) == 11
        for passage, rank in zip(row.relevant, row.ranks):  # ties count against the relevant one, so it may be named earlier
            assert rank > 20 or passage in row.top[:rank]


def test_a_method_without_training_changes_the_lists(folder):
    (about, centred), (_, plain) = rankings.read("tiny centred", folder), rankings.read("tiny", folder)
    assert about["method"] == "centring" and centred.distance.mean() != plain.distance.mean()
    assert rankings.names(folder) == ["tiny", "tiny centred"]


def test_lists_of_another_edition_of_the_corpus_are_refused(folder, tmp_path):
    about = json.loads((folder / "tiny.json").read_text())
    storage.write(tmp_path / "old.json", json.dumps(about | {"edition": "0" * 12}))
    (tmp_path / "old.parquet").write_bytes((folder / "tiny.parquet").read_bytes())
    with pytest.raises(ValueError, match="results/rankings/old: of another edition of encyclo11's test split .*make it anew"):
        rankings.read("old", tmp_path)


@pytest.mark.parametrize("name", rankings.names())
def test_committed_lists_are_of_the_corpus_as_it_is_and_hold_no_text(name):
    about, table = rankings.read(name)
    assert set(table.columns) == {"item", "language", "top", "relevant", "ranks", "distance"} and about["encoder"]
    assert (paths.RESULTS / "rankings" / f"{name}.parquet").stat().st_size < 600_000
