"""Studies: a grid of experiments in one YAML file, run by one command; its results are small enough to commit.

A study, studies/NAME.yaml, has *parts*, each with *conditions*, each trained with several seeds. A run leaves its rows in
results/NAME, see rows. Runs are made one after the other, by several processes of this machine, or on a Ray cluster; any
number of commands may work on one study at once, and none makes what another has made or is making.
"""

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import time
from dataclasses import dataclass, replace

import filelock
import torch
import yaml

from hybrid_batch import config, experiment, paths, rows, storage

PART = ("seeds", "conditions", "by_language")  # what a part has besides parameters of its experiments
STUDY = ("base", "seeds", "corpora", "experiment", "parts", "comparisons")
UNITED = ("benchmarks", "debias", "interpolation", "choices")  # of one training that several parts ask for
COMPARISON = ("part", "figures", "pairs", "benchmarks", "primary", "paired")


@dataclass(frozen=True)
class Planned:
    """A run that a study asks for."""

    part: str
    condition: str
    experiment: config.Experiment
    by_language: bool = False
    study: str = ""
    compared: tuple = ()  # its systems, besides plain, that a comparison names

    @property
    def key(self):
        return self.experiment.key

    def __str__(self):
        return f"{self.part}: {self.condition}, seed {self.experiment.training.seed}"

    @property
    def encoders(self):
        """The folder of the encoders that it keeps, for other runs of the study to name."""
        condition = self.condition.replace(" ", "-")
        return paths.RUNS / "studies" / self.study / "encoders" / f"{condition}-{self.experiment.training.seed}"


def load(name):
    """A study's file as a dict. ``base`` names another study, whose entries it takes over and changes; a part set to
    null is left out. Raises ValueError that names what is wrong."""
    path = paths.STUDIES / f"{name}.yaml"
    if not path.exists():
        names = sorted(path.stem for path in paths.STUDIES.glob("*.yaml"))
        raise ValueError(f"study {name!r} is unknown; choose from {', '.join(names)}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    config.check_names(content, STUDY, f"study {name!r}")
    if "base" not in content:
        return content
    base = load(content.pop("base"))
    for entry in ("corpora", "experiment"):
        base[entry] = {**base.get(entry, {}), **content.pop(entry, {})}
    for entry in ("parts", "comparisons"):
        own, theirs = content.pop(entry, {}), base.get(entry, {})
        merged = {key: own.get(key, {}) and {**body, **own[key]} if key in own else body for key, body in theirs.items()}
        merged = {key: body for key, body in {**own, **merged}.items() if body}
        base[entry] = {key: merged[key] for key in dict.fromkeys([*theirs, *own]) if key in merged}
    return {**base, **content}


def plan(name, data=None):
    """All runs of a study, in order: a list of Planned, of each part one seed after the other, so that a study that is
    broken off has all conditions of some seeds. A run may belong to several parts. Raises ValueError for an entry that
    is unknown or impossible, before anything runs. ``{seed}`` in the name of an encoder stands for the seed."""
    content = load(name)
    named, planned = content.get("corpora", {}), []
    for part, body in content["parts"].items():
        runs, compared = [], _compared(content, part)
        for condition, own in body["conditions"].items():
            where = f"study {name!r}, {part}, {condition}"
            values = {**content["experiment"], **{k: v for k, v in body.items() if k not in PART}, **(own or {})}
            values["sources"] = _merged("sources", content["experiment"], body, own or {})
            values["sources"] = {task: named.get(corpus, corpus) for task, corpus in values["sources"].items()}
            encoder = str(values.get("encoder", ""))
            by_chance = values.get("strategy", True) or "{seed}" in encoder
            seeds = (content.get("seeds") or body["seeds"]) if by_chance else [0]
            try:
                made = [config.Experiment.of(**{**values, "encoder": encoder.replace("{seed}", str(seed)), "seed": seed},
                                             data=data) for seed in seeds]
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
            if bad := [benchmark for benchmark in made[0].benchmarks if "/" in benchmark]:
                raise ValueError(f"{where}: benchmark {bad[0]!r}: give its name alone, and the folder that holds it as --data")
            systems = tuple(system for named, system in compared if named == str(condition))
            runs.append([Planned(part, str(condition), one, bool(body.get("by_language")), name, systems) for one in made])
        planned += [item for seed in itertools.zip_longest(*runs) for item in seed if item]
    _check_comparisons(name, content, {(item.part, item.condition) for item in planned})
    return planned


def _merged(parameter, *levels):
    """A mapping of which each level names a part."""
    return {key: value for level in levels for key, value in (level.get(parameter) or {}).items()}


def _compared(content, part):
    """[(condition, system)] that the comparisons of a part name, those of plain systems left out."""
    named = [condition_of(written) for asked in content.get("comparisons", {}).values() if asked.get("part") == part
             for pair in asked.get("pairs", ()) for written in pair]
    return [(condition, system) for condition, system in dict.fromkeys(named) if system != "plain"]


def _check_comparisons(name, content, conditions):
    for family, asked in content.get("comparisons", {}).items():
        config.check_names(asked, COMPARISON, f"study {name!r}, comparison {family!r}")
        for written in (written for pair in asked["pairs"] for written in pair):
            if (asked["part"], condition_of(written)[0]) not in conditions:
                raise ValueError(f"study {name!r}, comparison {family!r}: part {asked['part']!r} has no condition "
                                 f"{condition_of(written)[0]!r}; it has "
                                 f"{', '.join(condition for part, condition in conditions if part == asked['part'])}")


def condition_of(written):
    """("Hybrid", "interpolated 0.5") from "Hybrid; interpolated 0.5"; the system is "plain" if none is named."""
    condition, _, system = str(written).partition("; ")
    return condition, system or "plain"


def run(name, data=None, workers=1, ray_address=None, again=False, results=None):
    """Make all runs of a study that have no rows yet. workers: processes, one thread each; ray_address: of a Ray cluster
    whose machines have the project and the data at the same paths, or "auto". again: rows that are there are made anew.
    An interrupted study goes on where it was. Returns the number of runs made. Raises RuntimeError if some failed."""
    if workers < 1:
        raise ValueError(f"workers = {workers}: it must be 1 or more")
    wanted = _wanted(plan(name, data))
    waiting, made, failed = dict(wanted), 0, []
    at_once = len(wanted) if ray_address else workers
    with contextlib.ExitStack() as stack:
        submit = stack.enter_context(_pool(workers, ray_address))
        running = {}
        while waiting or running:
            for key, item in list(waiting.items()):
                if len(running) >= at_once:
                    break
                lock = storage.lock(paths.RUNS / "studies" / name / f"{key}.lock", wait=False)
                try:
                    lock.acquire()
                except filelock.Timeout:
                    continue  # another command is making it
                del waiting[key]
                if not again and is_done(name, item, results):
                    lock.release()
                    continue
                print(f"[{len(wanted) - len(waiting)}/{len(wanted)}] {item}", flush=True)
                running[submit(item)] = item, lock
            for future in [future for future in running if future.done()]:
                item, lock = running.pop(future)
                try:
                    rows.write(name, item.key, *future.result(), results)
                    made += 1
                except Exception as error:
                    failed.append(f"{item}: {error}")
                    print(f"failed: {failed[-1]}", flush=True)
                finally:
                    lock.release()
            time.sleep(0.2)
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(wanted)} runs failed, the others are in results/{name}. The first: "
                           f"{failed[0]}")
    return made


