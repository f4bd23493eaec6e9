"""Collections to measure with, by name: benchmarks whose passages may be millions.

A **collection** is one language of such a benchmark: queries, judgements, and passages that are read as a stream.
"""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hybrid_batch import storage
from hybrid_batch.data import io
from hybrid_batch.data.languages import check_languages

IDS = ("_id", "id", "docid")  # names of the field that holds the id
MIRACL = "ar bn de en es fa fi fr hi id ja ko ru sw te th yo zh".split()
TOPICS = dict(repo="miracl/miracl", revision="5be20db9509754dadad47689368639fcec739c00")
CORPUS = dict(repo="miracl/miracl-corpus", revision="d921ec7e349ce0d28daf30b2da9da5ee698bef0d")


@dataclass(frozen=True)
class Collection:
    """queries: columns id, text. qrels: columns query, passage, grade; a grade above 0 means relevant, and 0 judged
    and not relevant. corpus: addresses of the files of passages. language: "und" where the files do not say it.
    checksum: of all files; passages_checksum: of those of the corpus alone, the same for every split."""

    name: str
    language: str
    queries: pd.DataFrame
    qrels: pd.DataFrame
    corpus: list
    checksum: str
    passages_checksum: str = ""

    def passages(self):
        """Yield (id, text) of each passage, read anew each time; title and text are joined by a space, as mteb does.
        Of equal ids the last one counts, see check_ids."""
        for file in self.corpus:
            for where, record in io.records(file, ["text"]):
                title = record.get("title") or ""
                text = io.text(where, record, "text", empty=True)
                yield io.identifier(where, record, *IDS), f"{title} {text}".strip()

    def check_ids(self, parts):
        """Which passages count, a boolean array in their order: of equal ids the last one, as in mteb. parts: arrays
        with the ids of all passages, in the order of ``passages``.

        Warns of repeated ids, and of judged passages that are not there: relevant ones count as not found. Raises
        ValueError if no relevant passage is there.
        """
        hashes = [pd.util.hash_array(np.asarray(part, object), categorize=False) for part in parts]
        ids = pd.Series(np.concatenate([np.zeros(0, np.uint64), *hashes]))
        counts = ~ids.duplicated(keep="last").to_numpy()
        judged = self.qrels[self.qrels["query"].isin(self.queries.id)]
        relevant = judged.passage[judged.grade > 0]
        there = np.isin(pd.util.hash_array(judged.passage.to_numpy(object), categorize=False), ids)
        what = f"{self.name!r} ({self.language})"
        if not there[judged.grade > 0].any():
            raise ValueError(f"{what}: none of the {relevant.nunique()} relevant passages, such as "
                             f"{relevant.iloc[0]!r}, is in the corpus: check that qrels and corpus use the same ids")
        if missing := judged.passage[~there].nunique():
            warnings.warn(f"{what}: {missing} of {judged.passage.nunique()} judged passages "
                          f"({missing / judged.passage.nunique():.1%}) are not in the corpus, such as "
                          f"{judged.passage[~there].iloc[0]!r}; relevant ones count as not found", stacklevel=2)
        if repeated := len(counts) - counts.sum():
            warnings.warn(f"{what}: {repeated} passages have an id that comes again: the last of equal ids counts",
                          stacklevel=2)
        return counts


def load_collections(name, data=None, split=None, languages=None):
    """Load a list of Collections, one for each language.

    name: ``miracl``: from the Hub, or from a folder ``miracl`` that holds the files of its two repositories; or
        any folder, or repository of the Hub given as org/name@commit, in the form of BEIR (corpus.jsonl,
        queries.jsonl, qrels/{split}.tsv) or of mteb (folders corpus, queries and qrels, or {language}-corpus and so
        on for each language, of Parquet or JSON-lines files).
    data: the folder that holds the folder ``name``. split: which judgements; None is dev of miracl, else test.
    Raises FileNotFoundError or ValueError that names what is wrong and the remedy.
    """
    folder, split = Path(data or ".") / name, split or ("dev" if name == "miracl" else "test")
    if folder.is_dir():
        hub, inside = {}, {path.name for path in folder.iterdir()}
    elif name == "miracl":
        hub, inside = TOPICS, set()
    else:
        hub = dict(zip(("repo", "revision"), name.split("@")))
        inside = {Path(address).name for address in io.locate(name, ["*"], data, **hub, stream=True)["*"]}
    prefixes = {entry.removesuffix("corpus").rstrip("-") or "und": entry.removesuffix("corpus")
                for entry in sorted(inside) if entry.endswith("corpus")}
    known, read = (prefixes, _mteb) if prefixes else (MIRACL, _miracl) if name == "miracl" else (["und"], _beir)
    check_languages(languages, known, name)

    def find(*patterns, hub=hub, **options):  # a folder, if there is one, is taken before the Hub
        return io.locate(name, patterns, data, **hub, **options).values()

    return [read(name, code, split, find, prefixes.get(code), inside) for code in languages or known]


