"""Parallel items from a monolingual corpus by machine translation ("translate-train", arXiv 2408.10536).

A Translator turns texts into another language with an NLLB or M2M100 model, each text once ever; ``parallel``
gives every row of a corpus its counterparts in other languages and leaves out what shows to be no translation.
"""

import hashlib
import json
import os
import unicodedata
from collections import Counter
from itertools import islice
from pathlib import Path

import regex
import torch
from tqdm import tqdm
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hybrid_batch.data import io

LANGUAGES = {code: (flores, tuple(scripts)) for code, flores, *scripts in map(str.split, """
    ar arb_Arab Arabic, bg bul_Cyrl Cyrillic, bn ben_Beng Bengali, de deu_Latn Latin, el ell_Grek Greek,
    en eng_Latn Latin, es spa_Latn Latin, fa pes_Arab Arabic, fi fin_Latn Latin, fr fra_Latn Latin,
    he heb_Hebr Hebrew, hi hin_Deva Devanagari, id ind_Latn Latin, it ita_Latn Latin,
    ja jpn_Jpan Hiragana Katakana Han, ko kor_Hang Hangul Han, nl nld_Latn Latin, pl pol_Latn Latin,
    pt por_Latn Latin, ro ron_Latn Latin, ru rus_Cyrl Cyrillic, sw swh_Latn Latin, ta tam_Taml Tamil,
    te tel_Telu Telugu, th tha_Thai Thai, tr tur_Latn Latin, uk ukr_Cyrl Cyrillic, ur urd_Arab Arabic,
    vi vie_Latn Latin, zh zho_Hans Han""".split(","))}  # ISO code: (FLORES-200 code, Unicode scripts)
TOKENS = {"NllbTokenizer": lambda code: LANGUAGES[code][0], "M2M100Tokenizer": "__{}__".format}  # of a language


class Translator:
    """Translates with ``model``, a folder or Hub repository of an NLLB or M2M100 model with safetensors weights
    (facebook/nllb-200-distilled-600M has them at revision refs/pr/45). It is loaded when a text is not yet cached.

    cache: folder of the cache: a JSON-lines file per model, revision, max_length, beams and pair of languages, which
        one process at a time may write. A model folder is known by its name: give another model another name.
    revision: branch, tag or commit on the Hub; None is main.
    max_length: texts and translations are cut after so many tokens. beams: 1 is greedy search; nothing is sampled.
    device: None takes a GPU when there is one.
    """

    def __init__(self, model, cache, revision=None, batch_size=16, max_length=256, beams=1, device=None):
        self.model, self.revision, self.batch_size = str(model), revision or "main", batch_size
        self.max_length, self.beams = max_length, beams
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        key = json.dumps([self.model, self.revision, max_length, beams])
        self.cache = Path(cache) / f"{Path(self.model).name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        self._loaded, self._done = None, {}  # what _load returns; {file: {text: translation}}

    def translate(self, texts, source, target, progress=False):
        """Translations of ``texts`` in their order, a list; blank texts stay as they are. The result depends on
        batch_size only by rounding. Raises ValueError for an unknown language or kind of model, FileNotFoundError if
        the model cannot be had, both with the remedy."""
        for language in (source, target):
            _scripts(language)  # raises if it is unknown
        texts, path = list(texts), self.cache / f"{source}-{target}.jsonl"
        done = self._done[path] = self._done[path] if path in self._done else _read(path)
        # Longest first: a batch is padded to its longest, and one too large for the memory fails at once.
        missing = sorted({text for text in texts if text.strip()} - done.keys(), key=lambda text: (-len(text), text))
        if missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            starts = range(0, len(missing), self.batch_size)
            with open(path, "a", encoding="utf-8") as stream:
                for start in tqdm(starts, f"{source} > {target}", disable=not progress, leave=False):
                    batch = missing[start:start + self.batch_size]
                    made = dict(zip(batch, self._generate(batch, source, target), strict=True))
                    stream.writelines(json.dumps(dict(text=text, translation=made[text]), ensure_ascii=False) + "\n"
                                      for text in batch)
                    stream.flush()
                    done |= made
        return [done[text] if text.strip() else text for text in texts]

    def _generate(self, batch, source, target):
        self._loaded = self._loaded or self._load()
        tokenizer, network, token = self._loaded
        tokens = [token(source), token(target)]
        ids = tokenizer.convert_tokens_to_ids(tokens)
        if tokenizer.unk_token_id in ids:
            raise ValueError(f"model {self.model!r} has no language {tokens[ids.index(tokenizer.unk_token_id)]}: "
                             f"do without it or take another model")
        tokenizer.src_lang = tokens[0].strip("_")  # M2M100 wants it without the underscores
        inputs = tokenizer(batch, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt")
        with torch.inference_mode():
            output = network.generate(**inputs.to(self.device), forced_bos_token_id=ids[1], do_sample=False,
                                      num_beams=self.beams, max_new_tokens=self.max_length)
        # The first two are the start and the language, which M2M100's tokenizer does not always know as special.
        return [text.strip() for text in tokenizer.batch_decode(output[:, 2:], skip_special_tokens=True)]

    def _load(self):
        """(tokenizer, network, function from a language to its token). The tokenizer first: it is small, and shows
        if the model is of another kind."""
        options = dict(revision=self.revision, trust_remote_code=False)
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.model, **options)
            kind = type(tokenizer).__name__.removesuffix("Fast")
            if kind not in TOKENS:
                raise ValueError(f"model {self.model!r} is neither an NLLB nor an M2M100 model (its tokenizer is a "
                                 f"{kind}): name one such as facebook/nllb-200-distilled-600M")
            network = AutoModelForSeq2SeqLM.from_pretrained(self.model, use_safetensors=True, **options)
        except OSError as error:
            raise FileNotFoundError(
                f"model {self.model!r} at revision {self.revision!r} is no folder and no repository that the Hub gave, "
                f"with safetensors weights ({str(error).splitlines()[0]}): check the names and the connection, or name "
                f"a folder that holds it") from None
        network.generation_config.max_length = None  # the repository's limit: max_new_tokens is ours
        return tokenizer, network.to(self.device).eval(), TOKENS[kind]


