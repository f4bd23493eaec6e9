"""Corpora to train on, by name, as rows of one form: see table."""

import hashlib
import itertools
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, concatenate_datasets
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hybrid_batch import paths, storage
from hybrid_batch.data import catalogue, encyclo11, io
from hybrid_batch.data.languages import LANGUAGES, check_languages
from hybrid_batch.data.table import CHUNK, EMPTY, FEATURES, hash_texts, table
from hybrid_batch.strategies import TASKS

CACHE = paths.CACHE
HOLDOUT = 20  # one group in so many is kept for validation, unless the catalogue says otherwise
PARTS = ("train", "validation", "test")  # of a JSON-lines file
SHARE, MOST, LEAST = 10, 500, 20  # one group in SHARE is in each of the last two, MOST at most, of a file of LEAST at least
CONTROLS = ("anti-signal", "neutral")


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
        sentences of the passage as negatives), ``encyclo11-passages`` (question -> whole passage),
        ``encyclo11-reasoning`` (stem -> right option, wrong ones as negatives) or ``encyclo11-parallel`` (a text ->
        itself, for pairs across languages), our own, in 11 languages; a data set of the catalogue (catalogue.yaml); a
        JSON-lines file of rows, or a part of one (``mine.jsonl:train``, see PARTS), whose groups are in no other part; a
        JSON file with a task of BIG-bench; or several of these joined by "+".
    split: train, validation (one group in 20) or all; of our own also test. A JSON-lines file is split by its name alone.
    languages: keep only these; of a "+" each part brings those that it has. data: a folder that may hold the data
        set's folder. limit: most items a language.
    keep: "content" leaves out options that repeat or say nothing, "all" keeps them; see catalogue.
    consent: needed for data that asks not to be trained on; the error says what.
    Raises FileNotFoundError or ValueError that names what is wrong and the remedy.
    """
    if "+" in name:
        parts = name.split("+")
        if None not in (offered := [_offered(part) for part in parts]):
            check_languages(languages, set().union(*offered), name)
        return join(*(load_corpus(part, split, wanted, data, limit, keep, consent) for part in parts
                      if (wanted := available_languages(part, languages)) or not languages))
    if split not in ("train", "validation", "test", "all"):
        raise ValueError(f"split {split!r} is unknown: choose train, validation, test or all")
    counts, hold, about = Counter(), None, {}
    file, part = io.file_and_part(name)
    if part:
        return _part_of_file(load_corpus(file), part, languages, limit)
    if name.endswith(".jsonl"):
        if not Path(name).exists():
            raise FileNotFoundError(f"{name} does not exist: check the path, which is taken from {Path.cwd()}")
        rows, files = limit_per_language(catalogue.read_rows(name, languages), limit), [name]
    elif name in encyclo11.ABOUT:
        check_languages(languages, LANGUAGES, name)
        rows = limit_per_language(encyclo11.rows(name, split, languages or LANGUAGES), limit)
        files, about = encyclo11.files(name), encyclo11.ABOUT[name]
    elif name in catalogue.catalogue() or name.endswith(".json"):
        source = (catalogue.open_task(name, languages, keep, limit, consent) if name.endswith(".json") else
                  catalogue.open_source(name, data, languages, keep, limit, consent))
        rows, files, about, hold = source.rows(counts), source.files, source.about, _held_out(source, split)
    else:
        raise FileNotFoundError(f"corpus {name!r} is unknown: name {', '.join(map(repr, encyclo11.ABOUT))}, a file of "
                                f"rows that ends in .jsonl, a task that ends in .json, or one of "
                                f"{', '.join(catalogue.catalogue())}")
    options = dict(split=split, languages=languages and sorted(languages), limit=limit, keep=keep)
    return build(name, rows, storage.checksum(files), about, counts, options, hold)


def _part_of_file(corpus, part, languages, limit):
    """The rows of a part. Groups are dealt by a digest of their names, so the same file is always split alike."""
    if part not in PARTS:
        raise ValueError(f"{corpus.name}:{part}: a file has no part {part!r}: choose {', '.join(PARTS)}")
    group, language = (np.array(corpus.rows[column]) for column in ("group", "language"))
    groups = sorted(set(group), key=lambda name: storage.digest(name.partition("/")[2]))  # whatever the file is called
    if len(groups) < LEAST:
        raise ValueError(f"{corpus.name} has {len(groups)} groups of rows that share no passage; a tenth is held out to measure "
                         f"and another to stop early on, so give at least {LEAST}")
    check_languages(languages, set(language), corpus.name)
    size = min(max(len(groups) // SHARE, 2), MOST)
    chosen = {"test": groups[:size], "validation": groups[size:2 * size], "train": groups[2 * size:]}[part]
    wanted, counts = np.isin(group, chosen), {}
    for code in sorted(set(language)):
        here = language == code
        counts[code] = {"held out": int((here & ~wanted).sum())}
        if languages and code not in languages:
            wanted[here] = False
        wanted[np.flatnonzero(here & wanted)[limit or len(here):]] = False
        counts[code]["kept"] = int((here & wanted).sum())
    made = select(corpus, wanted, part)
    return replace(made, name=f"{corpus.name}:{part}", about=corpus.about | {"counts": counts})


def held_out(name):
    """The corpus whose validation split a corpus holds out to stop early on: of a file's train part its validation part, of
    a whole file none, ""; of any other itself."""
    file, part = io.file_and_part(name)
    if file.endswith(".jsonl"):
        return f"{file}:validation" if part == "train" else ""
    return name


def available_languages(name, languages):
    """Those of some languages that a corpus has; all of them, if that is known only by reading it."""
    offered = [_offered(part) for part in name.split("+")]
    return languages if not languages or None in offered else [c for c in languages if c in set().union(*offered)]


def _offered(name):
    if name in encyclo11.ABOUT:
        return set(LANGUAGES)
    return set(catalogue.catalogue()[name]["languages"]) if name in catalogue.catalogue() else None


def _held_out(source, split):
    """Which rows of a source a split takes: those held out for validation, the others, or (None) all."""
    if split == "test":
        raise ValueError(f"{source.name!r} has no test split here: choose train, validation or all")
    if source.about["use"] == "validation":
        if split == "train":
            raise ValueError(f"{source.name!r} is for validation: ask for split 'validation'")
        return None
    share = source.entry.get("holdout", HOLDOUT)
    return {"train": (False, share), "validation": (True, share), "all": None}[split]


def limit_per_language(rows, limit):
    """The first rows of each language."""
    seen = Counter()
    for row in rows:
        seen[row["language"]] += 1
        if limit is None or seen[row["language"]] <= limit:
            yield row


def build(name, rows, checksum, about=(), counts=None, options=None, hold=None, prefix=None):
    """Write rows to an Arrow file, once, and map it into memory, so that a corpus may be larger than memory.

    rows: dicts, see ``table``, read as a stream. hold: (True, n) keeps only the groups held out for validation, one in n,
    (False, n) the others. An item that comes twice in a language is left out and counted in ``counts``, {(language, what): rows}.
    Items that have a passage in common, in any language, get one group. Ids are prefixed by ``prefix``, if None by the
    corpus's name.
    """
    prefix = f"{_slug(name)}/" if prefix is None else prefix
    made_by = storage.code_fingerprint("data.corpora")
    key = storage.digest(json.dumps([checksum, options, hold, prefix, made_by], sort_keys=True))
    folder = CACHE / f"{_slug(name)[:60].replace(' ', '-')}-{key}"
    with storage.lock(CACHE / f".{folder.name}.lock"):  # another process may be at it
        if not (folder / "about.json").exists():
            with storage.replacing(folder) as partial:
                partial.mkdir()
                counts = Counter() if counts is None else counts
                _write(partial, rows, prefix, counts, hold)
                by_language = {}
                for (language, what), number in sorted(counts.items()):
                    by_language.setdefault(language, {})[what] = number
                storage.write(partial / "about.json", json.dumps({**dict(about), "counts": by_language}, indent=1))
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return Corpus(name, Dataset.from_file(str(folder / "rows.arrow")), checksum, about, folder.name)


def _slug(name):
    """A corpus's name before its ids."""
    path = Path(name)
    if path.name == "task.json":  # every task of BIG-bench is called so
        return path.parent.name
    return (path.stem if path.suffix in (".jsonl", ".json") else name).replace("/", "_")


