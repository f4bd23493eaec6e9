"""Runs of the notebooks compared with each other, and one parameter swept over several values.

A comparison says which settings differ, by how much the scores differ, each difference with its interval, and shows the
figures of the notebooks side by side. A sweep trains and measures one experiment with each value. Both leave one HTML page.
"""

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hybrid_batch import config, experiment, metrics, paths, statistics, storage
from hybrid_batch.report import figures, page, study_figures, tables

FIGURES = experiment.TABLE
INDEXES = ("runs.json", "reasoning.json")  # of the experiments that notebooks made
PICTURES = ("image/svg+xml", "image/png")
SCORES = "Scores with 95 % intervals; rank distance: lower is less biased"
UNPAIRED = "The runs were measured on different questions, so their scores cannot be paired."
NOTE = ("Intervals (95 %) and p-values count groups of questions as a source of error, and trainings where there are several "
        "seeds; with one seed the variation between trainings is not measured.")


@dataclass(frozen=True)
class Side:
    """A finished run of the notebooks: its folder, its parameters, and its experiments by what they are compared by."""

    folder: Path
    values: dict
    experiments: dict

    @property
    def name(self):
        return self.folder.name

    def value(self, name):
        return config.check(name, self.values.get(name, config.PARAMETERS[name].default))


def read(name):
    """The Side of a folder, or of a run under runs/ by its name. Raises FileNotFoundError that names the remedy."""
    folder = next((place for place in (Path(name), paths.RUNS / name) if (place / INDEXES[0]).exists()), None)
    if folder is None or not (folder / "parameters.json").exists():
        known = sorted(place.parent.name for place in paths.RUNS.glob(f"*/{INDEXES[0]}"))
        raise FileNotFoundError(f"{name!r} is no folder of a finished run, which holds {INDEXES[0]} and parameters.json; there "
                                f"are {', '.join(known) or 'none'}: make it (anew) with `python -m hybrid_batch run`")
    experiments = {}
    for made in [made for index in INDEXES for made in experiment.load_index(folder.resolve() / index)]:
        own = experiments.setdefault(_role(made), [])
        if made.folder not in [other.folder for other in own]:
            own.append(made)
    return Side(folder.resolve(), json.loads((folder / "parameters.json").read_text(encoding="utf-8")), experiments)


def _role(made):
    """What the experiments of two runs are matched by: their kinds of batches, whatever their shares."""
    asked = made.manifest["experiment"]
    added = (asked["added"], asked["pairing"], asked["answers"]) if asked["strategy"] and asked["rho"] else ()
    return (str(asked["strategy"]), *added)


def compare(names, output=None):
    """Compare runs of the notebooks with the first of them: (a text to print, the path of the page).

    names: of two folders or more, see ``read``. output: where the page is written; None: under runs/compare.
    Raises FileNotFoundError or ValueError that names what is wrong and the remedy.
    """
    sides = [read(name) for name in names]
    if len({side.folder for side in sides}) < max(2, len(sides)):
        raise ValueError("name two runs or more, each once, such as quick and quick-alpha=0.7")
    settings, scores = _settings(sides), _scores(sides)
    found, reason = _differences(sides)
    verdict = reason or _verdict(found)
    titles = [side.name for side in sides]
    path = Path(output or paths.RUNS / "compare" / f"{'--'.join(titles)[:120]}.html")
    parts = [page.paragraph(verdict), page.table(settings, "Settings that differ", titles), *_as_parts(found, titles[0]),
             page.table(scores, SCORES, ["run"])]
    for title, pictures in _pictures(sides):
        parts += [page.heading(title), page.side_by_side(pictures)]
    storage.write(path, page.page(" and ".join(titles) + " compared", *parts))
    return _as_text(verdict, found, settings, scores), path


def _as_parts(found, reference):
    """Differences as parts of a page: figure, table and a note; [] if there are none."""
    if not len(found):
        return []
    about = f"Differences from {reference}, with 95 % intervals"
    forest = study_figures.forest(found.assign(panel=found.figure.map(metrics.figure_label)), about)
    return [page.figure(forest), page.table(tables.written(found), about),
            page.paragraph(_counts(found))]


def _counts(found):
    return f"{found.groups.min()} groups of questions, {found.seeds.min()} seed(s). {NOTE}"


def _as_text(verdict, found, *frames):
    written = [tables.written(found), _counts(found)] if len(found) else []
    parts = [verdict, *frames, *written]
    return "\n\n".join(part if isinstance(part, str) else part.to_markdown(index=False, disable_numparse=True)
                       for part in parts if len(part))


