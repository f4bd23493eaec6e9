"""What the full study found, in sentences made from its rows: a difference is only called one if it is significant after
Holm's correction, and what was not measured is called so."""

import pandas as pd

from hybrid_batch import metrics, rows, statistics, study, summary
from hybrid_batch.report import tables

STUDY = "full"
FAMILIES = {"okapi-mmlu": "knowledge", "okapi-arc": "science", "xnli": "entailment", "msvamp": "mathematics"}
CONTROLS = ("extra QA", "parallel text", "neutral answers")


def progress(name=STUDY):
    """Runs of each part of a study, planned and made: a line a part. A run that several parts share counts in each."""
    made, planned = rows.manifests(name), pd.DataFrame([(item.part, item.key) for item in study.plan(name)],
                                                       columns=["part", "key"]).drop_duplicates()
    return planned.assign(made=planned["key"].isin(made)).groupby("part", sort=False).agg(
        planned=("key", "size"), made=("made", "sum")).reset_index()


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


def effects(table):
    """In words, what the second of two conditions changes: "raised Cr mAP by 0.012 [0.008, 0.016] and lowered ...; changed
    Mo mAP by no significant amount (+0.001 [-0.002, 0.004], smallest detectable 0.004)". table: comparisons of one pair."""
    said, unsure = {"raised": [], "lowered": []}, []
    for row in table.itertuples():
        metric, label = metrics.FIGURES[row.figure], metrics.figure_label(row.figure)
        if row.significant:
            ends = sorted((abs(row.low), abs(row.high)))
            said["raised" if row.difference > 0 else "lowered"].append(
                f"{label} by {tables.with_interval(metric, abs(row.difference), *ends)}")
        else:
            unsure.append(f"{label} ({tables.with_interval(metric, row.difference, row.low, row.high, sign=True)}, smallest "
                          f"detectable {metric.format(row.detectable)})")
    parts = [f"{verb} {_listed(found)}" for verb, found in said.items() if found]
    if unsure:
        parts.append(f"made no significant difference to {_listed(unsure)}")
    return "; ".join(parts)


def manipulation(name=STUDY):
    """In words, whether the reasoning batches taught anything: in how many families of held-out items the right option
    ranks first more often than without them."""
    table = tables.comparisons(name, "accuracy")
    table = table[(table["first"] == "no reasoning") & table.benchmark.isin(FAMILIES)]
    if not len(table):
        return ""
    parts = []
    for figure, where in (("Mo accuracy", "with stem and options in one language"), ("Cr accuracy", "across languages")):
        own = table[table.figure == figure]
        better = own[own.significant & (own.difference > 0)]
        worse = (own.significant & (own.difference < 0)).sum()
        by = [f"{FAMILIES[row.benchmark]} {row.difference:+.3f}" for row in better.itertuples()]
        parts.append(f"{where} in {len(better)} of {len(own)} families{f' ({_listed(by)})' if by else ''}, less often in {worse}")
    return f"held-out reasoning items were answered significantly more often {_listed(parts)}"


def sentences(name=STUDY):
    """The answer in three sentences; [] as long as the primary comparisons are not measured."""
    table = primary(name)
    if not len(table):
        return []
    against = {first: part for first, part in table.groupby("first", sort=False)}
    groups, seeds = int(table["groups"].max()), int(table.seeds.min())
    taught = manipulation(name)
    found = against["no reasoning"]
    kept = {}
    for row in found[found.significant].itertuples():
        same = [control for control in CONTROLS if _same_effect(against[control], row)]
        kept[metrics.figure_label(row.figure)] = same
    told = [f"**Did they teach anything?** {taught[0].upper() + taught[1:]}." if taught else
            "**Did they teach anything?** Not measured.",
            f"**What did retrieval gain or lose?** On XQuAD-R ({groups} groups of questions, {seeds} seeds), a quarter of "
            f"reasoning batches {effects(found)}, against training without them."]
    if not kept:
        control = {first: effects(part) for first, part in against.items() if first != "no reasoning"}
        compared = "; ".join(f"{text} (compared with {first})" for first, text in control.items())
        told.append(f"**Is it reasoning?** There is no effect to explain. Beside the controls, reasoning batches {compared}.")
    else:
        told.append("**Is it reasoning?** " + " ".join(
            f"The effect on {label} remains significant against {_listed(same) if same else 'none'} of the three controls "
            f"({_listed(CONTROLS)})." for label, same in kept.items()))
    return told


def _same_effect(table, row):
    own = table[table.figure == row.figure].iloc[0]
    return bool(own.significant and (own.difference > 0) == (row.difference > 0))


def _listed(parts):
    parts = list(parts)
    return " and ".join(parts) if len(parts) < 3 else ", ".join(parts[:-1]) + " and " + parts[-1]


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
