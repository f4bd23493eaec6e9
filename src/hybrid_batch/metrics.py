"""Effectiveness and language bias, as pure functions of ranks and language labels.

The hand-over from retrieval is a table of ranks with a row per (query, relevant passage): item, group,
query_language, passage_language, rank (in the pool of the passage's language) and rank_mul (in the pool
of all languages). Ranks count from 1; a passage that was not found has rank infinity.
"""

import numpy as np
import pandas as pd
from scipy import stats

QUERY = ["group", "item", "query_language"]


def average_precision(ranks):
    """Mean over the relevant passages of i / rank_i, ranks in rising order (TREC's AP)."""
    ranks = np.sort(np.asarray(ranks, float))
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def recall(ranks, k):
    """Share of the relevant passages at rank k or better."""
    return float(np.mean(np.asarray(ranks, float) <= k))


def ndcg(ranks, k, grades=None):
    """DCG at k over the best possible, discount 1 / log2(rank + 1) (Järvelin and Kekäläinen 2002). Gains are the
    grades of the relevant passages, as in trec_eval, or 1 without grades."""
    ranks = np.asarray(ranks, float)
    gains = np.ones(len(ranks)) if grades is None else np.asarray(grades, float)
    best = np.sort(gains)[::-1][:k] / np.log2(np.arange(1, min(len(ranks), k) + 1) + 1)
    found = ranks <= k
    return float(np.sum(gains[found] / np.log2(ranks[found] + 1)) / best.sum())


def rank_distance(ranks):
    """Largest minus smallest rank of the relevant passages in the mixed pool: 0 cannot
    be reached, n - 1 is the least for n passages. Infinite if one was not found."""
    return float(np.max(ranks) - np.min(ranks)) if np.isfinite(ranks).all() else float("inf")


def max_rank(ranks):
    """Max@R: how far one must read to see the relevant passage of every language."""
    return float(np.max(ranks))


def peer(ranks, languages):
    """PEER (arXiv 2405.00978): p-value of a Kruskal-Wallis test that relevant passages are ranked alike whatever
    their language; near 0 means bias. Variant: with one relevant passage a language, a single query says nothing,
    so the ranks of all the queries of one query language are pooled, a sample a language."""
    ranks, languages = np.asarray(ranks, float), np.asarray(languages)
    samples = [ranks[languages == language] for language in np.unique(languages)]
    if len(samples) < 2 or (ranks == ranks[0]).all():
        return 1.0
    return float(stats.kruskal(*samples).pvalue)


MEASURES = {"map": average_precision, "recall@1": lambda ranks: recall(ranks, 1),
            "recall@10": lambda ranks: recall(ranks, 10), "ndcg@10": lambda ranks: ndcg(ranks, 10)}
BIAS = {"rank_distance": rank_distance, "max_rank": max_rank}
LABELS = {"map": "mAP", "recall@1": "Recall@1", "recall@10": "Recall@10", "ndcg@10": "nDCG@10",
          "rank_distance": "rank distance", "max_rank": "Max@R"}
SETTINGS = {"Mo": "Monolingual", "Cr": "Cross-lingual", "Mul": "Multilingual"}


def per_query(ranks, measures=("map", "recall@1", "recall@10")):
    """Score every query in every setting: a table with a row per (setting, query, passage language; "all" for Mul)
    and a column per measure; rank_distance and max_rank are filled for Mul alone."""
    pair = _scored(ranks, [*QUERY, "passage_language"], "rank", {name: MEASURES[name] for name in measures})
    pair.insert(0, "setting", np.where(pair.query_language == pair.passage_language, "Mo", "Cr"))
    mul = _scored(ranks, QUERY, "rank_mul", {name: MEASURES[name] for name in measures} | BIAS)
    return pd.concat([pair, mul.assign(setting="Mul", passage_language="all")], ignore_index=True)


def _scored(ranks, keys, column, functions):
    """A row per group of ``keys``, a column per function of the group's ranks."""
    if ranks.duplicated(keys).any():
        group = ranks.groupby(keys, sort=False).ngroup().to_numpy()  # numbered as they first occur
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        parts = np.split(ranks[column].to_numpy()[order], starts[1:])
        table = ranks[keys].iloc[order[starts]].reset_index(drop=True)
        return table.assign(**{name: [f(part) for part in parts] for name, f in functions.items()})
    one = {name: {rank: f([rank]) for rank in ranks[column].unique()} for name, f in functions.items()}
    return ranks[keys].assign(**{name: ranks[column].map(values) for name, values in one.items()})  # equal ranks once


def per_language(scores):
    """Mean over queries: a row per (setting, query language, passage language)."""
    keys = ["setting", "query_language", "passage_language"]
    values = [c for c in scores if c not in (*QUERY, *keys)]
    table = scores.groupby(keys, sort=True)[values].mean()
    table.insert(0, "queries", scores.groupby(keys).size())
    return table.reset_index()


def macro(scores):
    """Mean over the settings of per-language means: a row for each of Mo, Cr and Mul, with the number of settings
    that it averages."""
    parts = per_language(scores).drop(columns=["query_language", "passage_language", "queries"]).groupby("setting")
    result = parts.mean()
    result.insert(0, "settings", parts.size())
    return result.reindex([s for s in SETTINGS if s in result.index])


def language_shares(query_language, top_language):
    """Share of each passage language in the top k, a row per query language that sums to 1.

    query_language: (queries,) labels; top_language: (queries, k) labels of the k best passages.
    """
    frame = pd.DataFrame({"query_language": np.repeat(query_language, np.shape(top_language)[1]),
                          "passage_language": np.ravel(top_language)})
    return pd.crosstab(frame.query_language, frame.passage_language, normalize="index")


def transfer(scores, measure="map"):
    """Per language: monolingual score, mean cross-lingual score of queries in it (from)
    and of passages in it (into), gap Mo - Cr and ratio Cr / Mo, for Cr "from"."""
    table = per_language(scores)
    mono = table[table.setting == "Mo"].set_index("query_language")[measure]
    cross = table[table.setting == "Cr"]
    result = pd.DataFrame({"mono": mono, "cross_from": cross.groupby("query_language")[measure].mean(),
                           "cross_into": cross.groupby("passage_language")[measure].mean()})
    result["gap"] = result.mono - result.cross_from
    result["ratio"] = result.cross_from / result.mono
    return result
