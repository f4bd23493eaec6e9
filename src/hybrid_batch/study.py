"""Experiments: train, evaluate, keep what was measured; and grids of them.

An experiment is trained and measured once: its folder under runs/experiments is named after what it is and a
fingerprint of all that could change its result, so asking for it again reads it.
"""

import copy
import functools
import hashlib
import importlib.metadata
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from hybrid_batch import alignment, metrics, statistics
from hybrid_batch.data import corpora, files, hygiene
from hybrid_batch.data.benchmarks import load_benchmark
from hybrid_batch.data.probes import load_probes
from hybrid_batch.environment import code_checksum, device_name, environment, quiet
from hybrid_batch.settings import Settings

RUNS = corpora.ROOT / "runs"
SHUFFLED = "shuffled"
MEASURES = ("map", "recall@1", "recall@10", "rank_distance")


@dataclass(frozen=True)
class Experiment:
    """What to train on what, and what to measure it with. strategy None measures the encoder untrained.
    corpus, reasoning_corpus, validation: names, see corpora.load_corpus, as are data, limit and consent; validation
    None takes what the corpus holds out.
    answers="shuffled" is the control in which reasoning batches teach a wrong option of each item as the right one.
    reasoning_corpus: what is drawn at share rho; of other tasks too, as a control. reasoning_limit: as limit, for it.
    cleaned_of: benchmarks whose texts are left out of what it trains on, besides those that it is measured on.
    unseen: languages that are measured, not trained on. subset: languages whose pool alone is searched, too.
    means_removed: whether it is measured with the means of languages removed, too.
    probes: whether the alignment of the space is measured, too, see alignment.
    interpolation: weights w at which the encoder before and after training, mixed, is measured too."""

    strategy: str | None
    alpha: float = 0.5
    rho: float = 0.0
    reasoning: str = "hybrid"
    answers: str = "right"
    encoder: str = "offline-e5-small"
    corpus: str = "encyclo11"
    reasoning_corpus: str = "encyclo11-reasoning"
    benchmarks: tuple = ("encyclo11",)
    data: str | None = None
    languages: tuple | None = None
    cleaned_of: tuple = ()
    unseen: tuple = ()
    subset: tuple = ()
    probes: bool = False
    means_removed: bool = True
    limit: int | None = None
    reasoning_limit: int | None = None
    consent: str | None = None
    validation: str | None = None
    interpolation: tuple = ()
    keep_encoder: bool = False
    settings: Settings = field(default_factory=Settings)

    @property
    def name(self):
        """A short name for tables and figures, without the seed."""
        if self.strategy is None:
            return "untrained"
        name = f"Hybrid({self.alpha:g})" if self.strategy == "Hybrid" else self.strategy
        if self.rho:
            name += f" + {self.rho:g} reasoning {self.reasoning}" + (", shuffled" if self.answers == SHUFFLED else "")
        return name


@dataclass(frozen=True)
class Run:
    """What an experiment left in its folder."""

    folder: Path

    @functools.cached_property
    def manifest(self):
        return json.loads((self.folder / "manifest.json").read_text())

    @property
    def name(self):
        return self.manifest["name"]

    @property
    def log(self):
        """The trainer's log, see trainer.train."""
        return pd.read_csv(self.folder / "log.csv")

    def systems(self, benchmark):
        """What was measured on a benchmark: "plain", "means removed", "interpolated w"."""
        return list(self.manifest["benchmarks"][benchmark]["systems"])

    def ranks(self, benchmark, system="plain"):
        """The table of ranks that metrics explains."""
        return pd.read_parquet(self._file(benchmark, system, "ranks.parquet"))

    def top(self, benchmark, system="plain"):
        """(query languages, (queries, 10) languages of the best passages)."""
        table = pd.read_parquet(self._file(benchmark, system, "top.parquet"))
        return table.pop("query_language").to_numpy(), table.to_numpy()

    def vectors(self, benchmark, system="plain"):
        """Passage vectors (passages, dim) and their languages."""
        with np.load(self._file(benchmark, system, "vectors.npz")) as saved:
            return saved["passages"].astype(np.float32), saved["languages"]

    def scores(self, benchmark, system="plain"):
        """Scores of every query, see metrics.per_query."""
        return metrics.per_query(self.ranks(benchmark, system))

    def _file(self, benchmark, system, what):
        return self.folder / f"{Path(benchmark).name.replace(' ', '-')}.{system.replace(' ', '-')}.{what}"