def _settings(sides):
    names = dict.fromkeys(name for side in sides for name in side.values if name != "output")
    differ = [name for name in names if len({repr(side.value(name)) for side in sides}) > 1]
    return pd.DataFrame([{"parameter": name} | {side.name: _text(side.value(name)) for side in sides} for name in differ],
                        columns=["parameter", *(side.name for side in sides)])


def _text(value):
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _scores(sides):
    """A line an experiment and run; what several runs share is one line."""
    rows = {}
    for role in dict.fromkeys(role for side in sides for role in side.experiments):
        for side in sides:
            if made := side.experiments.get(role):
                rows.setdefault((side.value("benchmark"), *(one.folder for one in made)), (made, []))[1].append(side.name)
    lines = []
    for (benchmark, *_), (made, runs) in rows.items():
        measured = _estimates({made[0].name: made}, benchmark)
        values = tables.wide(measured).iloc[0].to_dict()
        lines.append({"system": made[0].name, "run": "all" if len(runs) == len(sides) else ", ".join(runs)} | values)
    return pd.DataFrame(lines).fillna("–")


def _estimates(systems, benchmark):
    """Scores of experiments with intervals, see statistics.estimates. systems: {name: Runs, one a seed}."""
    parts = []
    for name, made in systems.items():
        scores = [one.scores(benchmark) for one in made]
        known = [figure for figure in FIGURES if figure.split(" ")[0] in set(scores[0].setting)]
        parts.append(statistics.estimates({name: scores}, known, lambda _: made[0].trained))
    return pd.concat(parts, ignore_index=True)


def _differences(sides):
    """(a family of differences from the first run, a reason why it is empty)."""
    first, *others = sides
    rows = []
    for other in others:
        if other.value("benchmark") != first.value("benchmark"):
            return pd.DataFrame(), UNPAIRED
        for role in first.experiments:
            before, after = first.experiments[role], other.experiments.get(role)
            if after and [made.folder for made in before] != [made.folder for made in after]:
                names = [made[0].name for made in (before, after)]
                if names[0] == names[1] or len(others) > 1:
                    names = [f"{name}, {side.name}" for name, side in zip(names, (first, other))]
                try:
                    rows += _compared(names, before, after, first.value("benchmark"))
                except ValueError:  # such as another choice of languages
                    return pd.DataFrame(), UNPAIRED
    return _family(rows), "" if rows else "The runs share all their experiments, so no score differs."


def _family(rows):
    """A family of differences, see statistics.family, each with a label; empty without rows."""
    found = statistics.family(rows) if rows else pd.DataFrame()
    return found.assign(label=found["second"] + " − " + found["first"]) if rows else found


def _compared(names, before, after, benchmark):
    """Differences of two conditions, see statistics.compare. names: of both; before, after: Runs, one a seed."""
    old, new = ([made.scores(benchmark) for made in part] for part in (before, after))
    known = [figure for figure in FIGURES if figure.split(" ")[0] in set(old[0].setting) & set(new[0].setting)]
    rows = statistics.compare(old, new, known, (before[0].trained, after[0].trained))
    return [dict(first=names[0], second=names[1]) | row for row in rows]


def _verdict(found, most=4):
    """What a family of differences says, in a sentence: those that are significant, if they are few."""
    seen = [f"{row.label}, {metrics.figure_label(row.figure)} "
            + tables.with_interval(metrics.FIGURES[row.figure], row.difference, row.low, row.high, sign=True)
            for row in found[found.significant].itertuples()]
    verb = "is" if len(seen) < 2 else "are"
    counted = f"{len(seen) or 'None'} of {len(found)} differences {verb} significant after Holm correction"
    return counted + (f": {'; '.join(seen)}." if 0 < len(seen) <= most else ".")


def _pictures(sides):
    """Yield (title, pictures) of the figures of notebooks that are not the same in all runs."""
    for path in sorted(sides[0].folder.glob("*.ipynb")):
        notebooks = [_figures_of(side.folder / path.name) for side in sides]
        for place in notebooks[0]:
            found = [notebook.get(place) for notebook in notebooks]
            if None not in found and len({data for _, data, _ in found}) > 1:
                title = f"{path.stem}: {place[0]}"
                yield title, [page.picture(kind, data, f"{alt or place[0]}, run {side.name}", side.name)
                              for side, (kind, data, alt) in zip(sides, found)]