def problem(text, translation, source, target):
    """None, or what shows that ``translation`` is none of ``text``:
    "empty": no letter or digit is left of a text that has some.
    "copied": but for case, punctuation, spaces and marks it is the text, of 4 words or 20 letters: more than a name.
    "wrong script": it has 4 letters or more, and fewer than half are of the target's scripts. Where these are not
        Latin, words with a Latin capital are not counted: names often stay as they are.
    """
    scripts, plain = _scripts(target), _plain(translation)
    if not plain:
        return "empty" if _plain(text) else None
    long = len(regex.findall(r"\S*\p{L}\S*", text)) >= 4 or len(regex.findall(r"\p{L}", text)) >= 20
    if long and source != target and plain == _plain(text):
        return "copied"
    if "Latin" not in scripts:
        translation = regex.sub(r"(?V1)\p{scx=Latin}*[\p{scx=Latin}&&\p{Lu}]\p{scx=Latin}*", "", translation)
    letters = regex.findall(r"\p{L}", translation)
    right = regex.findall("|".join(rf"\p{{scx={name}}}" for name in scripts), "".join(letters))
    return "wrong script" if len(letters) >= 4 and 2 * len(right) < len(letters) else None


def parallel(rows, translator, languages, counts=None, chunk=1000):
    """Yield each row as it is, then its translations into the other ``languages``, with the same item and group.

    rows: dicts with item, group, language, task, query, passage, negatives; further keys are kept. Any iterable, of
        which a ``chunk`` is held at a time; bars show its progress. An item should have one row: each row is
        translated, from its own language. Empty texts stay empty.
    A translated row is left out if its query or passage has a ``problem``; a negative, if it has one or came to be
    the passage. counts: a Counter that gets (language, problem) or (language, "kept") for each translated row, and
    (language, "negative " + problem) for each negative left out of a kept row.
    """
    rows, counts = iter(rows), Counter() if counts is None else counts
    while part := list(islice(rows, chunk)):
        known = {}  # (source, target): {text: translation}
        for source in dict.fromkeys(row["language"] for row in part):
            texts = [text for row in part if row["language"] == source
                     for text in (row["query"], row["passage"], *row["negatives"])]
            for target in languages:
                if target != source:
                    made = translator.translate(texts, source, target, progress=True)
                    known[source, target] = dict(zip(texts, made, strict=True))
        for row in part:
            yield row
            for target in languages:
                if target != row["language"]:
                    yield from _translated(row, known[row["language"], target], target, counts)


def _translated(row, known, target, counts):
    """Yield the row in language ``target``, unless it has a problem. known: {text: translation}."""
    query, passage = known[row["query"]], known[row["passage"]]
    found = (problem(row["query"], query, row["language"], target)
             or problem(row["passage"], passage, row["language"], target))
    counts[target, found or "kept"] += 1
    if not found:
        negatives = []
        for text in row["negatives"]:
            found = problem(text, known[text], row["language"], target)
            if found or known[text] == passage:
                counts[target, f"negative {found or 'is the passage'}"] += 1
            else:
                negatives.append(known[text])
        yield row | dict(language=target, query=query, passage=passage, negatives=negatives)


def _read(path):
    """{text: translation} of a cache file; a last line that a crash cut is taken off the file."""
    if not path.exists():
        return {}
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)
    return {entry["text"]: entry["translation"] for _, entry in io.records(str(path), ("text", "translation"))}


def _scripts(language):
    if language not in LANGUAGES:
        raise ValueError(f"language {language!r} is unknown to translation; it knows {' '.join(LANGUAGES)}")
    return LANGUAGES[language][1]


def _plain(text):
    return "".join(regex.findall(r"[\p{L}\p{N}]", unicodedata.normalize("NFKC", text).casefold()))
