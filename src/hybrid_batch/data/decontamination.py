"""Is a text of a benchmark in a corpus to train on?

Copies and near copies are found by *shingles*, the runs of five characters of a text without case, punctuation and
spaces, so in every language and script alike. Two texts are one if the shorter one's shingles are nearly all in the
longer one (containment, Broder 1997) and it is either long enough that this cannot be chance, or about as long as
the other. A translation has no shingles in common with its original; it is found through parallel ids: if a row is
found, so is its item in all languages, and with a passage all items of its group.
"""

import functools
import unicodedata
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from hybrid_batch import storage
from hybrid_batch.data import corpora
from hybrid_batch.data.table import hash_texts, text_hashes

SHINGLE = 5  # characters
CONTAINMENT = 0.9  # of the shorter text's shingles in the longer one
ALIKE = 0.7  # least ratio of their lengths, for texts that are not LONG
LONG = 40  # characters; a Chinese or Japanese one counts for two and a half
LEAST = 6  # shorter texts say too little to be anybody's
UNIQUE = 16  # characters of an id that cannot be the same by chance
CHUNK, ROWS = 1_000_000, 1_000  # characters compared, and rows read, at once


@functools.cache
def _signs():
    return {code: None for code in range(0x110000) if unicodedata.category(chr(code))[0] in "PSZC"}


