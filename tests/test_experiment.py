"""Experiments: made once, whatever happens; what they leave; what they train on."""

import json
import multiprocessing

import numpy as np
import pandas as pd
import pytest
import tiny

from hybrid_batch import experiment, metrics, paths, storage
from hybrid_batch.config import Experiment
from hybrid_batch.data import encyclo11

SMALL = dict(benchmarks=["encyclo11-quick"], languages=["de", "en"], steps=2, batch_size=4, max_length=16, eval_every=2,
             eval_batches=1, precision="float32", encoding_precision="float32")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    tiny.encoder(folder)
    return str(folder / "tiny-e5")


@pytest.fixture(scope="module")
def made(encoder, tmp_path_factory):
    asked = Experiment.of(encoder=encoder, rho=0.5, interpolation=[0.5], subset=["de"], keep_encoder=True,
                          debias=["centring", "LSAR"], **SMALL)
    return experiment.run(asked, tmp_path_factory.mktemp("cache"))


def test_a_run_leaves_what_was_measured_of_each_system(made):
    assert made.systems("encyclo11-quick") == ["plain", "centring", "LSAR", "interpolated 0.5"]
    assert made.systems("encyclo11-quick de") == ["plain"]
    for system in made.systems("encyclo11-quick"):
        scores = made.scores("encyclo11-quick", system)
        assert set(scores.setting) == {"Mo", "Cr", "Mul"}
        space = made.manifest["benchmarks"]["encyclo11-quick"]["systems"][system]
        assert space["gap"] == pytest.approx(metrics.macro(scores)["map"]["Mo"] - metrics.macro(scores)["map"]["Cr"], abs=1e-6)
    languages, top = made.top("encyclo11-quick")
    assert top.shape[1] == 10 and set(languages) == {"de", "en"}
    assert (made.folder / "encoder" / "model.safetensors").exists() and (made.folder / "encoder-0.5").is_dir()


def test_the_manifest_says_how_it_was_made(made):
    said = made.manifest
    assert said["steps"] == 2 and sum(said["drawn"].values()) == 2 and set(said["drawn"]) <= set(said["shares"])
    assert said["precision"] == {"training": "float32", "encoding": "float32"} and said["threads"] >= 1 and said["device"] == "CPU"
    assert said["encoder"].startswith("sha256:") and said["prompts"]["query"] == "query: "
    assert said["code"] == storage.code_fingerprint("experiment") and said["libraries"]["torch"]
    assert said["corpus"]["contaminated"] == {"encyclo11-quick": 0} and len(said["corpus"]["checksum"]) == 64
    again = Experiment.of(**said["experiment"])
    assert again.key == said["key"]


def test_asking_again_reads_and_another_encoder_or_parameter_does_not(made, encoder, tmp_path, monkeypatch):
    asked = Experiment.of(**made.manifest["experiment"])
    monkeypatch.setattr(experiment, "_make", lambda *_: pytest.fail("made again"))
    assert experiment.run(asked, made.folder.parent).folder == made.folder
    monkeypatch.setattr(experiment, "_make", lambda e, t, v, b, c, folder: storage.write(folder / "manifest.json", "{}"))
    tiny.encoder(tmp_path, seed=1)
    other = [asked.but(encoder=str(tmp_path / "tiny-e5")), asked.but(steps=3), asked.but(debias=[]), asked.but(answers="neutral")]
    folders = {experiment.run(one, made.folder.parent).folder for one in [asked, *other]}
    assert len(folders) == 5


def test_a_run_asked_for_by_another_name_keeps_the_name_asked_for(made):
    asked = Experiment.of(**made.manifest["experiment"])
    assert experiment.run(asked.but(strategy=asked.mixture.written(), rho=0), made.folder.parent).folder == made.folder
    assert experiment.run(asked, made.folder.parent).name == "Hybrid(0.5) + 0.5 reasoning hybrid"


