"""Corpora to train on, by name, in one form.

A **corpus** is a table with a row per (item, language): item, group, language, task, subject, query, passage,
negatives. Items are parallel: one item has the same id in all its languages. Items of one group have a passage
in common, in some language, and never share a batch. A row may lack its query or its passage (empty text): it
can then still meet the other half in another language.
"""

import hashlib
import itertools
import json
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import Dataset, concatenate_datasets
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hybrid_batch import paths, storage
from hybrid_batch.data import catalogue, encyclo11
from hybrid_batch.data.catalogue import read_rows
from hybrid_batch.data.languages import LANGUAGES, check_languages
from hybrid_batch.data.table import CHUNK, EMPTY, FEATURES, table

CACHE = paths.CACHE

HOLDOUT = 20  # one group in so many is kept for validation


@dataclass(frozen=True)
class Corpus:
    """Rows to train on. checksum: sha256 of the files they were read from. about: where they come from and how many
    rows were read, kept and left out, for what reason, in each language. key: names exactly these rows."""

    name: str
    rows: Dataset
    checksum: str
    about: dict = field(default_factory=dict)
    key: str = ""


def load_corpus(name, split="train", languages=None, data=None, limit=None, keep="content", consent=None):
    """Load rows to train on.

    name: ``encyclo11`` (question -> sentence that answers), ``encyclo11-sentences`` (the same, with the other
        sentences of the passage as negatives) or ``encyclo11-reasoning`` (stem -> right option, wrong ones as
        negatives), our own, in 11 languages; a data set of the catalogue (catalogue.yaml); a JSON-lines file of
        rows, a JSON file with a task of BIG-bench; or several of these joined by "+".
    split: train, validation (one group in 20) or all; of our own also test. A JSON-lines file is taken whole.
    languages: keep only these; of a "+" each part brings those that it has. data: a folder that may hold the data
        set's folder. limit: most items a language.
    keep: "content" leaves out options that repeat or say nothing, "all" keeps them; see catalogue.
    consent: needed for data that asks not to be trained on; the error says what.
    Raises FileNotFoundError or ValueError that names what is wrong and the remedy.
    """
    if "+" in name:  # of the languages asked for each part brings those that it has
        parts = name.split("+")
        if None not in (offered := [_offers(part) for part in parts]):
            check_languages(languages, set().union(*offered), name)
        return join(*(load_corpus(part, split, wanted, data, limit, keep, consent) for part in parts
                      if (wanted := available_languages(part, languages)) or not languages))
    if split not in ("train", "validation", "test", "all"):
        raise ValueError(f"split {split!r} is unknown: choose train, validation, test or all")
    tally, hold, about = Counter(), None, {}
    if Path(name).suffix == ".jsonl":
        if not Path(name).exists():
            raise FileNotFoundError(f"{name} does not exist: check the path, which is taken from {Path.cwd()}")
        rows, found = limit_per_language(read_rows(Path(name), languages), limit), [Path(name)]
    elif name in encyclo11.ABOUT:
        check_languages(languages, LANGUAGES, name)
        rows, found, about = limit_per_language(encyclo11.rows(name, split, languages or LANGUAGES), limit), encyclo11.files(name), encyclo11.ABOUT[name]
    elif name in catalogue.catalogue() or name.endswith(".json"):
        source = (catalogue.open_task(name, languages, keep, limit, consent) if name.endswith(".json") else
                  catalogue.open_source(name, data, languages, keep, limit, consent))
        rows, found, about = source.rows(tally), source.files, source.about
        hold = {"train": False, "validation": True, "all": None}[_split_of(source, split)]
    else:
        raise FileNotFoundError(f"corpus {name!r} is unknown: name {', '.join(map(repr, encyclo11.ABOUT))}, a file of rows "
                                f"that ends in .jsonl, a task that ends in .json, or one of "
                                f"{', '.join(catalogue.catalogue())}")
    options = dict(split=split, languages=languages and sorted(languages), limit=limit, keep=keep)
    return build(name, rows, storage.checksum(found), about, tally, options, hold)


