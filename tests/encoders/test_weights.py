import copy

import numpy as np
import pytest
import tiny
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

from hybrid_batch.encoders.load import load, save
from hybrid_batch.encoders.weights import average, fingerprint, freeze, interpolate, parameters

TEXTS = ["w1 w2 w3", "w4", "", "w5 w6 w7 w8 w9 w10", "w1 w2 w3 w4 w5"]


@pytest.fixture
def model(tmp_path):
    return tiny.encoder(tmp_path)


def learn(encoder, steps=3, texts=TEXTS):
    """Some steps that pull the vectors of texts apart; returns the names of the weights that changed."""
    before = parameters(encoder)
    optimiser = torch.optim.AdamW([w for w in encoder.parameters() if w.requires_grad], lr=1e-2)
    encoder.train()
    for _ in range(steps):
        vectors = encoder(encoder.preprocess(texts))["sentence_embedding"]
        (vectors @ vectors.T).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    encoder.eval()
    return {name for name, value in parameters(encoder).items() if not torch.equal(value, before[name])}


def below(model, layers):
    """Names of the weights of embeddings and the first layers."""
    start = ("0.model.embeddings.", *(f"0.model.encoder.layer.{n}." for n in range(layers)))
    found = {name for name, _ in model.named_parameters() if name.startswith(start)}
    assert len(found) == 5 + 16 * layers
    return found


def frozen(model):
    return {name for name, weights in model.named_parameters() if not weights.requires_grad}


def test_interpolation_goes_from_before_to_after(tmp_path):
    model = tiny.encoder(tmp_path / "a", seed=0)
    before, after = parameters(model), parameters(tiny.encoder(tmp_path / "b", seed=1))
    for weight in (0.0, 0.25, 1.0):
        interpolate(model, before, after, weight)
        now = parameters(model)
        for name, value in now.items():
            if value.is_floating_point():
                assert torch.allclose(value, (1 - weight) * before[name] + weight * after[name], atol=1e-6)
    with pytest.raises(ValueError, match="1.5 is outside 0 to 1"):
        interpolate(model, before, after, 1.5)


def test_the_average_of_three_has_their_mean_weights(tmp_path):
    models = [tiny.encoder(tmp_path / str(seed), seed) for seed in range(3)]
    states = [parameters(model) for model in models]
    for name, value in parameters(average(models)).items():
        assert torch.allclose(value.double(), sum(state[name].double() for state in states) / 3, atol=1e-6)
    with pytest.raises(ValueError, match="differ in architecture"):
        average([models[0], SentenceTransformer(modules=list(models[1])[1:])])


def test_frozen_layers_keep_their_weights_in_a_training_and_the_others_do_not(model):
    freeze(model, layers=1)
    assert frozen(model) == below(model, 1)
    before = model.encode(TEXTS)
    changed = learn(copy.deepcopy(model))
    unused = {name for name in parameters(model) if "pooler" in name or name.endswith(("position_ids", "key.bias"))}
    assert changed - unused == set(parameters(model)) - below(model, 1) - unused
    assert np.array_equal(model.encode(TEXTS), before)  # what the copy learnt, the original did not
    assert not frozen(freeze(model, layers=0))


def test_the_word_embeddings_alone_are_frozen_and_set_free_again(model):
    word = "0.model.embeddings.word_embeddings.weight"
    freeze(model, embeddings=True)
    assert frozen(model) == {word} and word not in learn(model)
    freeze(model)
    assert not frozen(model) and word in learn(model)


def test_frozen_layers_have_no_dropout_in_training_and_the_others_have(model):
    freeze(model, layers=1)
    model.train()
    bert = model[0].model
    modes = [bert.embeddings, bert.encoder.layer[0], bert.encoder.layer[0].attention.self.dropout]
    assert not any(part.training for part in modes)
    assert bert.encoder.layer[1].training and bert.encoder.layer[1].output.dropout.training
    seen = []
    bert.encoder.layer[0].register_forward_hook(lambda *given: seen.append(given[2]))
    first, second = (model(model.preprocess(TEXTS))["sentence_embedding"] for _ in range(2))
    assert torch.equal(*seen) and not torch.equal(first, second)  # dropout above, none below
    assert not seen[0].requires_grad  # frozen layers below need no gradient
    freeze(model)
    model.train()
    assert all(part.training for part in modes)


def test_a_copy_of_a_frozen_encoder_stays_frozen_on_its_own(model):
    freeze(model, layers=1)
    other = copy.deepcopy(model)
    other.train()
    assert not other[0].model.encoder.layer[0].training and frozen(other) == frozen(model)
    freeze(other)
    assert frozen(model) == below(model, 1) and not frozen(other)


def test_a_frozen_encoder_gives_the_same_vectors_and_is_saved_free(model, tmp_path):
    before = model.encode(TEXTS)
    model.prompts = model.prompts | {"document": model.prompts["passage"]}
    save(freeze(model, layers=1), tmp_path / "saved")
    again = load(tmp_path / "saved", device="cpu")
    assert np.array_equal(before, model.encode(TEXTS)) and np.array_equal(before, again.encode(TEXTS))
    assert not frozen(again)


@pytest.mark.parametrize("layers", [-1, 3])
def test_more_frozen_layers_than_there_are_are_refused(layers, model):
    with pytest.raises(ValueError, match=f"frozen_layers = {layers}: this encoder has 2"):
        freeze(model, layers=layers)


def test_an_encoder_all_of_which_is_frozen_is_refused(model):
    with pytest.raises(ValueError, match="nothing would be left to train; freeze less"):
        freeze(model, layers=2)  # the pooler, which is left, has no part in the vectors


def test_an_encoder_of_embeddings_alone_has_no_layers_and_can_be_trained(model):
    words = StaticEmbedding(model.tokenizer.backend_tokenizer, embedding_dim=8)
    static = SentenceTransformer(modules=[words, Normalize()], device="cpu")
    assert learn(freeze(static), texts=["w1 w2", "w3"]) == {"0.embedding.weight"}
    with pytest.raises(ValueError, match="frozen_layers = 1: this encoder has 0"):
        freeze(static, layers=1)
    with pytest.raises(ValueError, match="nothing would be left to train"):
        freeze(static, embeddings=True)


def test_a_fingerprint_tells_weights_prompts_and_length(model):
    first = fingerprint(model)
    assert fingerprint(copy.deepcopy(model)) == first
    for change in (dict(prompts={"query": "", "passage": ""}), dict(max_seq_length=7)):
        other = copy.deepcopy(model)
        for name, value in change.items():
            setattr(other, name, value)
        assert fingerprint(other) != first
    with torch.no_grad():
        model[0].model.encoder.layer[1].output.LayerNorm.bias[0] += 1e-4
    assert fingerprint(model) != first
