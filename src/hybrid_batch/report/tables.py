"""The tables that the book's chapters are made of."""

import functools

import numpy as np
import pandas as pd
from scipy import stats

from hybrid_batch import config, metrics, paths, rows, study, summary
from hybrid_batch.report.display import directed, fold, p_value, plain_table  # noqa: F401  pages take them from here

TITLES = {"xquad-r": "XQuAD-R", "mlqa-r": "MLQA-R", "encyclo11": "encyclo11"}
VALIDATION = {"encyclo11-validation": "sentences", "encyclo11-passages-validation": "passages", "mlqa held out": "MLQA"}
FOURTH = {"mlqa-sentences held out": "sentences of MLQA"}  # on which the encoder that ships was validated, too
LANGUAGES = {"mlqa-r": "ar de en es hi vi zh"}  # fewer than a pool may name
NAMES = {"full": "multilingual-e5-small, fully fine-tuned", "cpu-e5": "multilingual-e5-small, last layer fine-tuned",
         "cpu-use": "Universal Sentence Encoder, top fine-tuned", "best": "one model"}
SHORT = {"full": "E5-small, all layers", "cpu-e5": "E5-small, last layer", "cpu-use": "USE, top layers"}  # in figures
MODELS = {"xlm-r": "XLM-R", "labse": "LaBSE"}
PARAMETERS = {"e5-small": 118, "xlm-r": 278, "labse": 471}  # in millions
TABLE1 = ["Mo map", "Cr map", "Mul map", "Mul rank_distance"]
SPACE = [name for name in metrics.SYSTEM_METRICS if name != "peer"]
ORDER = ["untrained", "untrained, centring", "Hybrid, interpolated 0.5", "X-X", "X-X-mono", "X-Y", "Hybrid", "En-En"]
NOTHING = 0.0015  # of mAP, in the paper's three digits
STRATEGIES = {"X-X-mono": "x-x-mono", "X-Y": "x-y", "Hybrid": "hybrid"}  # ours: the paper's name
WATTS = {"CPU": 20, "GPU": 500}  # assumed: of two busy cores with their memory; of a large accelerator


@functools.cache
def paper():
    """The figures of arXiv 2408.10536: table, model, benchmark, setting, metric, language, strategy, value."""
    return pd.read_csv(paths.RESULTS / "paper" / "figures.csv")


def studies():
    """The studies of strategies that have results, those of the transformer first; the full one once its primary
    comparisons are made, since none of them is looked at before."""
    return [name for name in ("full", "cpu-e5", "cpu-use") if rows.manifests(name) and (
        name != "full" or is_made(name, "reasoning"))]


def is_made(name, part, *conditions):
    """Whether all runs of a part, or of some of its conditions, are made; False if it lacks one of these conditions."""
    made = rows.manifests(name)
    planned = [item for item in study.plan(name) if item.part == part and (not conditions or item.condition in conditions)]
    return {item.condition for item in planned} >= set(conditions) and all(item.key in made for item in planned)


def studies_with(part, *conditions):
    """The studies of which all runs of these conditions of a part are made: a study under way is not shown by halves."""
    return [name for name in studies() if is_made(name, part, *conditions)]


def _part(name, part):
    table = summary.summarise(name)
    return table[table.part == part]


def first_trained(name, condition=None):
    """The manifest of a study's first trained run, in the order of its plan (manifests are sorted by key); of a
    condition if one is named."""
    made = rows.manifests(name)
    return next(made[item.key] for item in study.plan(name) if item.key in made and item.experiment.strategy
                and item.part == "reproduction" and condition in (None, item.condition))


def about(name):
    """What a chapter says of a study: encoder, device, settings and numbers, as a dict."""
    made = rows.manifests(name).values()
    first = first_trained(name)["experiment"]
    return {"encoder": first["encoder"], "device": " and ".join(sorted({row["device"] for row in made})),
            "frozen layers": first["frozen_layers"], "languages not trained on": " ".join(first["unseen"]),
            "steps": first["steps"], "pairs in a batch": first["batch_size"], "temperature": first["temperature"],
            "learning rate": first["learning_rate"], "runs": len(made),
            "hours of computing": round(sum(sum(row["seconds"].values()) for row in made) / 3600, 1)}


def sizes(name):
    """What a study measures on: questions, passages in the pool and groups of questions, a line a benchmark or pool."""
    row = first_trained(name)
    groups = summary.summarise(name).groupby("benchmark")["groups"].max()
    return pd.DataFrame([{"": title(benchmark), "questions": f"{about['queries']:,}",
                          "passages in the pool": f"{about['passages']:,}", "groups of questions": int(groups[benchmark])}
                         for benchmark, about in row["benchmarks"].items()])