def streamed(name, data=None):
    """Is ``name`` loaded as collections?"""
    folder = Path(data or ".") / name
    if name == "miracl":
        return True
    if io.file_and_part(name)[0].endswith(".jsonl"):
        return False
    if folder.is_dir():
        return any(path.name.split(".")[0].endswith("corpus") for path in folder.iterdir())
    if "/" in name and "@" not in name:
        raise FileNotFoundError(f"benchmark {name!r}: no folder {folder}, and a repository of the Hub is named with "
                                f"one of its commits: {name}@<commit>")
    return "/" in name


def _miracl(name, language, split, find, *_):
    form = "miracl-v1.0-{0}/{1}/{1}.miracl-v1.0-{0}-{2}.tsv"
    topics, qrels = find(form.format(language, "topics", split), form.format(language, "qrels", split))
    corpus, = find(f"miracl-corpus-v1.0-{language}/docs-*.jsonl.gz", hub=CORPUS, stream=True)
    return _collection(name, language, topics, qrels, corpus, ["_id", "text"], ["query-id", "Q0", "corpus-id", "score"])


def _beir(name, language, split, find, *_):
    queries, qrels = find("queries.jsonl*", f"qrels/{split}.*")
    corpus, = find("corpus.jsonl*", stream=True)
    return _collection(name, language, queries[-1:], qrels[-1:], corpus[-1:])  # one of a kind


def _mteb(name, language, split, find, prefix, inside):
    judged = "data" if not prefix and "qrels" not in inside else f"{prefix}qrels"  # mteb's config "default"
    queries, qrels = find(f"{prefix}queries/*", f"{judged}/*")
    corpus, = find(f"{prefix}corpus/*", stream=True)
    return _collection(name, language, _of_split(queries, split, name, True), _of_split(qrels, split, name),
                       _of_split(corpus, split, name, True))


def _of_split(addresses, split, name, only=False):
    """The files of a split. only: the one split that there is will do, as in mteb."""
    splits = {}
    for address in addresses:
        splits.setdefault(Path(address).name.split(".")[0].split("-")[0], []).append(address)
    if split not in splits and not (only and len(splits) == 1):
        raise FileNotFoundError(f"{name!r}: {Path(addresses[0]).parent.name} has no split {split!r}, only "
                                f"{' '.join(splits)}: name one of these with --split")
    return splits.get(split) or addresses


def _collection(name, language, queries, qrels, corpus, query_columns=None, qrels_columns=None):
    """A Collection from addresses of files; columns of tables that have no heading."""
    asked = [(io.identifier(where, record, *IDS), io.text(where, record, "text")) for file in queries
             for where, record in io.records(file, ["text"], query_columns)]
    judged = [(*(io.identifier(where, record, field) for field in ("query-id", "corpus-id")),
               io.whole_number(where, record, "score")) for file in qrels
              for where, record in io.records(file, ["query-id", "corpus-id", "score"], qrels_columns)]
    asked = _last_of_each(pd.DataFrame(asked, columns=["id", "text"]), ["id"], "query", queries)
    judged = _last_of_each(pd.DataFrame(judged, columns=["query", "passage", "grade"]), ["query", "passage"],
                           "judgement", qrels)
    if not asked.id.isin(judged["query"][judged.grade > 0]).any():
        raise ValueError(f"{name!r}: no query of {queries[0].removeprefix('file://')} has a relevant passage in "
                         f"{qrels[0].removeprefix('file://')}: check that both are of one split and use the same ids")
    if unasked := judged["query"][~judged["query"].isin(asked.id)].nunique():
        warnings.warn(f"{name!r}: {unasked} of {judged['query'].nunique()} queries with judgements are not in "
                      f"{queries[0].removeprefix('file://')} and are not measured", stacklevel=2)
    passages = storage.checksum(corpus)
    checksum = hashlib.sha256((storage.checksum([*queries, *qrels]) + passages).encode()).hexdigest()
    return Collection(name, language, asked, judged, corpus, checksum, passages)


def _last_of_each(table, key, what, files):
    """A table with the last of the rows whose key is the same, as mteb has it."""
    repeated = table.duplicated(key, keep="last")
    if repeated.any():
        warnings.warn(f"{files[0].removeprefix('file://')}: {repeated.sum()} rows have the key of a later {what}, such "
                      f"as {' '.join(table[key][repeated].iloc[0])!r}: the last one counts", stacklevel=2)
    return table[~repeated].reset_index(drop=True)
