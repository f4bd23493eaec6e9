"""What studies measured: from the rows in results/ to the tables that the book shows.

``summarise`` turns rows into two tables with intervals, once, when the rows are there; chapters only read them:
results/NAME/summary.csv, a row a figure, comparisons.csv, a row a comparison of two conditions, and pairs.csv, a row a
pair of languages.
"""

import functools

import numpy as np
import pandas as pd

from hybrid_batch import campaign, metrics, statistics
from hybrid_batch.data import corpora, files

MACRO = [f"{setting} {measure}" for setting in metrics.SETTINGS for measure in ("map", "recall@1", "recall@10")]
MACRO.append("Mul rank_distance")
SPACE = ["gap", "ratio", "peer", "own language in top 10", "language_variance", "hubness", "tatoeba", "ntrex"]
PAPER = campaign.RESULTS / "paper" / "figures.csv"


class Rows:
    """The rows of a study: figures.csv, languages.parquet and the values by groups of queries."""

    def __init__(self, name):
        self.folder = campaign.RESULTS / name
        made = {row["key"] for row in campaign.manifests(name)}
        if not made:
            raise FileNotFoundError(f"results/{name} holds no runs: run `python -m hybrid_batch study {name}`")
        self.plan = [item for item in campaign.plan(name) if item.key in made]
        self.figures = pd.read_csv(self.folder / "figures.csv").set_index(["key", "benchmark", "system"]).sort_index()
        self._groups = {}

    def cells(self):
        """{(part, cell): the keys of its runs, one a seed}."""
        cells = {}
        for item in self.plan:
            cells.setdefault((item.part, item.cell), []).append(item.key)
        return cells

    def measured(self, keys):
        """(benchmark, system) that all of some runs have."""
        return sorted(set.intersection(*(set(self.figures.loc[key].index) for key in keys)))

    def values(self, keys, benchmark, system, figure):
        """((runs, groups) values, (groups,) weights) of a figure such as ("Mo", "all", "map"), see
        statistics.by_group."""
        if benchmark not in self._groups:
            with np.load(self.folder / f"groups-{benchmark.replace(' ', '-')}.npz") as saved:
                self._groups[benchmark] = {key: saved[key] for key in saved.files}
        saved, figure = self._groups[benchmark], " ".join(figure)
        form = "distances" if figure.endswith("rank_distance") else "units"
        column = saved[f"{benchmark}/{system.split()[0]}/{form}"].tolist().index(figure)
        runs = np.array([saved[f"{benchmark}/{key}/{system}/{form}"][:, column] for key in keys], float)
        return runs / (campaign.STEPS if form == "units" else 1), saved[f"{benchmark}/weights/{figure}"].astype(float)

    def languages(self, benchmark):
        """Query languages of a benchmark."""
        self.values([], benchmark, "plain", ("Mo", "all", "map"))
        figures = [figure.split(" ") for figure in self._groups[benchmark][f"{benchmark}/plain/units"].tolist()]
        return sorted({language for _, language, _ in figures} - {"all"})


def summarise(name):
    """Write results/NAME/summary.csv and comparisons.csv from the rows."""
    rows = Rows(name)
    table = []
    for (part, cell), keys in rows.cells().items():
        for benchmark, system in rows.measured(keys):
            names = dict(part=part, cell=cell, benchmark=benchmark, system=system)
            own = rows.figures.loc[[(key, benchmark, system) for key in keys]]
            for figure in MACRO:
                setting, measure = figure.split(" ")
                made = statistics.interval(*rows.values(keys, benchmark, system, (setting, "all", measure)))
                table.append(names | dict(figure=figure, language="all") | made | {"value": own[figure].mean()})
            for figure in SPACE:
                if figure in own and own[figure].notna().all():  # over seeds alone: from the least to the greatest
                    table.append(names | dict(figure=figure, language="all", value=own[figure].mean(),
                                              low=own[figure].min(), high=own[figure].max(), seeds=len(keys)))
            for language in rows.languages(benchmark) if system == "plain" else []:
                for setting in metrics.SETTINGS:
                    values = rows.values(keys, benchmark, system, (setting, language, "map"))
                    table.append(names | dict(figure=f"{setting} map", language=language)
                                 | statistics.interval(*values, draws=500))
    _write(rows.folder / "summary.csv", pd.DataFrame(table))
    _write(rows.folder / "comparisons.csv", comparisons(name, rows))
    _write(rows.folder / "pairs.csv", pairs(rows))


