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
from datasets import Dataset, Features, Value, concatenate_datasets
from datasets import List as Sequence
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hybrid_batch.data import files, sources
from hybrid_batch.data.sources import TEXTS, known, read_rows

ROOT = Path(__file__).resolve().parents[3]
OWN = ROOT / "corpora"
CACHE = ROOT / "runs" / "corpora"
LANGUAGES = "ar de el en es hi ru th tr vi zh".split()
NAMES = {"ar": "Arabic", "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "hi": "Hindi",
         "ru": "Russian", "th": "Thai", "tr": "Turkish", "vi": "Vietnamese", "zh": "Chinese"}
FEATURES = Features({name: Value("string") for name in TEXTS} | {
    "negatives": Sequence(Value("string")),
    "hashes": Sequence(Value("uint64"))})  # of query, passage, negatives: what the sampler compares instead of texts
CHUNK = 10_000  # rows in memory at once
OWN_ABOUT = {name: dict(title=title, use=use, task=task, licence="CC BY 4.0", note="Written for this book.")
             for name, title, use, task in (
                 ("encyclo11", "Encyclopaedic passages with two questions each, in 11 languages", "training", "qa"),
                 ("encyclo11-sentences", "The same, with the other sentences of the passage as negatives", "training", "qa"),
                 ("encyclo11-reasoning", "Reasoning items with four options, in 11 languages", "reasoning", "reasoning"))}
EMPTY = pd.util.hash_array(np.array([""], object))[0]  # of a query or passage that is missing
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
    keep: "content" leaves out options that repeat or say nothing, "all" keeps them; see sources.
    consent: needed for data that asks not to be trained on; the error says what.
    Raises FileNotFoundError or ValueError that names what is wrong and the remedy.
    """
    if "+" in name:  # of the languages asked for each part brings those that it has
        parts = name.split("+")
        if None not in (offered := [_offers(part) for part in parts]):
            known(languages or [], set().union(*offered), name)
        return join(*(load_corpus(part, split, wanted, data, limit, keep, consent) for part in parts
                      if (wanted := having(part, languages)) or not languages))
    if split not in ("train", "validation", "test", "all"):
        raise ValueError(f"split {split!r} is unknown: choose train, validation, test or all")
    tally, hold, about = Counter(), None, {}
    if Path(name).suffix == ".jsonl":
        if not Path(name).exists():
            raise FileNotFoundError(f"{name} does not exist: check the path, which is taken from {Path.cwd()}")
        rows, found = _few(read_rows(Path(name), languages), limit), [Path(name)]
    elif name in OWN_ABOUT:
        known(languages or [], LANGUAGES, name)
        rows, found, about = _few(own_rows(name, split, languages or LANGUAGES), limit), own_files(name), OWN_ABOUT[name]
    elif name in sources.catalogue() or name.endswith(".json"):
        source = (sources.open_task(name, languages, keep, limit, consent) if name.endswith(".json") else
                  sources.open_source(name, data, languages, keep, limit, consent))
        rows, found, about = source.rows(tally), source.files, source.about
        hold = {"train": False, "validation": True, "all": None}[_split_of(source, split)]
    else:
        raise FileNotFoundError(f"corpus {name!r} is unknown: name {', '.join(map(repr, OWN_ABOUT))}, a file of rows "
                                f"that ends in .jsonl, a task that ends in .json, or one of "
                                f"{', '.join(sources.catalogue())}")
    options = dict(split=split, languages=languages and sorted(languages), limit=limit, keep=keep)
    return build(name, rows, files.checksum(found), about, tally, options, hold)


def having(name, languages):
    """Those of some languages that a corpus has; all of them, if that is known only by reading it."""
    offered = [_offers(part) for part in name.split("+")]
    return languages if not languages or None in offered else [c for c in languages if c in set().union(*offered)]


def _offers(name):
    if name in OWN_ABOUT:
        return set(LANGUAGES)
    return set(sources.catalogue()[name]["languages"]) if name in sources.catalogue() else None


def _split_of(source, split):
    if split == "test":
        raise ValueError(f"{source.name!r} has no test split here: choose train, validation or all")
    only = source.about["use"] == "validation"
    if only and split == "train":
        raise ValueError(f"{source.name!r} is for validation: ask for split 'validation'")
    return "all" if only else split


def _few(rows, limit):
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


def table(rows, prefix=""):
    """Rows as an Arrow table with the columns of FEATURES. rows: dicts with item, language, query, passage; group
    (else the item), task (else qa), subject, negatives may be missing."""
    texts = [[row["query"], row["passage"], *row.get("negatives", ())] for row in rows]
    start = np.cumsum([0, *map(len, texts)])
    hashes = hash_texts([text for part in texts for text in part])
    columns = {"item": [prefix + row["item"] for row in rows],
               "group": [prefix + row.get("group", row["item"]) for row in rows],
               "language": [row["language"] for row in rows], "task": [row.get("task", "qa") for row in rows],
               "subject": [row.get("subject", "") for row in rows],
               "query": [part[0] for part in texts], "passage": [part[1] for part in texts],
               "negatives": [part[2:] for part in texts],
               "hashes": pa.ListArray.from_arrays(pa.array(start, pa.int32()), pa.array(hashes))}
    return pa.table(columns, schema=FEATURES.arrow_schema)


def codes(rows, column):
    """A column of texts as numbers, (rows,), and the texts that they stand for, an Arrow array."""
    texts = pa.chunked_array(rows.select_columns([column]).with_format("arrow")[:][column])
    encoded = texts.dictionary_encode().combine_chunks()
    return encoded.indices.to_numpy().astype(np.int32), encoded.dictionary


def text_hashes(rows):
    """The column hashes, without reading a text: (hashes, start), a row's being hashes[start[row]:start[row + 1]]."""
    hashes, start = [np.zeros(0, np.uint64)], [np.zeros(1, np.int64)]
    for chunk in rows.select_columns(["hashes"]).with_format("arrow").iter(CHUNK):
        lists = pa.chunked_array(chunk["hashes"]).combine_chunks()
        hashes.append(lists.flatten().to_numpy())
        start.append(start[-1][-1] + lists.offsets.to_numpy()[1:] - lists.offsets.to_numpy()[0])
    return np.concatenate(hashes), np.concatenate(start)


