"""The figures of the study: comparisons, the trade-off of two measures, and ours beside the paper's. Each returns a Picture."""

import numpy as np
import pandas as pd

from hybrid_batch.metrics import FIGURES, figure_label
from hybrid_batch.report import card, tables
from hybrid_batch.report.picture import GREY, LOOKS, arms, dots, legend, look, panels, ranked, wrap


def changes(tables, xlabel):
    """Differences along a quantity, with 95 % intervals: {title: table} with the columns x, label, difference, low, high and
    significant (filled); a panel a title, a line a label."""
    labels = list(dict.fromkeys(label for table in tables.values() for label in table.label))
    figure, axes = panels(len(tables), 2.3, more=0.25 * len(labels))
    said = []
    for axis, (title, table) in zip(axes, tables.items()):
        axis.axhline(0, color=GREY, lw=1)
        for number, label in enumerate(labels):
            part, style = table[table.label == label].sort_values("x"), look(label)
            axis.plot(part.x, part.difference, color=style["color"], ls=style["linestyle"], lw=1)
            for row in part.itertuples():
                axis.errorbar(row.x + 0.012 * number, row.difference, yerr=arms(row.difference, row), capsize=2,
                              elinewidth=1, label=label, **style | dict(
                    linestyle="", markersize=6, markerfacecolor=style["color"] if row.significant else "white"))
        seen = table[table.significant]
        said.append(f"{title}: {len(seen)} of {len(table)} significant" + "".join(
            f", {row.label} at {row.x:g} {_signed(row)}" for row in seen.itertuples()))
        axis.set(title=wrap(title, 2), xlabel=xlabel)
    legend(figure, axes, 1)
    return figure.told(f"Differences with 95 % intervals along {xlabel}. {'; '.join(said)}.")


def _signed(row):
    form = "{:+.3f}" if abs(row.difference) < 1 else "{:+.0f}"
    return f"{form.format(row.difference)} [{form.format(row.low)}, {form.format(row.high)}]"


def forest(table, title=None):
    """Differences with 95 % intervals, a line each; filled: significant after Holm's correction. table: label, difference, low,
    high, significant, and panel."""
    found = dict(color=LOOKS["Hybrid"][0], marker="o")
    figure, _ = dots(table.assign(value=table.difference, mark=table.significant.astype(bool)), title, 20, zero=True,
                     style=lambda seen: found if seen else dict(color=GREY, marker="D", markerfacecolor="white"))
    seen = table[table.significant.astype(bool)]
    said = "; ".join(f"{panel}: " + ", ".join(f"{row.label} {_signed(row)}" for row in part.itertuples())
                     for panel, part in seen.groupby("panel", sort=False))
    counted = f"{len(seen)} of {len(table)} differences are significant after Holm's correction"
    return figure.told(f"{title or ''}: differences with 95 % intervals. {counted}" + (f": {said}." if said else "."),
                       f"{counted} (filled circles; open diamonds: not significant).")


