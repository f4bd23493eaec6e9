"""Intervals, paired tests and corrections.

Questions on one passage are not independent: whole groups of queries are resampled and flipped, never single ones.
"""

import numpy as np
import pandas as pd


def cell_sums(scores, measure):
    """Sums and counts of a measure by group and cell, a cell being a (setting, query language, passage language):
    (sums, counts, cells), arrays (groups, cells) and the cells' index. scores: as metrics.per_query returns them."""
    keys = ["setting", "query_language", "passage_language"]
    known = scores[scores[measure].notna()]
    table = known.pivot_table(index="group", columns=keys, values=measure, aggfunc=["sum", "count"], fill_value=0)
    return table["sum"].to_numpy(float), table["count"].to_numpy(float), table["sum"].columns


def _macro(sums, counts, weights, cells):
    """Macro means under weights (draws, groups): a column per setting."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights @ sums) / (weights @ counts)                  # (draws, cells)
    settings = cells.get_level_values("setting")
    return {s: np.nanmean(means[:, settings == s], axis=1) for s in settings.unique()}


def bootstrap(scores, measure, draws=1000, level=0.95, seed=0):
    """Percentile intervals of the macro figures, groups drawn with replacement: a table indexed by setting with
    value, low, high, groups (n resampled)."""
    sums, counts, cells = cell_sums(scores, measure)
    groups = len(sums)
    weights = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), draws)
    drawn = _macro(sums, counts, weights.astype(float), cells)
    value = _macro(sums, counts, np.ones((1, groups)), cells)
    tail = (1 - level) / 2
    return pd.DataFrame({s: dict(value=value[s][0], low=np.quantile(drawn[s], tail),
                                 high=np.quantile(drawn[s], 1 - tail), groups=groups) for s in drawn}).T


def compare(first, second, measure, draws=10_000, level=0.95, seed=0):
    """Two systems on the same queries: difference (second - first) of the macro figures.

    Returns a table indexed by setting: difference, low, high (bootstrap over groups)
    and p, from a paired randomisation test that swaps the two systems' scores group by
    group (two-sided, counting the observed arrangement, so p is never 0).
    Raises ValueError if the two were not scored on the same queries.
    """
    first, second = first[first[measure].notna()], second[second[measure].notna()]
    keys = ["setting", "group", "item", "query_language", "passage_language"]
    if not (pd.MultiIndex.from_frame(first[keys]).sort_values()
            .equals(pd.MultiIndex.from_frame(second[keys]).sort_values())):
        raise ValueError("the two systems were not scored on the same queries")
    a, counts, cells = cell_sums(first, measure)
    b, _, _ = cell_sums(second, measure)
    groups, random = len(a), np.random.default_rng(seed)
    weights = random.multinomial(groups, np.full(groups, 1 / groups), draws).astype(float)
    observed = _macro(b - a, counts, np.ones((1, groups)), cells)
    drawn = _macro(b - a, counts, weights, cells)
    signs = random.choice([-1.0, 1.0], (draws, groups))
    flipped = (signs @ (b - a)) / counts.sum(axis=0)                   # (draws, cells)
    settings = cells.get_level_values("setting")
    tail, result = (1 - level) / 2, {}
    for s, value in observed.items():
        under_null = np.abs(flipped[:, settings == s].mean(axis=1))
        p = (1 + np.sum(under_null >= abs(value[0]) - 1e-12)) / (1 + draws)
        result[s] = dict(difference=value[0], low=np.quantile(drawn[s], tail),
                         high=np.quantile(drawn[s], 1 - tail), p=p, groups=groups)
    return pd.DataFrame(result).T


def holm(p):
    """Holm's step-down adjustment of a family of p-values, in their order."""
    p = np.asarray(p, float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def by_group(scores):
    """Scores of a run by groups of queries, small enough to keep: (values, weights), tables with a row a group and a
    column a figure (setting, language or "all", measure); by language mAP alone. The figure is the sum over groups of
    value times weight, and the weights of a figure sum to 1. Languages are those of the queries. scores: see
    metrics.per_query."""
    values, weights = {}, {}
    measures = [name for name in scores if name in ("map", "recall@1", "recall@10", "rank_distance")]
    for measure in measures:
        sums, counts, cells = cell_sums(scores, measure)
        groups = np.sort(scores.group[scores[measure].notna()].unique())
        share, total = counts / counts.sum(axis=0), sums / counts.sum(axis=0)  # (groups, cells)
        setting, language = (cells.get_level_values(name) for name in ("setting", "query_language"))
        for part in setting.unique():
            for chosen in ["all", *language.unique()] if measure == "map" else ["all"]:
                here = (setting == part) & ((language == chosen) | (chosen == "all"))
                weight = pd.Series(share[:, here].mean(axis=1), groups)
                values[part, chosen, measure] = pd.Series(total[:, here].mean(axis=1), groups) / weight.where(weight > 0)
                weights[part, chosen, measure] = weight
    return pd.DataFrame(values), pd.DataFrame(weights).fillna(0)


def _resampled(runs, weights, draws, seed):
    """Means of runs (seeds, groups) with seeds and groups both drawn with replacement: (draws,)."""
    random = np.random.default_rng(seed)
    seeds, groups = runs.shape
    drawn = random.multinomial(groups, np.full(groups, 1 / groups), draws) * weights      # (draws, groups)
    chosen = random.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds          # (draws, seeds)
    return np.einsum("ds,sg,dg->d", chosen, runs, drawn, optimize=True) / drawn.sum(axis=1)


def interval(runs, weights, draws=2000, level=0.95, seed=0):
    """A figure of several runs that differ in the seed alone: value, low, high, with groups of queries and seeds both
    resampled. runs: (seeds, groups) values; weights: (groups,), see by_group. Groups without weight are left out."""
    used = weights > 0
    drawn = _resampled(runs[:, used], weights[used], draws, seed)
    tail = (1 - level) / 2
    return {"value": float(runs[:, used].mean(axis=0) @ weights[used]), "low": float(np.quantile(drawn, tail)),
            "high": float(np.quantile(drawn, 1 - tail)), "groups": int(used.sum()), "seeds": len(runs)}


def difference(first, second, weights, draws=10_000, level=0.95, seed=0):
    """Two systems, second - first: difference, low, high (groups and the seeds of each resampled), p of a paired
    randomisation test (two-sided; the mean over seeds, signs flipped group by group), effect, the mean over groups in
    their standard deviations, and detectable, the least difference that would be seen with power .8 at level .05.

    first, second: (seeds, groups) values on the same groups, the number of seeds may differ; weights: (groups,).
    """
    used = weights > 0
    first, second, weights = first[:, used], second[:, used], weights[used] / weights[used].sum()
    apart = second.mean(axis=0) - first.mean(axis=0)                                      # (groups,)
    random = np.random.default_rng(seed)
    observed = apart @ weights
    flipped = np.abs(random.choice([-1.0, 1.0], (draws, len(apart))) @ (apart * weights))
    groups, drawn = len(apart), np.zeros(2000)
    picked = random.multinomial(groups, np.full(groups, 1 / groups), len(drawn)) * weights
    for runs, sign in ((first, -1), (second, 1)):
        chosen = random.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), len(drawn)) / len(runs)
        drawn += sign * np.einsum("ds,sg,dg->d", chosen, runs, picked, optimize=True) / picked.sum(axis=1)
    tail = (1 - level) / 2
    centred = apart - observed
    spread = np.sqrt(np.sum(weights * centred ** 2))
    return {"difference": float(observed), "low": float(np.quantile(drawn, tail)),
            "high": float(np.quantile(drawn, 1 - tail)),
            "p": float((1 + np.sum(flipped >= abs(observed) - 1e-12)) / (1 + draws)),
            "effect": float(observed / spread) if spread else 0.0, "detectable": float(2.8 * drawn.std()),
            "groups": groups, "seeds": min(len(first), len(second))}
