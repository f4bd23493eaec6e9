"""Corpora to train on and benchmarks to measure with, by name, in one form each.

A **corpus** is a table with a row per (item, language): item, group, language, task, query, passage,
negatives. Items are parallel: one item has the same id in all its languages. Items of one group share
a passage, or passages of one text.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import Dataset, Features, Value
from datasets import List as Sequence

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "corpora"
LANGUAGES = "ar de el en es hi ru th tr vi zh".split()
NAMES = {"ar": "Arabic", "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "hi": "Hindi",
         "ru": "Russian", "th": "Thai", "tr": "Turkish", "vi": "Vietnamese", "zh": "Chinese"}
FEATURES = Features({name: Value("string") for name in ("item", "group", "language", "task", "query", "passage")}
                    | {"negatives": Sequence(Value("string"))})


@dataclass(frozen=True)
class Corpus:
    """Rows to train on. checksum: sha256 of the files they were read from."""

    name: str
    rows: Dataset
    checksum: str


def load_corpus(name, split="train", languages=None):
    """Load rows to train on.

    name: ``encyclo11`` (question -> passage) or ``encyclo11-reasoning`` (stem -> right option, wrong ones as
        negatives), our own, in 11 languages; or a JSON-lines file of rows (task, group, negatives are optional).
    split: train, validation or test; a JSON-lines file has no splits. languages: keep only these.
    Raises FileNotFoundError or ValueError that names what is wrong and the remedy.
    """
    if Path(name).suffix == ".jsonl":
        rows, files = _read_rows(Path(name)), [Path(name)]
    elif name in ("encyclo11", "encyclo11-reasoning"):
        rows, files = _own_rows(name, split), own_files(name)
    else:
        raise FileNotFoundError(f"corpus {name!r} is unknown: name 'encyclo11', 'encyclo11-reasoning' "
                                f"or a file of rows that ends in .jsonl")
    if languages:
        known(languages, {row["language"] for row in rows}, name)
        rows = [row for row in rows if row["language"] in languages]
    return Corpus(name, Dataset.from_list(rows, features=FEATURES), checksum(files))


def join(*corpora):
    """One corpus of several; ids are prefixed by the corpus they come from."""
    rows = [row | {key: f"{corpus.name}/{row[key]}" for key in ("item", "group")}
            for corpus in corpora for row in corpus.rows]
    checksum = hashlib.sha256("".join(corpus.checksum for corpus in corpora).encode()).hexdigest()
    return Corpus("+".join(corpus.name for corpus in corpora), Dataset.from_list(rows, features=FEATURES), checksum)


def shuffle_answers(corpus, seed=0):
    """The control corpus: for each item one of the wrong options, the same in all its languages, takes the
    place of the right one. Rows without negatives stay as they are."""
    rows = corpus.rows.to_list()
    for row in rows:
        if negatives := row["negatives"]:
            drawn = int.from_bytes(hashlib.sha256(f"{seed}/{row['item']}".encode()).digest()[:8], "big")
            place = drawn % len(negatives)
            row["passage"], negatives[place] = negatives[place], row["passage"]
    return Corpus(f"{corpus.name}, answers shuffled", Dataset.from_list(rows, features=FEATURES),
                  f"{corpus.checksum}-shuffled-{seed}")


def own(kind, language, split=None):
    """Our own corpus as written in corpora/encyclo11, a list of dicts. kind: "passages" (id, subject, title,
    sentences, questions with id, text and answer, the index of the sentence that answers) or "reasoning" (id,
    family, stem, options, answer)."""
    splits = json.loads((OWN / "encyclo11" / "splits.json").read_text())
    if split not in (None, *splits):
        raise ValueError(f"split {split!r} is unknown: encyclo11 has {sorted(splits)}")
    entries = [entry for _, entry in _lines(OWN / "encyclo11" / kind / f"{language}.jsonl")]
    return [entry for entry in entries if split is None or entry["id"] in splits[split]]


def own_files(name):
    kind = "passages" if name == "encyclo11" else "reasoning"
    return [*sorted((OWN / "encyclo11" / kind).glob("*.jsonl")), OWN / "encyclo11" / "splits.json"]


def own_texts(name, language, split):
    """Yield (passage or item id, sentences or options, [(item, question, index of the answer)])."""
    if name == "encyclo11":
        for entry in own("passages", language, split):
            yield entry["id"], entry["sentences"], [(q["id"], q["text"], q["answer"]) for q in entry["questions"]]
    else:
        for entry in own("reasoning", language, split):
            yield entry["id"], entry["options"], [(entry["id"], entry["stem"], entry["answer"])]


def _own_rows(name, split):
    task = "qa" if name == "encyclo11" else "reasoning"
    return [dict(item=item, group=group, language=language, task=task, query=question, passage=texts[answer],
                 negatives=[] if task == "qa" else texts[:answer] + texts[answer + 1:])
            for language in LANGUAGES for group, texts, questions in own_texts(name, language, split)
            for item, question, answer in questions]


def _read_rows(path):
    """Rows of a JSON-lines file, checked field by field."""
    rows, seen = [], set()
    for number, entry in _lines(path):
        where = f"{path}, line {number}"
        row = dict(task="qa", negatives=[]) | entry
        row.setdefault("group", row.get("item"))
        for field in ("item", "group", "language", "task", "query", "passage"):
            if not isinstance(row.get(field), str) or not row[field].strip():
                raise ValueError(f"{where}: field {field!r} must be a text that is not empty, not {row.get(field)!r}")
        if row["task"] not in ("qa", "reasoning"):
            raise ValueError(f"{where}: field 'task' must be 'qa' or 'reasoning', not {row['task']!r}")
        if not isinstance(row["negatives"], list) or not all(isinstance(n, str) and n for n in row["negatives"]):
            raise ValueError(f"{where}: field 'negatives' must be a list of texts, not {row['negatives']!r}")
        if extra := sorted(set(row) - set(FEATURES)):
            raise ValueError(f"{where}: unknown field {extra[0]!r}; a row has {sorted(FEATURES)}")
        if (key := (row["item"], row["language"])) in seen:
            raise ValueError(f"{where}: item {key[0]!r} occurs twice in language {key[1]!r}; give each its own id")
        seen.add(key)
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} has no rows")
    return rows


def _lines(path):
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: not a JSON object ({error.msg})") from None
            if not isinstance(entry, dict):
                raise ValueError(f"{path}, line {number}: not a JSON object")
            yield number, entry


def known(languages, known, name):
    if unknown := sorted(set(languages) - set(known)):
        raise ValueError(f"{name!r} has no language {unknown[0]!r}; it has {' '.join(sorted(known))}")


def checksum(files):
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()