def tradeoff(table, title=None):
    """Systems by two figures, with 95 % intervals in both: a point a system; what is not trained is hollow. table: columns
    label, figure (two of them, the first along x), value, low, high, trained, and panel if there are several."""
    table = table if "panel" in table else table.assign(panel=title or "")
    across, up = list(dict.fromkeys(table.figure))
    names, shown = list(dict.fromkeys(table.label)), list(dict.fromkeys(table.panel))
    figure, axes = panels(len(shown), 2.9 if len(shown) > 1 else 3.4, more=0.21 * -(-len(names) // 2) + 0.1)
    said = []
    for axis, panel in zip(axes, shown):
        here = table[table.panel == panel]
        for name, part in here.groupby("label", sort=False):
            x, y = (part[part.figure == key].iloc[0] for key in (across, up))
            axis.errorbar(x.value, y.value, xerr=arms(x.value, x), yerr=arms(y.value, y), elinewidth=0.7,
                          label=name, **look(name) | dict(linestyle=""))
        axis.set(xlabel=f"{figure_label(across)} →", ylabel=f"{figure_label(up)} →", title=wrap(panel, min(2, len(shown))))
        values = here[here.figure == up].set_index("label").value.to_dict()
        said.append(f"{panel}: {ranked(values, FIGURES[up].format)}".removeprefix(": "))
    legend(figure, axes)
    return figure.told(f"{figure_label(across)} along and {figure_label(up)} up. Highest {figure_label(up)}, {'; '.join(said)}.",
                       f"Highest {figure_label(up)}, {'; '.join(said)}.")


def order_table(names, benchmark="xquad-r", figures=tables.TABLE1[:3]):
    """X-X-mono and X-Y against Hybrid in the paper and in studies: encoder, figure, strategy, difference (strategy minus Hybrid),
    low and high. For orders."""
    lines = []
    for model in tables.MODELS:
        values = tables.published(model, benchmark).set_index(["strategy", "figure"]).value
        for strategy in ("X-X-mono", "X-Y") if len(values) else ():
            theirs = {key: values[tables.STRATEGIES[strategy], key] - values["hybrid", key] for key in figures}
            lines += [(f"paper, {tables.MODELS[model]}", key, strategy, value, np.nan, np.nan) for key, value in theirs.items()]
    for name in names:
        table = tables.comparisons(name, "table 1", benchmark)
        table = table[(table["second"] == "Hybrid") & table["first"].isin(tables.STRATEGIES) & table.figure.isin(figures)]
        lines += [(tables.SHORT[name], row.figure, row.first, -row.difference, -row.high, -row.low) for row in table.itertuples()]
    return pd.DataFrame(lines, columns=["encoder", "figure", "strategy", "difference", "low", "high"])


def orders(table):
    """Strategies against Hybrid (the line at 0), here and in the paper: a panel a figure, a line an encoder. table: encoder,
    figure, strategy, difference (strategy minus Hybrid), low and high (missing for the paper)."""
    table = table.assign(label=table.encoder, mark=table.strategy, value=table.difference, panel=[
        f"{figure_label(key)}, {'←' if FIGURES[key].lower_is_better else '→'} better" for key in table.figure])
    figure, axes = dots(table, wrapped=20, zero=True, more=0.3)
    legend(figure, axes, 3)
    said = [f"{figure_label(key)}, {strategy}: " + ", ".join(
        f"{row.encoder} {FIGURES[key].format(row.difference, sign=True)}" for row in part.itertuples())
        for (key, strategy), part in table.groupby(["figure", "strategy"], sort=False)]
    return figure.told(f"Differences from Hybrid, here with 95 % intervals. {'; '.join(said)}.")


def sizes_and_scores(benchmark="xquad-r"):
    """Models by size: model, parameters (millions), figure, value, low, high, for the encoder that ships, before and after its
    training, and the paper's hybrid models. For sizes."""
    ours = tables.select(card.STUDY, "measured", benchmark, tables.TABLE1, conditions=["untrained", card.MODEL])
    parts = [ours.assign(model=ours.condition, parameters=tables.PARAMETERS["e5-small"])]
    for model, called in tables.MODELS.items():
        table = tables.published(model, benchmark)
        parts.append(table[(table.strategy == "hybrid") & table.figure.isin(tables.TABLE1)].assign(
            model=f"paper, {called}, hybrid", parameters=tables.PARAMETERS[model]))
    return pd.concat(parts)[["model", "parameters", "figure", "value", "low", "high"]]


def sizes(table, title=None):
    """Quality against size: a panel a figure, a point a model. table: model, parameters (millions), figure, value, low, high."""
    shown = list(dict.fromkeys(table.figure))
    figure, axes = panels(len(shown), 2.1, more=0.25 * table.model.nunique() + 0.05)
    said = []
    for axis, key in zip(axes, shown):
        part, form = table[table.figure == key], FIGURES[key].format
        for row in part.itertuples():
            axis.errorbar(row.parameters, row.value, yerr=arms(row.value, row), capsize=3,
                          label=f"{row.model} ({row.parameters:.0f} million)", **look(row.model) | dict(linestyle=""))
        axis.set(title=figure_label(key).removeprefix("Mul ") if "rank" in key else figure_label(key), xscale="log",
                 xticks=(ticks := sorted(set(part.parameters))), xticklabels=[f"{tick:.0f}" for tick in ticks],
                 xlabel="million parameters", xlim=(0.8 * min(ticks), 1.25 * max(ticks)))
        axis.minorticks_off()
        said.append(f"{figure_label(key)}: " + ", ".join(f"{row.model} {form(row.value)}" for row in part.itertuples()))
    legend(figure, axes, 1)
    return figure.told(f"{title or ''} Models by size. {'; '.join(said)}.")
