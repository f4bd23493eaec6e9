"""The form of the rows to train on: an Arrow table with a row per (item, language), and what makes two texts the same.

Items are parallel: one item has the same id in all its languages. Items of one group have a passage in common, in some
language, and never share a batch. A row may lack its query or its passage (empty text): it can then still meet the
other half in another language.
"""

import re
import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import Features, Value
from datasets import List as Sequence

TEXTS = ("item", "group", "language", "task", "subject", "query", "passage")
FIELDS = (*TEXTS, "negatives")  # of a row
FEATURES = Features({name: Value("string") for name in TEXTS} | {
    "negatives": Sequence(Value("string")),
    "hashes": Sequence(Value("uint64"))})  # of query, passage, negatives: what the sampler compares instead of texts
CHUNK = 10_000  # rows in memory at once
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphen, zero-width signs, byte order mark


def table(rows, prefix=""):
    """Rows as an Arrow table with the columns of FEATURES. rows: dicts with item, language, query, passage; group
    (else the item), task (else qa), subject, negatives may be missing. prefix: of the ids of items and groups."""
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
    table = rows.select_columns([column]).with_format("arrow")[:].combine_chunks()  # of selected rows each is a chunk
    encoded = pa.chunked_array(table[column]).dictionary_encode().combine_chunks()
    return encoded.indices.to_numpy().astype(np.int32), encoded.dictionary


def text_hashes(rows):
    """The column hashes, without reading a text: (hashes, start), a row's being hashes[start[row]:start[row + 1]]."""
    hashes, start = [np.zeros(0, np.uint64)], [np.zeros(1, np.int64)]
    for chunk in rows.select_columns(["hashes"]).with_format("arrow").iter(CHUNK):
        lists = pa.chunked_array(chunk["hashes"]).combine_chunks()
        hashes.append(lists.flatten().to_numpy())
        start.append(start[-1][-1] + lists.offsets.to_numpy()[1:] - lists.offsets.to_numpy()[0])
    return np.concatenate(hashes), np.concatenate(start)


def identity(text):
    """What of a text the tokenizers tell apart: NFKC as SentencePiece has it, without invisible signs, case and
    the kind and number of spaces. Two texts of the same identity are one text wherever texts are compared."""
    if not text.isascii():
        text = INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
        text = unicodedata.normalize("NFKC", text.casefold())
    return " ".join(text.casefold().split())


def hash_texts(texts):
    """64-bit hashes of texts, (texts,), alike for texts of the same ``identity``."""
    return pd.util.hash_array(np.array([identity(text) for text in texts], object), categorize=False)


EMPTY = hash_texts([""])[0]  # of a query or passage that is missing
