import copy
import json
import logging
import shutil

import numpy as np
import pytest
import tiny
import torch
from huggingface_hub import constants
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding

from hybrid_batch.encoders import load as loading
from hybrid_batch.encoders.load import identity, limit_length, load, save
from hybrid_batch.encoders.weights import interpolate, parameters

TEXTS = ["w1 w2 w3", "w4", "", "w5 w6 w7 w8 w9 w10", "w1 w2 w3 w4 w5"]
E5 = {"query": "query: ", "passage": "passage: ", "document": "passage: "}
NONE = dict.fromkeys(E5, "")
COMMIT = "e5" * 20


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A function (repository, folder) that puts a folder into a cache of the Hub, in offline mode."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def add(repository, folder):
        place = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        shutil.copytree(folder, place / "snapshots" / COMMIT)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(COMMIT)

    return add


@pytest.fixture
def plain(tmp_path):
    """The folder of an encoder without prompts; its path says "e5", as does its parent's."""
    tiny.encoder(tmp_path / "e5-tiny", prompts=False)
    return tmp_path / "e5-tiny" / "tiny-e5"


def static_encoder(folder):
    core = tiny.encoder(folder).tokenizer.backend_tokenizer
    torch.manual_seed(0)
    return SentenceTransformer(modules=[StaticEmbedding(core, embedding_dim=8), Normalize()], device="cpu")


# Prompts

def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_keeps_its_prompts_and_is_cut_where_asked(tmp_path):
    tiny.encoder(tmp_path)
    loaded = load(tmp_path / "tiny-e5", device="cpu", max_length=8)
    assert loaded.prompts == E5 and loaded.max_seq_length == 8 and loaded.prompts_reason == "they are its own"


def test_where_a_folder_lies_decides_no_prompts(plain):
    for place in (plain, plain.parent / COMMIT, plain.parent / "intfloat" / "e5-base"):
        if place != plain:
            shutil.copytree(plain, place)
        loaded = load(place, device="cpu")
        assert loaded.prompts == NONE and "nothing in it says that it is an E5" in loaded.prompts_reason


@pytest.mark.parametrize("repository, expected", [
    ("intfloat/multilingual-e5-small", E5), ("someone/my-E5", E5), ("someone/e5_thai", E5), ("org/LaBSE", NONE),
    ("e5/labse", NONE), ("org/the5", NONE), ("org/e50-base", NONE), ("intfloat/multilingual-e5-large-instruct", NONE),
    ("intfloat/e5-mistral-7b", NONE)])
def test_the_name_of_a_repository_decides_and_not_its_place_in_the_cache(repository, expected, plain, hub):
    """The cache's path holds the commit, e5e5e5…, and the organisation."""
    hub(repository, plain)
    loaded = load(repository, device="cpu")
    assert loaded.prompts == expected
    assert (f"called {repository}" in loaded.prompts_reason) == (expected == E5)
    assert load(f"{repository}@{COMMIT}", device="cpu").prompts == expected


@pytest.mark.parametrize("file, content, expected", [
    ("README.md", "---\nbase_model: intfloat/multilingual-e5-small\n---\n", E5),
    ("README.md", "---\nbase_model:\n- x/y\n- intfloat/e5-base-v2\n---\n", E5),
    ("README.md", "---\nmodel-index:\n- name: intfloat/multilingual-e5-base\n  results: []\n---\n", E5),
    ("README.md", "---\nbase_model: runs/e5\n---\n", NONE), ("README.md", "---\nbase_model: [\n---\n", NONE),
    ("README.md", "---\nbase_model: sentence-transformers/LaBSE\n---\n as good as intfloat/e5-base\n", NONE),
    ("README.md", "no front matter", NONE), ("config.json", {"_name_or_path": "intfloat/multilingual-e5-small"}, E5),
    ("config.json", {"_name_or_path": "/home/e5/intfloat/e5-base"}, NONE),
    ("config.json", {"_name_or_path": "intfloat/multilingual-e5-large-instruct"}, NONE)])
def test_what_a_folder_says_of_itself_decides(file, content, expected, plain):
    rewrite(plain / file, **content) if isinstance(content, dict) else (plain / file).write_text(content)
    loaded = load(plain, device="cpu")
    assert loaded.prompts == expected and ("an E5" in loaded.prompts_reason)


