"""Ranked lists of our own corpus, whose texts may be shown: for the analysis of errors and for the book's explorer.

A file of results/rankings holds, of one encoder, every question of the test split in every language: which passages of the
mixed pool come first, and where the parallel answers stand. Passages are named by their id, sentence and language; no text.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from hybrid_batch import paths, storage
from hybrid_batch.data import encyclo11
from hybrid_batch.data.benchmarks import load_benchmark
from hybrid_batch.data.languages import LANGUAGES

FOLDER = paths.RESULTS / "rankings"


def passages():
    """The sentences of the test split, in the order of the benchmark's passages: columns id, sentence, language, text."""
    return pd.DataFrame([(entry, number, language, text) for language in LANGUAGES
                         for entry, sentences, _ in encyclo11.texts("encyclo11", language, "test")
                         for number, text in enumerate(sentences)], columns=["id", "sentence", "language", "text"])


def edition():
    """A digest of the texts that are ranked, those of the test split: corrections elsewhere in the corpus change no list."""
    benchmark = load_benchmark("encyclo11")
    return storage.digest(benchmark.queries.text.tolist(), benchmark.passages.text.tolist())


def write(name, about, table, folder=FOLDER):
    """Keep what evaluation.ranked_lists measured under a name, with the edition of the texts."""
    lists = ("top", "relevant", "ranks")
    small = table.assign(**{column: [np.asarray(part, np.int32) for part in table[column]] for column in lists})
    with storage.replacing(Path(folder) / f"{name}.parquet") as partial:
        small.to_parquet(partial, compression="zstd")
    about = about | {"edition": edition()}
    storage.write(Path(folder) / f"{name}.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def read(name, folder=FOLDER):
    """(manifest, table with a row a question and language: item, language, top, relevant and ranks, as evaluation.ranked_lists
    returns them, and distance, the rank distance). Raises ValueError if it is of another edition of the corpus."""
    about = json.loads((Path(folder) / f"{name}.json").read_text(encoding="utf-8"))
    if about["edition"] != (now := edition()):
        raise ValueError(f"results/rankings/{name}: of another edition of encyclo11's test split ({about['edition']}, now "
                         f"{now}): make it anew")
    table = pd.read_parquet(Path(folder) / f"{name}.parquet")
    return about, table.assign(distance=[max(ranks) - min(ranks) for ranks in table.ranks])


def names(folder=FOLDER):
    """Those that are there."""
    return sorted(path.stem for path in Path(folder).glob("*.parquet"))
