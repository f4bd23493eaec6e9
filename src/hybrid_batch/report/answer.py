"""What the full study found, in sentences made from its rows: a difference is only called one if it is significant after
Holm's correction, and what was not measured is called so."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from hybrid_batch import metrics, rows, statistics, storage, study, summary
from hybrid_batch.report import study_figures, tables
from hybrid_batch.report.picture import svg

STUDY = "full"
FAMILIES = {"okapi-mmlu": "knowledge", "okapi-arc": "science", "xnli": "entailment", "msvamp": "mathematics"}
CONTROLS = {"extra QA": "as many extra question–passage batches", "parallel text": "the same stems as translations",
            "neutral answers": "the same items with the answers swapped between them"}
WHERE = {"Mo accuracy": "within a language", "Cr accuracy": "across languages"}
PANELS = {"Mo map": "Mo mAP ↑", "Cr map": "Cr mAP ↑", "Mul map": "Mul mAP ↑", "Mul rank_distance": "rank distance ↓"}


def cost(name=STUDY):
    """The plan in hours of one process: for each part its runs that no part before it has, and the hours that they take at
    the median seconds of the runs made so far, a step and an evaluation; with the hours that were used."""
    made = rows.manifests(name)
    trained = [row for row in made.values() if row["steps"]]
    if not trained:
        return pd.DataFrame(columns=["part", "runs", "hours planned", "runs made", "hours used"])
    step = pd.Series([row["seconds"]["training"] / row["steps"] for row in trained]).median()
    measuring = pd.Series([row["seconds"]["evaluation"] for row in made.values()]).median()
    lines, seen = [], set()
    for item in study.plan(name):
        if item.key not in seen:
            seen.add(item.key)
            steps = item.experiment.training.steps if item.experiment.strategy else 0
            used = sum(made[item.key]["seconds"].values()) if item.key in made else 0
            lines.append((item.part, (steps * step + measuring) / 3600, item.key in made, used / 3600))
    table = pd.DataFrame(lines, columns=["part", "hours planned", "made", "hours used"])
    return table.groupby("part", sort=False).agg(**{
        "runs": ("made", "size"), "hours planned": ("hours planned", "sum"), "runs made": ("made", "sum"),
        "hours used": ("hours used", "sum")}).round(1).reset_index()


def primary(name=STUDY, benchmark="xquad-r"):
    """The primary comparisons, of the centre with training without reasoning and with each control. No line before all of
    their runs are made: none is looked at before, as the preregistration says."""
    if not tables.is_made(name, "reasoning"):
        return pd.DataFrame()
    return tables.comparisons(name, "primary" if benchmark == "xquad-r" else "primary, other benchmarks", benchmark)


def forest(benchmark="xquad-r", name=STUDY):
    """The primary comparisons as a figure, a line a condition that reasoning batches are held against."""
    table = primary(name, benchmark)
    return study_figures.forest(table.assign(label="against " + table["first"], panel=table.figure.map(PANELS)),
                          title=f"What reasoning batches change on {tables.title(benchmark)}")


def effects(table):
    """In words, what the second of two conditions changes: "raised Cr mAP by 0.012 [0.008, 0.016] and lowered ...; made
    no significant difference to Mo mAP (+0.001 [-0.002, +0.004], smallest detectable 0.004)". table: comparisons of one pair."""
    said, unsure = {"raised": [], "lowered": []}, []
    for row in table.itertuples():
        metric = metrics.FIGURES[row.figure]
        if row.significant:
            ends = sorted((abs(row.low), abs(row.high)))
            said["raised" if row.difference > 0 else "lowered"].append(
                f"{_label(row)} by {tables.with_interval(metric, abs(row.difference), *ends)}")
        else:
            unsure.append(f"{_label(row)} ({_difference(row)}, smallest detectable "
                          f"{metric.format(row.detectable)})")
    parts = [f"{verb} {_listed(found)}" for verb, found in said.items() if found]
    if unsure:
        parts.append(f"made no significant difference to {_listed(unsure)}")
    return " and ".join(parts)


def sentences(name=STUDY):
    """The answer in three sentences; [] as long as the primary comparisons are not measured."""
    table = primary(name)
    if not len(table):
        return []
    against = dict(list(table.groupby("first", sort=False)))
    effect = against["no reasoning"]
    seen = effect[effect.significant]
    kept = [row for row in seen.itertuples() if all(_same_effect(against[control], row) for control in CONTROLS)]
    change = ("change retrieval by no significant amount" if not len(seen) else
              "improve retrieval a little" if all(map(_better, seen.itertuples())) else "change retrieval")
    specific = ("There is no gain to explain" if not len(seen) else
                "All of that is specific to reasoning" if len(kept) == len(seen) else
                f"Of these gains {_listed(map(_label, kept))} alone is specific to reasoning" if kept else
                "None of these gains is specific to reasoning")
    controls = "; ".join(f"against {text} they are {_beside(against[control])}"
                         for control, text in CONTROLS.items())
    return [f"**Reasoning batches {change}.** On XQuAD-R, as a quarter of all batches, they {effects(effect)}, against "
            f"hybrid batches alone ({_counts(effect)}).", f"**{specific}.** {controls[0].upper() + controls[1:]}.", _learnt(name)]


