"""Studies: a grid of experiments in one YAML file, run by one command, and its results, small enough to commit.

A study, studies/NAME.yaml, has *parts*, each with *cells* (conditions), each trained with several seeds. A run leaves
one row in results/NAME: manifests.jsonl says how it was made, figures.csv what it gave, languages.parquet the same by
languages, groups-BENCHMARK.npz what intervals and tests need. There is no text of a corpus in them.
"""

import functools
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd
import yaml

from hybrid_batch import metrics, statistics, study
from hybrid_batch.data import corpora, files
from hybrid_batch.settings import Settings

STUDIES = corpora.ROOT / "studies"
RESULTS = corpora.ROOT / "results"
EXPERIMENT = {f.name for f in fields(study.Experiment)} - {"settings"}
SETTINGS = {f.name for f in fields(Settings)} - EXPERIMENT
PART = {"seeds", "cells", "by_language"}  # what a part has besides the entries of its experiments
MEASURED = ("benchmarks", "subset", "probes", "means_removed", "interpolation", "keep_encoder", "data")
STEPS = 250  # of a value between 0 and 1 in groups-BENCHMARK.npz


@dataclass(frozen=True)
class Planned:
    """A run that a study asks for."""

    part: str
    cell: str
    experiment: study.Experiment

    @property
    def key(self):
        """Names the run in the results: of what is trained, not of what it is measured on, nor of code or machine."""
        identity = asdict(study._canonical(self.experiment))
        for field in MEASURED + (("settings",) if self.experiment.strategy is None else ()):
            identity.pop(field)
        if not identity["cleaned_of"]:  # the keys of runs made before there was this field
            identity.pop("cleaned_of")
        if "settings" in identity and not identity["settings"]["distillation"]:
            identity["settings"].pop("distillation")
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def load(name):
    """A study's file as a dict. ``base`` names another study, whose entries it takes over and changes; a part set to
    null is left out. Raises ValueError that names what is wrong."""
    path = STUDIES / f"{name}.yaml"
    if not path.exists():
        names = sorted(path.stem for path in STUDIES.glob("*.yaml"))
        raise ValueError(f"study {name!r} is unknown; choose from {', '.join(names)}")
    content = yaml.safe_load(path.read_text())
    if "base" not in content:
        return content
    base = load(content.pop("base"))
    for entry in ("corpora", "experiment"):
        base[entry] = {**base.get(entry, {}), **content.pop(entry, {})}
    for entry in ("parts", "comparisons"):
        own, theirs = content.pop(entry, {}), base.get(entry, {})
        merged = {name: own.get(name, {}) and {**body, **own[name]} if name in own else body
                  for name, body in theirs.items()}
        base[entry] = {name: body for name, body in {**own, **merged}.items() if body}
        base[entry] = {name: base[entry][name] for name in [*theirs, *own] if name in base[entry]}
    return {**base, **content}


def plan(name, data=None):
    """All runs of a study, in order: a list of Planned. A run may belong to several parts. Raises ValueError for an
    entry that is neither of an Experiment nor of Settings."""
    content = load(name)
    planned = []
    for part, body in content["parts"].items():
        for cell, own in body["cells"].items():
            values = {**content["experiment"], **{k: v for k, v in body.items() if k not in PART}, **(own or {})}
            if unknown := set(values) - EXPERIMENT - SETTINGS:
                raise ValueError(f"study {name!r}, {part}, {cell}: {sorted(unknown)[0]!r} is neither of an experiment "
                                 f"nor a setting")
            for key in ("corpus", "reasoning_corpus"):
                if key in values:
                    values[key] = content["corpora"].get(values[key], values[key])
            chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in EXPERIMENT}
            settings = Settings(**{k: v for k, v in values.items() if k in SETTINGS})
            experiment = study.Experiment(**{"strategy": None, **chosen}, data=data, settings=settings)
            if paths := [benchmark for benchmark in experiment.benchmarks if "/" in benchmark]:
                raise ValueError(f"study {name!r}, {part}, {cell}: benchmark {paths[0]!r}: give its name alone, and the "
                                 f"folder that holds it as --data")
            seeds = [0] if experiment.strategy is None else content.get("seeds") or body["seeds"]
            planned += [Planned(part, cell, e) for e in study.seeds(experiment, seeds)]
    return planned


