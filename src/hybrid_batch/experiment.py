"""Experiments: train, evaluate, keep what was measured.

An experiment is trained and measured once: its folder under runs/experiments is named after what it is and a
fingerprint of all that could change its result, so asking for it again reads it.
"""

import copy
import functools
import importlib.metadata
import json
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hybrid_batch import config, debias, metrics, paths, retrieval, statistics, storage, trainer
from hybrid_batch.data import corpora, decontamination
from hybrid_batch.data.benchmarks import load_benchmark
from hybrid_batch.data.choices import load_choices
from hybrid_batch.data.languages import LANGUAGES
from hybrid_batch.data.probes import load_probes
from hybrid_batch.encoders import load, weights

TABLE = ("Mo map", "Cr map", "Mul map", "Mul rank_distance")
LONG = 60  # seconds of a training that is not to be repeated because its evaluation was interrupted
FITTED_ON = "encyclo11"  # its train split: what debias methods are fitted on, but "centring", which sees the pool


@dataclass(frozen=True)
class Run:
    """A finished experiment. label: as the one who asked for it calls it."""

    folder: Path
    label: str = ""

    @functools.cached_property
    def manifest(self):
        return json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))

    @property
    def name(self):
        return self.label or self.manifest["label"]

    @property
    def trained(self):
        return bool(self.manifest["steps"])

    @property
    def log(self):
        """The trainer's log, see trainer.train."""
        return pd.read_csv(self.folder / "log.csv")

    def systems(self, benchmark):
        """What was measured on a benchmark: "plain", "centring", "interpolated w" ..."""
        return list(self.manifest["benchmarks"][benchmark]["systems"])

    def ranks(self, benchmark, system="plain"):
        """The table of ranks that metrics explains."""
        return pd.read_parquet(self.file(benchmark, system, "ranks.parquet"))

    def top(self, benchmark, system="plain"):
        """(query languages, (queries, 10) languages of the best passages)."""
        table = pd.read_parquet(self.file(benchmark, system, "top.parquet"))
        return table.pop("query_language").to_numpy(), table.to_numpy()

    def vectors(self, benchmark, system="plain"):
        """Passage vectors (passages, dim) and their languages."""
        with np.load(self.file(benchmark, system, "vectors.npz")) as saved:
            return saved["passages"].astype(np.float32), saved["languages"]

    def scores(self, benchmark, system="plain"):
        """Scores of every query, see metrics.per_query."""
        return metrics.per_query(self.ranks(benchmark, system))

    def choice_scores(self):
        """Of reasoning items {data set: table}, see metrics.choice_scores."""
        path = self.folder / "choices.parquet"
        table = pd.read_parquet(path) if path.exists() else pd.DataFrame({"data_set": []})
        return {name: part.drop(columns="data_set") for name, part in table.groupby("data_set", sort=False)}

    def file(self, benchmark, system, what):
        return self.folder / f"{storage.digest(benchmark, system)}.{what}"

    def keep(self, benchmark_name, system, benchmark, vectors, probes=None):
        """Rank, leave in the folder what the methods above read, and return the system's metrics, {name: value}."""
        ranks, top = retrieval.rank(vectors, benchmark)
        ranks.to_parquet(self.file(benchmark_name, system, "ranks.parquet"))
        table = pd.DataFrame(top, columns=[f"top{i + 1}" for i in range(top.shape[1])])
        query_language = benchmark.queries.language.to_numpy()
        table.assign(query_language=query_language).to_parquet(self.file(benchmark_name, system, "top.parquet"))
        languages = benchmark.passages.language.to_numpy(str)
        np.savez(self.file(benchmark_name, system, "vectors.npz"), passages=vectors.passages.astype(np.float16),
                 languages=languages)
        measured = metrics.Measured(ranks, metrics.per_query(ranks), query_language, top, vectors.queries,
                                    vectors.passages, languages, probes)
        return {name: round(metric(measured), 6) for name, metric in metrics.SYSTEM_METRICS.items()}