def headline(name=STUDY, figure="Mul map"):
    """The answer in one sentence, in one measure on XQuAD-R; "" as long as the primary comparisons are not measured."""
    table = primary(name)
    if not len(table):
        return ""
    alone, extra = (table[(table["first"] == first) & (table.figure == figure)].iloc[0] for first in ("no reasoning", "extra QA"))
    size = metrics.FIGURES[figure].format(abs(alone.difference))
    change = (f"{'raise' if alone.difference > 0 else 'lower'} {_label(alone)} by {size}" if alone.significant else
              f"do not significantly change {_label(alone)}")
    return (f"**Reasoning batches {change}** against hybrid batches alone ({_difference(alone)}). Against as many "
            f"extra question–passage batches the difference is {'not ' * (not extra.significant)}significant "
            f"({_difference(extra)}). (XQuAD-R, {_counts(table)}.)")


def _beside(table):
    """In words, in what reasoning batches differ significantly from a control."""
    seen = {"better": [], "worse": []}
    for row in table[table.significant].itertuples():
        seen["better" if _better(row) else "worse"].append(_label(row))
    parts = [f"significantly {how} in {_listed(what)}" for how, what in seen.items() if what]
    alone = " alone" if table.significant.sum() == 1 else ""
    return f"{_listed(parts)}{alone}" if parts else "not significantly different in any measure"


def _learnt(name):
    """In words, whether the reasoning batches taught anything: the families of held-out items whose right option ranks first
    more often than without them, or less often, and whether that takes the right answers."""
    table = tables.comparisons(name, "accuracy")
    table = table[table.benchmark.isin(FAMILIES)]
    without, swapped = (table[table["first"] == condition] for condition in ("no reasoning", "neutral answers"))
    if not len(without):
        return "**What they teach was not measured.**"
    taught = [FAMILIES[name] for name in without.benchmark[without.significant & (without.difference > 0)].unique()]
    head = f"They teach {_listed(taught)}" if taught else "They teach nothing that is seen"
    return (f"**{head}.** The accuracy on held-out reasoning items differs significantly {_by_family(without)}; against swapped "
            f"answers {_by_family(swapped)} ({_counts(without)}).")


def _by_family(table):
    parts = {}
    for benchmark, part in table[table.significant].groupby("benchmark", sort=False):
        changes = ", ".join(f"{_difference(row)} {WHERE[row.figure]}" for row in part.itertuples())
        parts[FAMILIES[benchmark]] = f"in {FAMILIES[benchmark]} ({changes})"
    others = [family for family in FAMILIES.values() if family not in parts]
    if not parts:
        return f"in none of {_listed(others)}"
    return _listed(parts.values()) + (f", not in {_listed(others)}" if others else "")


def _counts(table):
    groups = f"{int(table['groups'].min())}" if table["groups"].nunique() == 1 else (
        f"{int(table['groups'].min())} to {int(table['groups'].max())}")
    return f"{groups} groups of questions, {int(table.seeds.min())} seeds"


def _label(row):
    return metrics.figure_label(row.figure).removeprefix("Mul ") if "rank" in row.figure else metrics.figure_label(row.figure)


def _difference(row):
    return tables.with_interval(metrics.FIGURES[row.figure], row.difference, row.low, row.high, sign=True)


def _better(row):
    return (row.difference < 0) == bool(metrics.FIGURES[row.figure].lower_is_better)


def _same_effect(table, row):
    own = table[table.figure == row.figure].iloc[0]
    return bool(own.significant and (own.difference > 0) == (row.difference > 0))


def _listed(parts):
    parts = list(parts)
    return " and ".join(parts) if len(parts) < 3 else ", ".join(parts[:-1]) + " and " + parts[-1]


def by_article(name=STUDY):
    """The primary comparisons on XQuAD-R with its 48 articles in the place of its 240 paragraphs, five of each article in
    their order, as sources of error: paragraphs of one article are not quite independent."""
    data, asked, found = summary.Rows(name), study.load(name)["comparisons"]["primary"], []
    for first, second in asked["pairs"]:
        for figure in asked["figures"]:
            (a, weights), (b, _) = (data.values(data.conditions["reasoning", condition], "xquad-r", "plain", figure)
                                    for condition in (first, second))
            article = np.arange(len(weights)) // 5
            total = np.bincount(article, weights)
            a, b = (np.stack([np.bincount(article, seed * weights) / total for seed in values]) for values in (a, b))
            found.append(dict(first=first, second=second, figure=figure) | statistics.difference(
                a, b, total, paired=True, draws=summary.DRAWS))
    return statistics.family(found)


def dose(name=STUDY, figure="Mul map", benchmark="xquad-r", part="recipes"):
    """Trend over the share of reasoning batches, rho = 0, .1, .25, .5: the least-squares slope a unit of rho, taken seed by
    seed and group by group, as a row that statistics.difference returns; None unless all four are measured."""
    data = summary.Rows(name)
    conditions = {0.0: "no reasoning", 0.1: "rho 0.1", 0.25: "centre", 0.5: "rho 0.5"}
    if any((part, condition) not in data.complete for condition in conditions.values()):
        return None
    x = pd.Series(list(conditions))
    contrast = ((x - x.mean()) / ((x - x.mean()) ** 2).sum()).tolist()
    values = [data.values(data.conditions[part, condition], benchmark, "plain", figure) for condition in conditions.values()]
    slopes = sum(weight * own for weight, (own, _) in zip(contrast, values))                 # (seeds, groups)
    return statistics.difference(0 * slopes, slopes, values[0][1], paired=True, draws=summary.DRAWS)


def picture(path, name=STUDY):
    """Write the forest plot of XQuAD-R as an SVG that is the same each time; the README shows it."""
    figure = forest(name=name)
    storage.write(Path(path), svg(figure)[0])
    plt.close(figure)