def _wanted(planned):
    """{key: Planned}: one run for all parts that ask for the same training, measured on all that they ask for."""
    wanted = {}
    for item in planned:
        if (first := wanted.get(item.key)) is None:
            wanted[item.key] = item
            continue
        both = first.experiment, item.experiment
        changes = {name: tuple(dict.fromkeys(getattr(both[0], name) + getattr(both[1], name))) for name in UNITED}
        changes["languages"] = both[0].languages if both[0].languages == both[1].languages else ()  # all
        changes |= {name: any(getattr(one, name) for one in both) for name in ("probes", "keep_encoder")}
        wanted[item.key] = replace(first, experiment=replace(both[0], **changes),
                                   by_language=first.by_language or item.by_language,
                                   compared=tuple(dict.fromkeys(first.compared + item.compared)))
    return wanted


def is_done(name, item, results=None):
    """Whether a run has rows for all that it is to be measured on."""
    manifest = rows.manifests(name, results).get(item.key)
    return bool(manifest) and set(item.experiment.benchmarks) <= set(manifest["benchmarks"]) and (
        set(item.experiment.choices) <= set(manifest.get("choices", ())))


def make(item):
    """One run: (manifest, rows)."""
    finished = experiment.run(item.experiment)
    for kept in finished.folder.glob("encoder*"):
        with storage.replacing(item.encoders / kept.name) as partial:
            kept.rename(partial)
    found = rows.collect(finished, item.by_language, item.compared)
    for system in finished.systems(item.experiment.benchmarks[0]):  # large, and all that is kept is in the rows
        for benchmark in finished.manifest["benchmarks"]:
            finished.file(benchmark, system, "vectors.npz").unlink(missing_ok=True)
    return found


@contextlib.contextmanager
def _pool(workers, ray_address):
    """Yield a function from a Planned to a future."""
    if ray_address:
        yield from _ray(ray_address)
    elif workers > 1:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
            yield lambda item: pool.submit(make, item)
    else:
        yield _now


def _now(item):
    future = concurrent.futures.Future()
    try:
        future.set_result(make(item))
    except Exception as error:
        future.set_exception(error)
    return future


def _ray(address):
    try:
        import ray
    except ImportError:
        raise ValueError("--ray needs the package ray: pip install 'hybrid-batch[ray]'") from None
    ray.init(address=address, log_to_driver=False)
    # A task whose machine dies is made again elsewhere; finished ones are with this process, which writes them.
    remote = ray.remote(num_cpus=1, max_retries=3)(make)
    try:
        yield lambda item: remote.remote(item).future()
    finally:
        ray.shutdown()