def comparisons(name, rows):
    """The comparisons that the study's file asks for, Holm's correction over each family and benchmark."""
    cells, families = rows.cells(), []
    for family, asked in campaign.load(name).get("comparisons", {}).items():
        per_benchmark = {}
        for first, second in asked["pairs"]:
            (one, system), (two, other) = (_cell(asked["part"], what) for what in (first, second))
            if one not in cells or two not in cells:
                continue
            for benchmark in asked.get("benchmarks", ["xquad-r", "mlqa-r"]):
                if not {(benchmark, system)} <= set(rows.measured(cells[one])) or not {(benchmark, other)} <= set(
                        rows.measured(cells[two])):
                    continue
                for figure in asked["figures"]:
                    setting, measure = figure.split(" ")
                    (a, weights), (b, _) = (rows.values(cells[cell], benchmark, chosen, (setting, "all", measure))
                                            for cell, chosen in ((one, system), (two, other)))
                    made = statistics.difference(a, b, weights)
                    per_benchmark.setdefault(benchmark, []).append(dict(
                        family=family, benchmark=benchmark, first=first, second=second, figure=figure) | made)
        for table in per_benchmark.values():
            table = pd.DataFrame(table)
            families.append(table.assign(p_holm=statistics.holm(table.p)))
    return pd.concat(families) if families else pd.DataFrame(columns=["family"])


def pairs(rows):
    """By query and passage language, plain, means over seeds: map in the pool of the passage language, share of the
    passage language in the top 10 of the mixed pool; for the probes recall@1, see retrieval.probe."""
    languages, tables = pd.read_parquet(rows.folder / "languages.parquet"), []
    languages = languages[(languages.system == "plain") & languages.setting.isin(["Mo", "Cr", "ntrex", "tatoeba"])]
    for (part, cell), keys in rows.cells().items():
        table = languages[languages.key.isin(keys)].groupby(
            ["benchmark", "query_language", "passage_language"], observed=True)[["map", "share", "recall@1"]].mean()
        tables.append(table.reset_index().assign(part=part, cell=cell))
    return pd.concat(tables)


def _cell(part, name):
    """((part, cell), system) from "cell" or "cell, system"."""
    for system in ("means removed", "interpolated 0.5"):
        if name.endswith(f"; {system}"):
            return (part, name.removesuffix(f"; {system}")), system
    return (part, name), "plain"


def _write(path, table):
    for column in table.select_dtypes("float"):
        table[column] = table[column].round(4 if column in ("p", "p_holm") else 5)
    files.write(path, table.to_csv(index=False))


@functools.cache
def summary(name):
    """results/NAME/summary.csv: part, cell, benchmark, system, figure, language, value, low, high, groups, seeds."""
    return pd.read_csv(campaign.RESULTS / name / "summary.csv")


@functools.cache
def compared(name):
    """results/NAME/comparisons.csv, see statistics.difference; seen: corrected p below .05, and 0 outside the
    interval."""
    table = pd.read_csv(campaign.RESULTS / name / "comparisons.csv")
    return table.assign(seen=(table.p_holm < 0.05) & ((table.low > 0) | (table.high < 0)))


@functools.cache
def paper():
    """The figures of arXiv 2408.10536: table, model, benchmark, setting, metric, language, strategy, value."""
    return pd.read_csv(PAPER)


@functools.cache
def by_pair(name):
    """results/NAME/pairs.csv, see pairs."""
    return pd.read_csv(campaign.RESULTS / name / "pairs.csv")


def studies():
    """The studies that have results, those of the transformer first."""
    return [name for name in ("gpu", "cpu-e5", "cpu-use") if (campaign.RESULTS / name / "summary.csv").exists()]


