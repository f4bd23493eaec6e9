"""Studies: a grid of experiments in one YAML file.

A study, studies/NAME.yaml, has *parts*, each with *conditions*, each trained with several seeds. Here it is read and
planned; runner makes its runs.
"""

import functools
import itertools
from dataclasses import dataclass

import yaml

from hybrid_batch import config, paths

PART = ("seeds", "conditions", "by_language")  # what a part has besides parameters of its experiments
STUDY = ("base", "seeds", "corpora", "experiment", "parts", "comparisons")
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
    return list(_plan(name, data, tuple((path, path.stat().st_mtime_ns) for path in sorted(paths.STUDIES.glob("*.yaml")))))


@functools.cache
def _plan(name, data, files):
    """files: the studies and when each was changed, so that an edited one is planned anew."""
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
