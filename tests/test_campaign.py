"""The study `smoke`, run whole once; what becomes of interrupted, shared and repeated ones, with runs that are copies."""

import contextlib
import dataclasses
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import yaml
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from hybrid_batch import (alignment, campaign, encoders, environment, metrics, results, retrieval, statistics, study,
                          summaries)
from hybrid_batch.data import benchmarks, corpora, sources

STUDIES, SUMMARISE = campaign.STUDIES, summaries.summarise
BENCHMARKS = {"encyclo11", "encyclo11 de en"}


def here(folder, patch):
    """Studies, runs and results in a folder of their own from now on."""
    if not (folder / "studies").exists():
        shutil.copytree(STUDIES, folder / "studies")
    patch.setattr(campaign, "STUDIES", folder / "studies")
    patch.setattr(campaign, "RESULTS", folder / "results")
    patch.setattr(study, "RUNS", folder / "runs")
    for table in (results.summary, results.compared, results.by_pair):
        table.cache_clear()
    return folder


def run(*arguments, **options):
    """The folder of results of campaign.run and the lines that it prints about runs."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        target = campaign.run(*arguments, **options)
    return target, [line for line in printed.getvalue().splitlines() if line.startswith("[")]


def planned(part, cell, seed=0, name="smoke"):
    [found] = [item for item in campaign.plan(name) if (item.part, item.cell) == (part, cell)
               and item.experiment.settings.seed == seed]
    return found


def figures(target):
    return pd.read_csv(target / "figures.csv", dtype={"key": str}).set_index(["key", "benchmark", "system"]).sort_index()


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The results of the study."""
    with pytest.MonkeyPatch.context() as patch:
        here(tmp_path_factory.mktemp("smoke"), patch)
        target, printed = run("smoke")
        assert len(printed) == 11 and not any(line.endswith("done") for line in printed)
        yield target


@pytest.fixture(scope="module")
def hybrids(smoke, tmp_path_factory):
    """Runs of the Hybrid of the reproduction with both seeds, made once more: {key: Run}."""
    made = {}
    for seed in (0, 1):
        item = planned("reproduction", "Hybrid", seed)
        with contextlib.redirect_stdout(io.StringIO()):
            made[item.key] = study.run(item.experiment, tmp_path_factory.mktemp("again"))
    return made


# Rows and manifests


def test_every_run_that_is_asked_for_has_one_row(smoke):
    keys = list(dict.fromkeys(item.key for item in campaign.plan("smoke")))
    assert len(keys) == 11 and [row["key"] for row in campaign.manifests("smoke")] == keys  # in the order of the study
    table = figures(smoke)
    assert table.index.is_unique and set(table.index.get_level_values("key")) == set(keys)
    for row in campaign.manifests("smoke"):
        assert set(table.loc[row["key"]].index) == {
            (name, system) for name, about in row["benchmarks"].items() for system in about["systems"]}
    rows, systems = summaries.Rows("smoke"), {"plain", "means removed"}
    for (part, cell), keys in rows.cells().items():
        if part == "reproduction":
            more = {"interpolated 0.5"} if cell == "Hybrid" else set()
            assert set(rows.measured(keys)) == {("encyclo11", system) for system in systems | more} | {
                ("encyclo11 de en", "plain")}


def test_a_manifest_says_all_of_how_a_run_was_made(smoke):
    plan, checksum = {item.key: item for item in campaign.plan("smoke")}, corpora.load_corpus("encyclo11").checksum
    shares = {"X-X-mono": {"qa mono": 1}, "X-Y": {"qa cross": 1}, "Hybrid": {"qa mono": 0.5, "qa cross": 0.5}}
    for row in campaign.manifests("smoke"):
        experiment = plan[row["key"]].experiment
        assert row["code"] == study.code_checksum() and row["commit"] == study.environment()["commit"]
        assert set(row["libraries"]) == set(environment.LIBRARIES) and row["libraries"]["torch"].startswith("2.")
        assert row["python"] and row["device"].startswith(("CPU", "NVIDIA")) and set(row["seconds"]) == {"training", "evaluation"}
        assert row["experiment"]["encoder"] == "offline-use-multilingual" and "data" not in row["experiment"]
        assert set(row["benchmarks"]) == BENCHMARKS and all(about["checksum"] for about in row["benchmarks"].values())
        if experiment.strategy is None:
            assert row["steps"] == 0 and row["corpus"] is row["loss"] is None
            continue
        told = row["experiment"]["settings"]
        assert told == dataclasses.asdict(experiment.settings) and row["steps"] == told["steps"] == 2
        assert {"batch_size", "learning_rate", "temperature", "seed", "frozen_layers"} < set(told)
        assert row["corpus"]["checksum"] and (experiment.rho or row["corpus"]["checksum"] == checksum)
        assert np.isfinite(row["loss"]) and sum(row["shares"].values()) == pytest.approx(1)
        if not experiment.rho and row["experiment"]["alpha"] == 0.5:
            assert row["shares"] == shares[row["experiment"]["strategy"]]
        assert {kind.split()[0] for kind in row["shares"]} == ({"qa", "reasoning"} if experiment.rho else {"qa"})
    assert {row["experiment"]["answers"] for row in campaign.manifests("smoke")} == {"right", "shuffled"}


