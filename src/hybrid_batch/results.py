"""What studies measured: from the rows in results/ to the tables that the book shows.

``summarise`` turns rows into two tables with intervals, once, when the rows are there; chapters only read them:
results/NAME/summary.csv, a row a figure, and comparisons.csv, a row a comparison of two conditions.
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
        saved = self._groups[benchmark]
        column = saved[f"{benchmark}/figures"].tolist().index(" ".join(figure))
        weights = saved[f"{benchmark}/weights"][:, column].astype(float)
        runs = np.array([saved[f"{benchmark}/{key}/{system}"][:, column] for key in keys], float)
        return np.nan_to_num(runs), weights

    def languages(self, benchmark):
        """Query languages of a benchmark."""
        self.values([], benchmark, "plain", ("Mo", "all", "map"))
        figures = [figure.split(" ") for figure in self._groups[benchmark][f"{benchmark}/figures"].tolist()]
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
            for language in rows.languages(benchmark):
                for setting, measure in (("Mo", "map"), ("Cr", "map"), ("Mul", "map"), ("Mul", "rank_distance")):
                    values = rows.values(keys, benchmark, system, (setting, language, measure))
                    table.append(names | dict(figure=f"{setting} {measure}", language=language)
                                 | statistics.interval(*values, draws=500))
    _write(rows.folder / "summary.csv", pd.DataFrame(table))
    _write(rows.folder / "comparisons.csv", comparisons(name, rows))


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