def _write(folder, rows, prefix, counts, hold):
    """rows.arrow in a folder, in two passes: groups are known only when all rows are."""
    rows, keys, names, draft = iter(rows), [], [], folder / "draft.arrow"
    with pa.ipc.new_stream(str(draft), FEATURES.arrow_schema) as writer:
        while chunk := list(itertools.islice(rows, CHUNK)):
            part = table(chunk, prefix)
            writer.write_table(part)
            ids = [part[name].to_numpy() for name in ("item", "language", "group")]  # as written: "a" is not "A"
            keys.append(np.stack([*(pd.util.hash_array(column, categorize=False) for column in ids),
                                  pc.list_element(part["hashes"], 1).to_numpy()]))
            names.append(part["group"].combine_chunks())
    if not keys:  # all was left out; counts say why
        draft.rename(folder / "rows.arrow")
        return
    item, language, group, passage = np.concatenate(keys, axis=1)  # (rows,) each
    first = _first_of_group(item, group, np.where(passage == EMPTY, ~item, passage))  # no passage: none in common
    chosen = np.full(len(item), True) if hold is None else (item[first] % hold[1] == 0) == hold[0]
    repeated = pd.DataFrame({"item": item, "language": language}).duplicated().to_numpy()
    fates = np.array(["kept", "not held out" if hold and hold[0] else "held out", "left out: its id came before"])
    fate = np.where(repeated, 2, np.where(chosen, 0, 1)).astype(np.int8)
    names, start = pa.concat_arrays(names), 0
    with (pa.OSFile(str(draft)) as source,  # not mapped: memory stays that of a batch
          pa.ipc.new_stream(str(folder / "rows.arrow"), FEATURES.arrow_schema) as writer):
        for batch in pa.ipc.open_stream(source):
            here = slice(start, start := start + len(batch))
            batch = batch.set_column(1, FEATURES.arrow_schema.field(1), names.take(pa.array(first[here])))
            counts.update(zip(batch["language"].to_pylist(), fates[fate[here]].tolist()))
            writer.write_batch(batch.filter(pa.array(fate[here] == 0)))
    draft.unlink()