def test_figures_are_those_of_the_ranks(smoke, hybrids):
    """Of experiments made once more: so a row made again is the same, too."""
    for key, made in hybrids.items():
        for benchmark, about in made.manifest["benchmarks"].items():
            for system in about["systems"]:
                row, ranks = figures(smoke).loc[key, benchmark, system], made.ranks(benchmark, system)
                macro = metrics.macro(made.scores(benchmark, system))
                for setting, measure in ((s, m) for s in metrics.SETTINGS for m in ("map", "recall@1", "recall@10")):
                    assert row[f"{setting} {measure}"] == pytest.approx(macro[measure][setting], abs=1e-6)
                assert row["Mul rank_distance"] == pytest.approx(macro.rank_distance["Mul"], abs=1e-6)
                assert row.gap == pytest.approx(macro["map"]["Mo"] - macro["map"]["Cr"], abs=2e-6)
                assert row.ratio == pytest.approx(macro["map"]["Cr"] / macro["map"]["Mo"], abs=1e-5)
                of_language = [part for _, part in ranks.groupby("query_language")]
                assert row.peer == pytest.approx(np.mean([metrics.peer(part.rank_mul, part.passage_language)
                                                          for part in of_language]), abs=1e-6)
                languages, top = made.top(benchmark, system)
                own = [(top[languages == code] == code).mean() for code in np.unique(languages)]
                assert row["own language in top 10"] == pytest.approx(np.mean(own), abs=1e-6)
                variance = alignment.language_variance(*made.vectors(benchmark, system))
                assert row.language_variance == pytest.approx(variance, abs=1e-3)


def test_rows_by_languages_are_those_of_the_ranks(smoke, hybrids):
    table = pd.read_parquet(smoke / "languages.parquet").set_index(
        ["key", "benchmark", "system", "setting", "query_language", "passage_language"]).sort_index()
    for key, made in hybrids.items():
        for benchmark, system in (("encyclo11", "plain"), ("encyclo11", "interpolated 0.5"), ("encyclo11 de en", "plain")):
            expected = metrics.per_language(made.scores(benchmark, system))
            mine = table.loc[key, benchmark, system]
            assert len(mine) == len(expected)
            shares = metrics.language_shares(*made.top(benchmark, system))
            for row in expected.itertuples():
                found = mine.loc[row.setting, row.query_language, row.passage_language]
                assert found["map"] == pytest.approx(row.map, abs=1e-5)
                assert np.isnan(found["share"]) if row.setting == "Mul" else found["share"] == pytest.approx(
                    shares.get(row.passage_language, {}).get(row.query_language, 0), abs=1e-5)


def test_values_by_groups_add_up_to_the_figures(smoke):
    """They are kept in steps of a 250th, distances in half precision."""
    rows, seen = summaries.Rows("smoke"), 0
    for (key, benchmark, system), row in figures(smoke).iterrows():
        for figure in results.MACRO:
            setting, measure = figure.split(" ")
            (values,), weights = rows.values([key], benchmark, system, (setting, "all", measure))
            assert weights.sum() == pytest.approx(1, abs=1e-5) and len(values) == 24
            rounded = dict(rel=1e-3) if measure == "rank_distance" else dict(abs=0.5 / campaign.STEPS)
            assert values @ weights == pytest.approx(row[figure], **rounded)
            seen += 1
    assert seen == len(figures(smoke)) * 10
    kept = [key for (part, _), keys in rows.cells().items() if part == "reproduction" for key in keys]
    others = [item.key for item in rows.plan if item.key not in kept]
    assert rows.languages(kept, "encyclo11") == ["de", "el", "en"] and rows.languages(kept, "encyclo11 de en") == []
    assert others and rows.languages(others[:1], "encyclo11") == []  # a part that does not ask for them