def with_interval(metric, value, low, high, sign=False):
    """A value with its interval, as the book writes it."""
    if pd.isna(low):
        return metric.format(value, sign)
    return f"{metric.format(value, sign)} [{metric.format(low, sign)},\N{NO-BREAK SPACE}{metric.format(high, sign)}]"


def parameters(namespace):
    """The parameters of a notebook as a table, folded: what they are here and what config says of them. namespace: its
    variables, asked for before any other is set."""
    lines = [{"parameter": about["parameter"], "here": str(namespace[about["parameter"]]), **about}
             for about in config.table() if about["parameter"] in namespace]
    return plain_table(pd.DataFrame(lines), "All parameters of this notebook", index=False)


def select(name, part, benchmark, figures, systems=("plain",), language="all", conditions=None):
    """Rows of a summary, with a column label: the condition, and the system if it is not plain."""
    table = _part(name, part)
    table = table[(table.benchmark == benchmark) & table.figure.isin(figures) & table.system.isin(systems)
                  & (table.language == language)]
    table = table[table.condition.isin(conditions)] if conditions else table
    return table.assign(label=table.condition.where(table.system == "plain", table.condition + ", " + table.system))


def wide(table, interval=True):
    """A line a label, a column a figure: "value [low, high]". table: columns label (or system), figure, value, low, high."""
    table = table if "label" in table else table.rename(columns={"system": "label"})
    written = table.assign(text=[
        with_interval(metrics.FIGURES[row.figure], row.value, *((row.low, row.high) if interval else (np.nan, np.nan)))
        for row in table.itertuples()])
    result = written.pivot(index="label", columns="figure", values="text")
    result = result.reindex(index=list(dict.fromkeys(table.label)), columns=list(dict.fromkeys(table.figure)))
    return result.rename(columns=metrics.figure_label).rename_axis(None).rename_axis(None, axis=1)


def published(model, benchmark, language="macro"):
    """The paper's figures of a model on a benchmark: a line a strategy, columns as wide has them."""
    names = {"monolingual": "Mo", "cross-lingual": "Cr", "multilingual": "Mul"}
    table = paper()
    table = table[(table.model == model) & (table.benchmark == benchmark) & (table.language == language)
                  & table.setting.isin(names)].drop_duplicates(["strategy", "setting", "metric"])
    table = table.assign(figure=table.setting.map(names) + " " + table.metric,
                         label=f"paper, {MODELS[model]}, " + table.strategy, low=np.nan, high=np.nan)
    return table[table.figure.isin(metrics.FIGURES)]


def comparisons(name, family, benchmark=None):
    """The comparisons of a family of a study, on one benchmark or all."""
    table = summary.compare(name)
    return table[(table.family == family) & ((table.benchmark == benchmark) | (benchmark is None))]


def differences(name, family, benchmark):
    """The comparisons of a family to read, see written."""
    return written(comparisons(name, family, benchmark))


def written(table):
    """Comparisons to read, a line a comparison and measure; table: as statistics.family returns them."""
    shown = [(metrics.FIGURES[row.figure], row) for row in table.itertuples()]
    return pd.DataFrame({
        "compared": table["second"] + " − " + table["first"],
        "measure": table.figure.map(metrics.figure_label).map(directed),
        "difference": [with_interval(metric, row.difference, row.low, row.high, sign=True) for metric, row in shown],
        "p (Holm)": table.p_holm.map(p_value), "p (permutation)": table.p_permutation.map(p_value),
        "smallest detectable": [metric.format(row.detectable) for metric, row in shown],
        "significant (Holm)": table.significant.map({True: "yes", False: "no"})}).reset_index(drop=True)


def short(name, family):
    """Comparisons at a glance: a line a pair, a column a benchmark and figure; * marks what is significant."""
    table = comparisons(name, family)
    table = table.assign(
        compared=table["second"] + " − " + table["first"], benchmark=table.benchmark.map(title),
        figure=table.figure.map(metrics.figure_label),
        text=[metrics.FIGURES[row.figure].format(row.difference, sign=True) + "*" * row.significant
              for row in table.itertuples()])
    table = table.pivot_table(index="compared", columns=["benchmark", "figure"], values="text", aggfunc="first", sort=False)
    return table.rename_axis(None).rename_axis([None, None], axis=1)


def reproduction(name, benchmark, figures=TABLE1, part="reproduction", language="all"):
    """The rows of the paper's strategies with the untrained encoder and both baselines, in the order of the book."""
    table = select(name, part, benchmark, figures, ("plain", "centring", "interpolated 0.5"), language)
    table = table[table.label.isin(ORDER)]
    order = {key: number for keys in (ORDER, figures) for number, key in enumerate(keys)}
    return table.sort_values(["label", "figure"], key=lambda column: column.map(order), kind="stable")