@pytest.mark.parametrize("own, expected", [
    ({"query": "q ", "document": "d "}, {"query": "q ", "passage": "d ", "document": "d "}),
    ({"query": "q ", "passage": "p ", "document": ""}, {"query": "q ", "passage": "p ", "document": "p "}),
    ({"query": "q ", "corpus": "c "}, {"query": "q ", "passage": "c ", "document": "c ", "corpus": "c "}),
    ({"query": "q ", "document": ""}, {"query": "q ", "passage": "", "document": ""}),
    ({"query": "", "passage": "", "document": ""}, NONE),  # as we save an encoder without prompts
    ({"query": "", "document": ""}, E5)])  # as the library saves any encoder that was given none
def test_prompts_that_an_encoder_was_saved_with_come_first(own, expected, plain, hub):
    rewrite(plain / "config_sentence_transformers.json", prompts=own)
    hub("org/an-e5", plain)
    assert load("org/an-e5", device="cpu").prompts == expected


def test_what_was_decided_is_logged_in_one_line(plain, caplog, monkeypatch):
    monkeypatch.setattr(loading.logger, "disabled", False)  # a library that another test used may have configured logging anew
    monkeypatch.setattr(loading.logger, "handlers", [caplog.handler])
    with caplog.at_level(logging.INFO, loading.__name__):
        load(plain, device="cpu")
    line, = {record.getMessage() for record in caplog.records if record.name == loading.__name__}
    assert line.startswith(f"encoder {plain}: prompts: query '', passage '', because it brings none, and nothing")
    assert "\n" not in line


def test_a_plain_transformer_repository_gets_mean_pooling(tmp_path):
    """FacebookAI/xlm-roberta-base has no modules.json: SentenceTransformer adds mean pooling."""
    tiny.encoder(tmp_path)
    loaded = load(tmp_path / "parts", device="cpu")
    assert loaded.encode(["w1 w2"], prompt_name="query").shape == (1, 16) and "Pooling" in str(loaded)


# Saving

def test_what_is_saved_encodes_the_same_in_the_plain_library(tmp_path):
    loaded = load(tiny.encoder(tmp_path) and tmp_path / "tiny-e5", device="cpu")
    save(loaded, tmp_path / "saved")
    save(loaded, tmp_path / "saved")  # in the place of the first
    saved = json.loads((tmp_path / "saved" / "config_sentence_transformers.json").read_text())["prompts"]
    assert saved == E5 and sorted(path.name for path in tmp_path.iterdir()) == ["parts", "saved", "tiny-e5"]
    outside = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert np.array_equal(outside.encode_document(TEXTS), loaded.encode(TEXTS, prompt_name="passage"))
    assert np.array_equal(outside.encode_query(TEXTS), loaded.encode(TEXTS, prompt_name="query"))
    assert not np.array_equal(outside.encode_document(TEXTS), outside.encode(TEXTS))  # the prompt is not nothing
    assert load(tmp_path / "saved", device="cpu").prompts == E5


@pytest.mark.parametrize("prompts", [{"query": "query: ", "passage": "passage: ", "document": ""}, {"query": ""},
                                     {"query": "query: ", "passage": "passage: "}])
