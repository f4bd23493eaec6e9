"""What a run leaves in results/: its figures again from its rows, in one form, and the committed rows."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tiny

from hybrid_batch import experiment, metrics, paths, rows, statistics, storage, study, summary
from hybrid_batch.config import Experiment
from hybrid_batch.report import tables

STUDIES = ("full", "cpu-e5", "cpu-use", "best")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    tiny.encoder(folder)
    asked = Experiment.of(encoder=str(folder / "tiny-e5"), benchmarks=["encyclo11-quick"], languages=["de", "en"], steps=2,
                          batch_size=4, max_length=16, eval_every=2, eval_batches=1)
    return experiment.run(asked, folder / "cache")


def test_rows_hold_what_was_measured(made, tmp_path):
    manifest, table = rows.collect(made, detail=True, compared=["centring"])
    rows.write("study", made.manifest["key"], manifest, table, tmp_path)
    whole = rows.read("study", [made.manifest["key"]], tmp_path)
    for system in ("plain", "centring"):
        scores = made.scores("encyclo11-quick", system)
        macro, per_language = metrics.macro(scores), metrics.per_language(scores)
        part = whole[whole.system == system]
        single = part[part.group.isna()]
        for figure, metric in metrics.FIGURES.items():
            if figure in metrics.QUERY_FIGURES:
                value = single[(single.figure == figure) & (single.query_language == "all")].value.item()
                assert value == pytest.approx(macro.loc[figure.split(" ")[0], metric.name], abs=1e-6)
                groups = part[(part.figure == figure) & part.group.notna() & (part.query_language == "all")]
                if metric.groups == "never" or metric.groups == "in detail" and system != "plain":
                    assert groups.empty
                    continue
                assert (groups.value * groups.weight).sum() == pytest.approx(value, rel=0.01, abs=0.006)
        pair = single[(single.figure == "Cr map") & (single.query_language == "de") & (single.passage_language == "en")]
        expected = per_language[(per_language.setting == "Cr") & (per_language.query_language == "de")]["map"].item()
        assert pair.empty if system == "centring" else pair.value.item() == pytest.approx(expected, abs=1e-4)
    by_language = whole[(whole.system == "plain") & whole.group.notna() & (whole.query_language == "en")]
    assert set(by_language.figure) == {"Mo map", "Cr map", "Mul map"}


def test_a_language_that_is_not_in_all_settings_has_rows_of_the_others(made, monkeypatch):
    scores = made.scores("encyclo11-quick")
    less = scores[(scores.query_language != "de") | (scores.setting != "Mo")]
    monkeypatch.setattr(experiment.Run, "scores", lambda *_: less)
    table = rows.collect(made, detail=True)[1].to_pandas()
    german = table[table.group.notna() & (table.query_language == "de") & (table.system == "plain")]
    assert set(german.figure) == {"Cr map", "Mul map"}


def test_what_values_by_groups_are_of_is_kept_once_for_all_runs(made, tmp_path):
    manifest, table = rows.collect(made)
    for key in ("one", "other"):
        rows.write("study", key, manifest, table, tmp_path)
    assert len(list((tmp_path / "study" / "groups").iterdir())) == 1
    back = rows.read("study", ["one", "other"], tmp_path)
    for _, part in back.groupby("key", observed=True):
        pd.testing.assert_frame_equal(rows.table_of(part.drop(columns="key")).to_pandas(), table.to_pandas())
    less = rows.table_of(table.to_pandas()[lambda frame: frame.group != 0])  # other groups: another file, and the first stays
    rows.write("study", "third", manifest, less, tmp_path)
    assert len(list((tmp_path / "study" / "groups").iterdir())) == 2 and len(rows.read("study", ["one"], tmp_path)) == len(table)


def test_values_by_groups_are_kept_of_what_is_compared_alone(made):
    table = rows.collect(made)[1].to_pandas()
    grouped = table[table.group.notna()]
    assert set(grouped.system) == {"plain"} and set(grouped.figure) == {"Mo map", "Cr map", "Mul map", "Mul rank_distance"}
    assert set(table[table.figure == "Mul recall@10"].system) == {"plain", "centring"}  # the values themselves are there
    assert set(grouped.query_language) == {"all"}


def test_accuracy_on_reasoning_items_is_kept_by_item(tmp_path):
    tiny.encoder(tmp_path)
    asked = Experiment.of(encoder=str(tmp_path / "tiny-e5"), benchmarks=["encyclo11-quick"], languages=["de", "en"], strategy="",
                          debias=[], choices=["encyclo11-reasoning"], choice_items=6)
    run = experiment.run(asked, tmp_path / "cache")
    scores = run.choice_scores()["encyclo11-reasoning"]
    manifest, table = rows.collect(run)
    found = table.to_pandas()
    found = found[found.benchmark == "encyclo11-reasoning"]
    assert manifest["choices"]["encyclo11-reasoning"]["items"] == 6 == scores["item"].nunique() and len(scores) == 6 * 4
    for figure in ("Mo accuracy", "Cr accuracy"):
        part = found[(found.figure == figure)]
        value = part[part.group.isna() & (part.query_language == "all")].value.item()
        assert value == pytest.approx(scores[scores.setting == figure[:2]].accuracy.mean(), abs=1e-6)
        groups = part[part.group.notna()]
        assert len(groups) == 6 and (groups.value * groups.weight).sum() == pytest.approx(value, abs=0.004)


def test_a_row_has_no_text_of_a_corpus_and_the_manifest_no_path_of_the_data(made, tmp_path):
    manifest, table = rows.collect(made)
    assert table.schema.names == rows.SCHEMA.names and "data" not in manifest["experiment"]
    assert set(manifest["corpus"]) == {"name", "checksum", "rows", "contaminated"} and manifest["drawn"]


def test_what_is_written_is_whole_or_not_there(made, tmp_path, monkeypatch):
    manifest, table = rows.collect(made)
    monkeypatch.setattr(rows.json, "dumps", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        rows.write("study", "key", manifest, table, tmp_path)
    assert rows.manifests("study", tmp_path) == {}  # rows without a manifest are not counted


# The committed rows


@pytest.mark.parametrize("name", STUDIES)
def test_every_committed_run_is_in_the_plan_of_its_study_and_says_how_it_was_made(name):
    planned = {item.key for item in study.plan(name)}
    manifests = rows.manifests(name)
    assert manifests and set(manifests) <= planned
    assert {path.stem for path in (paths.RESULTS / name).glob("*.parquet")} == set(manifests)
    named = {pq.read_schema(paths.RESULTS / name / f"{key}.parquet").metadata[b"groups"].decode() for key in manifests}
    assert {path.stem for path in (paths.RESULTS / name / "groups").iterdir()} == named
    for key, row in manifests.items():
        assert row["key"] == key == Experiment.of(**row["experiment"]).key
        assert row["commit"] and row["code"] and row["device"] and row["libraries"]["torch"]
        assert not row["steps"] or (row["corpus"]["checksum"] and sum(row["drawn"].values()) == row["steps"])


@pytest.mark.parametrize("name", STUDIES)
def test_committed_rows_have_the_one_form_possible_values_and_no_text(name):
    for path in (paths.RESULTS / name).glob("*.parquet"):
        table = pq.read_table(path)
        assert table.schema.equals(rows.SCHEMA)
        frame = table.to_pandas()
        assert frame.value.notna().all() and all(frame[c].cat.categories.str.len().max() < 60 for c in rows.SCHEMA.names[:5])
        for figure, part in frame.groupby("figure", observed=True):
            if figure in metrics.FIGURES:
                assert part.value.between(metrics.FIGURES[figure].low - 1e-9, metrics.FIGURES[figure].high + 1e-9).all(), figure


def test_the_rows_of_some_parts_are_those_of_the_whole_study():
    whole, part = summary.Rows("cpu-e5"), summary.Rows("cpu-e5", ["reproduction"])
    assert part.conditions == {place: keys for place, keys in whole.conditions.items() if place[0] == "reproduction"}
    keys = part.conditions["reproduction", "Hybrid"]
    assert len(keys) == 5 and {name for name, _ in whole.conditions} > {"reproduction"}
    for mine, theirs in zip(part.values(keys, "xquad-r", "plain", "Mul map"), whole.values(keys, "xquad-r", "plain", "Mul map")):
        assert np.array_equal(mine, theirs)


def test_results_are_small():
    assert sum(path.stat().st_size for path in paths.RESULTS.rglob("*") if path.is_file()) < 12e6


def slow(name, part, condition, benchmark, system, figure):
    """A figure as the mean over the runs of a condition, read from their files with no code of ours."""
    keys = [item.key for item in study.plan(name) if (item.part, item.condition) == (part, condition)]
    values = []
    for key in keys:
        frame = pq.read_table(paths.RESULTS / name / f"{key}.parquet").to_pandas()
        here = frame[(frame.benchmark == benchmark) & (frame.system == system) & (frame.figure == figure)
                     & (frame.query_language == "all") & frame.group.isna()]
        values.append(here.value.item())
    return np.mean(values)


@pytest.mark.parametrize("name", ["cpu-e5", "cpu-use"])
def test_the_values_that_tables_show_are_those_of_their_rows(name):
    """Each cell of the tables of the main results, by its own name, against the rows read another way."""
    ours = tables.wide(tables.reproduction(name, "xquad-r"))
    assert len(ours) >= 6
    for label, line in ours.iterrows():
        condition, _, system = label.partition(", ")
        for figure in tables.TABLE1:
            value = slow(name, "reproduction", condition, "xquad-r", system or "plain", figure)
            assert line[metrics.figure_label(figure)].split(" [")[0] == metrics.FIGURES[figure].format(value), (label, figure)


@pytest.mark.parametrize("name", ["cpu-e5", "cpu-use"])
def test_the_differences_that_tables_show_are_those_of_their_rows(name):
    table = tables.differences(name, "reasoning", "xquad-r")
    for line in table.to_dict("records"):
        second, first = line["compared"].split(" − ")
        figure = next(f for f in tables.TABLE1 if tables.directed(metrics.figure_label(f)) == line["measure"])
        expected = (slow(name, "reasoning", second, "xquad-r", "plain", figure)
                    - slow(name, "reasoning", first, "xquad-r", "plain", figure))
        shown = float(line["difference"].split(" [")[0])
        assert shown == pytest.approx(expected, abs=0.0012 if "map" in figure else max(1.5, abs(expected) * 0.02))


def test_matrices_are_those_of_the_rows():
    square = tables.matrix("cpu-use", "reproduction", "Hybrid", "xquad-r", "share")
    assert square.shape == (11, 11) and np.allclose(square.sum(axis=1), 1, atol=1e-3)
    maps = tables.matrix("cpu-use", "reproduction", "Hybrid", "xquad-r")
    assert np.trace(maps) / 11 == pytest.approx(slow("cpu-use", "reproduction", "Hybrid", "xquad-r", "plain", "Mo map"), abs=1e-4)


def test_seeds_count_in_what_is_significant():
    """Judged by groups alone 59 comparisons of the reasoning part were significant; with seeds 10 are, none of a family."""
    table = summary.compare("cpu-use")
    part = table[(table.family == "reasoning")]
    families = part[part.significant & part["second"].isin(["knowledge", "science", "entailment", "mathematics"])]
    assert part.significant.sum() == 10 and len(families) == 0
    again = statistics.holm(part[part.benchmark == "xquad-r"].p)
    assert again.tolist() == pytest.approx(part[part.benchmark == "xquad-r"].p_holm.tolist())


def test_a_summary_is_kept_until_rows_change(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(summary, "_rows", lambda name: (tmp_path / "results" / name / "key.parquet").read_text())
    storage.write(tmp_path / "results" / "cpu-e5" / "key.parquet", "first")
    made_from = []

    def make(rows):
        made_from.append(rows)
        return pd.DataFrame({"rows": [rows]})

    def ask_in_a_new_process():
        return summary._kept(make)("cpu-e5")["rows"].item()

    assert [ask_in_a_new_process(), ask_in_a_new_process()] == ["first", "first"] and made_from == ["first"]
    storage.write(tmp_path / "results" / "cpu-e5" / "key.parquet", "second, longer")
    assert ask_in_a_new_process() == "second, longer" and made_from == ["first", "second, longer"]
