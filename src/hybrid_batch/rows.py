"""What one run leaves in results/STUDY: KEY.json, its manifest, and KEY.parquet, its rows. There is no text of a corpus
in them. Of values by groups a run's file has the values alone: what they are of is the same for many runs, so it stands,
in the same order, in a file of results/STUDY/groups that the metadata name.

All rows have one form: benchmark, system, figure, query_language, passage_language, group, value, weight.
- a figure of a system: "Mul map" or "gap", languages "all", no group;
- of a pair of languages, plain: "Cr map", "share" (of the passage language in the top 10), "ntrex";
- of a group of queries, for intervals and tests: "Mo map" with group and weight; the figure is the sum of value times
  weight. By query language only where a study asks for it.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hybrid_batch import metrics, paths, statistics, storage

SCHEMA = pa.schema([*((name, pa.dictionary(pa.int16(), pa.string())) for name in (
    "benchmark", "system", "figure", "query_language", "passage_language")),
    ("group", pa.int32()), ("value", pa.float64()), ("weight", pa.float32())])
STEPS = 100  # of the values of groups between 0 and 1, so that results stay small; figures have six digits, of pairs four


def collect(run, detail=False, compared=()):
    """(manifest, rows as a table of SCHEMA) of a finished experiment.Run. Values by groups are kept of the plain system and
    of those in ``compared``. detail: also what intervals of recall and by query language need, which is most of it."""
    manifest, parts = dict(run.manifest), []
    for benchmark, about in manifest["benchmarks"].items():
        for system, space in about["systems"].items():
            table = pd.concat(_system(run, benchmark, system, space, detail, compared))
            parts.append(table.assign(benchmark=benchmark, system=system))
    for name, scores in run.choice_scores().items():
        parts.append(pd.concat(_choices(scores)).assign(benchmark=name, system="plain"))
    for kind, accuracies in manifest.pop("probes").items():
        pairs = [pair.split(" ") for pair in accuracies]
        parts.append(pd.DataFrame(dict(benchmark=kind, system="plain", figure=kind, value=list(accuracies.values()),
                                       query_language=[pair[0] for pair in pairs],
                                       passage_language=[pair[1] if pair[1:] else "en" for pair in pairs])))
    manifest["benchmarks"] = {name: about | {"systems": list(about["systems"])}
                              for name, about in manifest["benchmarks"].items()}
    manifest["experiment"] = {k: v for k, v in manifest["experiment"].items() if k != "data"}
    if manifest["corpus"]:
        manifest["corpus"] = {k: manifest["corpus"][k] for k in ("name", "checksum", "rows", "contaminated")}
    if run.trained:
        curve = run.log[["step", "validation_loss"]].dropna()
        manifest["validation_loss"] = {int(step): round(loss, 4) for step, loss in curve.itertuples(index=False)}
        manifest["loss"] = round(float(run.log.loss.dropna().tail(10).mean()), 4)
    return manifest, table_of(pd.concat(parts))


def _system(run, benchmark, system, space, detail, compared):
    """Yield tables of the rows of one system on one benchmark."""
    scores = run.scores(benchmark, system)
    macro = metrics.macro(scores)
    yield pd.DataFrame([(figure, round(float(macro.loc[figure.split(" ")[0], metric.name]), 6))
                        for figure, metric in metrics.QUERY_FIGURES.items() if figure.split(" ")[0] in macro.index]
                       + [(name, value) for name, value in space.items() if np.isfinite(value)],
                       columns=["figure", "value"])
    if system == "plain":
        pairs = metrics.per_language(scores)[[*metrics.PAIR, "map"]]
        yield pairs.assign(figure=pairs.setting + " map", value=pairs["map"].round(4)).drop(columns=["setting", "map"])
        shares = metrics.language_shares(*run.top(benchmark, system)).stack().rename("value").round(4).reset_index()
        yield shares.assign(figure="share")
    for figure, metric in metrics.QUERY_FIGURES.items():
        wanted = metric.groups == "always" or metric.groups == "in detail" and detail and system == "plain"
        setting = figure.split(" ")[0]
        if setting not in macro.index or not wanted or system not in ("plain", *compared):
            continue
        found = sorted(scores.query_language[scores.setting == setting].unique())  # not all languages are in all settings
        names = found if detail and metric.by_language and system == "plain" else []
        for language in ["all", *names]:
            yield _groups(scores, figure, language)


def _choices(scores):
    """Yield tables of the rows of one data set of reasoning items; its figures are "Mo accuracy", within a language, and
    "Cr accuracy", the options in another language than the stem."""
    pairs = scores.groupby(metrics.PAIR, as_index=False).accuracy.mean()
    pairs = pairs.assign(figure=pairs.setting + " accuracy", value=pairs.accuracy)
    overall = pairs.groupby("figure", as_index=False).value.mean().round({"value": 6})
    pairs = pairs.round({"value": 4})
    yield overall
    yield pairs[["figure", "query_language", "passage_language", "value"]]
    for figure in overall.figure:
        yield _groups(scores, figure)


def _groups(scores, figure, language="all"):
    """The rows of groups of one figure."""
    groups, values, weights = statistics.by_group(scores, figure, language)
    values = (values * STEPS).round() / STEPS if metrics.FIGURES[figure].high == 1 else _three_digits(values)
    return pd.DataFrame(dict(figure=figure, query_language=language, group=groups, value=values, weight=weights))


def _three_digits(values):
    """Ranks with three digits."""
    unit = 10.0 ** np.maximum(np.floor(np.log10(np.maximum(values, 1))) - 2, 0)
    return np.where(np.isfinite(values), np.round(values / unit) * unit, values)


def table_of(frame):
    """Rows as a table of SCHEMA; languages that are missing are "all"."""
    frame = frame.reindex(columns=SCHEMA.names)
    frame = frame.astype(dict.fromkeys(SCHEMA.names[:5], object)).fillna({"query_language": "all", "passage_language": "all"})
    order = ["benchmark", "system", "figure", "query_language", "passage_language", "group"]
    frame = frame.sort_values(order, ignore_index=True).astype({"group": "Int32"})
    return pa.Table.from_pandas(frame, SCHEMA, preserve_index=False).replace_schema_metadata()


def write(study, key, manifest, table, results=None):
    """Put a run into results/STUDY: the rows first, so that a manifest says that all is there."""
    folder = Path(results or paths.RESULTS) / study
    of_groups = table.filter(pc.is_valid(table["group"]))
    ranks = pc.match_substring(of_groups["figure"].cast(pa.string()), "rank")
    of_groups = pa.concat_tables([of_groups.filter(pc.invert(ranks)), of_groups.filter(ranks)])  # apart they take less room
    names = of_groups.drop_columns("value").combine_chunks()
    digest = storage.digest(*(names[column].to_pylist() for column in names.column_names))
    if not (path := folder / "groups" / f"{digest}.parquet").exists():
        _write(path, [names])
    unnamed = pa.table({name: of_groups[name] if name == "value" else pa.nulls(len(of_groups), SCHEMA.field(name).type)
                        for name in SCHEMA.names}, SCHEMA)
    _write(folder / f"{key}.parquet", [part.replace_schema_metadata({"groups": digest}) for part in (
        table.filter(pc.is_null(table["group"])), unnamed)])
    storage.write(folder / f"{key}.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _write(path, parts):
    coded = [name for name in parts[0].column_names if name not in ("group", "weight")]
    with storage.replacing(path) as partial, pq.ParquetWriter(
            partial, parts[0].schema, compression="zstd", compression_level=19, use_dictionary=coded) as writer:
        for part in parts:
            writer.write_table(part)


def manifests(study, results=None):
    """{key: manifest} of a study's runs; {} before there are any."""
    folder = Path(results or paths.RESULTS) / study
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def read(study, keys, results=None):
    """The rows of some runs as one table, with a column key."""
    folder = Path(results or paths.RESULTS) / study
    keys = list(keys)
    tables = [_read(folder, key) for key in keys]
    whole = pa.concat_tables(tables).unify_dictionaries().to_pandas()
    number = np.repeat(np.arange(len(keys)), [len(table) for table in tables])
    return whole.assign(key=pd.Categorical.from_codes(number, keys))


def _read(folder, key):
    table = pq.read_table(folder / f"{key}.parquet")
    names = _groups_of(folder / "groups" / f"{table.schema.metadata[b'groups'].decode()}.parquet")
    named, values = table.filter(pc.is_valid(table["benchmark"])), table.filter(pc.is_null(table["benchmark"]))["value"]
    of_groups = names.add_column(SCHEMA.get_field_index("value"), SCHEMA.field("value"), values)
    return pa.concat_tables([named.replace_schema_metadata(), of_groups.replace_schema_metadata()])


_groups_of = functools.lru_cache(maxsize=64)(pq.read_table)