def _figures_of(path):
    """{(heading above, number under it): (media type, bytes, alternative text)} of an executed notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
    found, heading = {}, path.stem
    for cell in cells:
        if cell["cell_type"] == "markdown":
            heading = ([heading] + re.findall(r"(?m)^#+ (.+)$", "".join(cell["source"])))[-1]
        for output in cell.get("outputs", ()):
            kind = next((kind for kind in PICTURES if kind in output.get("data", {})), None)
            if kind:
                data = "".join(output["data"][kind])
                data = data.encode() if kind == PICTURES[0] else base64.b64decode(data)
                number = sum(name == heading for name, _ in found)
                found[heading, number] = kind, data, output.get("metadata", {}).get(kind, {}).get("alt", "")
    return found


def sweep(values, name, settings, folder):
    """Train and measure one experiment with each of several values of a parameter: (a text to print, the path of the page).

    values: the other parameters, such as a profile's; the strategy is Hybrid if they name none. settings: the values; the
    scores of the others are compared with those of the first. folder: for the page and for results.csv.
    Raises ValueError if the parameter cannot be swept, or changes nothing.
    """
    if name not in {**config.EXPERIMENT, **config.TRAINING, "benchmark": None} or name in ("benchmarks", "seed"):
        raise ValueError(f"{name} is no parameter to sweep: name one of a single experiment, such as alpha, steps or encoder")
    asked = {_text(setting): _experiment(values | {name: setting}) for setting in settings}
    trains = name != "benchmark" and config.PARAMETERS[name].trains
    if trains and len({one.key for one in asked.values()}) < max(2, len(settings)):
        strategy = next(iter(asked.values())).label
        raise ValueError(f"{name} = {', '.join(asked)}: these do not give different experiments with the strategy {strategy}: "
                         f"name two values or more of a parameter that it uses")
    seeds = config.check("seeds", values.get("seeds", config.PARAMETERS["seeds"].default))
    made, measured = {}, []
    for setting, one in asked.items():
        made[setting] = experiment.run_all(config.with_seeds(one, seeds))
        for label, runs in ((one.strategy, made[setting]), ("untrained", [experiment.run(one.but(strategy=""))])):
            measured.append(_estimates({setting: runs}, one.benchmarks[0]).assign(label=str(label)))
    measured = pd.concat(measured, ignore_index=True)
    first, *others = made
    benchmark = asked[first].benchmarks[0]
    rows = []
    for other in others:
        if asked[other].benchmarks[0] == benchmark:
            rows += _compared([f"{name} = {first}", f"{name} = {other}"], made[first], made[other], benchmark)
    return _report_sweep(name, measured, _family(rows), Path(folder))


def _experiment(values):
    """The one experiment that parameters of the notebooks describe."""
    benchmark = config.check("benchmark", values.get("benchmark", config.PARAMETERS["benchmark"].default))
    return config.Experiment.of(**config.experiment_values(values), benchmarks=[benchmark])


def _report_sweep(name, measured, found, folder):
    trained = measured[measured.label != "untrained"]
    settings = list(dict.fromkeys(trained.system))
    untrained = measured[measured.label == "untrained"].drop_duplicates(["figure", "value", "low"])
    own = len(untrained) > untrained.figure.nunique()  # each setting has an untrained encoder of its own
    untrained = untrained.assign(label=untrained.system + ", untrained" if own else "untrained")
    shown = tables.wide(pd.concat([trained.assign(label=trained.system), untrained])).reset_index(names=name)
    try:
        numbers = measured.assign(x=measured.system.astype(float))
        curve = figures.curve({figure: part for figure, part in numbers.groupby("figure", sort=False)}, name)
    except ValueError:  # the values are no numbers
        curve = figures.intervals(trained, "map", label="system")
    verdict = _verdict(found) if len(found) else "The values were measured on different benchmarks, so nothing is paired."
    parts = [page.paragraph(verdict), page.figure(curve), page.table(shown, SCORES), *_as_parts(found, f"{name} = {settings[0]}")]
    storage.write(folder / "results.csv", measured.rename(columns={"system": name}).to_csv(index=False))
    title = f"{trained.label.iloc[0]}: {name} from {settings[0]} to {settings[-1]}"
    storage.write(folder / "index.html", page.page(title, *parts))
    return _as_text(verdict, found, shown), folder / "index.html"
