"""The results explorer: compact JSON for book/_static/explorer.js, and a plain table for readers without JavaScript."""

import html
import json

import pandas as pd

from hybrid_batch import campaign
from hybrid_batch.data import corpora

STUDIES = {"gpu": "multilingual-e5-small, GPU", "cpu-e5": "multilingual-e5-small, CPU",
           "cpu-use": "Universal Sentence Encoder, CPU", "best": "one model against the paper's",
           "smoke": "smoke test, whose figures mean nothing"}
LABELS = {"without mlqa": "trained without MLQA", "alpha": "alpha, the share of monolingual batches",
          "reasoning": "reasoning batches", "xquad-r": "XQuAD-R", "mlqa-r": "MLQA-R"}
HIGHER, LOWER = "higher is better", "lower is better"
NEITHER = "lower: less drawn to one language, not always better"
MEASURES = {  # name in summary.csv: label, which way is better
    "Mo map": ("Mo mAP, within one language", HIGHER),
    "Cr map": ("Cr mAP, from language to language", HIGHER),
    "Mul map": ("Mul mAP, all languages at once", HIGHER),
    "Mo recall@1": ("Mo Recall@1", HIGHER), "Cr recall@1": ("Cr Recall@1", HIGHER),
    "Mul recall@1": ("Mul Recall@1", HIGHER), "Mo recall@10": ("Mo Recall@10", HIGHER),
    "Cr recall@10": ("Cr Recall@10", HIGHER), "Mul recall@10": ("Mul Recall@10", HIGHER),
    "Mul rank_distance": ("Rank distance", LOWER),
    "gap": ("Gap, Mo less Cr mAP", LOWER), "ratio": ("Ratio, Cr to Mo mAP", HIGHER),
    "own language in top 10": ("Own language in the top 10, share", NEITHER),
    "language_variance": ("Language variance, share", NEITHER), "hubness": ("Hubness", LOWER),
    "tatoeba": ("Translations found, Tatoeba", HIGHER), "ntrex": ("Translations found, NTREX", HIGHER)}
STATIC = {"Mo map": "Mo mAP", "Cr map": "Cr mAP", "Mul map": "Mul mAP", "Mul rank_distance": "rank distance"}
SPACE = list(MEASURES)[10:]  # their low and high are the least and the greatest seed
START = {"part": "reproduction", "benchmark": "xquad-r", "measure": "Mul map", "language": "all", "system": "plain"}


def digits(figure):
    return 1 if figure == "Mul rank_distance" else 4


def label(name):
    """How a study's part or a benchmark is called in the page; "xquad-r de en" is the pool of two languages alone."""
    first, _, languages = name.partition(" ")
    if name in LABELS or first not in LABELS or not languages:
        return LABELS.get(name, name)
    return f"{LABELS[first]}, {', '.join(languages.split(' '))} alone"


def devices(name):
    """{(part, cell): device} from the manifests of a study."""
    made = {row["key"]: row.get("device", "") for row in campaign.manifests(name)}
    found = {}
    for item in campaign.plan(name) if (campaign.STUDIES / f"{name}.yaml").exists() else []:
        if item.key in made:
            found.setdefault((item.part, item.cell), set()).add(made[item.key])
    return {key: "; ".join(sorted(values)) for key, values in found.items()}


def study(name):
    """results/NAME/summary.csv, compact: columns, for each benchmark the (figure, language, groups) it has, and series,
    one for each condition and system: its names and a flat list, three numbers (value, low, high) for each column."""
    names = dict.fromkeys(("part", "cell", "benchmark", "system", "figure", "language"), str)
    table = pd.read_csv(campaign.RESULTS / name / "summary.csv", dtype=names, keep_default_na=False, na_values=[""])
    table = table[table.figure.isin(MEASURES)]
    columns, series, made_on = {}, {}, devices(name)
    for row in table.itertuples(index=False):
        known = columns.setdefault(row.benchmark, {})
        place = known.setdefault((row.figure, row.language, None if pd.isna(row.groups) else int(row.groups)), len(known))
        made = series.setdefault((row.part, row.cell, row.benchmark, row.system, int(row.seeds)), {})
        made[place] = [None if pd.isna(x) else round(x, digits(row.figure)) for x in (row.value, row.low, row.high)]
    cells = list(dict.fromkeys(names[:2] for names in series))
    return {"name": name, "title": STUDIES.get(name, name), "columns": {k: list(v) for k, v in columns.items()},
            "series": [[*names, made_on.get(names[:2], ""),
                        [x for place in range(len(columns[names[2]])) for x in series[names].get(place, [None] * 3)]]
                       for names in sorted(series, key=lambda n: (cells.index(n[:2]), n[3] != "plain", n[3]))]}


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

    rows = "".join(f"<tr><th scope='row'>{html.escape(name if system == 'plain' else f'{name}, {system}')}</th>"
                   + "".join(f"<td>{cell(figure, values)}</td>" for figure in STATIC) + f"<td>{seeds}</td></tr>"
                   for p, name, b, system, seeds, _, values in made["series"] if (p, b) == (part, benchmark))
    heads = "".join(f"<th scope='col'>{name}</th>" for name in ("condition", *STATIC.values(), "seeds"))
    title = html.escape(f"{made['title']}: {label(part)}, {label(benchmark)}. Rank distance: lower is better.")
    return f"<p>{title}</p><div class='explorer-scroll'><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"


def explorer():
    """The explorer as HTML, for a page two folders below the book's root; a sentence if no study has results."""
    found = {path.parent.name for path in campaign.RESULTS.glob("*/summary.csv")}
    studies = [study(name) for name in [*(n for n in STUDIES if n in found), *sorted(found - set(STUDIES))]]
    studies = [made for made in studies if made["series"]]
    if not studies:
        return "<p class='explorer-none'>No study has results yet.</p>"
    first = start(studies)
    names = {name for made in studies for part, _, benchmark, *_ in made["series"] for name in (part, benchmark)}
    data = {"start": first, "labels": {name: label(name) for name in sorted(names)}, "languages": corpora.NAMES,
            "measures": [[name, *about, digits(name), name in SPACE] for name, about in MEASURES.items()],
            "studies": studies}
    data = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    table = static(next(s for s in studies if s["name"] == first["study"]), first["part"], first["benchmark"])
    return (f"<div class='explorer'><div class='explorer-static'><p>The explorer needs JavaScript. This is the table that "
            f"it would begin with.</p>{table}</div>"
            f"<script type='application/json' class='explorer-data'>{data}</script>"
            f"<script src='../../_static/explorer.js' defer></script></div>")