def run(experiment, cache=None):
    """The Run of an experiment: read if it was made before, else trained and measured now. A folder appears only
    when all in it is complete; an interrupted training goes on from its last checkpoint, and processes that ask for the
    same experiment wait for the first. Raises ValueError or FileNotFoundError that names what is wrong and the remedy."""
    quiet()
    training, validation = load_training(experiment)
    languages = list(experiment.languages) or None
    data = experiment.data or None
    benchmarks = {name: load_benchmark(name, data, languages=languages) for name in experiment.benchmarks}
    left_out = [*benchmarks.values(), *(load_benchmark(name, data) for name in experiment.clean_of)]
    choices = [load_choices(name, data, list(experiment.choice_languages) or languages, experiment.choice_items)
               for name in experiment.choices]
    values = experiment.values()
    measuring = {name: values[name] for name, about in config.EXPERIMENT.items() if not about.trains and name != "data"}
    key = storage.digest(
        experiment.identity(), sorted(measuring.items()), languages, training and training.key, validation and validation.key,
        [part.checksum for part in (*left_out, *choices)], load.identity(experiment.encoder),
        storage.code_fingerprint("experiment"), importlib.metadata.version("torch"))
    slug = "".join(c if c.isalnum() or c in ".-" else "-" for c in experiment.label).strip("-")[:60]
    cache = Path(cache or paths.RUNS / "experiments")
    with storage.lock(cache / f".{key}.lock"):
        folder = next(cache.glob(f"[!.]*-{key}"), cache / f"{slug}-s{experiment.training.seed}-{key}")
        if not folder.exists():
            if training is not None:
                training, validation = (decontamination.clean(part, left_out) for part in (training, validation))
                for name, number in training.about["contaminated"].items():
                    print(f"decontamination: {number} rows of {training.name} left out: they stand in {name}", flush=True)
            with storage.resumable(folder) as partial:
                _make(experiment, training, validation, benchmarks, choices, partial)
    return Run(folder, experiment.label)


def load_training(experiment):
    """What an experiment trains on and what it stops early on: two corpora, (None, None) without training. Each task
    takes from its source the rows of that task; extra takes those of qa, and parallel of reasoning items the
    stems. Of the experiment's languages a corpus brings those that it has. Raises ValueError if a source has no rows of its
    task."""
    if experiment.mixture is None:
        return None, None
    wanted = [code for code in experiment.languages or LANGUAGES if code not in experiment.unseen]
    wanted = wanted if experiment.languages or experiment.unseen else None

    def read(name, split, limit=None):
        languages = corpora.available_languages(name, wanted) or wanted  # none of them: the error says so
        return corpora.load_corpus(name, split, languages, experiment.data or None, limit, consent=experiment.consent or None)

    parts = []
    for task in experiment.mixture.tasks:
        name = experiment.sources.get(task)
        if not name:
            raise ValueError(f"the strategy draws {task} batches, but sources names no corpus of {task}: add one, as in "
                             f"sources: {{{task}: CORPUS}}")
        corpus = read(name, "train", experiment.limits.get(task))
        if task == "parallel" and "reasoning" in corpus.rows.unique("task"):
            corpus = corpora.stems(corpus)
        found, own = np.array(corpus.rows["task"]), "qa" if task == "extra" else task
        if not (found == own).any():
            raise ValueError(f"sources: {task}: {name} has no rows of the task {own}, only of {', '.join(sorted(set(found)))}")
        corpus = corpus if (found == own).all() else corpora.select(corpus, found == own, f"{own} rows")
        if task == "extra":
            corpus = corpora.with_task(corpus, "extra")
        if task == "reasoning" and experiment.answers != "right":
            corpus = corpora.swap_answers(corpus, experiment.answers, experiment.training.seed)
        parts.append(corpus)
    if len({part.name for part in parts}) < len(parts):  # one corpus serves two tasks
        parts = [replace(part, name=f"{part.name} {task}") for part, task in zip(parts, experiment.mixture.tasks)]
    training = parts[0] if len(parts) == 1 else corpora.join(*parts)
    held_out = filter(None, map(corpora.held_out, experiment.sources.get("qa", "").split("+")))
    return training, read(experiment.validation or "+".join(held_out) or "encyclo11", "validation")


