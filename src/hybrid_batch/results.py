"""What studies measured, to show: the tables that the book's chapters are made of, read from the files that summaries
wrote."""

import functools

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from hybrid_batch import campaign, metrics
from hybrid_batch.summaries import MACRO, SPACE  # noqa: F401, the chapters' too

TITLES = {"xquad-r": "XQuAD-R", "mlqa-r": "MLQA-R"}
LANGUAGES = {"mlqa-r": "ar de en es hi vi zh"}  # fewer than a pool may name
NAMES = {"gpu": "multilingual-e5-small", "cpu-e5": "multilingual-e5-small, top trained",
         "cpu-use": "Universal Sentence Encoder, top trained", "best": "one model"}
PAPER = campaign.RESULTS / "paper" / "figures.csv"


@functools.cache
def summary(name):
    """results/NAME/summary.csv: part, cell, benchmark, system, figure, language, value, low, high, groups, seeds."""
    return pd.read_csv(campaign.RESULTS / name / "summary.csv", dtype={"part": str, "cell": str})


@functools.cache
def compared(name):
    """results/NAME/comparisons.csv, see statistics.difference; seen: corrected p below .05, and 0 outside the
    interval."""
    table = pd.read_csv(campaign.RESULTS / name / "comparisons.csv", dtype={"first": str, "second": str})
    return table.assign(seen=(table.p_holm < 0.05) & ((table.low > 0) | (table.high < 0)))


@functools.cache
def paper():
    """The figures of arXiv 2408.10536: table, model, benchmark, setting, metric, language, strategy, value."""
    return pd.read_csv(PAPER)


@functools.cache
def by_pair(name):
    """results/NAME/pairs.csv, see pairs."""
    return pd.read_csv(campaign.RESULTS / name / "pairs.csv", dtype={"part": str, "cell": str})


def studies():
    """The studies that have results, those of the transformer first."""
    return [name for name in ("gpu", "cpu-e5", "cpu-use") if (campaign.RESULTS / name / "summary.csv").exists()]


def having(part, *cells):
    """The studies that have results of these cells of a part."""
    return [name for name in studies() if set(cells) <= set(summary(name)[summary(name).part == part].cell)]


def about(name):
    """What a chapter says of a study: encoder, device, settings and numbers, as a dict."""
    rows = campaign.manifests(name)
    first = next(row for row in rows if row["steps"])
    settings = first["experiment"]["settings"]
    return {"encoder": first["experiment"]["encoder"], "device": " and ".join(sorted({row["device"] for row in rows})),
            "frozen": settings["frozen_layers"], "languages not trained on": " ".join(first["experiment"]["unseen"]),
            "steps": settings["steps"], "batch": settings["batch_size"],
            "temperature": settings["temperature"], "learning_rate": settings["learning_rate"], "runs": len(rows),
            "hours": round(sum(sum(row["seconds"].values()) for row in rows) / 3600, 1)}


def sizes(name):
    """What a study measures on: questions, passages in the pool and groups of questions, a line a benchmark or pool."""
    row = next(row for row in campaign.manifests(name) if row["steps"])
    groups = summary(name).groupby("benchmark")["groups"].max()
    return pd.DataFrame([{"": title(benchmark), "questions": f"{about['queries']:,}",
                          "passages in the pool": f"{about['passages']:,}", "groups of questions": int(groups[benchmark])}
                         for benchmark, about in row["benchmarks"].items()])


def number(value, figure):
    """A figure as the book writes it."""
    if pd.isna(value):
        return "–"
    if figure.endswith(("rank_distance", "max_rank")):
        return f"{value:.0f}"
    return f"{value:.2f}" if figure == "hubness" else f"{value:.3f}"


def lines(table):
    """A table without its index, to show."""
    return HTML(table.to_html(index=False, escape=True))


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
        "compared": table["second"] + " − " + table["first"], "figure": table.figure.map(label),
        "difference": pd.Series(sign),
        "p (Holm)": table.p_holm.map(lambda p: f"{p:.4f}"), "effect size": table.effect.map(lambda d: f"{d:+.2f}"),
        "detectable": [number(row.detectable, row.figure) for row in table.itertuples()],
        "difference seen": table.seen.map({True: "yes", False: "no"})}).reset_index(drop=True)