def run(experiment, cache=None):
    """The Run of an experiment: read if it was made before, else trained and measured now. A folder appears only
    when all in it is complete. An interrupted training goes on from its last checkpoint."""
    quiet()
    experiment = _canonical(experiment)
    training, validation = load_training(experiment)
    benchmarks = {name: load_benchmark(name, experiment.data, languages=experiment.languages)
                  for name in experiment.benchmarks}
    texts_left_out = [*benchmarks.values(), *(load_benchmark(name, experiment.data) for name in experiment.cleaned_of)]
    checksums = [training and training.key, validation and validation.key, *(b.checksum for b in texts_left_out)]
    identity = {**asdict(experiment), "checksums": checksums, "code": code_checksum(),
                "torch": importlib.metadata.version("torch")}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    slug = "".join(c if c.isalnum() or c in ".-" else "-" for c in experiment.name).strip("-")
    folder = Path(cache or RUNS / "experiments") / f"{slug}-s{experiment.settings.seed}-{key}"
    if (folder / "manifest.json").exists():
        return Run(folder)
    if training is not None:
        training, validation = (hygiene.clean(part, texts_left_out) for part in (training, validation))
        for name, number in training.about["contaminated"].items():
            print(f"hygiene: {number} rows of {training.name} left out: they stand in {name}", flush=True)
    partial = folder.with_name("." + folder.name)
    partial.mkdir(parents=True, exist_ok=True)
    _make(experiment, training, validation, benchmarks, partial)
    os.replace(partial, folder)
    return Run(folder)


def _canonical(e):
    """The experiment e with what does not apply to it left at its default, so that it is made once."""
    if e.strategy is None:
        return Experiment(None, encoder=e.encoder, benchmarks=e.benchmarks, data=e.data, languages=e.languages,
                          subset=e.subset, probes=e.probes, means_removed=e.means_removed,
                          settings=Settings(frozen_layers=e.settings.frozen_layers))
    if not e.rho:
        e = replace(e, reasoning="hybrid", answers="right", reasoning_corpus="encyclo11-reasoning", reasoning_limit=None)
    if e.strategy == "Hybrid" and e.alpha in (0, 1):
        e = replace(e, strategy="X-X-mono" if e.alpha else "X-Y")
    return e if e.strategy == "Hybrid" else replace(e, alpha=0.5)


def load_training(experiment):
    """What an experiment trains on and what it looks at to stop early: two corpora. Of the experiment's languages a
    corpus brings those that it has."""
    if experiment.strategy is None:
        return None, None

    wanted = experiment.languages
    if experiment.unseen:
        wanted = [code for code in wanted or corpora.LANGUAGES if code not in experiment.unseen]

    def load(name, split, limit=experiment.limit):
        languages = corpora.having(name, wanted) or wanted  # none of them: says so
        return corpora.load_corpus(name, split, languages, experiment.data, limit, consent=experiment.consent)

    training = load(experiment.corpus, "train")
    held_out = [name for name in experiment.corpus.split("+") if not name.endswith(".jsonl")]  # a file has no splits
    held_out = experiment.validation or "+".join(held_out) or "encyclo11"
    validation = load(held_out, "validation")
    if experiment.rho:
        extra = load(experiment.reasoning_corpus, "train", experiment.reasoning_limit or experiment.limit)
        if set(extra.rows.unique("task")) != {"reasoning"}:  # a control: it takes the place of reasoning
            extra = corpora.as_task(extra, "reasoning")
        if experiment.answers == SHUFFLED:
            extra = corpora.shuffle_answers(extra, experiment.settings.seed)
        training = corpora.join(training, extra)
    return training, validation


