"""Effectiveness, language bias and alignment: each metric is a value that knows its name, label and direction.

The hand-over from retrieval is a table of ranks with a row per (query, relevant passage): item, group,
query_language, passage_language, rank (in the pool of the passage's language) and rank_mul (in the pool
of all languages). Ranks count from 1; a passage that was not found has rank infinity.

A metric with ``settings`` is a function of the ranks of one query's relevant passages, an array, and gives a score a
query. One without is a function of a Measured, all that was measured of one encoder on one benchmark.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

SETTINGS = {"Mo": "Monolingual", "Cr": "Cross-lingual", "Mul": "Multilingual"}
QUERY = ["group", "item", "query_language"]
PAIR = ["setting", "query_language", "passage_language"]


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


def choice_scores(stems, options, item, language, option_item, option_language, right):
    """Is the right option nearer to its stem than all wrong ones of the same item? A row per (item, language of the stem,
    language of the options), with the columns of per_query's table and accuracy, 0 or 1; a tie counts as wrong.

    stems: vectors (stems, dim), with their item and language, (stems,) each; options: vectors (options, dim), with item,
    language and whether it is the right one, (options,) each.
    """
    places = pd.DataFrame({"item": option_item, "language": option_language}).groupby(["item", "language"]).indices
    by_item = {}
    for (name, code), rows in places.items():
        by_item.setdefault(name, []).append((code, rows))
    numbers = {name: number for number, name in enumerate(sorted(by_item))}
    table = []
    for name, code, vector in zip(item, language, stems):
        for other, rows in by_item[name]:
            near, correct = np.round(options[rows] @ vector, 6), np.asarray(right)[rows]
            table.append((numbers[name], name, code, other, float(near[correct].max() > near[~correct].max())))
    table = pd.DataFrame(table, columns=["group", "item", "query_language", "passage_language", "accuracy"])
    table.insert(0, "setting", np.where(table.query_language == table.passage_language, "Mo", "Cr"))
    return table


@dataclass(frozen=True)
class Measured:
    """ranks: see above. scores: see per_query. query_language (queries,), top_language (queries, k): labels, the k best
    passages of the mixed pool. queries, passages: vectors (n, dim); passage_language (passages,).
    probes: see retrieval.embed_probes; None without."""

    ranks: pd.DataFrame
    scores: pd.DataFrame
    query_language: np.ndarray
    top_language: np.ndarray
    queries: np.ndarray
    passages: np.ndarray
    passage_language: np.ndarray
    probes: dict | None = None


def gap(measured):
    """Monolingual less cross-lingual mAP."""
    maps = macro(measured.scores)["map"]
    return float(maps["Mo"] - maps["Cr"]) if "Cr" in maps else float("nan")


def ratio(measured):
    """Cross-lingual over monolingual mAP."""
    maps = macro(measured.scores)["map"]
    return float(maps["Cr"] / maps["Mo"]) if "Cr" in maps else float("nan")


def peer(ranks, languages):
    """PEER (arXiv 2405.00978): p-value of a Kruskal-Wallis test that relevant passages are ranked alike whatever
    their language; near 0 means bias. Variant: with one relevant passage a language, a single query says nothing,
    so the ranks of all the queries of one query language are pooled, a sample a language."""
    ranks, languages = np.asarray(ranks, float), np.asarray(languages)
    samples = [ranks[languages == language] for language in np.unique(languages)]
    if len(samples) < 2 or (ranks == ranks[0]).all():
        return 1.0
    return float(stats.kruskal(*samples).pvalue)


def mean_peer(measured):
    """PEER, mean over query languages."""
    return float(np.mean([peer(part.rank_mul, part.passage_language)
                          for _, part in measured.ranks.groupby("query_language")]))


def language_shares(query_language, top_language):
    """Share of each passage language in the top k, a row per query language that sums to 1. A query language of which no
    passage is found has a column, too.

    query_language: (queries,) labels; top_language: (queries, k) labels of the k best passages.
    """
    frame = pd.DataFrame({"query_language": np.repeat(query_language, np.shape(top_language)[1]),
                          "passage_language": np.ravel(top_language)})
    shares = pd.crosstab(frame.query_language, frame.passage_language, normalize="index")
    return shares.reindex(columns=sorted({*shares.index, *shares.columns}), fill_value=0.0)


def own_language_share(measured):
    """Share of the query's own language among the best passages, mean over languages."""
    shares = language_shares(measured.query_language, measured.top_language)
    return float(np.mean([shares.loc[code, code] for code in shares.index]))


