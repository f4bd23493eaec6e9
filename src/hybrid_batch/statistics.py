"""Intervals, paired tests and corrections: one engine for notebooks and studies.

Questions on one passage are not independent, and neither are two trainings: groups of queries and seeds are both sources
of error. The standard error of a figure is the root of the variance over groups plus the variance over seeds, its
degrees of freedom are Satterthwaite's (1946), intervals and p-values are those of Student's t. A permutation test over
groups, which takes the trained models as given, stands beside as a second column.

A figure is a weighted mean over groups of queries: values (seeds, groups), weights (groups,) that sum to 1. An encoder
that is not trained has one row, and no variance over seeds.
"""

import numpy as np
import pandas as pd
from scipy import stats

from hybrid_batch.metrics import FIGURES, PAIR

LEVEL, POWER, MARGIN = 0.95, 0.8, 0.005  # margin of mAP: "not worse" is said of an interval above minus this


def by_group(scores, figure, language="all"):
    """The values of one run by groups of queries: (groups, values, weights), each (groups,); the figure, a macro mean
    over settings, is the sum of value times weight. scores: see metrics.per_query; figure: such as "Mo map"; language:
    of the queries."""
    setting, metric = figure.split(" ")
    rows = scores[(scores.setting == setting) & scores[metric].notna()]
    rows = rows if language == "all" else rows[rows.query_language == language]
    table = rows.pivot_table(index="group", columns=PAIR, values=metric, aggfunc=["sum", "count"], fill_value=0)
    sums, counts = table["sum"].to_numpy(float), table["count"].to_numpy(float)        # (groups, language pairs)
    weights = (counts / counts.sum(axis=0)).mean(axis=1)
    with np.errstate(invalid="ignore"):  # infinite ranks: a passage that was not found
        values = (sums / counts.sum(axis=0)).mean(axis=1) / weights
    return table.index.to_numpy(), values, weights


def stacked(runs_scores, figure, language="all"):
    """(values (seeds, groups), weights) of several runs on the same queries. Raises ValueError if they are not."""
    parts = [by_group(scores, figure, language) for scores in runs_scores]
    groups, _, weights = parts[0]
    for other, _, its_weights in parts[1:]:
        if not (np.array_equal(groups, other) and np.allclose(weights, its_weights)):
            raise ValueError("the two systems were not scored on the same queries")
    return np.stack([values for _, values, _ in parts]), weights


def estimate(values, weights, trained=True, level=LEVEL):
    """A figure: value, low, high, se, df, groups and seeds. values: (seeds, groups). With one seed of a trained encoder
    the variance between trainings is not measured, and the interval is that of this training."""
    values, weights = _used(values, weights)
    sources = [_group_variance(values.mean(axis=0), weights)]
    if trained:
        sources += _seed_variance(values @ weights)
    return _interval(float(values.mean(axis=0) @ weights), sources, level) | dict(groups=values.shape[1], seeds=len(values))


def difference(first, second, weights, trained=(True, True), paired=False, level=LEVEL, draws=10_000, seed=0):
    """Two systems on the same groups, second - first: difference, low, high, se, df, p (two-sided, of t), p_permutation,
    groups and seeds.

    first, second: (seeds, groups) values; the numbers of seeds may differ. trained: of each, whether seeds are a source
    of error. paired: the runs of one seed share their question-passage batches, so the difference is taken seed by seed
    and its variance over seeds replaces the sum of both sides'. The permutation test swaps the mean scores of the two
    systems group by group and counts the observed arrangement, so its p is never 0.
    """
    (first, used), (second, _) = _used(first, weights), _used(second, weights)
    if paired and len(first) != len(second):
        raise ValueError(f"paired seeds: one side has {len(first)} seeds, the other {len(second)}; give both the same")
    apart = second.mean(axis=0) - first.mean(axis=0)                                    # (groups,)
    sources = [_group_variance(apart, used)]
    if paired:
        sources += _seed_variance((second - first) @ used)
    else:
        for values, is_trained in ((first, trained[0]), (second, trained[1])):
            sources += _seed_variance(values @ used) if is_trained else []
    made = _interval(float(apart @ used), sources, level)
    made["p"] = float(2 * stats.t.sf(abs(made["value"]) / made["se"], made["df"])) if made["se"] else float(made["value"] == 0)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (draws, len(apart)))
    extreme = np.abs(signs @ (apart * used)) >= abs(made["value"]) - 1e-12
    return {"difference": made.pop("value"), **made, "p_permutation": float((1 + extreme.sum()) / (1 + draws)),
            "groups": len(apart), "seeds": min(len(first), len(second))}


def family(rows, level=LEVEL):
    """A family of differences as a table, with p_holm, significant, and detectable: the least difference that would be
    seen with power .8 at the level that Holm's first step really uses."""
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table.p)
    table["significant"] = table.p_holm < 1 - level
    first_step = 1 - (1 - level) / (2 * len(table))
    table["detectable"] = table.se * (stats.t.ppf(first_step, table.df) + stats.t.ppf(POWER, table.df))
    return table


def holm(p):
    """Holm's step-down adjustment of a family of p-values, in their order."""
    p = np.asarray(p, float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def estimates(systems, figures, trained=lambda name: True):
    """A table of figures: a row per (system, figure). systems: {name: [scores of a run, one a seed]}."""
    rows = []
    for name, runs in systems.items():
        for figure in figures:
            rows.append(dict(system=name, figure=figure) | estimate(*stacked(runs, figure), trained=trained(name)))
    return pd.DataFrame(rows)


def compare(first, second, figures, trained=(True, True), paired=False, draws=10_000):
    """Two systems in several figures: a list of dicts for ``family``. first, second: lists of scores, one a seed.
    Raises ValueError if the two were not scored on the same queries."""
    rows = []
    for figure in figures:
        values, weights = stacked([*first, *second], figure)
        rows.append(dict(figure=figure) | difference(values[:len(first)], values[len(first):], weights, trained, paired,
                                                     draws=draws))
    return rows


def improves(row):
    """Whether the second of two compared systems is better by the direction of the metric; None if neither is."""
    return (row["difference"] < 0) == FIGURES[row["figure"]].lower_is_better


def _used(values, weights):
    used = weights > 0
    return np.atleast_2d(np.asarray(values, float))[:, used], weights[used] / weights[used].sum()


def _group_variance(values, weights):
    """(variance of a weighted mean over groups, linearised as for a ratio of sums; degrees of freedom)."""
    groups = len(values)
    spread = np.sum((weights * (values - values @ weights)) ** 2)
    return (spread * groups / (groups - 1), groups - 1) if groups > 1 else (np.nan, 1)


def _seed_variance(means):
    """[(variance of the mean of some seeds, degrees of freedom)]; [] for one seed, of which nothing is known."""
    return [(np.var(means, ddof=1) / len(means), len(means) - 1)] if len(means) > 1 else []


def _interval(value, sources, level):
    variance = sum(part for part, _ in sources)
    parts = sum(part ** 2 / df for part, df in sources)
    df = variance ** 2 / parts if parts else float("inf")
    se = float(np.sqrt(variance))
    reach = float(stats.t.ppf((1 + level) / 2, df)) * se
    return dict(value=value, low=value - reach, high=value + reach, se=se, df=float(df))