def _make(experiment, training, validation, benchmarks, folder):
    from hybrid_batch import encoders, retrieval, sampler, trainer  # torch is slow to import
    start = time.time()
    encoder = copy.deepcopy(_untrained(experiment.encoder))
    encoders.freeze_layers(encoder, experiment.settings.frozen_layers)  # what they make is shared by all runs
    mixture, steps = None, 0
    if training is not None:
        mixture = sampler.strategy(experiment.strategy, experiment.alpha, experiment.rho, experiment.reasoning)
        before = encoders.parameters(encoder) if experiment.interpolation else None
        log = trainer.train(encoder, training, mixture, experiment.settings, validation,
                            folder / "checkpoints", resume=True)
        log.to_csv(folder / "log.csv", index=False)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        steps = int(log.step.max())
        if experiment.keep_encoder:
            encoder.save(str(folder / "encoder"))
    trained, result, probed = time.time(), Run(folder), None
    after = encoders.parameters(encoder) if experiment.interpolation else None
    measured = {name: dict(checksum=b.checksum, queries=len(b.queries), passages=len(b.passages), systems=[])
                for name, b in benchmarks.items()}
    for weight in (None, *experiment.interpolation):
        if weight is not None:
            encoders.interpolate(encoder, before, after, weight)
            if experiment.keep_encoder:
                encoder.save(str(folder / f"encoder-{weight:g}"))
        for name, benchmark in benchmarks.items():
            system = "plain" if weight is None else f"interpolated {weight:g}"
            print(f"evaluating: {experiment.name}, {system}, on {name}", flush=True)
            systems = {system: retrieval.embed(encoder, benchmark)}
            if weight is None and experiment.means_removed:
                systems["means removed"] = retrieval.remove_language_means(systems[system], benchmark)
            for system, vectors in systems.items():
                _keep(result, name, system, benchmark, vectors)
                measured[name]["systems"].append(system)
                measured[name].setdefault("space", {})[system] = _space(vectors, benchmark, experiment.probes)
                if experiment.subset and system == "plain":
                    part = f"{name} {' '.join(experiment.subset)}"
                    chosen, inside = retrieval.only(benchmark, vectors, experiment.subset)
                    _keep(result, part, system, chosen, inside)
                    measured[part] = dict(checksum=benchmark.checksum, queries=len(chosen.queries),
                                          passages=len(chosen.passages), systems=[system],
                                          space={system: _space(inside, chosen, experiment.probes)})
        if weight is None and experiment.probes:
            probed = retrieval.probe(encoder, load_probes(experiment.data, experiment.languages))
    manifest = {
        "name": experiment.name, "experiment": asdict(experiment), "steps": steps,
        "shares": {str(kind): share for kind, share in (mixture or {}).items()},
        "corpus": training and dict(name=training.name, checksum=training.checksum, rows=len(training.rows),
                                    **training.about),
        "benchmarks": measured, "probes": probed, "device": device_name(encoder.device),
        "seconds": {"training": round(trained - start, 1), "evaluation": round(time.time() - trained, 1)},
        **environment()}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))


def _space(vectors, benchmark, probes):
    space = dict(language_variance=alignment.language_variance(vectors.passages,
                                                               benchmark.passages.language.to_numpy(str)))
    return space | (dict(hubness=alignment.hubness(vectors.queries, vectors.passages)) if probes else {})


