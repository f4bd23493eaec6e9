import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import tiny
import torch
from datasets import Dataset
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from hybrid_batch import retrieval, trainer
from hybrid_batch.config import Training
from hybrid_batch.data import corpora
from hybrid_batch.data.table import table
from hybrid_batch.encoders import load
from hybrid_batch.encoders.weights import parameters, precision
from hybrid_batch.losses import TaskLoss
from hybrid_batch.strategies import TASKS, Mixture, mixture

SETTINGS = Training(steps=6, batch_size=6, learning_rate=1e-3, eval_every=2, eval_batches=2, max_length=16)
HYBRID = mixture("Hybrid")


@pytest.fixture
def encoder(tmp_path):
    return tiny.encoder(tmp_path)


def weights(encoder):
    return torch.cat([value.flatten().float() for value in parameters(encoder).values()])


def test_two_trainings_with_one_seed_are_identical_and_another_seed_differs(tmp_path):
    found = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        model = tiny.encoder(folder)
        log, _ = trainer.train(model, tiny.corpus(), HYBRID, Training(**{**vars(SETTINGS), "seed": seed}))
        found.append((weights(model), log))
    assert torch.equal(found[0][0], found[1][0])
    pd.testing.assert_frame_equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][0], found[2][0])


def test_training_lowers_the_loss_and_logs_every_step(encoder):
    settings = Training(steps=60, batch_size=8, learning_rate=3e-3, max_length=16)
    log, _ = trainer.train(encoder, tiny.corpus(), HYBRID, settings)
    assert log.step.tolist() == list(range(1, 61))
    assert log.loss.tail(10).mean() < 0.7 * log.loss.head(10).mean()
    assert log.learning_rate.iloc[-1] < log.learning_rate.max()


@pytest.mark.parametrize("restore_best", [True, False])
def test_the_weights_kept_are_those_of_the_best_evaluation_or_the_last(encoder, tmp_path, restore_best):
    """A learning rate that ruins the encoder: the best evaluation is not the last."""
    validation = tiny.corpus(12)
    settings = Training(steps=40, batch_size=6, learning_rate=0.05, eval_every=2, eval_batches=3, patience=3, max_length=16,
                        restore_best=restore_best)
    log, _ = trainer.train(encoder, tiny.corpus(), HYBRID, settings, validation, tmp_path / "run")
    losses = log.validation_loss.dropna()
    assert losses.idxmin() != losses.index[-1]
    assert log.step.max() < 40 if restore_best else log.step.max() == 40  # stopped early, or not
    loss = MultipleNegativesRankingLoss(encoder, scale=1 / settings.temperature)
    collate = trainer.PairCollator(encoder.preprocess, encoder.prompts)
    values = []
    with torch.no_grad():
        for batch in trainer.validation_sampler(validation.rows, settings):
            features = collate([validation.rows[row] for row in batch])
            columns = [{key.removeprefix(f"{name}_"): value for key, value in features.items() if key.startswith(f"{name}_")}
                       for name in ("anchor", "positive")]
            values.append(float(loss(columns, None)))
    expected = losses.min() if restore_best else losses.iloc[-1]
    assert sum(values) / len(values) == pytest.approx(expected, rel=1e-4)
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_an_interrupted_training_goes_on_to_the_same_end(tmp_path, monkeypatch):
    whole = tiny.encoder(tmp_path / "a")
    whole_log, _ = trainer.train(whole, tiny.corpus(), HYBRID, SETTINGS, tiny.corpus(12), tmp_path / "run-a")

    class Stop(Exception):
        pass

    original = trainer.Progress.on_log

    def interrupt(self, args, state, control, logs=None, **rest):
        original(self, args, state, control, logs=logs, **rest)
        if state.global_step == 3:
            raise Stop

    monkeypatch.setattr(trainer.Progress, "on_log", interrupt)
    with pytest.raises(Stop):
        trainer.train(tiny.encoder(tmp_path / "b"), tiny.corpus(), HYBRID, SETTINGS, tiny.corpus(12), tmp_path / "run-b")
    assert [p.name for p in (tmp_path / "run-b").glob("checkpoint-*")] == ["checkpoint-2"]
    monkeypatch.setattr(trainer.Progress, "on_log", original)
    resumed = tiny.encoder(tmp_path / "c")
    log, _ = trainer.train(resumed, tiny.corpus(), HYBRID, SETTINGS, tiny.corpus(12), tmp_path / "run-b", resume=True)
    assert torch.equal(weights(whole), weights(resumed))
    pd.testing.assert_frame_equal(log, whole_log)


