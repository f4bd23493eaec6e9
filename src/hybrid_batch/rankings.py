"""Ranked lists of our own corpus, whose texts may be shown: for the analysis of errors and for the book's explorer.

A file of results/rankings holds, of one encoder, every question of the test split in every language: which passages of the
mixed pool come first, and where the parallel answers stand. Passages are named by their id, sentence and language; no text.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from hybrid_batch import experiment, paths, retrieval, storage
from hybrid_batch.data import encyclo11
from hybrid_batch.data.benchmarks import load_benchmark
from hybrid_batch.data.languages import LANGUAGES
from hybrid_batch.encoders import load

FOLDER, TOP = paths.RESULTS / "rankings", 20


def passages():
    """The sentences of the test split, in the order of the benchmark's passages: columns id, sentence, language, text."""
    return pd.DataFrame([(entry, number, language, text) for language in LANGUAGES
                         for entry, sentences, _ in encyclo11.texts("encyclo11", language, "test")
                         for number, text in enumerate(sentences)], columns=["id", "sentence", "language", "text"])


def measure(encoder_name, method=""):
    """The ranked lists of an encoder: a row a question and language with item, language, top (row numbers of passages, best
    first), relevant (row numbers of the parallel answers) and ranks (theirs in the mixed pool). method: of debias, or none."""
    benchmark = load_benchmark("encyclo11")
    encoder = load.load(encoder_name)
    vectors = retrieval.embed(encoder, benchmark, progress=True)
    if method:
        fitted = None if method == "centring" else experiment.embed_fitted(encoder)
        vectors = experiment.debiased(method, vectors, benchmark, fitted)
    ranks = retrieval.rank(vectors, benchmark)[0].set_index(["item", "query_language", "passage_language"]).rank_mul.astype(int)
    relevant = benchmark.relevant.groupby("item").passage.agg(list)
    language = benchmark.passages.language.to_numpy()
    top = retrieval.best_passages(vectors, benchmark, TOP)
    return pd.DataFrame([dict(item=query.item, language=query.language, top=best, relevant=relevant[query.item], ranks=[
        ranks[query.item, query.language, language[passage]] for passage in relevant[query.item]])
        for query, best in zip(benchmark.queries.itertuples(), top)])


def write(name, encoder_name, method="", folder=FOLDER):
    """Measure and keep ranked lists under a name, with a manifest."""
    table = measure(encoder_name, method)
    lists = ("top", "relevant", "ranks")
    small = table.assign(**{column: [np.asarray(part, np.int32) for part in table[column]] for column in lists})
    with storage.replacing(Path(folder) / f"{name}.parquet") as partial:
        small.to_parquet(partial, compression="zstd")
    about = dict(encoder=load.identity(encoder_name), method=method, benchmark="encyclo11",
                 checksum=load_benchmark("encyclo11").checksum, top=TOP, **storage.provenance())
    storage.write(Path(folder) / f"{name}.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def read(name, folder=FOLDER):
    """(manifest, table as ``measure`` returns it). Raises ValueError if it is of another edition of the corpus."""
    about = json.loads((Path(folder) / f"{name}.json").read_text(encoding="utf-8"))
    if about["checksum"] != (now := load_benchmark("encyclo11").checksum):
        raise ValueError(f"results/rankings/{name}: of another edition of encyclo11 ({about['checksum'][:8]}, now {now[:8]}): "
                         f"make it anew")
    table = pd.read_parquet(Path(folder) / f"{name}.parquet")
    return about, table.assign(distance=[max(ranks) - min(ranks) for ranks in table.ranks])


def names(folder=FOLDER):
    """Those that are there."""
    return sorted(path.stem for path in Path(folder).glob("*.parquet"))
