"""Measure an encoder on a benchmark, without training: what the command line's ``evaluate`` prints."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from hybrid_batch import encoders, metrics, retrieval, statistics, study
from hybrid_batch.data import benchmarks


def evaluate(encoder_name, benchmark_name, data=None, languages=None, split=None, shards=None):
    """Measure an encoder on a benchmark: what the command line prints, as a dict. shards: where vectors of collections
    are kept, runs/shards if None."""
    study.quiet()
    benchmark = benchmarks.load(benchmark_name, data, split, languages)
    encoder = encoders.load(encoder_name)
    measured = {"encoder": encoder_name, "benchmark": benchmark_name}
    about = {"device": study.device_name(encoder.device), **study.environment()}
    if isinstance(benchmark, list):
        folder = Path(shards or study.RUNS / "shards") / encoder_name.strip("/.").replace("/", "-")
        size = 16 if encoder.device.type == "cpu" else 256
        return measured | evaluate_collections(encoder, benchmark, folder, size) | about
    ranks, _ = retrieval.rank(retrieval.embed(encoder, benchmark, progress=True), benchmark)
    scores = metrics.per_query(ranks)
    result = metrics.macro(scores)
    for measure in study.MEASURES:
        interval = statistics.bootstrap(scores, measure)
        result[f"{measure}_low"], result[f"{measure}_high"] = interval.low, interval.high
    return measured | {
        "benchmark_sha256": benchmark.checksum,
        "queries": len(benchmark.queries), "groups": int(benchmark.queries.group.nunique()),
        "candidates": benchmark.counts().passages.to_dict(),
        "macro": {setting: row.dropna().round(6).to_dict() for setting, row in result.iterrows()},
        "languages": json.loads(metrics.per_language(scores).to_json(orient="records", double_precision=6)),
        "peer": {language: metrics.peer(part.rank_mul, part.passage_language)
                 for language, part in ranks.groupby("query_language")}} | about


def score(run, collection):
    """Scores of a run: a row per query with a relevant passage, in the form of metrics.per_query, with ndcg@10, whose
    gains are the grades, and recall@100. Passages without judgement are not relevant."""
    relevant = collection.qrels[collection.qrels.grade > 0]
    relevant = relevant[relevant["query"].isin(collection.queries.id)].merge(run, "left", ["query", "passage"])
    ranks = relevant["rank"].fillna(np.inf)
    rows = [(query, metrics.ndcg(ranks[here], 10, relevant.grade[here]), metrics.recall(ranks[here], 100))
            for query, here in relevant.groupby("query").groups.items()]
    table = pd.DataFrame(rows, columns=["item", "ndcg@10", "recall@100"])
    return table.assign(group=f"{collection.language}/" + table.item, setting="Mo", query_language=collection.language,
                        passage_language=collection.language)


def evaluate_collections(encoder, collections, folder, batch_size=16, progress=True):
    """Search and score collections, each with shards in a folder of its own in ``folder``: figures as a dict."""
    scores, counts = [], []
    for collection in collections:
        place = Path(folder) / "".join(c if c.isalnum() else "-" for c in f"{collection.name}-{collection.language}")
        run = retrieval.search(encoder, collection, place, batch_size=batch_size, progress=progress)
        scores.append(score(run, collection))
        counts.append(dict(language=collection.language, sha256=collection.checksum, queries=len(scores[-1]),
                           queries_left_out=len(collection.queries) - len(scores[-1]),
                           passages=json.loads((place / "manifest.json").read_text())["passages"]))

    def figures(scores):
        result = {}
        for measure in ("ndcg@10", "recall@100"):
            row = statistics.bootstrap(scores, measure).loc["Mo"].round(6)
            result |= {measure: row.value, f"{measure}_low": row.low, f"{measure}_high": row.high}
        return result

    return {"macro": {"languages": len(scores), **figures(pd.concat(scores))},
            "languages": [count | figures(part) for count, part in zip(counts, scores)]}
