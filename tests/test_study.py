import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny

from hybrid_batch import encoders, evaluation, metrics, study
from hybrid_batch.data import benchmarks, corpora
from hybrid_batch.settings import Settings

SETTINGS = Settings(steps=3, batch_size=4, learning_rate=1e-3, eval_every=2, eval_batches=1, max_length=16)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """What the experiments of these tests have in common: a tiny encoder, three languages."""
    folder = tmp_path_factory.mktemp("encoder")
    tiny.encoder(folder)
    return dict(encoder=str(folder / "tiny-e5"), languages=("ar", "en", "zh"), settings=SETTINGS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("experiments")


@pytest.fixture(scope="module")
def hybrid(shared, cache):
    return study.run(study.Experiment("Hybrid", interpolation=(0.5,), keep_encoder=True, **shared), cache)


def test_a_run_measures_the_encoder_and_both_baselines(hybrid):
    assert hybrid.systems("encyclo11") == ["plain", "means removed", "interpolated 0.5"]
    for system in hybrid.systems("encyclo11"):
        figures = metrics.macro(hybrid.scores("encyclo11", system))
        assert figures.settings.tolist() == [3, 6, 3] and figures["map"].between(0, 1).all()
    queries, top = hybrid.top("encyclo11")
    assert top.shape == (len(queries), 10)
    vectors, languages = hybrid.vectors("encyclo11")
    assert len(vectors) == len(languages) == hybrid.manifest["benchmarks"]["encyclo11"]["passages"]


def test_a_manifest_says_what_made_the_figures(hybrid):
    manifest = hybrid.manifest
    assert manifest["name"] == "Hybrid(0.5)" and manifest["steps"] == 3
    assert manifest["shares"] == {"qa mono": 0.5, "qa cross": 0.5}
    assert manifest["experiment"]["settings"]["seed"] == 0 and manifest["experiment"]["languages"] == ["ar", "en", "zh"]
    assert manifest["corpus"]["checksum"] == corpora.load_corpus("encyclo11").checksum
    assert manifest["libraries"]["torch"].startswith("2.") and manifest["device"].startswith(("CPU", "NVIDIA"))
    assert set(manifest["seconds"]) == {"training", "evaluation"}
    assert hybrid.log.step.tolist() == [1, 2, 3]


def test_an_experiment_is_made_once(hybrid, shared, cache, monkeypatch):
    monkeypatch.setattr(study, "_make", lambda *_: pytest.fail("made again"))
    again = study.run(study.Experiment("Hybrid", interpolation=(0.5,), keep_encoder=True, **shared), cache)
    assert again.folder == hybrid.folder


@pytest.mark.parametrize("change", [dict(alpha=0.7), dict(rho=0.5), dict(settings=Settings(**{**vars(SETTINGS), "seed": 1})),
                                    dict(languages=("ar", "en")), dict(strategy="X-Y")])
def test_another_experiment_has_another_folder(change, shared, cache, monkeypatch):
    made = []

    def note(experiment, training, validation, benchmarks, folder):
        made.append(experiment)
        (folder / "manifest.json").write_text("{}")

    monkeypatch.setattr(study, "_make", note)
    study.run(study.Experiment(**{"strategy": "Hybrid", **shared, **change}), cache)
    assert len(made) == 1


def test_what_does_not_apply_does_not_make_another_run(shared, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "_make", lambda e, t, v, b, folder: (folder / "manifest.json").write_text("{}"))
    changed = {**shared, "settings": Settings(**{**vars(SETTINGS), "steps": 9})}
    folders = [study.run(experiment, tmp_path).folder for experiment in (
        study.Experiment(None, **shared), study.Experiment(None, alpha=0.9, **changed),
        study.Experiment("X-Y", **shared), study.Experiment("X-Y", alpha=0.9, **shared))]
    assert folders[0] == folders[1] and folders[2] == folders[3] and folders[0] != folders[2]


def test_an_interrupted_run_leaves_no_folder_that_looks_finished(shared, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "_make", fail)
    with pytest.raises(KeyboardInterrupt):
        study.run(study.Experiment("X-X", **shared), tmp_path)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_the_kept_encoder_is_the_one_that_was_measured(hybrid):
    again = encoders.load(str(hybrid.folder / "encoder"), device="cpu")
    from hybrid_batch import retrieval
    benchmark = benchmarks.load_benchmark("encyclo11", languages=["ar", "en", "zh"])
    ranks, _ = retrieval.rank(retrieval.embed(again, benchmark), benchmark)
    pd.testing.assert_frame_equal(ranks, hybrid.ranks("encyclo11"))


def rows_of(split, count):
    rows = corpora.load_corpus("encyclo11", split, ["ar", "en", "zh"]).rows
    return [{key: value for key, value in row.items() if key != "hashes"} for row in rows.select(range(0, len(rows), len(rows) // count)[:count])]


def test_rows_that_stand_in_the_benchmark_are_not_trained_on(shared, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(study, "_make", lambda e, training, v, b, folder: (
        seen.append(training), (folder / "manifest.json").write_text("{}")))
    clean, leaked = rows_of("train", 40), rows_of("test", 10)
    path = tmp_path / "leaky.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in [*leaked, *clean]))
    study.run(study.Experiment("X-X", **{**shared, "corpus": str(path)}), tmp_path)
    assert seen[0].rows["query"][:] == [row["query"] for row in clean]
    assert seen[0].about["contaminated"] == {"encyclo11": 10}
    elsewhere = {**shared, "corpus": str(path), "benchmarks": ("encyclo11-reasoning",)}
    study.run(study.Experiment("X-X", **elsewhere), tmp_path)
    assert len(seen[1].rows) == 50
    study.run(study.Experiment("X-X", **elsewhere, cleaned_of=("encyclo11",)), tmp_path)
    assert seen[2].rows["query"][:] == [row["query"] for row in clean]


def test_training_on_the_benchmark_is_refused(shared, tmp_path):
    path = tmp_path / "leaky.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows_of("test", 10)))
    with pytest.raises(ValueError, match="all 10 rows of the corpus.*leaky.*another corpus"):
        study.run(study.Experiment("X-X", **{**shared, "corpus": str(path)}), tmp_path)


def test_the_shuffled_control_trains_on_wrong_answers_and_is_named_so(shared):
    experiment = study.Experiment("Hybrid", rho=0.5, answers="shuffled", **shared)
    assert experiment.name == "Hybrid(0.5) + 0.5 reasoning hybrid, shuffled"
    training, _ = study.load_training(experiment)
    right = {(r["item"], r["language"]): r["passage"] for r in corpora.load_corpus("encyclo11-reasoning").rows}
    rows = [r for r in training.rows if r["task"] == "reasoning"]
    assert rows and all(r["passage"] != right[r["item"], r["language"]] for r in rows)


def test_seeds_are_averaged_query_by_query(shared, tmp_path):
    runs = study.grid(study.seeds(study.Experiment("X-Y", **shared), [0, 1]), tmp_path)
    assert [run.manifest["experiment"]["settings"]["seed"] for run in runs] == [0, 1]
    table = study.table(runs, "encyclo11", draws=50)
    assert set(table.seeds) == {2} and set(table.strategy) == {"X-Y"}
    value = table.set_index(["system", "setting", "measure"]).value
    single = [metrics.macro(run.scores("encyclo11"))["map"]["Mul"] for run in runs]
    assert value["plain", "Mul", "map"] == pytest.approx(np.mean(single))
    wide = study.wide(table)
    assert list(wide.index) == ["X-Y", "X-Y, means removed"] and "[" in wide["Mul mAP"].iloc[0]


def test_an_index_finds_runs_again_and_says_when_one_is_gone(hybrid, tmp_path):
    path = tmp_path / "runs.json"
    assert study.load_index(path) == []
    study.save_index([hybrid], path)
    assert [Path(run.folder).resolve() for run in study.load_index(path)] == [hybrid.folder.resolve()]
    path.write_text(json.dumps([os.path.relpath(tmp_path / "gone", corpora.ROOT)]))
    with pytest.raises(FileNotFoundError, match="gone: run 02_training again"):
        study.load_index(path)


def test_evaluate_gives_macro_figures_with_intervals_and_a_row_per_setting(shared):
    result = evaluation.evaluate(shared["encoder"], "encyclo11", languages=["ar", "en", "zh"])
    json.dumps(result)
    assert result["macro"]["Cr"]["settings"] == 6 and len(result["languages"]) == 3 + 6 + 3
    assert result["macro"]["Mo"]["map_low"] <= result["macro"]["Mo"]["map"] <= result["macro"]["Mo"]["map_high"]
    assert "rank_distance" in result["macro"]["Mul"] and "rank_distance" not in result["macro"]["Mo"]
    assert set(result["peer"]) == set(result["candidates"]) == {"ar", "en", "zh"}