# What is run and what is not


def test_a_second_call_makes_nothing_again_and_changes_nothing(smoke, monkeypatch):
    monkeypatch.setattr(study, "run", lambda *_: pytest.fail("made again"))
    before = {path.name: path.read_bytes() for path in smoke.iterdir()}
    _, printed = run("smoke")
    assert len(printed) == 11 and all(line.endswith("done") for line in printed)
    assert {path.name: path.read_bytes() for path in smoke.iterdir()} == before
    assert not list((study.RUNS / "studies" / "smoke" / "made").iterdir())  # what is kept is small


@pytest.fixture
def quick(hybrids, tmp_path, monkeypatch):
    """The runs that are asked for from now on, in a folder without results; each is a copy of one made, and there are
    no tables to read."""
    here(tmp_path, monkeypatch)
    asked, kept = Asked(), next(iter(hybrids.values()))
    keys = {item.experiment: item.key for item in campaign.plan("smoke")}

    def copied(experiment, cache):
        if len(asked) == asked.stop:
            raise KeyboardInterrupt
        asked.append(keys.get(experiment, experiment))
        made = study.Run(shutil.copytree(kept.folder, cache / str(len(asked))))
        measured = {"encyclo11": kept.manifest["benchmarks"]["encyclo11"] | {"systems": ["plain"]}}  # the rest takes long
        (made.folder / "manifest.json").write_text(json.dumps(kept.manifest | {"benchmarks": measured}))
        return made

    monkeypatch.setattr(study, "run", copied)
    monkeypatch.setattr(summaries, "summarise", lambda name: None)
    return asked


class Asked(list):
    """Keys of runs; after ``stop`` of them comes an interrupt."""

    stop = None


def test_an_interrupted_study_goes_on_where_it_was(quick, monkeypatch):
    quick.stop = 2
    with pytest.raises(KeyboardInterrupt):
        run("smoke")
    assert len(quick) == 2 and campaign.manifests("smoke") == []
    quick.stop = None
    target, printed = run("smoke")
    assert [line.endswith("done") for line in printed] == [True] * 2 + [False] * 9
    assert len(quick) == len(set(quick)) == 11 and set(figures(target).index.get_level_values("key")) == set(quick)


@pytest.mark.parametrize("what", ["to_parquet", "to_csv"])
def test_a_run_whose_results_are_half_written_is_made_again(what, quick, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pd.DataFrame, what, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run("smoke")
    assert len(quick) == 1
    run("smoke")
    assert quick[0] == quick[1] and len(quick) == 12


def test_a_row_that_is_lost_is_made_again_and_the_others_stay(quick):
    target, _ = run("smoke")
    before, lost = figures(target), quick[4]
    shutil.rmtree(study.RUNS)  # as on another machine, with the committed rows
    lines = (target / "manifests.jsonl").read_text().splitlines(True)
    (target / "manifests.jsonl").write_text("".join(line for line in lines if json.loads(line)["key"] != lost))
    quick.clear()
    run("smoke")
    assert quick == [lost]
    pd.testing.assert_frame_equal(figures(target), before)
    assert (target / "manifests.jsonl").read_text().splitlines(True) == lines
    rows = summaries.Rows("smoke")
    assert rows.values([lost], "encyclo11", "plain", ("Mo", "all", "map"))[0].shape == (1, 24)


def test_shards_make_all_together_and_no_run_twice(quick):
    run("smoke", shard=(0, 2))
    half = set(quick)
    assert len(half) == len(quick) == 6 and {row["key"] for row in campaign.manifests("smoke")} == half
    SUMMARISE("smoke")  # of half a study, too
    assert set(results.summary("smoke").cell) == {item.cell for item in campaign.plan("smoke") if item.key in half}
    _, printed = run("smoke", shard=(1, 2))
    assert len(quick) == len(set(quick)) == 11 and len(printed) == 5
    assert {row["key"] for row in campaign.manifests("smoke")} == set(quick)


def test_again_makes_rows_anew_and_goes_on_where_it_was_interrupted(quick):
    target, _ = run("smoke")
    shutil.rmtree(study.RUNS)
    quick.clear()
    quick.stop = 4
    with pytest.raises(KeyboardInterrupt):
        run("smoke", again=True)
    quick.stop = None
    run("smoke", again=True)
    assert len(quick) == len(set(quick)) == 11


def test_again_makes_anew_what_other_code_has_left_on_this_machine(quick):
    run("smoke")
    other = quick[3]
    path = study.RUNS / "studies" / "smoke" / other / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "other"}))
    quick.clear()
    run("smoke")
    assert quick == []
    run("smoke", again=True)
    assert quick == [other]