def available_languages(name, languages):
    """Those of some languages that a corpus has; all of them, if that is known only by reading it."""
    offered = [_offers(part) for part in name.split("+")]
    return languages if not languages or None in offered else [c for c in languages if c in set().union(*offered)]


def _offers(name):
    if name in encyclo11.ABOUT:
        return set(LANGUAGES)
    return set(catalogue.catalogue()[name]["languages"]) if name in catalogue.catalogue() else None


def _split_of(source, split):
    if split == "test":
        raise ValueError(f"{source.name!r} has no test split here: choose train, validation or all")
    only = source.about["use"] == "validation"
    if only and split == "train":
        raise ValueError(f"{source.name!r} is for validation: ask for split 'validation'")
    return "all" if only else split


def limit_per_language(rows, limit):
    """The first rows of each language."""
    seen = Counter()
    for row in rows:
        seen[row["language"]] += 1
        if limit is None or seen[row["language"]] <= limit:
            yield row


def build(name, rows, checksum, about=(), tally=None, options=None, hold=None, prefix=None):
    """Write rows to an Arrow file, once, and map it into memory, so that a corpus may be larger than memory.

    rows: dicts, see ``table``, read as a stream. hold: True keeps only the groups held out for validation, False the
    others. An item that comes twice in a language is left out and counted in ``tally``. Items that have a passage in
    common, in any language, get one group. Ids are prefixed by ``prefix``, if None by the corpus's name.
    """
    slug = _slug(name)
    key = hashlib.sha256(json.dumps([checksum, options, hold, _code()]).encode()).hexdigest()[:12]
    folder = CACHE / f"{slug.replace(' ', '-')}-{key}"
    if not (folder / "about.json").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".", ignore_cleanup_errors=True) as partial:
            tally = Counter() if tally is None else tally
            _write(Path(partial), rows, f"{slug}/" if prefix is None else prefix, tally, hold)
            counts = {}
            for (language, what), number in sorted(tally.items()):
                counts.setdefault(language, {})[what] = number
            (Path(partial) / "about.json").write_text(json.dumps({**dict(about), "counts": counts}, indent=1))
            try:
                os.replace(partial, folder)
            except OSError:
                if not (folder / "about.json").exists():  # else another process was faster
                    raise
    about = json.loads((folder / "about.json").read_text())
    return Corpus(name, Dataset.from_file(str(folder / "rows.arrow")), checksum, about, folder.name)


def _slug(name):
    """A corpus's name before its ids."""
    path = Path(name)
    if path.name == "task.json":  # every task of BIG-bench is called so
        return path.parent.name
    return (path.stem if path.suffix in (".jsonl", ".json") else name).replace("/", "_")


def _write(folder, rows, prefix, tally, hold):
    """rows.arrow in a folder, in two passes: groups are known only when all rows are."""
    rows, keys, names = iter(rows), [], []
    with _writer(folder / "draft.arrow") as writer:
        while chunk := list(itertools.islice(rows, CHUNK)):
            part = table(chunk, prefix)
            writer.write_table(part)
            lists = part["hashes"].combine_chunks()
            passage = lists.values.to_numpy()[lists.offsets.to_numpy()[:-1] + 1]
            ids = [part[name].to_numpy() for name in ("item", "language", "group")]  # as written: "a" is not "A"
            keys.append(np.stack([*(pd.util.hash_array(column, categorize=False) for column in ids), passage]))
            names.append(part["group"].combine_chunks())  # of the draft's batches each column would keep the whole
    if not keys:  # all was left out; the tally says why
        return os.replace(folder / "draft.arrow", folder / "rows.arrow")
    item, language, group, passage = keys = np.concatenate(keys, axis=1)  # (rows,) each
    repeated = pd.DataFrame({"item": item, "language": language}).duplicated().to_numpy()
    first = _first_of_group(item, group, passage)
    names = pa.concat_arrays(names)
    chosen = np.ones(len(item), bool) if hold is None else (item[first] % HOLDOUT == 0) == hold
    start = 0
    with _writer(folder / "rows.arrow") as writer:
        for batch in _batches(folder / "draft.arrow"):
            here = slice(start, start := start + len(batch))
            group = names.take(pa.array(first[here]))
            batch = batch.set_column(1, FEATURES.arrow_schema.field(1), group)
            languages = np.array(batch["language"].to_pylist())
            for what, mask in (("left out: its id came before", repeated[here]),
                               ("held out" if not hold else "not held out", ~repeated[here] & ~chosen[here]),
                               ("kept", ~repeated[here] & chosen[here])):
                tally.update((code, what) for code in languages[mask].tolist())
            writer.write_batch(batch.filter(pa.array(~repeated[here] & chosen[here])))
    (folder / "draft.arrow").unlink()