def _keep(run, name, system, benchmark, vectors):
    """Rank, and leave in the run's folder what its methods read."""
    from hybrid_batch import retrieval
    ranks, top = retrieval.rank(vectors, benchmark)
    ranks.to_parquet(run._file(name, system, "ranks.parquet"))
    table = pd.DataFrame(top, columns=[f"top{i + 1}" for i in range(top.shape[1])])
    table["query_language"] = benchmark.queries.language
    table.to_parquet(run._file(name, system, "top.parquet"))
    np.savez(run._file(name, system, "vectors.npz"), passages=vectors.passages.astype(np.float16),
             languages=benchmark.passages.language.to_numpy(str))


@functools.lru_cache(maxsize=1)
def _untrained(name):
    """The encoder as it was loaded, for the runs of a grid to copy."""
    from hybrid_batch import encoders
    return encoders.load(name)


def grid(experiments, cache=None):
    """Runs of several experiments, in order; what is done already is read."""
    runs = []
    for number, experiment in enumerate(experiments, 1):
        print(f"[{number}/{len(experiments)}] {experiment.name}, seed {experiment.settings.seed}", flush=True)
        runs.append(run(experiment, cache))
    return runs


def seeds(experiment, numbers):
    """The same experiment with each of several seeds."""
    return [replace(experiment, settings=replace(experiment.settings, seed=seed)) for seed in numbers]


def save_index(runs, path):
    """Write down where runs lie, for other notebooks to find them."""
    files.write(path, json.dumps([os.path.relpath(run.folder, corpora.ROOT) for run in runs], indent=1))


def load_index(path):
    """The runs that ``save_index`` wrote down; [] if there is no such file."""
    path = corpora.ROOT / path
    if not path.exists():
        return []
    runs = [Run(corpora.ROOT / folder) for folder in json.loads(path.read_text())]
    if missing := [run.folder for run in runs if not (run.folder / "manifest.json").exists()]:
        raise FileNotFoundError(f"{path} names the run {missing[0]}, which is gone: run 02_training again")
    return runs


def table(runs, benchmark, measures=MEASURES, draws=1000):
    """Macro figures of runs with 95 % intervals over groups of queries: a row per (strategy, system, setting,
    measure) with label, value, low, high, groups, seeds. Runs of one name are seeds: their scores are averaged
    query by query first."""
    rows = []
    for (name, system), scores in by_system(runs, benchmark).items():
        label = name if system == "plain" else f"{name}, {system}"
        number = sum(run.name == name for run in runs)
        for measure in measures:
            for setting, row in statistics.bootstrap(scores, measure, draws).iterrows():
                rows.append(dict(label=label, strategy=name, system=system, setting=setting, measure=measure,
                                 **row, seeds=number))
    return pd.DataFrame(rows)


def wide(table, columns=(("Mo", "map"), ("Cr", "map"), ("Mul", "map"), ("Mul", "rank_distance"))):
    """A table of figures to read: a line a system, "value [low, high]"."""
    result = {}
    for setting, measure in columns:
        part = table[(table.setting == setting) & (table.measure == measure)].set_index("label")
        digits = 0 if measure in metrics.BIAS else 3
        form = f"{{:.{digits}f}} [{{:.{digits}f}},\N{NO-BREAK SPACE}{{:.{digits}f}}]"
        result[f"{setting} {metrics.LABELS[measure]}"] = part.apply(
            lambda row: form.format(row.value, row.low, row.high), axis=1)
    return pd.DataFrame(result).reindex(list(dict.fromkeys(table.label))).rename_axis("")


def by_system(runs, benchmark):
    """{(name, system): scores of every query, averaged over seeds}."""
    parts = {}
    for run_ in runs:
        for system in run_.systems(benchmark):
            parts.setdefault((run_.name, system), []).append(run_.scores(benchmark, system))
    keys = ["setting", *metrics.QUERY, "passage_language"]
    return {key: pd.concat(scores).groupby(keys, as_index=False, sort=False).mean()
            if len(scores) > 1 else scores[0] for key, scores in parts.items()}