def beside(name, benchmark, figures=TABLE1, models=("xlm-r", "labse")):
    """Our rows, and under them the paper's."""
    ours = wide(reproduction(name, benchmark, figures))
    theirs = [wide(table, interval=False) for model in models
              if len(table := published(model, benchmark)[lambda rows: rows.figure.isin(figures)])]
    return pd.concat([ours, *theirs]).reindex(columns=map(metrics.figure_label, figures)).fillna("–")


def systems(name, benchmark, figures=("Mo map", "Mul map"), part="reproduction"):
    """Each strategy, and the untrained encoder plain and with every method that needs no training: a row a system and
    figure, with columns label and trained. For figures.tradeoff."""
    table = _part(name, part)
    table = table[(table.benchmark == benchmark) & table.figure.isin(figures) & (table.language == "all")
                  & ((table.system == "plain") | (table.condition == "untrained"))]
    label = table.condition.where(table.system == "plain", "untrained, " + table.system)
    order = {figure: number for number, figure in enumerate(figures)}
    return table.assign(label=label, trained=table.condition != "untrained").sort_values(
        "figure", key=lambda column: column.map(order), kind="stable")


def pattern(name, benchmark, family="table 1"):
    """Row by row, is the paper's order of two strategies found here? A line a figure and pair of strategies, with the
    paper's differences, ours, and one of four states, see verdict."""
    lines, paper_values = [], {}
    for model in MODELS:
        table = published(model, benchmark.split(" ")[0])
        if len(table):
            paper_values[model] = table.pivot(index="strategy", columns="figure", values="value")
    for row in comparisons(name, family, benchmark).itertuples():
        if paper_values and row.first in STRATEGIES and row.second in STRATEGIES:
            metric = metrics.FIGURES[row.figure]
            theirs = {MODELS[model]: table.loc[STRATEGIES[row.second], row.figure]
                      - table.loc[STRATEGIES[row.first], row.figure] for model, table in paper_values.items()}
            lines.append({"measure": directed(metrics.figure_label(row.figure)), "compared": f"{row.second} − {row.first}"}
                         | {f"paper, {model}": metric.format(value, sign=True) for model, value in theirs.items()}
                         | {"here": with_interval(metric, row.difference, row.low, row.high, sign=True),
                            "p (Holm)": p_value(row.p_holm), "verdict": verdict(row, list(theirs.values()))})
    return pd.DataFrame(lines)


def verdict(row, theirs):
    """A difference of ours beside the paper's of its encoders: of the same direction and size (our interval reaches the
    smallest of them), of the same direction but smaller, none (their size excluded, or not), or opposite. Differences of
    the paper below NOTHING, or a rank, count as none."""
    least = 1 if metrics.FIGURES[row.figure].high == metrics.ANY else NOTHING
    effects = [value for value in theirs if abs(value) > least]
    if not effects:
        return "the paper has none"
    if len(set(np.sign(effects))) > 1:
        return "the paper's two encoders differ"
    sign, smallest = np.sign(effects[0]), min(map(abs, effects))
    near, far = sorted((sign * row.low, sign * row.high))
    if not row.significant:
        return "none, the paper's size excluded" if far < smallest else "none, the paper's size not excluded"
    if sign * row.difference < 0:
        return "opposite"
    return "same direction and size" if far >= smallest else "same direction, smaller"


def by_language(name, benchmark, conditions, figure, part="reproduction", model=None):
    """mAP by query language: a line a language, a column a condition; with the paper's of a model beside them."""
    table = _part(name, part)
    table = table[(table.benchmark == benchmark) & (table.figure == figure) & (table.system == "plain")
                  & (table.language != "all") & table.condition.isin(conditions)]
    metric = metrics.FIGURES[figure]
    result = pd.DataFrame({condition: own.set_index("language").apply(
        lambda row: with_interval(metric, row.value, row.low, row.high), axis=1)
        for condition, own in table.groupby("condition")}).reindex(columns=[c for c in conditions if c in set(table.condition)])
    if model:
        setting = {"Mo": "monolingual", "Cr": "cross-lingual", "Mul": "multilingual"}[figure.split(" ")[0]]
        theirs = paper()
        theirs = theirs[(theirs.model == model) & (theirs.benchmark == benchmark) & (theirs.setting == setting)
                        & (theirs.metric == "map") & (theirs.table > 2)]
        theirs = theirs.pivot_table(index="language", columns="strategy", values="value")
        for strategy in filter(theirs.columns.__contains__, STRATEGIES.values()):
            result[f"{MODELS[model]}, {strategy}"] = theirs[strategy].map("{:.3f}".format).reindex(result.index)
    return result.fillna("–").rename_axis(None)