def _make(experiment, training, validation, benchmarks, choices, folder):
    start, made = time.time(), Run(folder, experiment.label)
    encoder = copy.deepcopy(_untrained(experiment.encoder))
    steps, drawn = 0, {}
    before = weights.parameters(encoder) if experiment.interpolation else None
    if training is not None:
        encoder, drawn = _train(experiment, encoder, training, validation, folder)
        steps = int(made.log.step.max())
        if experiment.keep_encoder:
            load.save(encoder, folder / "encoder")
    trained = time.time()
    precision = retrieval.encoding_precision(encoder, experiment.encoding_precision)
    measured, probed = _measure(experiment, encoder, benchmarks, precision, made)
    answered = _answer(encoder, choices, precision, folder)
    if experiment.interpolation:
        after = weights.parameters(encoder)
        for weight in experiment.interpolation:
            weights.interpolate(encoder, before, after, weight)
            if experiment.keep_encoder:
                load.save(encoder, folder / f"encoder-{weight:g}")
            for name, benchmark in benchmarks.items():
                system = f"interpolated {weight:g}"
                vectors = retrieval.embed(encoder, benchmark, precision=precision)
                measured[name]["systems"][system] = made.keep(name, system, benchmark, vectors)
    manifest = {
        "label": experiment.label, "experiment": experiment.values(), "key": experiment.key, "steps": steps,
        "encoder": load.identity(experiment.encoder), "prompts": encoder.prompts,
        "shares": experiment.mixture.written() if experiment.mixture else {}, "drawn": drawn,
        "corpus": training and dict(name=training.name, checksum=training.checksum, rows=len(training.rows), **training.about),
        "benchmarks": measured, "choices": answered, "probes": probed, "device": device_name(encoder.device),
        "threads": torch.get_num_threads(),
        "precision": {"training": weights.precision(experiment.training.precision, encoder.device) if steps else None,
                      "encoding": precision},
        "seconds": {"training": round(trained - start + drawn.pop("seconds before", 0), 1),
                    "evaluation": round(time.time() - trained, 1)},
        "code": storage.code_fingerprint("experiment"), **storage.provenance()}
    storage.write(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False))
    shutil.rmtree(folder / "trained", ignore_errors=True)


def _train(experiment, encoder, training, validation, folder):
    """(trained encoder, batches drawn of each kind). A training that took long is kept until all is measured, so that an
    interrupted run need not repeat it; the seconds that it took are then among the numbers drawn."""
    kept, start = folder / "trained", time.time()
    if (kept / "drawn.json").exists():
        return load.load(kept / "encoder"), json.loads((kept / "drawn.json").read_text())
    log, drawn = trainer.train(encoder, training, experiment.mixture, experiment.training, validation, folder / "checkpoints",
                               resume=True)
    log.to_csv(folder / "log.csv", index=False)
    if (seconds := time.time() - start) > LONG:
        load.save(encoder, kept / "encoder")
        storage.write(kept / "drawn.json", json.dumps(drawn | {"seconds before": round(seconds, 1)}))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return encoder, drawn


def _measure(experiment, encoder, benchmarks, precision, made):
    """({benchmark or pool: what the manifest says of it}, translation accuracies of the probes)."""
    measured, probes = {}, None
    if experiment.probes:
        probes = retrieval.embed_probes(encoder, load_probes(experiment.data or None, list(experiment.languages) or None,
                                                             experiment.probe_sentences), precision)
    elsewhere = [method for method in experiment.debias if method != "centring"]
    fitted = embed_fitted(encoder, precision) if elsewhere else None
    for name, benchmark in benchmarks.items():
        print(f"evaluating: {experiment.label}, on {name}", flush=True)
        plain = retrieval.embed(encoder, benchmark, precision=precision)
        about = measured[name] = dict(checksum=benchmark.checksum, queries=len(benchmark.queries),
                                      passages=len(benchmark.passages), systems={})
        about["systems"]["plain"] = made.keep(name, "plain", benchmark, plain, probes)
        for method in experiment.debias:
            vectors = debiased(method, plain, benchmark, fitted)
            about["systems"][method] = made.keep(name, method, benchmark, vectors)
        if experiment.subset:
            part = f"{name} {' '.join(experiment.subset)}"
            chosen, inside = retrieval.restrict_languages(benchmark, plain, experiment.subset)
            measured[part] = dict(checksum=benchmark.checksum, queries=len(chosen.queries), passages=len(chosen.passages),
                                  systems={"plain": made.keep(part, "plain", chosen, inside)})
    return measured, metrics.probe_accuracies(probes)