TABLE1 = ["Mo map", "Cr map", "Mul map", "Mul rank_distance"]
ORDER = ["untrained", "untrained, means removed", "Hybrid, interpolated 0.5", "X-X", "X-X-mono", "X-Y", "Hybrid", "En-En"]
NOTHING = 0.0015  # of mAP, in the paper's three digits
STRATEGIES = {"X-X-mono": "x-x-mono", "X-Y": "x-y", "Hybrid": "hybrid"}  # ours: the paper's name


def reproduction(name, benchmark, figures=TABLE1, part="reproduction", language="all"):
    """The rows of the paper's strategies with the untrained encoder and both baselines, in the order of the book."""
    table = select(name, part, benchmark, figures, ("plain", "means removed", "interpolated 0.5"), language)
    table = table[table.label.isin(ORDER)]
    order = {figure: number for number, figure in enumerate(figures)}
    return table.sort_values(["label", "figure"], key=lambda column: column.map(
        {label: number for number, label in enumerate(ORDER)} if column.name == "label" else order), kind="stable")


def beside(name, benchmark, figures=TABLE1, models=("xlm-r", "labse")):
    """Our rows, and under them the paper's."""
    ours = wide(reproduction(name, benchmark, figures))
    theirs = [wide(table, interval=False) for model in models
              if len(table := published(model, benchmark)[lambda rows: rows.figure.isin(figures)])]
    return pd.concat([ours, *theirs]).reindex(columns=[label(figure) for figure in figures]).fillna("–")


def pattern(name, benchmark, family="table 1"):
    """Row by row, is the paper's order of two strategies found here? A line a figure and pair of strategies, with the
    paper's differences, ours, and a verdict: reproduced or opposite, if a difference is seen as the preregistration
    says; excluded, if none is and the paper's differences in mAP lie outside the interval; else not seen. Differences
    of the paper below NOTHING count as none."""
    ours, lines = compared(name), []
    ours = ours[(ours.family == family) & (ours.benchmark == benchmark)]
    theirs = {model: published(model, benchmark.split(" ")[0]).pivot(index="strategy", columns="figure", values="value")
              for model in ("xlm-r", "labse")}
    for row in ours.itertuples():
        if row.first not in STRATEGIES or row.second not in STRATEGIES:
            continue
        apart = {model: table.loc[STRATEGIES[row.second], row.figure] - table.loc[STRATEGIES[row.first], row.figure]
                 for model, table in theirs.items()}
        distance = row.figure.endswith("distance")
        effects = [value for value in apart.values() if abs(value) > (1 if distance else NOTHING)]
        same = {np.sign(value) == np.sign(row.difference) for value in effects}
        if row.seen:
            verdict = {(): "the paper has none", (True,): "reproduced", (False,): "opposite"}.get(
                tuple(same), "the paper's two encoders differ")
        else:
            out = effects and not distance and all(not row.low <= value <= row.high for value in effects)
            verdict = "excluded" if out else "not seen"
        digits = 0 if distance else 3
        lines.append({"figure": label(row.figure), "compared": f"{row.second} − {row.first}",
                      "paper, XLM-R": f"{apart['xlm-r']:+.{digits}f}", "paper, LaBSE": f"{apart['labse']:+.{digits}f}",
                      "here": f"{row.difference:+.{digits}f} [{row.low:+.{digits}f},\N{NO-BREAK SPACE}"
                              f"{row.high:+.{digits}f}]",
                      "p (Holm)": f"{row.p_holm:.4f}", "verdict": verdict})
    return pd.DataFrame(lines)