def test_what_is_interrupted_leaves_no_folder_and_is_made_next_time(encoder, tmp_path, monkeypatch):
    asked = Experiment.of(encoder=encoder, **SMALL)
    original = experiment.retrieval.embed
    monkeypatch.setattr(experiment.retrieval, "embed", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        experiment.run(asked, tmp_path)
    assert not list(tmp_path.glob("[!.]*"))
    monkeypatch.setattr(experiment.retrieval, "embed", original)
    assert experiment.run(asked, tmp_path).manifest["steps"] == 2


def ask(encoder, cache):
    experiment.run(Experiment.of(encoder=encoder, **SMALL), cache)


def test_a_long_training_is_not_repeated_because_its_evaluation_was_interrupted(encoder, tmp_path, monkeypatch):
    asked = Experiment.of(encoder=encoder, debias=[], **SMALL)
    whole = experiment.run(asked, tmp_path / "whole")
    monkeypatch.setattr(experiment, "LONG", 0)
    original = experiment.retrieval.embed
    monkeypatch.setattr(experiment.retrieval, "embed", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        experiment.run(asked, tmp_path / "broken")
    monkeypatch.setattr(experiment.retrieval, "embed", original)
    monkeypatch.setattr(experiment.trainer, "train", lambda *_, **__: pytest.fail("trained again"))
    run = experiment.run(asked, tmp_path / "broken")
    assert run.manifest["drawn"] == whole.manifest["drawn"] and run.manifest["steps"] == 2
    assert run.manifest["seconds"]["training"] > 0 and not list(run.folder.glob("trained"))
    pd.testing.assert_frame_equal(run.scores("encyclo11-quick"), whole.scores("encyclo11-quick"))


def test_two_processes_that_ask_for_one_run_make_it_once(encoder, tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=ask, args=(encoder, tmp_path)) for _ in range(2)]
    [process.start() for process in processes]
    [process.join() for process in processes]
    assert [process.exitcode for process in processes] == [0, 0] and len(list(tmp_path.glob("[!.]*"))) == 1


def test_long_values_make_no_long_names(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "_make", lambda e, t, v, b, c, folder: storage.write(folder / "manifest.json", "{}"))
    shares = {f"qa cross [{' '.join(languages)}]": 1 for languages in (["de", "en"], ["en", "de"], ["de", "en", "de"])}
    values = SMALL | dict(strategy=shares | {f"qa mono [{' '.join(['en'] * n)}]": 1 for n in range(1, 40)})
    assert len(experiment.run(Experiment.of(encoder=encoder, **values), tmp_path).folder.name) < 120


# What it trains on


def load(**values):
    return experiment.load_training(Experiment.of(**SMALL | dict(unseen=[]) | values))[0]


def test_each_task_takes_its_source_and_translations_are_their_own_task():
    rows = load(rho=0.5, added="parallel").rows
    frame = pd.DataFrame({"task": rows["task"], "query": rows["query"], "passage": rows["passage"]})
    assert set(frame.task) == {"qa", "parallel"}
    same = frame["query"] == frame.passage
    assert same[frame.task == "parallel"].all() and not same[frame.task == "qa"].any()


def test_extra_question_passage_pairs_are_said_to_be_extra():
    rows = load(rho=0.5, added="extra", sources={"extra": "encyclo11-sentences"}).rows
    assert set(rows["task"]) == {"qa", "extra"}


def test_of_reasoning_items_the_stems_alone_serve_as_parallel_text():
    asked = Experiment.of(strategy={"qa mono": 0.5, "parallel cross": 0.5}, languages=["de", "en"],
                          sources={"parallel": "encyclo11-reasoning"})
    training, _ = experiment.load_training(asked)
    rows = training.rows.filter(lambda row: row["task"] == "parallel")
    stems = {entry["stem"] for entry in encyclo11.read_encyclo11("reasoning", "de", "train")}
    german = rows.filter(lambda row: row["language"] == "de")
    assert set(german["query"]) == stems and german["passage"] == german["query"] and not any(german["negatives"])
    both = experiment.load_training(asked.but(sources={"parallel": "encyclo11-parallel+encyclo11-reasoning"}))[0].rows
    both = both.filter(lambda row: row["task"] == "parallel" and row["language"] == "de")
    assert set(both["query"]) > stems and both["passage"] == both["query"] and len(both) > len(german)


@pytest.mark.parametrize("values, named", [
    (dict(rho=0.5, sources={"reasoning": "encyclo11"}), "reasoning: encyclo11 has no rows of the task reasoning, only of qa"),
    (dict(sources={"qa": "encyclo11-reasoning"}), "no rows of the task qa, only of reasoning"),
    (dict(rho=0.5, added="extra"), "sources names no corpus of extra")])
def test_a_source_of_another_task_is_refused_and_never_relabelled(values, named):
    with pytest.raises(ValueError, match=named):
        load(**values)


def test_one_file_may_serve_two_tasks(tmp_path):
    lines = [dict(item=f"{task}{n}", language=language, task=task, query=f"q {task} {n} {language}", passage=f"p {task} {n} {language}")
             for task in ("qa", "reasoning") for n in range(3) for language in ("de", "en")]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)))
    mine = str(tmp_path / "mine.jsonl")
    rows = load(rho=0.5, sources={"qa": mine, "reasoning": mine}).rows
    assert sorted(rows["task"]) == ["qa"] * 6 + ["reasoning"] * 6