def language_variance(vectors, languages):
    """Share of the variance of vectors (texts, dim) that their language explains: between-language over total sum of
    squares (the eta squared of one-way analysis of variance, over all dimensions)."""
    languages, centre = np.asarray(languages), vectors.mean(axis=0)
    between = sum((languages == code).sum() * np.sum((vectors[languages == code].mean(axis=0) - centre) ** 2)
                  for code in np.unique(languages))
    return float(between / np.sum((vectors - centre) ** 2))


def hubness(queries, passages, k=10, chunk=1024):
    """Skewness of how often each passage is among the k nearest of a query (Radovanović et al. 2010): 0, all alike;
    large, some passages are near to everything. Of fewer than k passages all are near: 0."""
    k = min(k, len(passages))
    counts = np.zeros(len(passages))
    for start in range(0, len(queries), chunk):
        scores = queries[start:start + chunk] @ passages.T
        counts += np.bincount(np.argpartition(scores, -k, axis=1)[:, -k:].ravel(), minlength=len(passages))
    spread = counts.std()
    return float(np.mean((counts - counts.mean()) ** 3) / spread ** 3) if spread else 0.0


def translation_accuracy(first, second):
    """Share of sentences whose nearest sentence of the other language is their translation, mean of both directions.
    first, second: (sentences, dim), row i of one translated as row i of the other. A tie counts as a miss."""
    scores = np.round(first @ second.T, 6)                             # (sentences, sentences)
    own = np.diag(scores)
    return float(np.mean([(scores >= own[:, None]).sum(1) == 1, (scores >= own).sum(0) == 1]))


def probe_accuracies(probes):
    """{"tatoeba": {pair: translation accuracy}, "ntrex": ...} of the vectors of probes; {} without probes."""
    return {kind: {pair: translation_accuracy(*vectors) for pair, vectors in pairs.items()}
            for kind, pairs in (probes or {}).items()}


def mean_accuracy(kind):
    """A function of a Measured: translation accuracy of one kind of probe, mean over pairs of languages."""
    return lambda measured: float(np.mean([translation_accuracy(*pair) for pair in measured.probes[kind].values()])
                                  if measured.probes else np.nan)


@dataclass(frozen=True)
class Metric:
    """settings: where a score a query is defined, see SETTINGS; none: it is of a Measured. digits: as it is printed.
    low, high: the least and the greatest possible value; one outside raises ValueError. by_language: results keep what
    intervals by query language need, too. groups: whether results keep values by groups of queries, for intervals and
    tests: "always", "in detail" (where a study asks for it) or "never"."""

    name: str
    function: Callable[[Any], float]
    label: str
    lower_is_better: bool | None = False  # None: neither
    digits: int = 3
    settings: tuple = ()
    low: float = 0
    high: float = 1
    by_language: bool = False
    groups: str = "always"

    def __call__(self, argument):
        value = float(self.function(argument))
        if value < self.low - 1e-9 or value > self.high + 1e-9:
            raise ValueError(f"{self.label} = {value}: impossible, it must be from {self.low} to {self.high}; a passage is "
                             f"counted twice, or an id stands for two queries")
        return value

    def format(self, value, sign=False):
        """A value, or with ``sign`` a difference, as the book prints it."""
        return "–" if value is None or not np.isfinite(value) else f"{value:{'+' * sign}.{self.digits}f}"


ALL, MUL, ANY = tuple(SETTINGS), ("Mul",), float("inf")
METRICS, QUERY_METRICS, SYSTEM_METRICS = {}, {}, {}  # all; those with settings; those without
QUERY_FIGURES, FIGURES = {}, {}  # by name: "Mo map", "Mul rank_distance"; with "gap" and the others without settings


def register(metric):
    """Make a metric known to all that measures, tabulates and compares from now on."""
    own = {f"{setting} {metric.name}": metric for setting in metric.settings}
    METRICS[metric.name] = (QUERY_METRICS if own else SYSTEM_METRICS)[metric.name] = metric
    QUERY_FIGURES.update(own)
    FIGURES.update(own or {metric.name: metric})