def about(name):
    """What a chapter says of a study: encoder, device, settings and numbers, as a dict."""
    rows = campaign.manifests(name)
    first = next(row for row in rows if row["steps"])
    settings = first["experiment"]["settings"]
    return {"encoder": first["experiment"]["encoder"], "device": " and ".join(sorted({row["device"] for row in rows})),
            "frozen": settings["frozen_layers"], "steps": settings["steps"], "batch": settings["batch_size"],
            "temperature": settings["temperature"], "learning_rate": settings["learning_rate"], "runs": len(rows),
            "hours": round(sum(sum(row["seconds"].values()) for row in rows) / 3600, 1)}


def number(value, figure):
    """A figure as the book writes it."""
    if pd.isna(value):
        return "–"
    if figure.endswith(("rank_distance", "max_rank")):
        return f"{value:.0f}"
    return f"{value:.2f}" if figure == "hubness" else f"{value:.3f}"


def label(figure):
    """A figure's name as the book writes it."""
    setting, _, measure = figure.partition(" ")
    return f"{setting} {metrics.LABELS[measure]}" if measure in metrics.LABELS else figure


def select(name, part, benchmark, figures, systems=("plain",), language="all", cells=None):
    """Rows of summary.csv, with a column label: the cell, and the system if it is not plain."""
    table = summary(name)
    table = table[(table.part == part) & (table.benchmark == benchmark) & table.figure.isin(figures)
                  & table.system.isin(systems) & (table.language == language)]
    table = table[table.cell.isin(cells)] if cells else table
    return table.assign(label=table.cell.where(table.system == "plain", table.cell + ", " + table.system))


def wide(table, interval=True):
    """A line a label, a column a figure: "value [low, high]"."""
    def text(row):
        low, high = number(row.low, row.figure), number(row.high, row.figure)
        return number(row.value, row.figure) + (f" [{low},\N{NO-BREAK SPACE}{high}]" if interval else "")

    written = table.assign(text=[text(row) for row in table.itertuples()])
    result = written.pivot(index="label", columns="figure", values="text")
    result = result.reindex(index=list(dict.fromkeys(table.label)), columns=list(dict.fromkeys(table.figure)))
    return result.rename(columns=label).rename_axis(None).rename_axis(None, axis=1)


def published(model, benchmark, language="macro"):
    """The paper's figures of a model on a benchmark: a line a strategy, columns as wide has them."""
    names = {"monolingual": "Mo", "cross-lingual": "Cr", "multilingual": "Mul"}
    table = paper()
    table = table[(table.model == model) & (table.benchmark == benchmark) & (table.language == language)
                  & table.setting.isin(names)].drop_duplicates(["strategy", "setting", "metric"])
    table = table.assign(figure=table.setting.map(names) + " " + table.metric,
                         label="paper, " + table.model.map({"xlm-r": "XLM-R", "labse": "LaBSE"}) + ", " + table.strategy,
                         low=np.nan, high=np.nan)
    return table[table.figure.isin(MACRO)]


def verdicts(name, family, benchmark, figures=None):
    """Comparisons to read: a line a comparison and figure."""
    table = compared(name)
    table = table[(table.family == family) & (table.benchmark == benchmark)]
    table = table[table.figure.isin(figures)] if figures else table
    sign = {row.Index: f"{row.difference:+.0f} [{row.low:+.0f},\N{NO-BREAK SPACE}{row.high:+.0f}]"
            if row.figure.endswith("distance") else
            f"{row.difference:+.3f} [{row.low:+.3f},\N{NO-BREAK SPACE}{row.high:+.3f}]" for row in table.itertuples()}
    return pd.DataFrame({
        "compared": table["second"] + " − " + table["first"], "figure": table.figure.map(label), "difference": pd.Series(sign),
        "p (Holm)": table.p_holm.map(lambda p: f"{p:.4f}"), "effect size": table.effect.map(lambda d: f"{d:+.2f}"),
        "detectable": [number(row.detectable, row.figure) for row in table.itertuples()],
        "difference seen": table.seen.map({True: "yes", False: "no"})}).reset_index(drop=True)