def run(name, data=None, shard=(0, 1), again=False):
    """Make all runs of a study that have no row yet, then collect the results. shard: (i, n), every n-th run from the
    i-th, for several processes. again: rows that are there are made anew, but for those that this code has just left
    on this machine. An interrupted study goes on where it was."""
    parts, wanted, by_language = load(name)["parts"], {}, set()
    for item in plan(name, data):
        wanted.setdefault(item.key, item)
        if parts[item.part].get("by_language"):
            by_language.add(item.key)
    place = study.RUNS / "studies" / name
    place.mkdir(parents=True, exist_ok=True)
    done = {} if again else {row["key"]: set(row["benchmarks"]) for row in manifests(name)}
    mine = [item for number, item in enumerate(wanted.values()) if number % shard[1] == shard[0]]
    for number, item in enumerate(mine, 1):
        what = f"[{number}/{len(mine)}] {item.part}: {item.cell}, seed {item.experiment.settings.seed}"
        measured = set(item.experiment.benchmarks)
        if measured <= done.get(item.key, set()) | _left(place / item.key, again):
            print(f"{what}: done", flush=True)
            continue
        print(what, flush=True)
        made = study.run(item.experiment, place / "made")
        summarise(made, item.key, place, item.key in by_language)
        for encoder in made.folder.glob("encoder*"):  # those asked for: another cell may measure them
            kept = place / "encoders" / f"{item.cell.replace(' ', '-')}-{item.experiment.settings.seed}" / encoder.name
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(encoder, kept)
        shutil.rmtree(made.folder)
    return collect(name)