def _answer(encoder, choices, precision, folder):
    """Leave scores of reasoning items in the folder; what the manifest says of them, {data set: ...}."""
    tables = []
    for part in choices:
        stems, options = (retrieval.encode(encoder, table.text, prompt, precision)
                          for table, prompt in ((part.stems, "query"), (part.options, "passage")))
        tables.append(metrics.choice_scores(stems, options, part.stems["item"], part.stems.language, part.options["item"],
                                            part.options.language, part.options.right).assign(data_set=part.name))
    if tables:
        pd.concat(tables).to_parquet(folder / "choices.parquet")
    return {part.name: dict(checksum=part.checksum, items=part.stems["item"].nunique(), languages=part.languages,
                            chance=round(part.chance, 4)) for part in choices}


def embed_fitted(encoder, precision="float32"):
    """(embeddings, benchmark) of what debias methods are fitted on: questions and sentences of the train split of our
    own corpus, parallel in all languages and in no benchmark."""
    corpus = load_benchmark(FITTED_ON, split="train")
    return retrieval.embed(encoder, corpus, precision=precision), corpus


def debiased(method, vectors, benchmark, fitted=None):
    """Embeddings of a benchmark after a debias method. "centring" takes the means of the benchmark's own pool, so it is
    transductive; "centring elsewhere" and all others are fitted on ``fitted``, see embed_fitted."""
    source, corpus = (vectors, benchmark) if method == "centring" else fitted
    apply = debias.fit(method.removesuffix(" elsewhere"), source, corpus.queries.language, corpus.passages.language)
    return apply(vectors, benchmark.queries.language, benchmark.passages.language)


@functools.lru_cache(maxsize=1)
def _untrained(name):
    """The encoder as it was loaded, for the runs of a study to copy."""
    return load.load(name)


def quiet():
    """Leave the terminal and the notebooks to our own progress and results."""
    import datasets
    import transformers
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def device_name(device):
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def run_all(experiments, cache=None):
    """Runs of several experiments, in order; what is done already is read."""
    runs = []
    for number, experiment in enumerate(experiments, 1):
        print(f"[{number}/{len(experiments)}] {experiment.label}, seed {experiment.training.seed}", flush=True)
        runs.append(run(experiment, cache))
    return runs


def save_index(runs, path):
    """Write down where runs lie, for other notebooks to find them."""
    index = {os.path.relpath(made.folder, paths.ROOT): made.name for made in runs}
    storage.write(path, json.dumps(index, indent=1, ensure_ascii=False))


def load_index(path):
    """The runs that ``save_index`` wrote down; [] if there is no such file. Raises FileNotFoundError if a run is gone."""
    path = paths.ROOT / path
    if not path.exists():
        return []
    runs = [Run(paths.ROOT / folder, label) for folder, label in json.loads(path.read_text(encoding="utf-8")).items()]
    if missing := [made.folder for made in runs if not (made.folder / "manifest.json").exists()]:
        raise FileNotFoundError(f"{path} names the run {missing[0]}, which is gone: run the notebook that made it again")
    return runs


def by_system(runs, benchmark):
    """{name, or "name, system": [scores of a run, one a seed]}."""
    parts = {}
    for made in runs:
        for system in made.systems(benchmark):
            label = made.name if system == "plain" else f"{made.name}, {system}"
            parts.setdefault(label, []).append(made.scores(benchmark, system))
    return parts


def table(runs, benchmark, figures=TABLE):
    """Figures of runs with 95 % intervals: a row per (system, figure), see statistics.estimates. Runs of one name are
    seeds."""
    trained = {made.name for made in runs if made.trained}
    return statistics.estimates(by_system(runs, benchmark), figures, lambda name: name.split(", ")[0] in trained)
