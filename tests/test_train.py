"""The verb train: from a file of rows to a folder that plain sentence-transformers loads."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from sentence_transformers import SentenceTransformer

from hybrid_batch import cli, config, experiment, finetune, search
from hybrid_batch.data import corpora
from hybrid_batch.data.benchmarks import load_benchmark
from hybrid_batch.encoders import load
from hybrid_batch.encoders.weights import ADAPTER, freeze, parameters

SETTINGS = dict(steps=8, batch_size=6, learning_rate=5e-3, eval_every=4, eval_batches=2, max_length=16, benchmarks=[])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "FOLDER", tmp_path / "work")
    monkeypatch.setattr(corpora, "CACHE", tmp_path / "corpora")
    return tmp_path


@pytest.fixture
def base(folder):
    """The folder of a small encoder with prompts of its own."""
    tiny.encoder(folder)
    return str(folder / "tiny-e5")


@pytest.fixture
def mine(folder):
    """A file of 40 items in three languages."""
    fields = ("item", "group", "language", "query", "passage")
    lines = [json.dumps({name: row[name] for name in fields}) + "\n" for row in tiny.corpus(40).rows]
    (folder / "mine.jsonl").write_text("".join(lines))
    return folder / "mine.jsonl"


def test_the_folder_is_an_ordinary_encoder_with_prompts_and_a_card(base, mine, folder):
    made = finetune.finetune(str(mine), folder / "my-encoder", encoder=base, strategy="Hybrid", **SETTINGS)
    plain = SentenceTransformer(str(folder / "my-encoder"), device="cpu")
    assert plain.prompts == made.prompts == {"query": "query: ", "passage": "passage: ", "document": "passage: "}
    assert np.allclose(plain.encode("w1 w2", prompt_name="query"), made.encode("w1 w2", prompt_name="query"))
    before = parameters(load.load(base))
    assert any(not torch.equal(before[name], value) for name, value in parameters(made).items())
    card = (folder / "my-encoder" / "README.md").read_text()
    for text in ("base_model: tiny-e5", "- de\n- en\n- th", "mine.jsonl", "Hybrid(0.5)", "8 steps of 6 pairs", "seed 0",
                 "32 trained on, 4 to stop early on, 4 held out", "12 questions in 4 groups, 12 passages",
                 "| Mul map | 0.", "## Limits"):
        assert text in card, text
    sentences = {row[field] for row in tiny.corpus(40).rows for field in ("query", "passage")}
    assert not [text for text in sentences if text in card] and str(folder) not in card


def test_the_figures_of_the_card_are_those_of_the_encoder_that_was_saved(base, mine, folder):
    for adapter in (0, 4):
        made = finetune.finetune(str(mine), folder / "out", adapter, encoder=base, **SETTINGS)
        held_out = f"{mine}:test"
        runs = [experiment.run(config.Experiment.of(encoder=name, strategy="", benchmarks=[held_out]), folder / "again")
                for name in (base, str(folder / "out"))]
        values = [experiment.table([run], held_out, ["Mul map"]).value.iloc[0] for run in runs]
        line = next(line for line in (folder / "out" / "README.md").read_text().splitlines() if line.startswith("| Mul map"))
        cells = [cell.split("[")[0].strip() for cell in line.strip("|").split("|")[1:]]
        assert cells == [f"{values[0]:.3f}", f"{values[1]:.3f}", f"{values[1] - values[0]:.3f}"], made


def test_what_is_held_out_shares_no_group_and_no_passage_with_what_is_trained_on(mine, folder):
    rows = [json.loads(line) for line in mine.read_text().splitlines()]
    for number, row in enumerate(rows):  # two items to a passage
        row["item"], row["passage"] = f"i{number // 3}", f"passage {number // 6} {row['language']}"
        row.pop("group")
    mine.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train, validation = (corpora.load_corpus(f"{mine}:{part}").rows for part in ("train", "validation"))
    held_out = load_benchmark(f"{mine}:test")
    passages = [set(train["passage"]), set(validation["passage"]), set(held_out.passages.text)]
    assert not passages[0] & passages[1] and not passages[0] & passages[2] and not passages[1] & passages[2]
    assert [len(part.unique("group")) for part in (train, validation)] == [16, 2] and held_out.queries.group.nunique() == 2
    assert len(held_out.queries) == 12 and len(held_out.passages) == 6 and len(train) == 96


def test_an_adapter_moves_linear_layers_alone_and_is_merged(base, mine, folder):
    adapted = finetune.finetune(str(mine), folder / "a", adapter=4, encoder=base, **SETTINGS)
    before, after = parameters(load.load(base)), parameters(adapted)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys() and moved
    assert all(name.endswith("weight") and before[name].ndim == 2 and "embeddings" not in name for name in moved)
    for name in moved:
        assert torch.linalg.matrix_rank((after[name] - before[name]).double(), rtol=1e-4) <= 4
    assert "a LoRA adapter of rank 4" in (folder / "a" / "README.md").read_text()


def test_only_the_adapter_is_trained(base):
    from peft import LoraConfig
    encoder = load.load(base)
    encoder.add_adapter(LoraConfig(r=2, target_modules="all-linear"))
    freeze(encoder, embeddings=True)
    trained = {name for name, value in encoder.named_parameters() if value.requires_grad}
    assert trained and all(ADAPTER in name for name in trained)
    assert all(value.requires_grad for value in freeze(load.load(base)).parameters())


def test_an_encoder_that_takes_no_adapter_is_told_so(mine, folder):
    with pytest.raises(ValueError, match="takes no adapter: leave --adapter out"):
        finetune.finetune(str(mine), folder / "a", adapter=4, encoder="offline-use-multilingual", **SETTINGS)


RUN = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from hybrid_batch import finetune
finetune.FOLDER = Path({work!r})
finetune.finetune({mine!r}, {output!r}, encoder={base!r}, adapter={adapter}, **{settings!r})
"""