def test_what_would_encode_otherwise_outside_is_not_saved(prompts, tmp_path):
    encoder = tiny.encoder(tmp_path)
    encoder.prompts = prompts
    with pytest.raises(ValueError, match="\"passage\" and \"document\" alike"):
        save(encoder, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


# Precision, length, kinds of encoders

@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("static", [False, True])
def test_an_encoder_saved_in_half_precision_is_loaded_in_float32(dtype, static, tmp_path):
    encoder = (static_encoder if static else tiny.encoder)(tmp_path).to(dtype)
    encoder.save(str(tmp_path / "half"))
    loaded = load(tmp_path / "half", device="cpu")
    assert {value.dtype for value in loaded.state_dict().values() if value.is_floating_point()} == {torch.float32}
    half, whole = encoder.state_dict(), loaded.state_dict()
    assert all(torch.equal(half[name].float(), whole[name].float()) for name in half)
    save(loaded, tmp_path / "again")
    assert load(tmp_path / "again", device="cpu").dtype == torch.float32


def test_an_encoder_without_a_length_to_set_is_loaded_as_it_is(tmp_path):
    static_encoder(tmp_path).save(str(tmp_path / "static"))
    loaded = load(tmp_path / "static", device="cpu", max_length=4)
    assert limit_length(loaded, 3) is None and limit_length(loaded, None) is None
    assert loaded.encode(["w1 w2 w3 w4 w5 w6"], prompt_name="passage").shape == (1, 8)


def test_a_length_is_set_and_set_back(tmp_path):
    encoder = tiny.encoder(tmp_path)
    assert limit_length(encoder, 4) == 32 and encoder.preprocess(["w1 w2 w3 w4 w5"])["input_ids"].shape == (1, 4)
    assert limit_length(encoder, 32) == 4 and encoder.max_seq_length == 32


def test_encoders_joined_by_plus_are_averaged(tmp_path):
    one, two = (tiny.encoder(tmp_path / name, seed) for seed, name in enumerate(("one", "two")))
    places = [str(tmp_path / name / "tiny-e5") for name in ("one", "two")]
    mean = load("+".join([*places, places[1]]), device="cpu")
    expected = interpolate(copy.deepcopy(one), parameters(one), parameters(two), 2 / 3).encode(TEXTS)
    assert np.abs(mean.encode(TEXTS) - expected).max() < 1e-5 and mean.prompts == E5
    tiny.encoder(tmp_path / "other", prompts=False)
    with pytest.raises(ValueError, match="differ in prompts"):
        load(f"{places[0]}+{tmp_path / 'other' / 'tiny-e5'}", device="cpu")


# What is refused

@pytest.mark.parametrize("name", ["no-such/encoder", "no/such/encoder", "no-such", "not a name?"])
def test_a_name_that_is_nothing_is_refused_with_the_remedy(name):
    with pytest.raises(FileNotFoundError, match="is neither 'offline-e5-small' nor 'offline-use-mul.*check the name"):
        load(name)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "sock://127.0.0.1:9", "http://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_told_in_words(proxy, plain, monkeypatch):
    from huggingface_hub import close_session
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    close_session()
    try:
        with pytest.raises(FileNotFoundError, match="check the name, the connection and its proxy"):
            load("no-such/encoder")
        save(load(plain, device="cpu"), plain.parent / "saved")  # a folder needs no network
    finally:
        close_session()


def test_pickles_are_refused(tmp_path):
    for name in ("whole", "top"):
        encoder = tiny.encoder(tmp_path / name)
        if name == "top":
            encoder.append(Dense(16, 8))
        encoder.save(str(tmp_path / name / "saved"))
        part = tmp_path / name / "saved" / ("3_Dense" if name == "top" else "")
        torch.save({}, part / "pytorch_model.bin")
        load(tmp_path / name / "saved", device="cpu")  # the safetensors are beside it
        (part / "model.safetensors").unlink()
        with pytest.raises(ValueError, match="weights in pytorch_model.bin, a pickle.*convert it to safetensors"):
            load(tmp_path / name / "saved", device="cpu")


def test_no_code_of_a_folder_is_run(plain, tmp_path):
    ran = tmp_path / "ran"
    (plain / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Module: pass\n")
    modules = json.loads((plain / "modules.json").read_text())
    (plain / "modules.json").write_text(json.dumps([modules[0] | {"type": "own.Module"}, *modules[1:]]))
    with pytest.raises(FileNotFoundError, match="own.Module"):
        load(plain, device="cpu")
    assert not ran.exists()


# Names of weights

def test_the_identity_of_a_folder_is_that_of_its_files(tmp_path, plain):
    first = identity(plain)
    assert identity(shutil.copytree(plain, tmp_path / "copy")) == first and str(plain) not in first
    rewrite(plain / "config_sentence_transformers.json", prompts={"query": "q: "})
    changed = identity(plain)
    tiny.encoder(tmp_path / "other", seed=1)
    shutil.copy(tmp_path / "other" / "tiny-e5" / "model.safetensors", plain)
    assert len({first, changed, identity(plain)}) == 3


def test_the_identity_of_a_repository_has_its_commit_where_that_is_known(plain, hub):
    assert identity("org/an-e5") == "org/an-e5"
    hub("org/an-e5", plain)
    assert identity("org/an-e5") == identity(f"org/an-e5@{COMMIT}") == f"org/an-e5@{COMMIT}"


def test_the_identity_of_an_offline_encoder_has_its_package(plain):
    both = identity("offline-e5-small+offline-use-multilingual")
    assert both == f"{identity('offline-e5-small')}+{identity('offline-use-multilingual')}"
    assert len(identity("offline-e5-small")) > len("offline-e5-small@")
