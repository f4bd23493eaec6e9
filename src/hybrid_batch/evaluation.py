"""Measure an encoder without training: what the command line's ``evaluate`` prints and its ``rankings`` keeps."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hybrid_batch import experiment, metrics, paths, retrieval, statistics, storage
from hybrid_batch.data import benchmarks
from hybrid_batch.encoders import load

TOP = 20  # passages of a ranked list that are kept


def evaluate(encoder_name, benchmark_name, data=None, languages=None, split=None, shards=None, precision="auto"):
    """Measure an encoder on a benchmark: what the command line prints, as a dict. shards: where vectors of collections
    are kept, runs/shards if None. precision: of encoding, see retrieval.encoding_precision."""
    experiment.quiet()
    benchmark = benchmarks.load(benchmark_name, data, split, languages)
    encoder = load.load(encoder_name)
    measured = {"encoder": encoder_name, "prompts": encoder.prompts, "benchmark": benchmark_name}
    about = {"device": experiment.device_name(encoder.device), "threads": torch.get_num_threads(), **storage.provenance()}
    if isinstance(benchmark, list):
        folder = Path(shards or paths.RUNS / "shards") / encoder_name.strip("/.").replace("/", "-")[-60:]
        return measured | evaluate_collections(encoder, benchmark, folder) | about
    precision = retrieval.encoding_precision(encoder, precision)
    ranks, _ = retrieval.rank(retrieval.embed(encoder, benchmark, precision=precision, progress=True), benchmark)
    scores = metrics.per_query(ranks)
    figures = [figure for figure in metrics.QUERY_FIGURES if figure.split(" ")[0] in set(scores.setting)]
    macro = {}
    for row in statistics.estimates({"": [scores]}, figures, trained=lambda _: False).itertuples():
        setting, name = row.figure.split(" ")
        macro.setdefault(setting, {"settings": int((metrics.per_language(scores).setting == setting).sum())}).update(
            {name: round(row.value, 6), f"{name}_low": round(row.low, 6), f"{name}_high": round(row.high, 6)})
    return measured | {
        "benchmark_sha256": benchmark.checksum, "precision": precision,
        "queries": len(benchmark.queries), "groups": int(benchmark.queries.group.nunique()),
        "candidates": benchmark.counts().passages.to_dict(), "macro": macro,
        "languages": json.loads(metrics.per_language(scores).to_json(orient="records", double_precision=6)),
        "peer": {language: metrics.peer(part.rank_mul, part.passage_language)
                 for language, part in ranks.groupby("query_language")}} | about


def score(ranking, collection):
    """Scores of a ranking: a row per query with a relevant passage, with ndcg@10, whose gains are the grades, and
    recall@100. Passages without judgement are not relevant."""
    relevant = collection.qrels[collection.qrels.grade > 0]
    relevant = relevant[relevant["query"].isin(collection.queries.id)].merge(ranking, "left", ["query", "passage"])
    ranks = relevant["rank"].fillna(np.inf)
    return pd.DataFrame([(query, metrics.ndcg(ranks[here], 10, relevant.grade[here]), metrics.recall(ranks[here], 100))
                         for query, here in relevant.groupby("query").groups.items()],
                        columns=["query", "ndcg@10", "recall@100"])


def evaluate_collections(encoder, collections, folder, progress=True):
    """Search and score collections, each with shards in a folder of its own in ``folder``: figures as a dict, macro means
    over languages, with 95 % intervals over queries."""
    scores, counts = [], []
    for collection in collections:
        place = Path(folder) / "".join(c if c.isalnum() else "-" for c in f"{collection.name}-{collection.language}")[-80:]
        ranking = retrieval.search(encoder, collection, place, progress=progress)
        scores.append(score(ranking, collection))
        counts.append(dict(language=collection.language, sha256=collection.checksum, queries=len(scores[-1]),
                           queries_left_out=len(collection.queries) - len(scores[-1]),
                           passages=json.loads((place / "manifest.json").read_text())["count"]))
    return {"macro": {"languages": len(scores), **_figures(scores)},
            "languages": [count | _figures([part]) for count, part in zip(counts, scores)]}


def _figures(parts):
    """{metric, metric_low, metric_high: value} over the queries of some languages, each language with the same weight."""
    weights = np.concatenate([np.full(len(part), 1 / len(part) / len(parts)) for part in parts])
    result = {}
    for name in ("ndcg@10", "recall@100"):
        made = statistics.estimate(np.concatenate([part[name] for part in parts])[None], weights, trained=False)
        result |= {name: round(made["value"], 6), f"{name}_low": round(made["low"], 6), f"{name}_high": round(made["high"], 6)}
    return result


def ranked_lists(encoder_name, method=""):
    """(manifest, table) of an encoder's ranked lists of our own corpus: a row a question and language with item, language, top
    (row numbers of passages, best first), relevant (row numbers of the parallel answers) and ranks (theirs in the mixed pool).
    method: of debias, or none."""
    benchmark, encoder = benchmarks.load_benchmark("encyclo11"), load.load(encoder_name)
    vectors = retrieval.embed(encoder, benchmark, progress=True)
    if method:
        fitted = None if method == "centring" else experiment.embed_fitted(encoder)
        vectors = experiment.debiased(method, vectors, benchmark, fitted)
    ranks = retrieval.rank(vectors, benchmark)[0].set_index(["item", "query_language", "passage_language"]).rank_mul.astype(int)
    relevant = benchmark.relevant.groupby("item").passage.agg(list)
    language = benchmark.passages.language.to_numpy()
    table = pd.DataFrame([dict(item=query.item, language=query.language, top=best, relevant=relevant[query.item], ranks=[
        ranks[query.item, query.language, language[passage]] for passage in relevant[query.item]])
        for query, best in zip(benchmark.queries.itertuples(), retrieval.best_passages(vectors, benchmark, TOP))])
    about = dict(encoder=load.identity(encoder_name), method=method, benchmark="encyclo11", checksum=benchmark.checksum, top=TOP,
                 **storage.provenance())
    return about, table
