"""The results explorer: compact JSON for book/_static/explorer.js, and a plain table for readers without JavaScript."""

import html
import json

import pandas as pd

from hybrid_batch import metrics, paths, rows, study, summary
from hybrid_batch.data.languages import NAMES

STUDIES = {"full": "multilingual-e5-small, fully fine-tuned", "cpu-e5": "multilingual-e5-small, CPU",
           "cpu-use": "Universal Sentence Encoder, CPU", "best": "one model against the paper's",
           "smoke": "smoke test, whose figures mean nothing"}
LABELS = {"without mlqa": "trained without MLQA", "alpha": "alpha, the share of monolingual batches",
          "reasoning": "reasoning batches", "xquad-r": "XQuAD-R", "mlqa-r": "MLQA-R"}
DIRECTIONS = {True: "lower is better", False: "higher is better",
              None: "lower: less drawn to one language, not always better"}
MEASURES = [figure for figure in summary.FIGURES if figure != "peer"]
STATIC = ("Mo map", "Cr map", "Mul map", "Mul rank_distance")
START = {"part": "reproduction", "benchmark": "xquad-r", "measure": "Mul map", "language": "all", "system": "plain"}


def digits(figure):
    """One more than the book prints, for sorting."""
    return metrics.FIGURES[figure].digits + 1


def label(name):
    """How a study's part or a benchmark is called in the page; "xquad-r de en" is the pool of two languages alone."""
    first, _, codes = name.partition(" ")
    if name in LABELS or first not in LABELS or not codes:
        return LABELS.get(name, name)
    return f"{LABELS[first]}, {', '.join(codes.split(' '))} alone"


def compact(name):
    """The summary of a study: columns, for each benchmark the (figure, language, groups) it has, and series,
    one for each condition and system: its names and a flat list, three numbers (value, low, high) for each column."""
    table, made = summary.summarise(name), rows.manifests(name)
    columns, series, devices = {}, {}, {}
    for item in study.plan(name):
        if item.key in made:
            devices.setdefault((item.part, item.condition), set()).add(made[item.key]["device"])
    for row in table[table.figure.isin(MEASURES)].itertuples(index=False):
        known = columns.setdefault(row.benchmark, {})
        place = known.setdefault((row.figure, row.language, None if pd.isna(row.groups) else int(row.groups)), len(known))
        values = series.setdefault((row.part, row.condition, row.benchmark, row.system, int(row.seeds)), {})
        values[place] = [None if pd.isna(x) else round(x, digits(row.figure)) for x in (row.value, row.low, row.high)]
    order = list(dict.fromkeys(names[:2] for names in series))
    return {"name": name, "title": STUDIES.get(name, name), "columns": {k: list(v) for k, v in columns.items()},
            "series": [[*names, "; ".join(sorted(devices[names[:2]])),
                        [x for place in range(len(columns[names[2]])) for x in series[names].get(place, [None] * 3)]]
                       for names in sorted(series, key=lambda n: (order.index(n[:2]), n[3] != "plain", n[3]))]}


def start(studies):
    """The view that is shown first: START, or the first that is there."""
    views = [(made["name"], part, benchmark) for made in studies for part, _, benchmark, *_ in made["series"]]
    wanted = (START["part"], START["benchmark"])
    name, part, benchmark = next((view for view in views if view[1:] == wanted), views[0])
    return {**START, "study": name, "part": part, "benchmark": benchmark}


def static(made, part, benchmark):
    """The macro figures of a view as a plain table."""
    columns = {(figure, language): place for place, (figure, language, _) in enumerate(made["columns"][benchmark])}

    def cell(figure, values):
        place = 3 * columns.get((figure, "all"), len(values))
        if not values[place:place + 3] or values[place] is None:
            return ""
        return "{} [{}, {}]".format(*("–" if x is None else f"{x:.{digits(figure)}f}" for x in values[place:place + 3]))

    body = "".join(f"<tr><th scope='row'>{html.escape(name if system == 'plain' else f'{name}, {system}')}</th>"
                   + "".join(f"<td>{cell(figure, values)}</td>" for figure in STATIC) + f"<td>{seeds}</td></tr>"
                   for p, name, b, system, seeds, _, values in made["series"] if (p, b) == (part, benchmark))
    heads = "".join(f"<th scope='col'>{name}</th>" for name in ("condition", *map(metrics.figure_label, STATIC), "seeds"))
    title = html.escape(f"{made['title']}: {label(part)}, {label(benchmark)}. Rank distance: lower is better.")
    return f"<p>{title}</p><div class='explorer-scroll'><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"


def explorer():
    """The explorer as HTML, for a page two folders below the book's root; a sentence if no study has results."""
    found = {path.parent.name for path in paths.RESULTS.glob("*/*.parquet")} - {"rankings"}  # ranked lists, no study
    studies = [compact(name) for name in [*(n for n in STUDIES if n in found), *sorted(found - set(STUDIES))]]
    studies = [made for made in studies if made["series"]]
    if not studies:
        return "<p class='explorer-none'>No study has results yet.</p>"
    first = start(studies)
    names = {name for made in studies for part, _, benchmark, *_ in made["series"] for name in (part, benchmark)}
    data = {"start": first, "labels": {name: label(name) for name in sorted(names)}, "languages": NAMES,
            "measures": [[name, metrics.figure_label(name), DIRECTIONS[metrics.FIGURES[name].lower_is_better], digits(name),
                          not metrics.FIGURES[name].settings] for name in MEASURES],
            "studies": studies}
    data = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    table = static(next(s for s in studies if s["name"] == first["study"]), first["part"], first["benchmark"])
    return (f"<div class='explorer'><div class='explorer-static'><p>The explorer needs JavaScript. This is the table that "
            f"it would begin with.</p>{table}</div>"
            f"<script type='application/json' class='explorer-data'>{data}</script>"
            f"<script src='../../_static/explorer.js' defer></script></div>")