def test_a_benchmark_that_is_added_to_a_study_is_measured(quick):
    write("more", base="smoke", parts={"reproduction": {"benchmarks": ["encyclo11"], "cells": {"X-Y": {"strategy": "X-Y"}}},
                                       "alpha": None, "reasoning": None})
    run("more")
    assert len(quick) == 2
    write("more", base="smoke", parts={"reproduction": {"benchmarks": ["encyclo11", "encyclo11-reasoning"],
                                                        "cells": {"X-Y": {"strategy": "X-Y"}}}, "alpha": None, "reasoning": None})
    run("more")
    assert len(quick) == 4 and quick[2].benchmarks == ("encyclo11", "encyclo11-reasoning")


def write(name, **content):
    (campaign.STUDIES / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_a_row_made_again_has_the_same_figures(smoke, tmp_path, monkeypatch):
    here(tmp_path, monkeypatch)
    write("one", base="smoke", seeds=[1], parts={"reproduction": None, "reasoning": None, "alpha": {
        "benchmarks": ["encyclo11"], "strategy": "Hybrid", "cells": {"0.5": {"alpha": 0.5, "means_removed": True, "interpolation": [0.5]}}}})
    key = planned("alpha", "0.5", 1, "one").key
    assert key == planned("reproduction", "Hybrid", 1).key
    shutil.copytree(smoke, campaign.RESULTS / "one")
    target, printed = run("one", again=True)
    assert len(printed) == 1 and not printed[0].endswith("done")
    pd.testing.assert_frame_equal(figures(target).loc[[key]], figures(smoke).loc[[key]], rtol=0, atol=1e-6)
    pd.testing.assert_frame_equal(figures(target).drop(index=key), figures(smoke).drop(index=key))


def test_keys_that_look_like_numbers_stay_texts(quick, monkeypatch):
    keys = iter(["012345678901", "12e345678901", "123456789012"])
    made = {}
    monkeypatch.setattr(campaign.Planned, "key", property(
        lambda self: made[self.experiment] if self.experiment in made else made.setdefault(self.experiment, next(keys))))
    write("few", base="smoke", seeds=[0], parts={"reasoning": None, "alpha": None, "reproduction": {
        "benchmarks": ["encyclo11"], "cells": {"X-Y": {"strategy": "X-Y"}, "X-X": {"strategy": "X-X"}, "X-X-mono": {"strategy": "X-X-mono"}}}})
    target, _ = run("few")
    assert set(figures(target).index.get_level_values("key")) == set(made.values()) == {"012345678901", "12e345678901", "123456789012"}
    assert set(summaries.Rows("few").figures.index.get_level_values("key")) == set(made.values())


# What is asked for


@pytest.fixture
def place(tmp_path, monkeypatch):
    return here(tmp_path, monkeypatch)


@pytest.mark.parametrize("content", [
    dict(parts={"x": {"cells": {"one": {"strategyy": "X-Y"}}}}),
    dict(parts={"x": {"strategyy": "X-Y", "cells": {"one": {}}}}),
    dict(parts={"x": {"cells": {"one": None}}}, experiment={"strategyy": "X-Y"}),
])
def test_an_unknown_entry_is_named_with_its_cell(content, place):
    write("wrong", **{"experiment": {}, "corpora": {}, "seeds": [0]} | content)
    with pytest.raises(ValueError, match="study 'wrong', x, one: 'strategyy' is neither of an experiment nor a setting"):
        campaign.plan("wrong")


def test_a_benchmark_given_as_a_path_is_refused_before_anything_is_run(place):
    write("wrong", experiment={}, corpora={}, seeds=[0], parts={"x": {"cells": {"one": {"benchmarks": ["mine/bench"]}}}})
    with pytest.raises(ValueError, match="study 'wrong', x, one: benchmark 'mine/bench': give its name alone"):
        campaign.plan("wrong")


def test_an_unknown_study_is_told_those_there_are(place):
    for name in ("nothing", "../smoke"):
        with pytest.raises(ValueError, match=f"study '{name}' is unknown; choose from best, cpu-e5, cpu-use, gpu, labse, smoke, xlm-r"):
            campaign.run(name)
    write("heir", base="nothing")
    with pytest.raises(ValueError, match="study 'nothing' is unknown"):
        campaign.plan("heir")
    with pytest.raises(FileNotFoundError, match="benchmark 'xquad-r': no folder nowhere"):
        run("gpu", data="nowhere")
    with pytest.raises(FileNotFoundError, match="results/gpu holds no runs: run `python -m hybrid_batch study gpu`"):
        summaries.Rows("gpu")


def test_a_cell_overrides_its_part_and_that_the_study(place):
    write("made", corpora={"main": "encyclo11"}, seeds=[3, 4],
          experiment=dict(corpus="main", steps=5, batch_size=8, languages=["de", "en"]),
          parts={"x": dict(strategy="X-Y", steps=6, cells={"one": None, "two": dict(steps=7, strategy="X-X", corpus="mlqa")}),
                 "y": dict(cells={"three": dict(alpha=0.2)})})
    plan = campaign.plan("made", data="folder")
    told = [(item.part, item.cell, item.experiment.strategy, item.experiment.corpus, item.experiment.settings.steps,
             item.experiment.settings.seed) for item in plan]
    assert told == [("x", "one", "X-Y", "encyclo11", 6, 3), ("x", "one", "X-Y", "encyclo11", 6, 4),
                    ("x", "two", "X-X", "mlqa", 7, 3), ("x", "two", "X-X", "mlqa", 7, 4),
                    ("y", "three", None, "encyclo11", 5, 0)]  # untrained: one seed
    assert all(item.experiment.languages == ("de", "en") and item.experiment.settings.batch_size == 8
               and item.experiment.data == "folder" for item in plan)


def test_alpha_0_and_1_are_the_runs_of_cross_lingual_and_monolingual_batches(place):
    for seed in (0, 1):
        keys = {cell: planned("reproduction", cell, seed).key for cell in ("X-Y", "X-X-mono", "Hybrid")}
        assert [planned("alpha", alpha, seed).key for alpha in ("0", "1", "0.5")] == list(keys.values())
        assert planned("reasoning", "no reasoning", seed).key == keys["Hybrid"] != planned("reasoning", "centre", seed).key
    assert len({item.key for item in campaign.plan("gpu")}) < len(campaign.plan("gpu"))


@pytest.mark.parametrize("change, same", [
    (dict(data="elsewhere"), True), (dict(benchmarks=("xquad-r",)), True), (dict(subset=()), True), (dict(probes=True), True),
    (dict(interpolation=(0.3,)), True), (dict(strategy="X-Y"), False), (dict(alpha=0.4), False), (dict(rho=0.1), False),
    (dict(corpus="mlqa"), False), (dict(unseen=()), False), (dict(encoder="offline-e5-small"), False),
    (dict(settings=dict(seed=7)), False), (dict(settings=dict(temperature=0.1)), False),
    (dict(settings=dict(frozen_layers=0)), False)])
def test_a_key_is_of_what_is_trained_not_of_what_it_is_measured_on(change, same, place):
    item = planned("reproduction", "Hybrid")
    if "settings" in change:
        change = dict(settings=dataclasses.replace(item.experiment.settings, **change["settings"]))
    other = dataclasses.replace(item, experiment=dataclasses.replace(item.experiment, **change))
    assert (other.key == item.key) is same


def test_the_key_of_an_untrained_encoder_knows_no_settings(place):
    item = planned("reproduction", "untrained")
    settings = dataclasses.replace(item.experiment.settings, steps=99, learning_rate=0.1)
    assert dataclasses.replace(item, experiment=dataclasses.replace(item.experiment, settings=settings)).key == item.key


@pytest.mark.parametrize("name", sorted(path.stem for path in STUDIES.glob("*.yaml")))
def test_a_study_of_the_repository_asks_for_what_there_is(name):
    plan = campaign.plan(name)
    cells = {(item.part, item.cell) for item in plan + campaign.plan("gpu")}  # what a study leaves out is not compared
    for family, asked in campaign.load(name).get("comparisons", {}).items():
        assert set(asked["figures"]) <= set(results.MACRO)
        for cell in (cell for pair in asked["pairs"] for cell in pair):
            assert summaries._cell(asked["part"], cell)[0] in cells, (family, cell)
    first = {}
    for experiment, key in ((item.experiment, item.key) for item in plan):  # a run of several parts is made once:
        made = first.setdefault(key, experiment)  # as the first asks for it, which must measure enough for all
        assert set(experiment.benchmarks) <= set(made.benchmarks) and set(experiment.interpolation) <= set(made.interpolation)
        assert experiment.subset in ((), made.subset) and experiment.probes <= made.probes
        assert experiment.means_removed <= made.means_removed and experiment.keep_encoder <= made.keep_encoder
    known = {*sources.catalogue(), *corpora.OWN_ABOUT}
    for experiment in (item.experiment for item in plan):
        assert {*experiment.corpus.split("+"), *experiment.reasoning_corpus.split("+")} <= known
        assert set(experiment.benchmarks) <= {"encyclo11", "encyclo11-held-out", "xquad-r", "mlqa-r"}
        assert set(experiment.unseen) < set(corpora.LANGUAGES)


@pytest.mark.parametrize("name, encoder", [("xlm-r", "FacebookAI/xlm-roberta-base"), ("labse", "sentence-transformers/LaBSE")])
def test_studies_of_the_papers_encoders_are_the_whole_study_with_another_encoder(name, encoder):
    assert campaign.plan(name) == [dataclasses.replace(item, experiment=dataclasses.replace(item.experiment, encoder=encoder))
                                   for item in campaign.plan("gpu")]
    head, *lines = (STUDIES / f"{name}.yaml").read_text().splitlines()
    assert f"python -m hybrid_batch study {name}" in head and "GPU" in head and len(lines) == 2


# The tables that are read


def test_a_summary_has_the_mean_over_seeds_and_the_interval_of_every_figure(smoke):
    table, rows = results.summary("smoke"), summaries.Rows("smoke")
    assert {"part", "cell", "benchmark", "system", "figure", "language", "value", "low", "high", "groups", "seeds"} == set(table)
    names = ["part", "cell", "benchmark", "system", "figure", "language"]
    table = table.set_index(names).sort_index()
    assert table.index.is_unique and set(table.index.get_level_values("cell")) >= {"0", "0.5", "1", "untrained"}
    for (part, cell), keys in rows.cells().items():
        assert len(keys) == (1 if cell == "untrained" else 2)
        for benchmark, system in rows.measured(keys):
            own = figures(smoke).loc[[(key, benchmark, system) for key in keys]]
            mine = table.loc[part, cell, benchmark, system]
            for figure in results.MACRO:
                setting, measure = figure.split(" ")
                made = statistics.interval(*rows.values(keys, benchmark, system, (setting, "all", measure)))
                row = mine.loc[figure, "all"]
                assert row.value == pytest.approx(own[figure].mean(), abs=1e-5)
                assert [row.low, row.high] == pytest.approx([made["low"], made["high"]], abs=1e-5)
                assert (row.groups, row.seeds) == (24, len(keys)) and row.low <= row.value <= row.high
            for figure in ("gap", "ratio", "peer", "own language in top 10", "language_variance"):
                row = mine.loc[figure, "all"]
                assert [row.value, row.low, row.high] == pytest.approx(
                    [own[figure].mean(), own[figure].min(), own[figure].max()], abs=1e-5)


def test_a_summary_by_languages_is_that_of_the_runs(smoke, hybrids):
    table = results.summary("smoke")
    table = table[(table.part == "reproduction") & (table.cell == "Hybrid") & (table.language != "all")]
    assert set(table.system) == {"plain"} and set(table.language) == {"de", "el", "en"}
    table = table.set_index(["benchmark", "figure", "language"])
    assert len(table) == 3 * 3  # not of the pool of two
    for (benchmark, figure, language), row in table.iterrows():
        expected = []
        for made in hybrids.values():
            scores = metrics.per_language(made.scores(benchmark))
            expected.append(scores[(scores.setting == figure.split()[0]) & (scores.query_language == language)]["map"].mean())
        assert row.value == pytest.approx(np.mean(expected), abs=0.5 / campaign.STEPS) and row.low <= row.value <= row.high


def test_comparisons_are_those_that_the_study_asks_for(smoke):
    shutil.copytree(smoke, smoke.with_name("wide"))
    write("wide", base="smoke", comparisons={"table 1": {"benchmarks": sorted(BENCHMARKS)}})
    summaries.summarise("wide")
    table, rows = results.compared("wide"), summaries.Rows("wide")
    cells, parts = rows.cells(), {"table 1": "reproduction", "reasoning": "reasoning"}
    summary = results.summary("wide").set_index(["part", "cell", "benchmark", "system", "figure", "language"]).value
    pairs = {}
    for (family, benchmark), part in table.groupby(["family", "benchmark"]):
        p = []
        for row in part.itertuples():
            (one, first), (two, second) = (summaries._cell(parts[family], what) for what in (row.first, row.second))
            setting, measure = row.figure.split()
            (a, weights), (b, _) = (rows.values(cells[cell], benchmark, system, (setting, "all", measure))
                                    for cell, system in ((one, first), (two, second)))
            made = statistics.difference(a, b, weights)
            p.append(made["p"])
            for name in ("difference", "low", "high", "effect", "detectable"):
                assert getattr(row, name) == pytest.approx(made[name], abs=1e-5)
            expected = summary[*two, benchmark, second, row.figure, "all"] - summary[*one, benchmark, first, row.figure, "all"]
            rounded = dict(rel=0.05, abs=0.3) if "distance" in row.figure else dict(abs=1 / campaign.STEPS)
            assert row.difference == pytest.approx(expected, **rounded) and (row.groups, row.p) == (24, round(p[-1], 4))
            assert row.seen == (row.p_holm < 0.05 and (row.low > 0 or row.high < 0))
        assert part.p_holm.tolist() == pytest.approx(statistics.holm(p).tolist(), abs=1e-4)
        pairs[family, benchmark] = list(dict.fromkeys(zip(part["first"], part["second"])))
    asked = [("X-X-mono", "Hybrid"), ("X-Y", "Hybrid"), ("X-X-mono", "X-Y"), ("untrained", "Hybrid")]  # of those here
    assert pairs == {("table 1", "encyclo11"): [*asked, ("untrained; means removed", "Hybrid"), ("Hybrid; interpolated 0.5", "Hybrid")],
                     ("table 1", "encyclo11 de en"): asked,  # plain alone
                     ("reasoning", "encyclo11"): [("no reasoning", "centre"), ("shuffled answers", "centre"),
                                                  ("no reasoning", "shuffled answers")]}
    assert (table.groupby(["family", "benchmark", "first", "second"]).size() == 4).all()
    assert set(table[table["first"].str.startswith("untrained")].seeds) == {1} and table.seeds.max() == 2


def test_a_comparison_reads_its_system_from_the_name_of_a_cell():
    assert summaries._cell("p", "X-Y") == (("p", "X-Y"), "plain")
    assert summaries._cell("p", "more questions, mono") == (("p", "more questions, mono"), "plain")
    assert summaries._cell("p", "untrained; means removed") == (("p", "untrained"), "means removed")
    assert summaries._cell("p", "Hybrid; interpolated 0.5") == (("p", "Hybrid"), "interpolated 0.5")


def test_pairs_of_languages_are_means_over_seeds(smoke, hybrids):
    table = results.by_pair("smoke")
    assert set(zip(table.part, table.cell)) == set(summaries.Rows("smoke").cells()) and {"0", "1"} < set(table.cell)
    table = table[(table.part == "reproduction") & (table.cell == "Hybrid") & (table.benchmark == "encyclo11")]
    mine = table.set_index(["query_language", "passage_language"])
    assert mine.index.is_unique and len(mine) == 9
    for x, y in mine.index:
        expected = [made.ranks("encyclo11").groupby(["query_language", "passage_language"])["rank"].apply(
            lambda ranks: np.mean(1 / ranks))[x, y] for made in hybrids.values()]
        assert mine["map"][x, y] == pytest.approx(np.mean(expected), abs=2e-5)


def test_a_study_without_comparisons_has_an_empty_table_of_them(quick):
    write("bare", base="smoke", comparisons={"table 1": None, "reasoning": None})
    run("bare")
    SUMMARISE("bare")
    assert len(results.compared("bare")) == 0 and len(results.summary("bare"))


# What may be committed


def test_no_text_of_a_corpus_is_in_the_results(smoke):
    content = []
    for path in smoke.iterdir():
        if path.suffix == ".npz":
            with np.load(path) as saved:
                content += [*saved.files, *(saved[name].tobytes().decode("utf-32", "ignore") if saved[name].dtype.kind == "U"
                                            else saved[name].tobytes().decode("utf-8", "ignore") for name in saved.files)]
        elif path.suffix == ".parquet":
            content.append(pd.read_parquet(path).to_csv())
        else:
            content.append(path.read_text())
    content = " ".join("\n".join(content).casefold().split())
    assert "mo all map" in content and "offline-use-multilingual" in content  # what is there is found
    texts = {" ".join(text.casefold().split()) for name in ("encyclo11", "encyclo11-reasoning")
             for row in corpora.load_corpus(name, "all", ["de", "el", "en"]).rows
             for text in (row["query"], row["passage"], *row["negatives"])}
    assert len(texts) > 1000 and not [text for text in texts if text in content]
    assert str(corpora.ROOT) not in content and str(smoke.parents[1]).casefold() not in content


def test_results_are_small(smoke):
    assert sum(path.stat().st_size for path in smoke.iterdir()) < 400_000


# The paper's encoders, tiny


def characters(folder, **special):
    """A tokenizer of single characters, saved in a folder, and the size of its vocabulary."""
    known = sorted({c for text in benchmarks.load_benchmark("encyclo11", languages=["de", "el", "en"]).passages.text for c in text})
    core = Tokenizer(models.WordLevel({c: i for i, c in enumerate([*tiny.SPECIAL, *known])}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    core.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
    PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>",
                            model_max_length=64, **special).save_pretrained(folder)
    return dict(vocab_size=core.get_vocab_size(), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                intermediate_size=32, max_position_embeddings=70)


def xlm_r(folder):
    """As FacebookAI/xlm-roberta-base: a transformer without a word about sentences."""
    sizes = characters(folder / "xlm", model_input_names=["input_ids", "attention_mask"])
    XLMRobertaModel(XLMRobertaConfig(**sizes, pad_token_id=0, bos_token_id=2, eos_token_id=3, type_vocab_size=1)
                    ).save_pretrained(folder / "xlm")
    return folder / "xlm"


def labse(folder):
    """As sentence-transformers/LaBSE: BERT, the vector of the first token, a dense layer with tanh, length 1."""
    BertModel(BertConfig(**characters(folder / "parts"))).save_pretrained(folder / "parts")
    modules = [Transformer(str(folder / "parts")), Pooling(16, "cls"), Dense(16, 16, activation_function=torch.nn.Tanh()), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "labse"))
    return folder / "labse"


@pytest.mark.parametrize("make", [xlm_r, labse])
def test_the_study_runs_with_the_papers_encoders(make, tmp_path, place):
    torch.manual_seed(0)
    encoder = str(make(tmp_path / "encoder"))
    write("tiny", base="smoke", seeds=[0], experiment={"encoder": encoder, "learning_rate": 1e-2}, parts={
        "alpha": None, "reasoning": None, "reproduction": {"benchmarks": ["encyclo11"], "cells": {
            "untrained": {}, "Hybrid": {"strategy": "Hybrid", "interpolation": [0.5], "keep_encoder": True}}}})
    target, printed = run("tiny")
    assert len(printed) == 2 and {row["experiment"]["encoder"] for row in campaign.manifests("tiny")} == {encoder}
    maps = {(system, row["experiment"]["strategy"]): tuple(figures(target).loc[row["key"], "encyclo11", system][results.MACRO])
            for row in campaign.manifests("tiny") for system in row["benchmarks"]["encyclo11"]["systems"]}
    assert set(maps) == {("interpolated 0.5", "Hybrid"), *((system, strategy) for system in ("plain", "means removed")
                                                           for strategy in (None, "Hybrid"))}
    assert len(set(maps.values())) == 5 and np.isfinite(list(maps.values())).all()  # training has moved it
    benchmark = benchmarks.load_benchmark("encyclo11", languages=["de", "el", "en"])
    for kept, system in (("encoder", "plain"), ("encoder-0.5", "interpolated 0.5")):  # they may be measured again
        encoder = encoders.load(str(study.RUNS / "studies" / "tiny" / "encoders" / "Hybrid-0" / kept), device="cpu")
        ranks, _ = retrieval.rank(retrieval.embed(encoder, benchmark), benchmark)
        again = metrics.macro(metrics.per_query(ranks))["map"]
        assert again.tolist() == pytest.approx([maps[system, "Hybrid"][results.MACRO.index(f"{s} map")] for s in again.index], abs=0.01)