def matrix(name, part, condition, benchmark, setting="map"):
    """A square of query languages by passage languages: mAP in the pool of the passage language, or with "share" the share
    of the passage language in the top 10 of the mixed pool."""
    table = summary.pairs(name)
    figures = ["share"] if setting == "share" else ["Mo map", "Cr map"]
    table = table[(table.part == part) & (table.condition == condition) & (table.benchmark == benchmark)
                  & table.figure.isin(figures)].astype({"query_language": str, "passage_language": str})
    return table.pivot(index="query_language", columns="passage_language", values="value")


def transfer(name, part, condition, benchmark):
    """By language of the question: monolingual mAP, and the mean over the pools of all other languages, cross-lingual mAP."""
    square = matrix(name, part, condition, benchmark)
    mono = pd.Series(np.diag(square), square.index)
    return pd.DataFrame({"mono": mono, "cross": (square.sum(axis=1) - mono) / (len(square) - 1)})


def alignment(name, part, benchmark, conditions, baseline):
    """Do monolingual and cross-lingual mAP go together over languages? A line a condition: Pearson's r of the two, and of
    their changes from a baseline condition, with 95 % intervals over languages (Fisher's z)."""
    before, lines = transfer(name, part, baseline, benchmark), []
    for condition in conditions:
        values = transfer(name, part, condition, benchmark)
        line = {"condition": condition, "languages": len(values), "r of Mo and Cr mAP": _correlation(values)}
        if condition != baseline:
            line[f"r of their changes from {baseline}"] = _correlation(values - before)
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


def _correlation(values):
    made = stats.pearsonr(values.mono, values.cross)
    low, high = made.confidence_interval()
    return f"{made.statistic:+.2f} [{low:+.2f},\N{NO-BREAK SPACE}{high:+.2f}]"


def final(name):
    """The model of the part "final" beside the paper's hybrid models, on both benchmarks."""
    lines = []
    for benchmark in ("xquad-r", "mlqa-r"):
        for condition in dict.fromkeys(_part(name, "final").condition):
            ours = wide(select(name, "final", benchmark, TABLE1, conditions=[condition]))
            if len(ours):
                lines.append({"model": f"ours, {condition}", "benchmark": title(benchmark), **ours.iloc[0]})
        for model in MODELS:
            table = published(model, benchmark)
            theirs = wide(table[(table.strategy == "hybrid") & table.figure.isin(TABLE1)], interval=False)
            lines.append({"model": theirs.index[0], "benchmark": title(benchmark), **theirs.iloc[0]})
    return pd.DataFrame(lines)


def cost():
    """Hours of each study by device, with an estimate of the energy."""
    lines = []
    for name in [*studies(), *(["best"] if rows.manifests("best") else [])]:
        made = pd.DataFrame([dict(device=row["device"], **row["seconds"]) for row in rows.manifests(name).values()])
        for device, part in made.groupby("device"):
            hours = (part.training.sum() + part.evaluation.sum()) / 3600
            watts = WATTS["CPU" if device.startswith("CPU") else "GPU"]
            lines.append({"study": SHORT.get(name, NAMES[name]), "device": device, "runs": len(part),
                          "training, hours": f"{part.training.sum() / 3600:.2f}",
                          "evaluation, hours": f"{part.evaluation.sum() / 3600:.2f}", "assumed power, watts": watts,
                          "energy, kWh": f"{hours * watts / 1000:.2f}"})
    return pd.DataFrame(lines)


def benchmarks(name, part, pools=False):
    """The benchmarks on which all conditions of a part are measured; with pools, also those of some languages alone."""
    table = _part(name, part)
    table = table[table.system == "plain"]
    counts = table.groupby("benchmark").condition.nunique()
    return [b for whole in TITLES for b in sorted(counts.index)
            if (b == whole or pools and b.startswith(f"{whole} ")) and counts[b] == table.condition.nunique()]


def title(benchmark):
    """A benchmark's name as the book writes it; of a pool of some of its languages, how many those are."""
    if found := (VALIDATION | FOURTH).get(benchmark):
        return found
    name, _, languages = benchmark.partition(" ")
    number = len(set(languages.split()) & set(LANGUAGES.get(name, languages).split()))
    return TITLES.get(name, name) + (f", {number} languages" if languages else "")


def heading(text, name, part, benchmark, more=""):
    """What a table is of, with n and seeds."""
    table = _part(name, part)
    table = table[(table.benchmark == benchmark) & (table.system == "plain") & (table.condition != "untrained")]
    seeds = sorted(set(table.seeds.dropna().astype(int)))
    return (f"{text}, {title(benchmark)}{more} ({int(table.groups.max())} groups of questions, "
            f"{' to '.join(map(str, sorted({seeds[0], seeds[-1]})))} seeds)")