def test_frozen_word_embeddings_stay_and_the_rest_moves(encoder):
    before = parameters(encoder)
    trainer.train(encoder, tiny.corpus(), HYBRID, Training(**{**vars(SETTINGS), "freeze_embeddings": True}))
    after = parameters(encoder)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("word_embeddings" in name for name in moved) and any("attention" in name for name in moved)


def test_the_collator_pairs_rows_and_takes_the_language_of_the_passage_for_negatives():
    rows = [dict(query=f"q{i}", passage=f"p{i}", task="qa", negatives=[f"n{i}a", f"n{i}b", f"n{i}c"][:3 - i // 3])
            for i in range(4)]
    collator = trainer.PairCollator(None, {"query": "Q ", "passage": "P "})
    assert collator.columns(rows) == {"anchor": ["q0", "q2"], "positive": ["p1", "p3"], "negative_1": ["n1a", "n3a"],
                                      "negative_2": ["n1b", "n3b"]}
    without = trainer.PairCollator(None, {"query": "", "passage": ""}, Training(hard_negatives=False))
    assert list(without.columns(rows)) == ["anchor", "positive"]


def test_queries_and_passages_get_their_prompts():
    seen = {}

    def preprocess(texts, prompt=None, task=None):
        seen[texts[0]] = prompt
        return {"input_ids": torch.zeros(len(texts), 1)}

    collator = trainer.PairCollator(preprocess, {"query": "query: ", "passage": "passage: "})
    collator([dict(query="q", passage="x", negatives=["x"], task="qa"), dict(query="y", passage="p", negatives=["n"])])
    assert seen == {"q": "query: ", "p": "passage: ", "n": "passage: "}


def test_hard_negatives_change_what_is_learnt_and_can_be_switched_off(tmp_path):
    plain, with_negatives = tiny.corpus(task="reasoning"), tiny.corpus(negatives=3, task="reasoning")
    strategy = Mixture({"reasoning mono": 1})
    ends = {}
    for name, corpus, use in (("none", plain, True), ("used", with_negatives, True), ("off", with_negatives, False)):
        model = tiny.encoder(tmp_path / name)
        trainer.train(model, corpus, strategy, Training(**{**vars(SETTINGS), "hard_negatives": use}))
        ends[name] = weights(model)
    assert torch.equal(ends["none"], ends["off"]) and not torch.equal(ends["none"], ends["used"])


def test_cached_gradients_learn_as_the_plain_loss_does(tmp_path):
    logs = []
    for size in (0, 4):
        model = tiny.encoder(tmp_path / str(size))
        for layer in model.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
        logs.append(trainer.train(model, tiny.corpus(), HYBRID, Training(**{**vars(SETTINGS), "mini_batch_size": size}))[0].loss)
    pd.testing.assert_series_equal(*logs, rtol=1e-3)


def test_mixed_strategies_train_on_two_tasks(encoder):
    both = corpora.join(tiny.corpus(), tiny.corpus(negatives=2, task="reasoning"))
    log, _ = trainer.train(encoder, both, mixture("Hybrid", rho=0.5), SETTINGS)
    assert len(log) == 6 and log.loss.notna().all()


def test_validation_batches_are_the_same_for_all_seeds_and_fit_small_sets():
    rows = tiny.corpus(5).rows
    batches = [list(trainer.validation_sampler(rows, Training(**{**vars(SETTINGS), "seed": seed}))) for seed in (0, 1)]
    assert batches[0] == batches[1] and {len(batch) for batch in batches[0]} == {2 * 5}


def test_early_stopping_needs_a_folder(encoder):
    with pytest.raises(ValueError, match="give train.. a folder"):
        trainer.train(encoder, tiny.corpus(), HYBRID, SETTINGS, tiny.corpus(12))


def translations():
    """A text and its translations, as a corpus brings them: each row's passage is its query."""
    corpus = tiny.corpus(task="reasoning")
    rows = [{**row, "passage": row["query"], "task": "parallel"} for row in corpus.rows.remove_columns("hashes")]
    return corpora.Corpus("tiny-translations", Dataset(table(rows)), "translations")


def test_distillation_draws_a_text_to_what_the_untrained_encoder_makes_of_its_translation(encoder, tmp_path):
    corpus = translations()
    strategy = Mixture({"parallel cross": 1})
    items = pd.DataFrame(corpus.rows.select_columns(["item", "language", "query"])[:])
    texts = items.pivot(index="item", columns="language", values="query")
    before = {code: torch.tensor(encoder.encode(texts[code].tolist(), prompt_name="query")) for code in texts}
    settings = Training(**{**vars(SETTINGS), "steps": 60, "learning_rate": 3e-3, "distillation": 10.0})
    trainer.train(encoder, corpus, strategy, settings)
    after = {code: torch.tensor(encoder.encode(texts[code].tolist(), prompt_name="query")) for code in texts}
    centre = (before["en"] + before["th"]) / 2
    away = lambda vectors: 1 - float(torch.cosine_similarity(vectors, centre).mean())  # noqa: E731
    assert away(after["de"]) < 0.6 * away(before["de"])


def columns_of(encoder, *texts):
    return [encoder.preprocess(list(column)) for column in texts]


def task_labels(task):
    return torch.full((3,), TASKS.index(task))


TEXTS = ["w1 w2", "w3 w4 w5", "w6"], ["w7 w2", "w8 w4", "w9 w6 w6"], ["w2 w9", "w1", "w5 w5"]


def test_the_loss_of_translations_is_that_of_the_untrained_vectors_and_of_other_batches_unchanged(encoder):
    infonce = MultipleNegativesRankingLoss(encoder.eval(), scale=20)
    loss = TaskLoss(encoder, Training(temperature=0.05, distillation=3.0))
    before = [torch.tensor(encoder.encode(column)) for column in TEXTS[:2]]
    with torch.no_grad():
        for value in encoder.parameters():
            value.add_(0.1 * torch.sin(torch.arange(value.numel())).view_as(value))
        anchors = torch.tensor(encoder.encode(TEXTS[0]))
        cosines = anchors @ before[1].T
        expected = torch.nn.functional.cross_entropy(20 * cosines, torch.arange(3)) + 3 * (1 - cosines.diagonal().mean())
        assert not torch.allclose(anchors, before[0], atol=1e-3)
        assert float(loss(columns_of(encoder, *TEXTS[:2]), task_labels("parallel"))) == pytest.approx(float(expected), abs=1e-5)
        assert float(loss(columns_of(encoder, *TEXTS[:2]), task_labels("qa"))) == pytest.approx(
            float(infonce(columns_of(encoder, *TEXTS[:2]), None)), abs=1e-6)


@pytest.mark.parametrize("training", [Training(), Training(mini_batch_size=2), Training(distillation=3.0)])
def test_similarities_are_compared_in_float32_though_the_encoder_computes_in_bf16(encoder, training):
    """In bf16 the scores at a temperature of .01 are whole multiples of .25 or more; the losses differ by some .1."""
    loss = TaskLoss(encoder.eval(), Training(**{**vars(training), "temperature": 0.01}))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        vectors = [encoder(part)["sentence_embedding"].float() for part in columns_of(encoder, *TEXTS)]
        found = float(loss(columns_of(encoder, *TEXTS), task_labels("qa")))
    expected = torch.nn.functional.cross_entropy(100 * vectors[0] @ torch.cat(vectors[1:]).T, torch.arange(3))
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_own_negatives_compare_a_query_with_its_own_candidates_only(encoder):
    loss = TaskLoss(encoder.eval(), Training(temperature=0.05, own_negatives=("reasoning",)))
    anchors, positives, negatives = (torch.tensor(encoder.encode(column)) for column in TEXTS)
    right, wrong = 20 * (anchors * positives).sum(1), 20 * (anchors * negatives).sum(1)
    expected = torch.log1p(torch.exp(wrong - right)).mean()
    with torch.no_grad():
        assert float(loss(columns_of(encoder, *TEXTS), task_labels("reasoning"))) == pytest.approx(float(expected), abs=1e-5)
        assert float(loss(columns_of(encoder, *TEXTS), task_labels("qa"))) > float(expected) + 0.1
        with pytest.raises(ValueError, match="brings no negatives of its own"):
            loss(columns_of(encoder, *TEXTS[:2]), task_labels("reasoning"))


def test_a_loss_that_is_not_finite_stops_the_training_in_words(encoder):
    with torch.no_grad():
        next(encoder.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="the loss of a qa batch is nan: train with precision float32"):
        trainer.train(encoder, tiny.corpus(), HYBRID, SETTINGS)


def test_texts_and_translations_get_one_prompt_when_distilled_and_the_task_as_label():
    seen = []

    def preprocess(texts, prompt=None, task=None):
        seen.append(prompt)
        return {"input_ids": torch.zeros(len(texts), 1)}

    collator = trainer.PairCollator(preprocess, {"query": "query: ", "passage": "passage: "}, Training(distillation=1.0))
    for hashed, task, prompts in ((2, "parallel", ["query: "] * 2), (3, "parallel", ["passage: "] * 2),
                                  (2, "qa", ["query: ", "passage: "])):
        seen.clear()
        rows = [dict(query="same", passage="same", negatives=[], hashes=[hashed], task=task) for _ in range(2)]
        assert collator(rows)["label"].tolist() == [TASKS.index(task)] and seen == prompts


def test_the_batches_drawn_are_counted_by_kind(encoder):
    _, drawn = trainer.train(encoder, tiny.corpus(), HYBRID, SETTINGS)
    assert drawn == {"qa cross": 3, "qa mono": 3}


@pytest.mark.parametrize("wanted, has, used", [("auto", False, "float32"), ("auto", True, "bf16"), ("bf16", False, "bf16"),
                                               ("float32", True, "float32")])
def test_the_precision_recorded_is_the_one_used(wanted, has, used, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    assert precision(wanted, torch.device("cpu")) == used


def test_after_training_in_bf16_it_computes_in_float32_again(encoder, tmp_path):
    trainer.train(encoder, tiny.corpus(), HYBRID, replace(SETTINGS, precision="bf16"))
    load.save(encoder, tmp_path / "saved")
    texts = tiny.corpus().rows["passage"]
    assert (retrieval.encode(encoder, texts, "passage") == retrieval.encode(load.load(tmp_path / "saved"), texts, "passage")).all()


def test_an_empty_corpus_is_named(encoder, tmp_path):
    full = tiny.corpus()
    empty = corpora.Corpus(full.name, full.rows.select([]), full.checksum)
    for corpus, validation in ((empty, full), (full, empty)):
        with pytest.raises(ValueError, match="the corpus 'tiny-qa' has no rows"):
            trainer.train(encoder, corpus, HYBRID, SETTINGS, validation, tmp_path / "run")


def test_a_trained_encoder_is_saved_as_safetensors_without_corpus_texts(encoder, tmp_path):
    trainer.train(encoder, tiny.corpus(), HYBRID, SETTINGS)
    encoder.save(str(tmp_path / "saved"))
    files = {path.name for path in (tmp_path / "saved").rglob("*") if path.is_file()}
    assert "model.safetensors" in files and not any(Path(name).suffix in (".bin", ".pt", ".pkl") for name in files)
    card = (tmp_path / "saved" / "README.md").read_text()
    assert not any(text in card for text in tiny.corpus().rows["passage"][:])
    assert json.loads((tmp_path / "saved" / "config_sentence_transformers.json").read_text())["prompts"]["query"] == "query: "