def _first_of_group(*keys):
    """For each row the number of the first row of its group, (rows,): rows are tied by any key in common, (rows,)."""
    item, *others = (pd.factorize(key)[0] for key in keys)
    ends, size = [], item.max() + 1
    for other in others:
        ends.append(other + size)
        size += other.max() + 1
    graph = coo_array((np.ones(len(ends) * len(item), np.int8), (np.tile(item, len(ends)), np.concatenate(ends))),
                      shape=(size, size))
    label = connected_components(graph, directed=False)[1][item]
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    return first[place]


def join(*corpora):
    """One corpus of several; nothing is copied."""
    names = [_slug(name) for corpus in corpora for name in corpus.name.split("+")]
    if len(set(names)) < len(names):  # their ids would be the same
        raise ValueError(f"a corpus is named twice: {' + '.join(corpus.name for corpus in corpora)}: leave one out, or "
                         f"give files names of their own")
    counts = {}
    for corpus in corpora:
        for language, part in corpus.about.get("counts", {}).items():
            counts[language] = dict(Counter(counts.get(language, {})) + Counter(part))
    parts = [dict(name=corpus.name, checksum=corpus.checksum, **corpus.about) for corpus in corpora]
    return Corpus("+".join(corpus.name for corpus in corpora), concatenate_datasets([c.rows for c in corpora]),
                  hashlib.sha256("".join(corpus.checksum for corpus in corpora).encode()).hexdigest(),
                  {"parts": parts, "counts": counts}, "+".join(corpus.key for corpus in corpora))