@pytest.mark.parametrize("answers", ["neutral", "anti-signal"])
def test_controls_change_the_answers_of_reasoning_alone(answers):
    right, changed = load(rho=0.5), load(rho=0.5, answers=answers)

    def passages(corpus, task):
        return {(i, lang): p for i, lang, p, t in zip(*(corpus.rows[n] for n in ("item", "language", "passage", "task"))) if t == task}

    assert passages(right, "qa") == passages(changed, "qa")
    before, after = passages(right, "reasoning"), passages(changed, "reasoning")
    shared = before.keys() & after.keys()
    assert shared and not any(before[key] == after[key] for key in shared)


def test_languages_that_are_unseen_are_measured_and_not_trained_on():
    training, validation = experiment.load_training(Experiment.of(**SMALL | dict(languages=["de", "el", "en"], unseen=["el"])))
    assert set(training.rows["language"]) == set(validation.rows["language"]) == {"de", "en"}


def test_limits_hold_for_their_task():
    rows = load(rho=0.5, limits={"reasoning": 3}).rows
    counts = pd.Series(rows["task"]).value_counts()
    assert counts["reasoning"] == 2 * 3 and counts["qa"] > 20


# Tables and indexes


def test_an_index_finds_its_runs_again_and_names_one_that_is_gone(made, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    experiment.save_index([made], tmp_path / "runs.json")
    found, = experiment.load_index("runs.json")
    assert found.folder.resolve() == made.folder.resolve() and found.name == made.name
    assert experiment.load_index("none.json") == []
    (tmp_path / "runs.json").write_text(json.dumps({"runs/gone": "X-X"}))
    with pytest.raises(FileNotFoundError, match="gone: run the notebook that made it again"):
        experiment.load_index("runs.json")


def test_the_table_of_runs_has_a_row_a_system_and_figure(made):
    table = experiment.table([made], "encyclo11-quick")
    assert list(dict.fromkeys(table.system)) == [made.name, *(f"{made.name}, {s}" for s in ("centring", "LSAR", "interpolated 0.5"))]
    macro = metrics.macro(made.scores("encyclo11-quick"))
    value = table[(table.system == made.name) & (table.figure == "Mul map")].value.item()
    assert value == pytest.approx(macro["map"]["Mul"]) and np.isfinite(table.low).all()


def untrained(benchmark):
    return json.loads((paths.RESULTS / "untrained" / f"{benchmark}.json").read_text())


def test_the_untrained_encoder_has_the_figures_measured_outside():
    """On XQuAD-R, measured with another program."""
    macro = untrained("xquad-r")["macro"]
    assert [macro[s]["map"] for s in ("Mo", "Cr", "Mul")] == pytest.approx([0.799, 0.640, 0.299], abs=0.003)
    assert macro["Mul"]["rank_distance"] == pytest.approx(1213, abs=10)


@pytest.mark.parametrize("benchmark", ["xquad-r", "mlqa-r", "encyclo11"])
def test_macro_figures_of_the_untrained_encoder_are_the_means_of_its_settings(benchmark):
    measured = untrained(benchmark)
    settings = pd.DataFrame(measured["languages"])
    languages = len(measured["candidates"])
    for setting, count in (("Mo", languages), ("Cr", languages * (languages - 1)), ("Mul", languages)):
        part, macro = settings[settings.setting == setting], measured["macro"][setting]
        assert len(part) == macro["settings"] == count
        for name in {"map", "recall@1", "recall@10", "rank_distance", "max_rank"} & set(macro):
            assert macro[name] == pytest.approx(part[name].mean(), abs=2e-6), (setting, name)