def _left(folder, again):
    """Benchmarks of a run that is in a folder; with again, only of one that this code has made."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) if path.exists() else {"benchmarks": ()}
    return set() if again and manifest.get("code") != study.code_checksum() else set(manifest["benchmarks"])


def summarise(made, key, place, by_language=True):
    """Write what is kept of a Run into the folder ``key`` of ``place``; by_language: also what intervals of figures by
    languages need, which is most of it."""
    manifest = dict(made.manifest)
    rows, languages, groups = [], [], {}
    for benchmark, about in manifest["benchmarks"].items():
        for system in about["systems"]:
            scores = made.scores(benchmark, system)
            names = dict(key=key, benchmark=benchmark, system=system)
            rows.append(names | _figures(made, benchmark, system, scores) | _probes(manifest, system))
            table = metrics.per_language(scores).drop(columns=["queries", "max_rank"])
            shares = metrics.language_shares(*made.top(benchmark, system)).stack().rename("share").reset_index()
            shares["setting"] = np.where(shares.query_language == shares.passage_language, "Mo", "Cr")
            table = table.merge(shares, "left", ["setting", "query_language", "passage_language"])
            languages.append(table.assign(**names))
            values, weights = statistics.by_group(scores)
            language, measure = (values.columns.get_level_values(level) for level in (1, 2))
            forms = {"units": (language == "all") & (measure != "rank_distance"), "distances": measure == "rank_distance"}
            if by_language and system == "plain" and benchmark in manifest["experiment"]["benchmarks"]:  # not of its pools
                forms["languages"] = language != "all"
            for form, columns in forms.items():
                part = values.loc[:, columns]
                part = part.fillna(0) if form == "distances" else (STEPS * part).round().fillna(0)
                groups[f"{benchmark}/{key}/{system}/{form}"] = part.to_numpy(
                    np.float16 if form == "distances" else np.uint8)
                groups[f"{benchmark}/{form}"] = np.array([" ".join(column) for column in part.columns])
                for column in part.columns:
                    groups[f"{benchmark}/weights/{' '.join(column)}"] = weights[column].to_numpy(np.float32)
    probed = [dict(key=key, benchmark=kind, system="plain", setting=kind, query_language=pair.split()[0],
                   passage_language=pair.split()[-1] if kind == "ntrex" else "en", **{"recall@1": value})
              for kind in ("tatoeba", "ntrex") for pair, value in ((manifest["probes"] or {}).get(kind, {})).items()]
    log = made.log if manifest["steps"] else None
    manifest |= {"key": key, "loss": None if log is None else round(float(log.loss.dropna().tail(10).mean()), 4)}
    manifest["experiment"].pop("data")
    manifest["corpus"] = manifest["corpus"] and {k: manifest["corpus"][k] for k in ("name", "checksum", "rows",
                                                                                "contaminated")}
    manifest.pop("probes")
    partial, folder = place / f".{key}", place / key
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    pd.DataFrame(rows).to_csv(partial / "figures.csv", index=False)
    pd.concat([*languages, pd.DataFrame(probed)]).to_parquet(partial / "languages.parquet", index=False)
    np.savez_compressed(partial / "groups.npz", **groups)
    (partial / "manifest.json").write_text(json.dumps(manifest))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def _figures(made, benchmark, system, scores):
    """The figures of one system on one benchmark, as a dict."""
    macro, result = metrics.macro(scores), {}
    for setting, row in macro.iterrows():
        for measure, value in row.drop("settings").dropna().items():
            result[f"{setting} {measure}"] = round(float(value), 6)
    if "Cr map" in result:
        result |= {"gap": round(result["Mo map"] - result["Cr map"], 6),
                   "ratio": round(result["Cr map"] / result["Mo map"], 6)}
    ranks = made.ranks(benchmark, system)
    result["peer"] = round(float(np.mean([metrics.peer(part.rank_mul, part.passage_language)
                                          for _, part in ranks.groupby("query_language")])), 6)
    shares = metrics.language_shares(*made.top(benchmark, system))
    result["own language in top 10"] = round(float(np.mean([shares.loc[c, c] if c in shares else 0
                                                            for c in shares.index])), 6)
    for name, value in made.manifest["benchmarks"][benchmark].get("space", {}).get(system, {}).items():
        result[name] = round(value, 6)
    return result


def _probes(manifest, system):
    if not manifest["probes"] or system != "plain":
        return {}
    return {kind: round(float(np.mean(list(manifest["probes"][kind].values()))), 6) for kind in ("tatoeba", "ntrex")}


def collect(name):
    """Bring what runs left into results/NAME; rows that are there already stay, unless they were made again. Returns
    the folder."""
    place, target = study.RUNS / "studies" / name, RESULTS / name
    new = sorted(path.parent for path in place.glob("[0-9a-f]*/manifest.json"))
    if not new:
        return target
    target.mkdir(parents=True, exist_ok=True)
    keys = {folder.name for folder in new}
    rows = [row for row in manifests(name) if row["key"] not in keys]
    rows += [json.loads((folder / "manifest.json").read_text()) for folder in new]
    order = {item.key: number for number, item in enumerate(reversed(plan(name)))}
    rows.sort(key=lambda row: -order.get(row["key"], -1))
    for table, read in (("figures.csv", _figures_of), ("languages.parquet", pd.read_parquet)):
        parts = [read(folder / table) for folder in new]
        if (target / table).exists():
            old = read(target / table)
            parts.insert(0, old[~old.key.isin(keys)])
        whole = pd.concat(parts, ignore_index=True)
        if table == "figures.csv":
            _replace(target / table, functools.partial(whole.to_csv, index=False))
        else:
            for column in whole.select_dtypes("object"):
                whole[column] = whole[column].astype("category")
            whole[whole.select_dtypes("float").columns] = whole.select_dtypes("float").round(5).astype("float32")
            _replace(target / table, functools.partial(whole.to_parquet, index=False, compression="zstd"))
    arrays = {}
    for file in [*sorted(target.glob("groups-*.npz")), *(folder / "groups.npz" for folder in new)]:
        with np.load(file) as saved:
            arrays |= {key: saved[key] for key in saved.files}
    for benchmark in {key.split("/")[0] for key in arrays}:
        mine = {key: value for key, value in arrays.items() if key.split("/")[0] == benchmark}
        _replace(target / f"groups-{benchmark.replace(' ', '-')}.npz",
                 lambda path, mine=mine: np.savez_compressed(path, **mine))
    files.write(target / "manifests.jsonl", (json.dumps(row) + "\n" for row in rows))
    from hybrid_batch import summaries
    summaries.summarise(name)
    return target


def _figures_of(path):
    return pd.read_csv(path, dtype={"key": str})  # 12e345678901 is no number


def _replace(path, save):
    """Write a file whole or not at all. save: a function of a path."""
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    save(partial)
    os.replace(partial, path)


def manifests(name):
    """The manifests of a study's runs; [] before there are any."""
    path = RESULTS / name / "manifests.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
