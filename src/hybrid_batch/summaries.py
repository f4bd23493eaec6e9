"""From the rows of a study in results/ to its summaries, with intervals and tests.

``summarise`` writes, once, when the rows are there: results/NAME/summary.csv, a row a figure; comparisons.csv, a row a
comparison of two conditions; and pairs.csv, a row a pair of languages.
"""

from collections import Counter

import numpy as np
import pandas as pd

from hybrid_batch import campaign, metrics, statistics
from hybrid_batch.data import files

MACRO = [f"{setting} {measure}" for setting in metrics.SETTINGS for measure in ("map", "recall@1", "recall@10")]
MACRO.append("Mul rank_distance")
SPACE = ["gap", "ratio", "peer", "own language in top 10", "language_variance", "hubness", "tatoeba", "ntrex"]


class Rows:
    """The rows of a study: figures.csv, languages.parquet and the values by groups of queries."""

    def __init__(self, name):
        self.folder = campaign.RESULTS / name
        made = {row["key"] for row in campaign.manifests(name)}
        if not made:
            raise FileNotFoundError(f"results/{name} holds no runs: run `python -m hybrid_batch study {name}`")
        self.plan = [item for item in campaign.plan(name) if item.key in made]
        self.figures = pd.read_csv(self.folder / "figures.csv", dtype={"key": str})
        self.figures = self.figures.set_index(["key", "benchmark", "system"]).sort_index()
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
        form = next(form for form in ("units", "distances", "languages")
                    if figure in saved.get(f"{benchmark}/{form}", ()))
        column = saved[f"{benchmark}/{form}"].tolist().index(figure)
        runs = np.array([saved[f"{benchmark}/{key}/{system}/{form}"][:, column] for key in keys], float)
        return runs / (1 if form == "distances" else campaign.STEPS), saved[f"{benchmark}/weights/{figure}"].astype(float)

    def languages(self, keys, benchmark):
        """Query languages of a benchmark, if some runs keep what intervals by languages need; else none."""
        self.values([], benchmark, "plain", ("Mo", "all", "map"))
        saved = self._groups[benchmark]
        if not all(f"{benchmark}/{key}/plain/languages" in saved for key in keys):
            return []
        return sorted({figure.split(" ")[1] for figure in saved[f"{benchmark}/languages"].tolist()})


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
            for language in rows.languages(keys, benchmark) if system == "plain" else []:
                for setting in metrics.SETTINGS:
                    values = rows.values(keys, benchmark, system, (setting, language, "map"))
                    table.append(names | dict(figure=f"{setting} map", language=language)
                                 | statistics.interval(*values, draws=500))
    _write(rows.folder / "summary.csv", pd.DataFrame(table))
    _write(rows.folder / "comparisons.csv", comparisons(name, rows))
    _write(rows.folder / "pairs.csv", pairs(rows))


def comparisons(name, rows):
    """The comparisons that the study's file asks for, Holm's correction over each family and benchmark."""
    planned = Counter((item.part, item.cell) for item in campaign.plan(name))
    cells = {cell: keys for cell, keys in rows.cells().items() if len(keys) == planned[cell]}  # with all their seeds
    families = []
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
    return pd.concat(families) if families else pd.DataFrame(columns=["family", "benchmark", "low", "high", "p_holm"])


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
