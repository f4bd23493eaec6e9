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
