"""Parallel items from a monolingual corpus by machine translation ("translate-train", arXiv 2408.10536)."""

import json
import os
import unicodedata
from collections import Counter
from itertools import islice, product
from pathlib import Path

import httpx2
import regex
import torch
from tqdm import tqdm
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hybrid_batch import storage
from hybrid_batch.data import io
from hybrid_batch.data.languages import FLORES, check_languages

SCRIPTS = {"Jpan": ("Hira", "Kana", "Hani"), "Hang": ("Hang", "Hani"), "Hans": ("Hani",)}  # else one, of that name
# ISO code: (FLORES-200 code, Unicode scripts)
LANGUAGES = {code: (flores, SCRIPTS.get(flores[4:], (flores[4:],))) for code, flores in FLORES.items()}
TOKENS = {"NllbTokenizer": lambda code: LANGUAGES[code][0], "M2M100Tokenizer": "__{}__".format}  # of a language


class Translator:
    """Translates with ``model``, a folder or Hub repository of an NLLB or M2M100 model with safetensors weights
    (facebook/nllb-200-distilled-600M has them at revision refs/pr/45), loaded when a text is not yet cached.

    cache: folder of JSON-lines files per model, revision, max_length, beams and pair of languages, which one process
        at a time may write. A model folder is known by its name: give another model another name.
    revision: branch, tag or commit on the Hub; None is main. max_length: texts and translations are cut after so many
        tokens. beams: 1 is greedy search; nothing is sampled. device: None takes a GPU when there is one.
    """

    def __init__(self, model, cache, revision=None, batch_size=16, max_length=256, beams=1, device=None):
        self.model, self.revision, self.batch_size = str(model), revision or "main", batch_size
        self.max_length, self.beams = max_length, beams
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        key = storage.digest(self.model, self.revision, max_length, beams)
        self.cache = Path(cache) / f"{Path(self.model).name}-{key}"
        self._loaded, self._done = None, {}  # what _load returns; {file: {text: translation}}

    def translate(self, texts, source, target, progress=False):
        """Translations of ``texts`` in their order, a list; blank texts stay as they are. The result depends on
        batch_size only by rounding. Raises ValueError for an unknown language or kind of model, FileNotFoundError if
        the model cannot be had, both with the remedy."""
        check_languages([source, target], LANGUAGES, "translation")
        texts, path = list(texts), self.cache / f"{source}-{target}.jsonl"
        done = self._done[path] = self._done[path] if path in self._done else _read(path)
        # Longest first: a batch is padded to its longest, and one too large for the memory fails at once.
        missing = sorted({text for text in texts if text.strip()} - done.keys(), key=lambda text: (-len(text), text))
        batches = [missing[start:start + self.batch_size] for start in range(0, len(missing), self.batch_size)]
        for batch in tqdm(batches, f"{source} > {target}", disable=not progress or not batches, leave=False):
            made = dict(zip(batch, self._generate(batch, source, target), strict=True))
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a", encoding="utf-8") as stream:
                for text, translation in made.items():
                    print(json.dumps(dict(text=text, translation=translation), ensure_ascii=False), file=stream)
            done |= made
        return [done[text] if text.strip() else text for text in texts]

    def _generate(self, batch, source, target):
        tokenizer, network, token = self._loaded = self._loaded or self._load()
        for language in map(token, (source, target)):
            if tokenizer.convert_tokens_to_ids(language) == tokenizer.unk_token_id:
                raise ValueError(f"model {self.model!r} has no language {language}: do without it, or name another")
        tokenizer.src_lang = token(source).strip("_")  # M2M100 wants it without the underscores
        inputs = tokenizer(batch, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt")
        with torch.inference_mode():
            output = network.generate(
                **inputs.to(self.device), forced_bos_token_id=tokenizer.convert_tokens_to_ids(token(target)),
                do_sample=False, num_beams=self.beams, max_new_tokens=self.max_length)
        # The first two are the start and the language, which M2M100's tokenizer does not always know as special.
        return [text.strip() for text in tokenizer.batch_decode(output[:, 2:], skip_special_tokens=True)]

    def _load(self):
        """(tokenizer, network, function from a language to its token)."""
        options = dict(revision=self.revision, trust_remote_code=False)
        try:  # the tokenizer first: it is small, and shows if the model is of another kind
            tokenizer = AutoTokenizer.from_pretrained(self.model, **options)
            kind = type(tokenizer).__name__.removesuffix("Fast")
            if kind not in TOKENS:
                raise ValueError(f"model {self.model!r} is neither an NLLB nor an M2M100 model (its tokenizer is a "
                                 f"{kind}): name one such as facebook/nllb-200-distilled-600M")
            network = AutoModelForSeq2SeqLM.from_pretrained(self.model, use_safetensors=True, **options).float()
        except (OSError, ImportError, httpx2.HTTPError) as error:  # an ImportError: a SOCKS proxy
            raise FileNotFoundError(
                f"model {self.model!r} at revision {self.revision!r} is no folder and no repository with safetensors "
                f"that the Hub gave ({str(error).splitlines()[0]}): check the names and the connection") from None
        network.generation_config.max_length = None  # the repository's limit: max_new_tokens is ours
        return tokenizer, network.to(self.device).eval(), TOKENS[kind]


def problem(text, translation, source, target):
    """None, or what shows that ``translation`` is none of ``text``:
    "empty": no letter or digit is left of a text that has some.
    "copied": but for case, punctuation, spaces and marks it is the text, of 4 words or 20 letters: more than a name.
    "wrong script": it has 4 letters or more, and fewer than half are of the target's scripts. Where these are not
        Latin, words with a Latin capital are not counted: names often stay as they are.
    """
    check_languages([target], LANGUAGES, "translation")
    scripts, plain = LANGUAGES[target][1], _plain(translation)
    if not plain:
        return "empty" if _plain(text) else None
    long = len(regex.findall(r"\S*\p{L}\S*", text)) >= 4 or len(regex.findall(r"\p{L}", text)) >= 20
    if long and source != target and plain == _plain(text):
        return "copied"
    if "Latn" not in scripts:
        translation = regex.sub(r"(?V1)\p{scx=Latn}*[\p{scx=Latn}&&\p{Lu}]\p{scx=Latn}*", "", translation)
    letters = regex.findall(r"\p{L}", translation)
    right = regex.findall("|".join(rf"\p{{scx={name}}}" for name in scripts), "".join(letters))
    return "wrong script" if len(letters) >= 4 and 2 * len(right) < len(letters) else None


def parallel(rows, translator, languages, counts=None, chunk=1000):
    """Yield each row as it is, then its translations into the other ``languages``, with the same item and group.

    rows: any iterable of dicts with item, group, language, task, query, passage, negatives; further keys are kept. A
        ``chunk`` is held at a time. Each row is translated, from its own language; empty texts stay empty.
    A translated row is left out if its query or passage has a ``problem``; a negative, if it has one or came to be
    the passage. counts: a Counter that gets (language, problem) or (language, "kept") for each translated row, and
    (language, "negative " + problem) for each negative left out of a kept row.
    """
    rows, counts = iter(rows), Counter() if counts is None else counts
    while part := list(islice(rows, chunk)):
        made = {}  # (source, target): {text: translation}
        for source, target in product(dict.fromkeys(row["language"] for row in part), languages):
            if source != target:
                texts = [text for row in part if row["language"] == source
                         for text in (row["query"], row["passage"], *row["negatives"])]
                translations = translator.translate(texts, source, target, progress=True)
                made[source, target] = dict(zip(texts, translations, strict=True))
        for row in part:
            yield row
            for target in languages:
                if target != row["language"]:
                    yield from _translated(row, made[row["language"], target], target, counts)


def _translated(row, made, target, counts):
    """Yield the row in language ``target``, unless it has a problem. made: {text: translation}."""
    def wrong(text):
        return problem(text, made[text], row["language"], target)

    found = wrong(row["query"]) or wrong(row["passage"])
    counts[target, found or "kept"] += 1
    if not found:
        passage = made[row["passage"]]
        found = [wrong(text) or made[text] == passage and "is the passage" for text in row["negatives"]]
        counts.update((target, f"negative {one}") for one in found if one)
        negatives = [made[text] for text, one in zip(row["negatives"], found) if not one]
        yield row | dict(language=target, query=made[row["query"]], passage=passage, negatives=negatives)


def _read(path):
    """{text: translation} of a cache file; a last line that a crash cut is taken off the file."""
    if not path.exists():
        return {}
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)
    return {entry["text"]: entry["translation"] for _, entry in io.records(str(path), ("text", "translation"))}


def _plain(text):
    return "".join(regex.findall(r"[\p{L}\p{N}]", unicodedata.normalize("NFKC", text).casefold()))
