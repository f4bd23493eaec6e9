"""From the rows of a study in results/ to its figures with intervals, its comparisons and its language pairs.

All is computed from the rows, in seconds, and kept under runs/ for the next chapter that asks.
"""

import functools
from collections import Counter

import numpy as np
import pandas as pd
from scipy import stats

from hybrid_batch import metrics, paths, rows, statistics, storage, study

DRAWS = 2000  # of the permutation test
FIGURES = [figure for figure in metrics.FIGURES if figure != "Mul max_rank"]


def _kept(make):
    """A function of a study's name that makes a table, with the table kept on disk while rows, study and code are as
    they were."""
    @functools.cache
    def kept(name):
        folder = paths.RESULTS / name
        files = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.glob("*.*"))
        if not files:
            raise FileNotFoundError(f"results/{name} holds no runs: run `python -m hybrid_batch study {name}`")
        key = storage.digest(str(folder), files, study.load(name), storage.code_fingerprint("summary"))
        path = paths.RUNS / "summaries" / f"{name}-{make.__name__}-{key}.parquet"
        if not path.exists():
            with storage.replacing(path) as partial:
                make(_rows(name)).to_parquet(partial)
        return pd.read_parquet(path)

    return functools.wraps(make)(kept)


class Rows:
    """The rows of a study, for those conditions of its plan that have some. parts: of these parts only; None: of all."""

    def __init__(self, name, parts=None):
        self.name, self.manifests = name, rows.manifests(name)
        planned = [item for item in study.plan(name) if parts is None or item.part in parts]
        self.conditions, asked = {}, Counter((item.part, item.condition) for item in planned)
        for item in planned:
            if item.key in self.manifests:
                self.conditions.setdefault((item.part, item.condition), []).append(item.key)
        self.complete = {place for place, keys in self.conditions.items() if len(keys) == asked[place]}
        whole = rows.read(name, dict.fromkeys(key for keys in self.conditions.values() for key in keys))
        grouped = whole[whole.group.notna()].reset_index(drop=True)
        self._values, self._weights = grouped.value.to_numpy(), grouped.weight.to_numpy(float)
        self._places = grouped.groupby(["key", "benchmark", "system", "figure", "query_language"], observed=True).indices
        single = whole[whole.group.isna()]
        overall = single[(single.query_language == "all")]
        self.figures = overall.set_index(["key", "benchmark", "system", "figure"]).value.to_dict()
        self.pairs = single[single.query_language != "all"].drop(columns=["group", "weight"])

    def measured(self, keys):
        """[(benchmark, system)] that all of some runs have."""
        return sorted(set.intersection(*({(b, s) for k, b, s, _ in self.figures if k == key} for key in keys)))

    def by_chance(self, keys):
        """Whether another seed would give another encoder: of a trained one, and of one averaged from trained ones."""
        return bool(self.manifests[keys[0]]["steps"]) or len(keys) > 1

    def values(self, keys, benchmark, system, figure, language="all"):
        """((seeds, groups) values, (groups,) weights); None if the rows do not have them. Values by groups are rounded, so
        those of a seed are moved together to where their mean is its exact figure."""
        places = [self._places.get((key, benchmark, system, figure, language)) for key in keys]
        if any(place is None for place in places):
            return None
        values, weights = np.stack([self._values[place] for place in places]), self._weights[places[0]]
        if language == "all":
            exact = np.array([self.figures[key, benchmark, system, figure] for key in keys])
            values = values + (exact - values @ weights / weights.sum())[:, None]
        return values, weights


@functools.lru_cache(maxsize=1)
def _rows(name):
    return Rows(name)


@_kept
def summarise(data):
    """A row a (part, condition, benchmark, system, figure, language) with value, low, high, groups and seeds."""
    table = []
    for (part, condition), keys in data.conditions.items():
        for benchmark, system in data.measured(keys):
            names = dict(part=part, condition=condition, benchmark=benchmark, system=system)
            for figure in FIGURES:
                exact = [data.figures.get((key, benchmark, system, figure), np.nan) for key in keys]
                if np.isfinite(exact).all():
                    values = data.values(keys, benchmark, system, figure)
                    made = _over_seeds(exact) if values is None else statistics.estimate(*values, trained=data.by_chance(keys))
                    table.append(names | dict(figure=figure, language="all") | made)
            for figure, language in sorted({(f, q) for k, b, s, f, q in data._places
                                            if (k, b, s) == (keys[0], benchmark, system) and q != "all"}):
                values = data.values(keys, benchmark, system, figure, language)
                if values is not None:
                    table.append(names | dict(figure=figure, language=language)
                                 | statistics.estimate(*values, trained=data.by_chance(keys)))
    return pd.DataFrame(table)


def _over_seeds(values):
    """Mean and interval over seeds alone, of figures that have no values by groups."""
    count, mean = len(values), float(np.mean(values))
    reach = stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count) if count > 1 else np.nan
    return dict(value=mean, low=mean - reach, high=mean + reach, groups=np.nan, seeds=count)


@_kept
def compare(data):
    """The comparisons that the study's file asks for, of conditions with all their seeds: a row a family, benchmark, first,
    second and figure, see statistics.difference; Holm's correction over each family and benchmark."""
    families = [pd.DataFrame(columns=["family", "benchmark", "first", "second", "figure", "significant"])]
    for family, asked in study.load(data.name).get("comparisons", {}).items():
        for benchmark in asked.get("benchmarks", ["xquad-r", "mlqa-r"]):
            found = []
            for first, second in asked["pairs"]:
                found += _compared(data, asked, benchmark, str(first), str(second))
            if found:
                families.append(statistics.family(found).assign(family=family, benchmark=benchmark))
    return pd.concat(families, ignore_index=True)


def _compared(data, asked, benchmark, first, second):
    sides = [((asked["part"], condition), system) for condition, system in map(study.condition_of, (first, second))]
    if any(place not in data.complete or (benchmark, system) not in data.measured(data.conditions[place])
           for place, system in sides):
        return []
    keys = [data.conditions[place] for place, _ in sides]
    found = []
    for figure in asked["figures"]:
        if (keys[0][0], benchmark, sides[0][1], figure) not in data.figures:  # such as Cr of items in one language
            continue
        (a, weights), (b, _) = (data.values(own, benchmark, system, figure) for own, (_, system) in zip(keys, sides))
        made = statistics.difference(a, b, weights, tuple(map(data.by_chance, keys)), bool(asked.get("paired")), draws=DRAWS)
        found.append(dict(first=first, second=second, figure=figure) | made)
    return found


@_kept
def pairs(data):
    """By query and passage language, plain, means over seeds: part, condition, benchmark, figure, query_language,
    passage_language, value."""
    tables = []
    for (part, condition), keys in data.conditions.items():
        table = data.pairs[data.pairs.key.isin(keys) & (data.pairs.system == "plain")]
        table = table.groupby(["benchmark", "figure", "query_language", "passage_language"], observed=True).value.mean()
        tables.append(table.reset_index().assign(part=part, condition=condition))
    return pd.concat(tables, ignore_index=True).astype(dict.fromkeys(
        ["benchmark", "figure", "query_language", "passage_language", "part", "condition"], "category"))