@pytest.mark.parametrize("adapter", [0, 4])
def test_a_training_that_was_killed_goes_on_to_the_same_encoder(adapter, base, mine, folder):
    settings = SETTINGS | dict(steps=120, eval_every=40, patience=9)
    code = RUN.format(tests=str(Path(__file__).parent), work=str(folder / "work"), mine=str(mine), base=base, adapter=adapter,
                      output=str(folder / "killed"), settings=settings)
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = time.monotonic()
    while time.monotonic() < begun + 120 and not list((folder / "work").glob(".*/checkpoints/checkpoint-*/trainer_state.json")):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL and not (folder / "killed").exists()
    steps = []
    original = experiment.trainer.Progress.on_train_begin
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment.trainer.Progress, "on_train_begin", lambda self, args, state, control, **rest: (
            steps.append(state.global_step), original(self, args, state, control, **rest))[1])
        resumed = finetune.finetune(str(mine), folder / "killed", adapter, encoder=base, **settings)
        patch.setattr(finetune, "FOLDER", folder / "other")
        whole = finetune.finetune(str(mine), folder / "whole", adapter, encoder=base, **settings)
    assert steps[0] >= 40 and steps[1] == 0
    first, second = parameters(resumed), parameters(whole)
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


def test_the_encoder_is_named_anywhere_an_encoder_is(base, mine, folder):
    finetune.finetune(str(mine), folder / "my-encoder", encoder=base, **SETTINGS)
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text("w1 w2 w3\n")
    index = search.open_index([folder / "texts"], str(folder / "my-encoder"), folder=folder / "index", tell=print, progress=False)
    assert index.search("w1 w2 w3")[0]["place"] == "line 1"


def test_a_corpus_with_splits_of_its_own_is_measured_on_its_test_split(base, folder):
    settings = SETTINGS | dict(benchmarks=["encyclo11"], languages=["de", "en"])
    finetune.finetune("encyclo11", folder / "out", encoder=base, **settings)
    card = (folder / "out" / "README.md").read_text()
    assert "Benchmark encyclo11: " in card and "held out to measure" not in card and "- de\n- en\n" in card


def test_languages_that_our_own_corpus_lacks_are_trained_on_and_measured(base, folder):
    lines = [json.dumps({name: row[name] for name in ("item", "group", "language", "query", "passage")}) + "\n"
             for row in tiny.corpus(24, ("fr", "en")).rows]
    (folder / "french.jsonl").write_text("".join(lines))
    finetune.finetune(str(folder / "french.jsonl"), folder / "out", encoder=base, **SETTINGS | dict(benchmarks=["encyclo11-quick"]))
    card = (folder / "out" / "README.md").read_text()
    assert "- en\n- fr\n" in card and "4 questions in 2 groups" in card and "Benchmark encyclo11-quick" in card


def test_translations_alone_are_distilled_and_measured_on_our_own_corpus(base, folder):
    lines = [json.dumps({name: row[name] for name in ("item", "group", "language", "query", "passage")} | {"task": "parallel"}) + "\n"
             for row in tiny.corpus(24).rows]
    (folder / "translations.jsonl").write_text("".join(lines))
    settings = SETTINGS | dict(strategy={"parallel cross": 1}, distillation=10, benchmarks=["encyclo11-quick"])
    finetune.finetune(str(folder / "translations.jsonl"), folder / "out", encoder=base, **settings)
    card = (folder / "out" / "README.md").read_text()
    assert "8 parallel cross" in card and "2 held out.\n" in card and card.count("Benchmark ") == 1 and "encyclo11-quick" in card


def test_every_parameter_of_an_experiment_is_a_flag_and_reaches_it(mine, folder, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(finetune, "finetune", lambda *given, **parameters: asked.append((given, parameters)))
    cli.main(["train", "--corpus", str(mine), "--strategy", "X-Y", "-o", "out", "--adapter", "--steps", "7"])
    assert asked == [((str(mine), "out", 8), {"strategy": "X-Y", "steps": "7"})]
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    printed = capsys.readouterr().out
    assert all(f"--{name.replace('_', '-')}" in printed for name in (*config.EXPERIMENT, *config.TRAINING))


@pytest.mark.parametrize("change, message", [
    (dict(strategy=""), "strategy is empty"), (dict(stpes=3), "did you mean 'steps'"), (dict(alpha=2), "alpha = 2"),
    (dict(corpus="no.jsonl"), "no.jsonl does not exist")])
def test_a_mistake_is_told_before_anything_is_trained(change, message, mine, folder, base):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        finetune.finetune(**(dict(corpus=str(mine), output=folder / "out", encoder=base) | change))


def test_too_few_groups_are_refused(mine, folder, base):
    mine.write_text("".join(mine.read_text().splitlines(keepends=True)[:30]))
    with pytest.raises(ValueError, match="has 10 groups .* give at least 20"):
        finetune.finetune(str(mine), folder / "out", encoder=base)