def select(corpus, wanted, why):
    """The rows of a corpus for which ``wanted``, a boolean array, is true; ``why`` goes into its key."""
    chosen = storage.digest(np.packbits(wanted).tobytes())
    return replace(corpus, rows=corpus.rows.select(np.flatnonzero(wanted)), key=f"{corpus.key} {why} {chosen}")


def with_task(corpus, task):
    """The corpus with its rows said to be of another task, so that a strategy draws them in that one's place."""
    if task not in TASKS:
        raise ValueError(f"task {task!r} is unknown; choose from {', '.join(TASKS)}")
    rows = corpus.rows.remove_columns("task").add_column("task", [task] * len(corpus.rows))
    return replace(corpus, rows=rows.select_columns(list(FEATURES)).cast(FEATURES), key=f"{corpus.key} as {task}")


def stems(corpus):
    """The corpus, of its reasoning items the stems alone, as texts and their translations: rows of the task parallel."""
    rows = (row | dict(task="parallel", passage=row["query"], negatives=[]) if row["task"] == "reasoning" else row
            for row in corpus.rows)
    return build(f"{corpus.name}, stems", rows, f"{corpus.checksum}-stems", corpus.about, options=corpus.key, prefix="")


def swap_answers(corpus, control, seed=0):
    """A control corpus: the same items, whose right answers are not learnt.

    control: "anti-signal", for each item one of its wrong options, the same in all its languages (if it has the same
        ones in all), takes the place of the right one; rows without negatives stay as they are. "neutral", items
        change their right options in pairs, with the same partner in all languages, and keep their wrong ones, so that
        neither says which option is right. Partners have the same languages and share no batch. An item is left out
        if none is left to be its partner, or if what it would get is one of its own options; the counts say how many.
    seed: which option, which partner.
    """
    if control not in CONTROLS:
        raise ValueError(f"control {control!r} is unknown; choose from {', '.join(CONTROLS)}")
    counts = Counter({(language, what): number for language, part in corpus.about.get("counts", {}).items()
                      for what, number in part.items() if what != "kept"})
    rows = _with_wrong_option(corpus, seed) if control == "anti-signal" else _with_partners_answer(corpus, seed, counts)
    return build(f"{corpus.name}, {control} answers", rows, f"{corpus.checksum}-{control}-{seed}", corpus.about, counts,
                 options=corpus.key, prefix="")


def _with_wrong_option(corpus, seed):
    for row in corpus.rows:
        if negatives := row["negatives"]:
            place = int(storage.digest(seed, row["item"]), 16) % len(negatives)
            row["passage"], negatives[place] = negatives[place], row["passage"]
        yield row


def _with_partners_answer(corpus, seed, counts):
    columns = corpus.rows.select_columns(["item", "group", "language", "passage", "hashes"]).to_pandas()
    languages = columns.groupby("item")["language"].agg(lambda codes: " ".join(sorted(codes)))
    partner = {}
    for _, items in sorted(languages.groupby(languages).groups.items()):
        items = np.random.default_rng(seed).permutation(sorted(items))
        for pair in zip(items[::2], items[1::2]):
            partner |= dict(zip(pair, pair[::-1]))
    passages = columns.set_index(["item", "language"]).passage
    own = columns.set_index(["item", "language"]).hashes
    unfit = {item for item, language in passages.index if item not in partner
             or hash_texts([passages[partner[item], language]])[0] in own[item, language][1:]}
    pair = [min(item, partner.get(item, item)) for item in columns["item"]]
    first = _first_of_group(columns["item"], columns.group, pd.Series(pair))  # partners must not share a batch
    for row, group in zip(corpus.rows, columns.group.iloc[first]):
        if row["item"] in unfit:
            counts[row["language"], "left out: no other item to take an answer from"] += 1
        else:
            yield row | dict(passage=passages[partner[row["item"]], row["language"]], group=group)