def by_language(name, benchmark, cells, figure, part="reproduction", model=None):
    """mAP by query language: a line a language, a column a cell; with the paper's of a model beside them."""
    table = summary(name)
    table = table[(table.part == part) & (table.benchmark == benchmark) & (table.figure == figure)
                  & (table.system == "plain") & (table.language != "all") & table.cell.isin(cells)]
    result = pd.DataFrame({cell: part.set_index("language").apply(
        lambda row: f"{row.value:.3f} [{row.low:.3f},\N{NO-BREAK SPACE}{row.high:.3f}]", axis=1)
        for cell, part in table.groupby("cell")}).reindex(columns=[c for c in cells if c in set(table.cell)])
    if model:
        setting = {"Mo": "monolingual", "Cr": "cross-lingual", "Mul": "multilingual"}[figure.split(" ")[0]]
        theirs = paper()
        theirs = theirs[(theirs.model == model) & (theirs.benchmark == benchmark) & (theirs.setting == setting)
                        & (theirs.metric == "map") & (theirs.table > 2)]
        theirs = theirs.pivot_table(index="language", columns="strategy", values="value")
        names = {"xlm-r": "XLM-R", "labse": "LaBSE"}
        for strategy in STRATEGIES.values():
            result[f"{names[model]}, {strategy}"] = theirs[strategy].map("{:.3f}".format).reindex(result.index)
    return result.fillna("–").rename_axis(None)


def matrix(name, part, cell, benchmark, column="map"):
    """A square of query languages by passage languages from pairs.csv."""
    table = by_pair(name)
    table = table[(table.part == part) & (table.cell == cell) & (table.benchmark == benchmark)]
    return table.pivot(index="query_language", columns="passage_language", values=column)


def final(name):
    """The model of the part "final" beside the paper's hybrid models, on both benchmarks."""
    rows = []
    for benchmark in ("xquad-r", "mlqa-r"):
        for cell in dict.fromkeys(summary(name)[summary(name).part == "final"].cell):
            ours = wide(select(name, "final", benchmark, TABLE1, cells=[cell]))
            if len(ours):
                rows.append({"model": f"ours, {cell}", "benchmark": title(benchmark), **ours.iloc[0]})
        for model in ("xlm-r", "labse"):
            table = published(model, benchmark)
            theirs = wide(table[(table.strategy == "hybrid") & table.figure.isin(TABLE1)], interval=False)
            rows.append({"model": theirs.index[0], "benchmark": title(benchmark), **theirs.iloc[0]})
    return pd.DataFrame(rows)


def cost():
    """Hours of each study by device, with an estimate of the energy."""
    lines = []
    for name in [*studies(), *(["best"] if (campaign.RESULTS / "best" / "manifests.jsonl").exists() else [])]:
        rows = pd.DataFrame([dict(device=row["device"], training=row["seconds"]["training"],
                                  evaluation=row["seconds"]["evaluation"]) for row in campaign.manifests(name)])
        for device, part in rows.groupby("device"):
            hours = (part.training.sum() + part.evaluation.sum()) / 3600
            watts = WATTS["CPU" if device.startswith("CPU") else "GPU"]
            lines.append({"study": NAMES[name], "device": device, "runs": len(part),
                          "training, hours": f"{part.training.sum() / 3600:.2f}",
                          "evaluation, hours": f"{part.evaluation.sum() / 3600:.2f}", "assumed power, watts": watts,
                          "energy, kWh": f"{hours * watts / 1000:.2f}"})
    return pd.DataFrame(lines)


WATTS = {"CPU": 20, "GPU": 500}  # assumed: of two busy cores with their memory; of a large accelerator


def benchmarks(name, part, pools=False):
    """The benchmarks on which all cells of a part are measured; with pools, also those of some languages alone."""
    table = summary(name)
    table = table[(table.part == part) & (table.system == "plain")]
    cells = table.groupby("benchmark").cell.nunique()
    return [b for whole in TITLES for b in sorted(cells.index) if (b == whole or pools and b.startswith(f"{whole} "))
            and cells[b] == table.cell.nunique()]


def title(benchmark):
    """A benchmark's name as the book writes it; of a pool of some of its languages, how many those are."""
    name, _, languages = benchmark.partition(" ")
    number = len(set(languages.split()) & set(LANGUAGES.get(name, languages).split()))
    return TITLES.get(name, name) + (f", {number} languages" if languages else "")


def heading(title_, name, part, benchmark, more=""):
    """A line above a table: what it is of, with n and seeds."""
    table = summary(name)
    table = table[(table.part == part) & (table.benchmark == benchmark) & (table.system == "plain")
                  & (table.cell != "untrained")]
    seeds = sorted(set(table.seeds.dropna().astype(int)))
    return Markdown(f"**{title_}, {title(benchmark)}{more}** ({int(table.groups.max())} groups of questions, "
                    f"{' to '.join(map(str, sorted({seeds[0], seeds[-1]})))} seeds)")