def plain(text):
    """A text without case, punctuation, signs and spaces; the Turkish letters ı and İ become i, as capitals lose the
    difference."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return text.replace("\u0307", "").replace("ı", "i").translate(_signs())


def contamination(corpus, benchmark):
    """What of a benchmark is in a corpus.

    Returns a table with a row for each contaminated row and reason: row (its number in corpus.rows), item, group,
    language, field ("query", "passage" or "negative"), why ("text"; "id": its item has the id of a question of the
    benchmark; "item", "group": a text of the same item or group was found), and for "text" containment and the
    number of a benchmark text, queries first, then passages.
    """
    return _contaminations(corpus, [benchmark])[0]


def _contaminations(corpus, benchmarks):
    """``contamination`` in each of some benchmarks, [table]; the corpus is read once."""
    known = [_Shingles([*benchmark.queries.text, *benchmark.passages.text]) for benchmark in benchmarks]
    hashes, start = text_hashes(corpus.rows)
    _, first, which = np.unique(hashes, return_index=True, return_inverse=True)  # equal texts are looked at once
    similar = [{} for _ in benchmarks]
    for part in _texts(corpus.rows, start, np.sort(first)):
        numbers, plains = [number for number, _ in part], [plain(text) for _, text in part]
        text, shingle = _shingles(plains)
        order = np.argsort(shingle)  # sorted numbers are looked up far sooner
        shingles = text[order], shingle[order]
        for index, found in zip(known, similar):
            found |= {which[numbers[place]]: (other, share) for place, other, share in index.find(plains, *shingles)}
    row = np.repeat(np.arange(len(start) - 1), np.diff(start))
    return [_table(corpus, benchmark, start, row, which, found) for benchmark, found in zip(benchmarks, similar)]


def _table(corpus, benchmark, start, row, which, alike):
    """What ``contamination`` returns. alike: {number of a distinct text: (benchmark text, containment)}; row, which: of each text
    of the corpus its row, and which of the distinct texts it is."""
    here = np.flatnonzero(np.isin(which, list(alike)))
    place = np.minimum(here - start[row[here]], 2)
    found = pd.DataFrame({"row": row[here], "field": np.array(["query", "passage", "negative"])[place], "why": "text",
                          "benchmark_text": [alike[text][0] for text in which[here]],
                          "containment": [alike[text][1] for text in which[here]]})
    return _with_relatives(found, corpus, benchmark)


def _texts(rows, start, numbers):
    """Yield lists of (number, text), some CHUNK characters each, of the texts of all rows, counted as hashes are."""
    part, size, done = [], 0, 0
    batches = rows.select_columns(["query", "passage", "negatives"]).with_format("arrow").iter(ROWS)
    for begin, batch in zip(range(0, len(rows), ROWS), batches):
        queries, passages, negatives = (batch[name].to_pylist() for name in ("query", "passage", "negatives"))
        wanted = numbers[done:np.searchsorted(numbers, start[min(begin + ROWS, len(start) - 1)])]
        done += len(wanted)
        for number, row in zip(wanted.tolist(), (np.searchsorted(start, wanted, side="right") - 1).tolist()):
            text = [queries[row - begin], passages[row - begin], *negatives[row - begin]][number - start[row]]
            part.append((number, text))
            size += len(text)
        if size > CHUNK:
            yield part
            part, size = [], 0
    if part:
        yield part


class _Shingles:
    """An index of texts."""

    def __init__(self, texts):
        codes, unique = pd.factorize(np.array([plain(text) for text in texts], object))
        self.example = pd.Series(np.arange(len(codes))).groupby(codes).first().to_numpy()  # a text of each
        self.units = _units(unique)
        text, shingle = _shingles(unique)
        self.vocabulary, place = np.unique(shingle, return_inverse=True)
        shape = (len(self.vocabulary), len(unique))
        self.by_shingle = csr_array((np.ones(len(text), np.int32), (place, text)), shape=shape)
        self.size = np.bincount(text, minlength=len(unique))           # (texts,) different shingles

    def find(self, plains, text, shingle):
        """Yield (place of a text, number of the indexed text most like it, containment) for those found. plains: texts as
        ``plain`` makes them; text, shingle: see _shingles."""
        size = np.bincount(text, minlength=len(plains))
        place = np.searchsorted(self.vocabulary, shingle).clip(max=len(self.vocabulary) - 1)
        here = self.vocabulary[place] == shingle
        shape = (len(plains), len(self.vocabulary))
        mine = csr_array((np.ones(here.sum(), np.int32), (text[here], place[here])), shape=shape)
        common = (mine @ self.by_shingle).tocoo()                      # (texts, indexed texts): shingles in common
        first, second = common.coords
        share = common.data / np.minimum(size[first], self.size[second])
        close = np.flatnonzero(share >= CONTAINMENT)
        first, second, share = first[close], second[close], share[close]
        units = np.sort([_units([plains[number] for number in first]), self.units[second]], axis=0)
        same = (units[0] >= LEAST) & ((units[0] >= LONG) | (units[0] >= ALIKE * units[1]))
        best = pd.DataFrame({"text": first[same], "other": second[same], "share": share[same],
                             "length": -np.abs(units[1] - units[0])[same]})
        best = best.sort_values(["text", "share", "length"], kind="stable").groupby("text").tail(1)
        for one in best.itertuples():
            yield one.text, int(self.example[one.other]), float(one.share)


def _shingles(texts):
    """(text, shingle): numbers of texts and 64-bit hashes of their shingles, each once a text. A text shorter than a
    shingle is one."""
    padded = [text.ljust(SHINGLE, "\0") for text in texts]
    length = np.array([len(text) for text in padded], np.int64)
    code = np.frombuffer("".join(padded).encode("utf-32-le"), np.uint32).astype(np.uint64)
    text = np.repeat(np.arange(len(padded)), length)
    last = np.repeat(np.cumsum(length), length) - SHINGLE              # where a text's last shingle begins
    count = max(len(code) - SHINGLE + 1, 0)
    shingle = np.zeros(count, np.uint64)
    for shift in range(SHINGLE):
        shingle = (shingle ^ code[shift:shift + count]) * np.uint64(0x100000001B3)  # FNV-1a
        shingle ^= shingle >> np.uint64(29)
    inside = np.arange(count) <= last[:count]
    pairs = pd.DataFrame({"text": text[:count][inside], "shingle": shingle[inside]}).drop_duplicates()
    return pairs.text.to_numpy(), pairs.shingle.to_numpy()


def _units(texts):
    """How much texts say, (texts,), in characters of an alphabet."""
    return np.array([len(t) + 1.5 * sum("\u2e80" <= c <= "\u9fff" for c in t) if t and max(t) >= "\u2e80" else len(t)
                     for t in texts], float)


def _with_relatives(found, corpus, benchmark):
    """Add the rows that are contaminated through an id, an item or a group."""
    columns = {name: pa.chunked_array(corpus.rows.select_columns([name]).with_format("arrow")[:][name])
               for name in ("item", "group")}
    own_id = pc.replace_substring_regex(columns["item"], pattern=".*/", replacement="")
    known = pa.array([item for item in benchmark.queries.item.unique() if len(item) >= UNIQUE], pa.string())
    parts = [found, pd.DataFrame({"row": np.flatnonzero(pc.is_in(own_id, known)), "field": "query", "why": "id"})]
    for why, field in (("item", "query"), ("item", "negative"), ("group", "passage")):
        here = found.loc[found.field == field, "row"].unique()
        rows = np.flatnonzero(pc.is_in(columns[why], columns[why].take(pa.array(here, pa.int64())).combine_chunks()))
        parts.append(pd.DataFrame({"row": np.setdiff1d(rows, here), "field": field, "why": why}))
    table = pd.concat([part for part in parts if len(part)] or [found], ignore_index=True)
    rows = corpus.rows.select_columns(["item", "group", "language"]).select(table.row).to_pandas()
    return pd.concat([table, rows], axis=1).sort_values(["row", "field"], ignore_index=True)


def report(corpus, benchmark):
    """``contamination``, kept on disk for the next to ask: the table of a corpus and a benchmark."""
    return _reports(corpus, [benchmark])[0]


def _reports(corpus, benchmarks):
    """``report`` of each of some benchmarks, [table]; what is not on disk is looked for together."""
    if not corpus.key:
        return _contaminations(corpus, benchmarks)
    files, missing = [], {}
    for benchmark in benchmarks:
        texts = hash_texts([*benchmark.queries["item"], *benchmark.queries.text, *benchmark.passages.text])
        key = storage.digest(corpus.key, texts.tobytes(), storage.code_fingerprint("data.decontamination"))
        files.append(corpora.CACHE / f"contamination-{key}.parquet")
        if not files[-1].exists():
            missing[files[-1]] = benchmark
    if missing:
        for file, table in zip(missing, _contaminations(corpus, missing.values())):
            with storage.replacing(file) as partial:
                table.to_parquet(partial)
    return [pd.read_parquet(file) for file in files]


def clean(corpus, benchmarks):
    """The corpus without the rows that any of the benchmarks contaminates; about["contaminated"] says how many those
    are, by benchmark. Raises ValueError if no row is left."""
    tainted, counts = np.zeros(len(corpus.rows), bool), {}
    for benchmark, table in zip(benchmarks, _reports(corpus, benchmarks)):
        rows = table.row.unique()
        counts[benchmark.name] = len(rows)
        tainted[rows] = True
    if tainted.all() and len(tainted):
        raise ValueError(f"all {len(tainted)} rows of the corpus {corpus.name!r} stand in the benchmark, {counts}: "
                         f"train on another corpus, or measure with another benchmark")
    corpus = replace(corpus, about=corpus.about | {"contaminated": counts})
    return corpora.select(corpus, ~tainted, f"without {' '.join(counts)}") if tainted.any() else corpus