def _writer(path):
    return pa.ipc.new_stream(pa.OSFile(str(path), "wb"), FEATURES.arrow_schema)


def _batches(path):
    with pa.OSFile(str(path), "rb") as stream:  # not mapped: memory stays that of a batch
        yield from pa.ipc.open_stream(stream)


def _first_of_group(item, group, passage):
    """For each row the number of the first row of its group: rows are tied by a common item, group or passage."""
    parts = [pd.factorize(item)[0], pd.factorize(group)[0],
             pd.factorize(np.where(passage == EMPTY, ~item, passage))[0]]  # no passage: nothing in common
    start = np.cumsum([0, *(part.max() + 1 for part in parts)])
    edges = [np.concatenate([parts[0], parts[0]]), np.concatenate([parts[1] + start[1], parts[2] + start[2]])]
    graph = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(start[3], start[3]))
    label = connected_components(graph, directed=False)[1][parts[0]]
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    return first[place]


def _code():
    """Checksum of the modules that make rows: what other code has made is made again."""
    return storage.checksum(Path(__file__).with_name(name) for name in
                          ("corpora.py", "table.py", "encyclo11.py", "catalogue.py", "readers.py", "sentences.py", "io.py", "catalogue.yaml"))[:12]


def join(*corpora):
    """One corpus of several; nothing is copied."""
    names = [_slug(name) for corpus in corpora for name in corpus.name.split("+")]
    if len(set(names)) < len(names):  # their ids would be the same
        raise ValueError(f"a corpus is named twice: {' + '.join(corpus.name for corpus in corpora)}: leave one out, or "
                         f"give files names of their own")
    checksum = hashlib.sha256("".join(corpus.checksum for corpus in corpora).encode()).hexdigest()
    counts = {}
    for corpus in corpora:
        for language, part in corpus.about.get("counts", {}).items():
            counts[language] = dict(Counter(counts.get(language, {})) + Counter(part))
    return Corpus("+".join(corpus.name for corpus in corpora), concatenate_datasets([c.rows for c in corpora]),
                  checksum, {"parts": [dict(name=c.name, checksum=c.checksum, **c.about) for c in corpora],
                             "counts": counts},
                  "+".join(c.key for c in corpora))


def select(corpus, wanted, why):
    """The rows of a corpus for which ``wanted``, a boolean array, is true; ``why`` goes into its key."""
    return replace(corpus, rows=corpus.rows.select(np.flatnonzero(wanted)), key=f"{corpus.key} {why}")


def with_task(corpus, task):
    """The corpus with its rows said to be of another task, so that a strategy draws them in that one's place."""
    rows = corpus.rows.remove_columns("task").add_column("task", [task] * len(corpus.rows))
    return replace(corpus, rows=rows.cast(FEATURES), key=f"{corpus.key} as {task}")


def shuffle_answers(corpus, seed=0):
    """The control corpus: for each item one of the wrong options, the same in all its languages, takes the
    place of the right one (if it has the same ones in all). Rows without negatives stay as they are."""
    def rows():
        for row in corpus.rows:
            if negatives := row["negatives"]:
                drawn = int.from_bytes(hashlib.sha256(f"{seed}/{row['item']}".encode()).digest()[:8], "big")
                place = drawn % len(negatives)
                row["passage"], negatives[place] = negatives[place], row["passage"]
            yield row

    return build(f"{corpus.name}, answers shuffled", rows(), f"{corpus.checksum}-shuffled-{seed}", corpus.about,
                 options=corpus.key, prefix="")