for one in (
    Metric("map", average_precision, "mAP", settings=ALL, by_language=True),
    Metric("recall@1", lambda ranks: recall(ranks, 1), "Recall@1", settings=ALL, groups="in detail"),
    Metric("recall@10", lambda ranks: recall(ranks, 10), "Recall@10", settings=ALL, groups="in detail"),
    Metric("rank_distance", rank_distance, "rank distance", True, 0, MUL, high=ANY),
    Metric("max_rank", max_rank, "Max@R", True, 0, MUL, low=1, high=ANY, groups="never"),
    Metric("gap", gap, "gap Mo − Cr", True, low=-1), Metric("ratio", ratio, "ratio Cr / Mo", high=ANY),
    Metric("peer", mean_peer, "PEER"), Metric("own_language_share", own_language_share, "own language in the top 10", None),
    Metric("language_variance", lambda m: language_variance(m.passages, m.passage_language),
           "variance explained by language", None),
    Metric("hubness", lambda m: hubness(m.queries, m.passages), "hubness", True, 2, low=-ANY, high=ANY),
    Metric("tatoeba", mean_accuracy("tatoeba"), "translations found, Tatoeba"),
    Metric("ntrex", mean_accuracy("ntrex"), "translations found, NTREX")):
    register(one)
ACCURACY = Metric("accuracy", float, "accuracy", settings=("Mo", "Cr"))  # of reasoning items, see choice_scores
FIGURES.update({f"{setting} accuracy": ACCURACY for setting in ACCURACY.settings})


def figure_label(figure):
    """A figure's name as the book writes it: "Mul map" is "Mul mAP"."""
    metric = FIGURES[figure]
    return f"{figure.split(' ')[0]} {metric.label}" if metric.settings else metric.label


def per_query(ranks):
    """Score every query in every setting: a table with a row per (setting, query, passage language; "all" for Mul)
    and a column per metric, not filled in settings where it is not defined."""
    pair = _scored(ranks, [*QUERY, "passage_language"], "rank", [m for m in QUERY_METRICS.values() if m.settings == ALL])
    pair.insert(0, "setting", np.where(pair.query_language == pair.passage_language, "Mo", "Cr"))
    mul = _scored(ranks, QUERY, "rank_mul", QUERY_METRICS.values())
    return pd.concat([pair, mul.assign(setting="Mul", passage_language="all")], ignore_index=True)


def _scored(ranks, keys, column, metrics):
    """A row per group of ``keys``, a column per metric of the group's ranks."""
    if ranks.duplicated(keys).any():
        group = ranks.groupby(keys, sort=False).ngroup().to_numpy()  # numbered as they first occur
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        parts = np.split(ranks[column].to_numpy()[order], starts[1:])
        table = ranks[keys].iloc[order[starts]].reset_index(drop=True)
        return table.assign(**{metric.name: [metric(part) for part in parts] for metric in metrics})
    one = {metric.name: {rank: metric([rank]) for rank in ranks[column].unique()} for metric in metrics}
    return ranks[keys].assign(**{name: ranks[column].map(values) for name, values in one.items()})  # equal ranks once


def per_language(scores):
    """Mean over queries: a row per (setting, query language, passage language)."""
    values = [c for c in scores if c not in (*QUERY, *PAIR)]
    table = scores.groupby(PAIR, sort=True)[values].mean()
    table.insert(0, "queries", scores.groupby(PAIR).size())
    return table.reset_index()


def macro(scores):
    """Mean over the settings of per-language means: a row for each of Mo, Cr and Mul, with the number of settings
    that it averages."""
    parts = per_language(scores).drop(columns=["query_language", "passage_language", "queries"]).groupby("setting")
    result = parts.mean()
    result.insert(0, "settings", parts.size())
    return result.reindex([s for s in SETTINGS if s in result.index])


def transfer(scores, metric="map"):
    """Per language: monolingual score, mean cross-lingual score of queries in it (from)
    and of passages in it (into), gap Mo - Cr and ratio Cr / Mo, for Cr "from"."""
    table = per_language(scores)
    mono = table[table.setting == "Mo"].set_index("query_language")[metric]
    cross = table[table.setting == "Cr"]
    result = pd.DataFrame({"mono": mono, "cross_from": cross.groupby("query_language")[metric].mean(),
                           "cross_into": cross.groupby("passage_language")[metric].mean()})
    result["gap"] = result.mono - result.cross_from
    result["ratio"] = result.cross_from / result.mono
    return result