def hash_texts(texts):
    """64-bit hashes of texts, (texts,), alike for texts that differ in case and spaces only."""
    plain = np.array([" ".join(text.split()).casefold() for text in texts], object)
    return pd.util.hash_array(plain, categorize=False)


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
    return files.checksum(Path(__file__).with_name(name) for name in
                          ("corpora.py", "sources.py", "readers.py", "answers.py", "files.py", "catalogue.yaml"))[:12]


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


def as_task(corpus, task):
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


def own(kind, language, split=None):
    """Our own corpus as written in corpora/encyclo11, a list of dicts. kind: "passages" (id, subject, title,
    sentences, questions with id, text and answer, the index of the sentence that answers) or "reasoning" (id,
    family, stem, options, answer)."""
    splits = json.loads((OWN / "encyclo11" / "splits.json").read_text())
    if split not in (None, *splits):
        raise ValueError(f"split {split!r} is unknown: encyclo11 has {sorted(splits)}")
    lines = (OWN / "encyclo11" / kind / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return [entry for entry in entries if split is None or entry["id"] in splits[split]]


def own_files(name):
    kind = "reasoning" if name == "encyclo11-reasoning" else "passages"
    return [*sorted((OWN / "encyclo11" / kind).glob("*.jsonl")), OWN / "encyclo11" / "splits.json"]


def own_texts(name, language, split):
    """Yield (passage or item id, sentences or options, [(item, question, index of the answer)])."""
    split = None if split == "all" else split
    if name != "encyclo11-reasoning":
        for entry in own("passages", language, split):
            yield entry["id"], entry["sentences"], [(q["id"], q["text"], q["answer"]) for q in entry["questions"]]
    else:
        for entry in own("reasoning", language, split):
            yield entry["id"], entry["options"], [(entry["id"], entry["stem"], entry["answer"])]


def own_rows(name, split, languages):
    task = OWN_ABOUT[name]["task"]
    for language in languages:
        for group, texts, questions in own_texts(name, language, split):
            for item, question, answer in questions:
                yield dict(item=item, group=group, language=language, task=task, query=question, passage=texts[answer],
                           negatives=[] if name == "encyclo11" else texts[:answer] + texts[answer + 1:])
