"""Every parameter, once: type, default, unit, help, choices and bounds.

From here come the notebooks' parameter cells, profiles, studies, the command line, the table of parameters in the book
and the key of a run. A value may come from Python, YAML or a command line: ``check`` makes it what the parameter is, or
says what is allowed.
"""

import dataclasses
import difflib
import functools
import math
from dataclasses import dataclass, field, fields, replace

import yaml

from hybrid_batch import storage
from hybrid_batch.strategies import ADDED_PAIRINGS, TASKS, Mixture, mixture

NONE = (None, "", 0, (), {})  # written for "none": no languages named means all


def parameter(default, help, *, unit="", choices=(), low=None, high=None, above=None, trains=True):
    """A field of a dataclass below. low, high: bounds, included; above: a bound, excluded. trains: whether the trained
    encoder depends on it; if not, it is no part of a run's key."""
    about = dict(help=help, unit=unit, choices=tuple(choices), low=low, high=high, above=above, trains=trains)
    made = {"default_factory": lambda: dict(default)} if isinstance(default, dict) else {"default": default}
    return field(metadata=about, **made)


@dataclass(frozen=True)
class Training:
    """How to train; the defaults are the paper's, where it states them."""

    steps: int = parameter(1000, "optimiser steps at most", unit="steps", low=1)
    batch_size: int = parameter(100, "pairs in a batch", unit="pairs", low=2)
    learning_rate: float = parameter(3e-5, "peak learning rate of AdamW", above=0)
    weight_decay: float = parameter(0.01, "weight decay of AdamW", low=0)
    temperature: float = parameter(0.05, "temperature of InfoNCE", above=0)
    warmup_ratio: float = parameter(0.1, "share of the steps over which the learning rate rises", low=0, high=1)
    max_length: int = parameter(256, "length at which texts are cut", unit="tokens", low=4)
    hard_negatives: bool = parameter(True, "use the negatives that rows bring")
    own_negatives: tuple = parameter((), "tasks whose batches use no in-batch negatives, only what their rows bring",
                                     choices=TASKS)
    schedule: str = parameter("interleaved", "when the batches of other tasks than qa come", choices=("interleaved", "late"))
    distillation: float = parameter(0.0, "weight of the pull of parallel batches to the untrained vectors", low=0)
    freeze_embeddings: bool = parameter(False, "leave the word embeddings as they are")
    frozen_layers: int = parameter(0, "embeddings and layers below this one stay as they are; 0: all are trained", low=0)
    precision: str = parameter("auto", "of training; auto: bf16 where the device has it, else float32",
                               choices=("auto", "float32", "bf16"))
    language_sampling: str = parameter("uniform", "how the languages of batches are drawn: alike, or by their numbers of rows",
                                       choices=("uniform", "size"))
    eval_every: int = parameter(50, "steps between two evaluations of the validation loss", unit="steps", low=1)
    eval_batches: int = parameter(10, "batches of an evaluation, the same each time", unit="batches", low=1)
    restore_best: bool = parameter(True, "go back to the weights of the best evaluation, and stop early; if not, all steps are "
                                   "made and the last weights kept")
    patience: int = parameter(5, "evaluations without improvement before training stops early", unit="evaluations", low=1)
    mini_batch_size: int = parameter(0, "texts encoded at once, with cached gradients; 0: a whole batch", unit="texts", low=0)
    seed: int = parameter(0, "seed of batches and dropout", low=0)


@dataclass(frozen=True)
class Experiment:
    """What to train on what, and what to measure it with; strategy "" measures the encoder untrained."""

    strategy: str | dict = parameter("Hybrid", "how batches are drawn: a name, or a mixture of kinds with their shares, such as "
                                     "{qa mono: .4, qa cross: .4, reasoning cross: .2}")
    alpha: float = parameter(0.5, "share of monolingual batches in Hybrid", low=0, high=1)
    rho: float = parameter(0.0, "share of added batches", low=0, high=1)
    added: str = parameter("reasoning", "task of the added batches", choices=TASKS[1:])
    pairing: str = parameter("hybrid", "pairing of the added batches", choices=ADDED_PAIRINGS)
    answers: str = parameter("right", "what reasoning batches teach: right answers; neutral: those of other items; anti-signal: "
                             "a wrong option as the right one", choices=("right", "neutral", "anti-signal"))
    encoder: str = parameter("offline-e5-small", "encoder: offline-e5-small, offline-use-multilingual, offline-hybrid-e5-small, "
                             "a folder or a Hub repository; several joined by + are averaged")
    sources: dict = parameter({"qa": "encyclo11", "reasoning": "encyclo11-reasoning", "parallel": "encyclo11-parallel"},
                              "corpus of each task: of our own, a .jsonl file, or data sets of the catalogue, joined by +",
                              choices=TASKS)
    validation: str = parameter("", "corpus for early stopping; empty: what the corpora hold out")
    languages: tuple = parameter((), "keep only these languages; empty: all")
    unseen: tuple = parameter((), "languages that are measured, not trained on")
    limits: dict = parameter({}, "most items a language of the corpora of a task; empty: all", unit="items",
                             choices=TASKS)
    consent: str = parameter("", "needed for data that asks not to be trained on")
    clean_of: tuple = parameter((), "benchmarks whose texts are left out of the corpora, besides those measured on")
    benchmarks: tuple = parameter(("encyclo11",), "benchmarks to measure with: encyclo11, xquad-r, mlqa-r, a folder ...",
                                  trains=False)
    subset: tuple = parameter((), "languages whose pool alone is searched, too", trains=False)
    debias: tuple = parameter(("centring",), "what needs no training and is measured, too", trains=False,
                              choices=("centring", "centring elsewhere", "LIR", "LSAR", "LSAR for both", "SHIFT", "CSLS"))
    interpolation: tuple = parameter((), "weights at which the trained encoder, mixed with the untrained one, is measured, "
                                     "too", low=0, high=1, trains=False)
    choices: tuple = parameter((), "reasoning data sets of whose held-out items the accuracy is measured, too: the right option "
                               "before the wrong ones of its item", trains=False)
    choice_languages: tuple = parameter((), "languages of these items; empty: all", trains=False)
    choice_items: int = parameter(100, "most items of each of these data sets", unit="items", low=1, trains=False)
    probe_sentences: int = parameter(500, "most sentences of each language of the probes", unit="sentences", low=1, trains=False)
    probes: bool = parameter(False, "measure the alignment of languages with Tatoeba and NTREX, too", trains=False)
    encoding_precision: str = parameter("auto", "of encoding; auto: bf16 where the device has it, if vectors come out alike",
                                        choices=("auto", "float32", "bf16"), trains=False)
    keep_encoder: bool = parameter(False, "keep the trained encoder on disk", trains=False)
    data: str = parameter("", "folder that holds the folders of data sets and benchmarks; not needed for encyclo11", trains=False)
    training: Training = field(default_factory=Training)

    def __post_init__(self):
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "training"}
        for name, value in (own | dataclasses.asdict(self.training)).items():
            target = self.training if name in TRAINING else self
            object.__setattr__(target, name, check(name, value))

    @classmethod
    def of(cls, **values):
        """An experiment from parameters of it and of its training, side by side."""
        check_names(values, [*EXPERIMENT, *TRAINING], "an experiment")
        training = Training(**{k: v for k, v in values.items() if k in TRAINING})
        return cls(**{k: v for k, v in values.items() if k in EXPERIMENT}, training=training)

    def but(self, **values):
        """The same experiment, some parameters changed."""
        return self.of(**(self.values() | values))

    def values(self):
        """All parameters, those of the training too, as a dict."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "training"}
        return own | {f.name: getattr(self.training, f.name) for f in fields(self.training)}

    @property
    def mixture(self):
        """The strategy as a Mixture; None for an encoder that is not trained."""
        if not self.strategy:
            return None
        return mixture(self.strategy, self.alpha, self.rho, self.added, self.pairing)

    @property
    def label(self):
        """A short name for tables and figures, without the seed."""
        if not self.strategy:
            return "untrained"
        if not isinstance(self.strategy, str):
            return str(self.mixture)
        name = f"Hybrid({self.alpha:g})" if self.strategy == "Hybrid" else self.strategy
        if self.rho:
            name += f" + {self.rho:g} {self.added} {self.pairing}" + (f", {self.answers}" * (self.answers != "right"))
        return name

    def identity(self):
        """What the trained encoder depends on, as far as it differs from the defaults: {parameter: value}. Two ways of
        writing one mixture are one."""
        if not self.strategy:
            names = ["encoder"]
        else:
            names = [f.name for f in (*fields(self), *fields(self.training)) if f.metadata.get("trains")]
        values = self.values()
        found = {name: values[name] for name in names if values[name] != PARAMETERS[name].default}
        if self.strategy:
            for name in ("strategy", "alpha", "rho", "added", "pairing"):
                found.pop(name, None)
            tasks = self.mixture.tasks
            found["mixture"] = self.mixture.written()
            for name in ("sources", "limits"):  # of the tasks that are drawn
                default = PARAMETERS[name].default
                found[name] = {t: v for t, v in getattr(self, name).items() if t in tasks and v != default.get(t)}
            if "reasoning" not in tasks:
                found.pop("answers", None)
            found = {name: value for name, value in found.items() if value != {}}
        return found

    @functools.cached_property
    def key(self):
        """Names what is trained, not what it is measured on, nor code or machine."""
        return storage.digest(sorted(self.identity().items()))


@dataclass(frozen=True)
class Notebook:
    """What only the notebooks have."""

    strategies: tuple = parameter(("X-X", "X-X-mono", "X-Y", "Hybrid", "En-En"), "strategies to train")
    seeds: tuple = parameter((0,), "one training for each seed and strategy", low=0)
    pairings: tuple = parameter(("hybrid",), "pairings of the added batches to compare", choices=ADDED_PAIRINGS)
    controls: tuple = parameter(("neutral",), "controls of the reasoning batches to train, too",
                                choices=("neutral", "anti-signal"))
    keep: tuple = parameter((), "strategies whose trained encoders are kept on disk")
    beside: tuple = parameter((), "trained encoders, by name or folder, that are measured beside the strategies")
    baseline: str = parameter("X-X-mono", "strategy that the others are compared with")
    benchmark: str = parameter("encyclo11", "benchmark to measure with: encyclo11, xquad-r, mlqa-r or a folder")
    against: tuple = parameter((), "more benchmarks that must not be in the corpora")
    draws: int = parameter(2000, "permutations of the permutation test", low=10)
    example: str = parameter("food-06", "passage of encyclo11 to show in every language")
    output: str = parameter("runs/quick", "folder of the executed notebooks and their tables")


@dataclass(frozen=True)
class Parameter:
    """One parameter, for lists of them."""

    name: str
    kind: type
    default: object
    help: str
    unit: str
    choices: tuple
    low: float | None
    high: float | None
    above: float | None
    trains: bool

    @property
    def type_name(self):
        return {tuple: "list", str | dict: "str"}.get(self.kind) or self.kind.__name__

    @property
    def allowed(self):
        """In words."""
        if self.choices:
            return ("of " if self.kind in (tuple, dict) else "") + ", ".join(map(str, self.choices))
        if self.low is not None and self.high is not None:
            return f"from {self.low:g} to {self.high:g}"
        bounds = ((self.above, "above {:g}"), (self.low, "{:g} or more"), (self.high, "{:g} or less"))
        return " and ".join(text.format(bound) for bound, text in bounds if bound is not None)


def _parameters(*classes):
    found = {}
    for part in classes:
        for f in fields(part):
            if f.metadata:
                default = f.default if f.default is not dataclasses.MISSING else f.default_factory()
                found[f.name] = Parameter(f.name, f.type, default, **f.metadata)
    return found


TRAINING, EXPERIMENT = _parameters(Training), _parameters(Experiment)
PARAMETERS = _parameters(Experiment, Training, Notebook)


def check_names(values, known, what):
    """Raises ValueError if a name is not among the known ones, with the nearest of them."""
    known = list(known)
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            raise ValueError(f"{what} has no {name!r}{f'; did you mean {near[0]!r}?' if near else ''} It has "
                             f"{', '.join(sorted(known))}")


def check(name, value):
    """The value of a parameter in its own type. Raises ValueError that names what is allowed."""
    about = PARAMETERS[name]
    try:
        made = _convert(about.kind, value)
        _check_bounds(about, made)
        if name == "sources":  # a task that is not named keeps its own
            made = about.default | made
        if name == "strategy" and made:
            mixture(made)
        if name == "strategies":
            [mixture(one) for one in made]
        return made
    except (ValueError, TypeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0] if str(error) else "not understood"
        allowed = f"; allowed: {about.allowed}" if about.allowed and about.allowed not in reason else ""
        raise ValueError(f"{name} = {value!r}: {reason}{allowed} ({about.help})") from None


def _convert(kind, value):
    if isinstance(value, str) and kind is not str and not (kind == str | dict and not value.lstrip().startswith("{")):
        value = yaml.safe_load(value) if value.strip() else None  # from a command line
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError("it must be true or false")
        return value
    if kind in (int, float):
        if isinstance(value, bool) or value is None:
            raise ValueError(f"it must be a {'whole ' * (kind is int)}number")
        number = float(value)  # YAML 1.1 reads 2e-5 as a text
        if not math.isfinite(number) or kind is int and number != int(number):
            raise ValueError(f"it must be a {'whole' if kind is int else 'finite'} number")
        return kind(number)
    if kind is tuple:
        values = () if value in NONE and value != 0 else (value,) if isinstance(value, (str, int, float, dict)) else tuple(value)
        if any(isinstance(one, bool) for one in values):
            raise ValueError("true and false stand where a text should: YAML reads no, yes, on and off so; quote them, as in "
                             "\"no\"")
        return values
    if kind is dict:
        if value is None or isinstance(value, dict):
            return {**(value or {})}
        raise ValueError("it must be a mapping, such as {qa: encyclo11}")
    if kind == str | dict:
        return dict(Mixture(value).written()) if isinstance(value, dict) else _text(value)
    return _text(value)


def _text(value):
    if value is not None and not isinstance(value, str):
        raise ValueError("it must be a text")
    return value or ""


def _check_bounds(about, made):
    parts = list(made) if about.kind in (tuple, dict) else [made]
    for part in parts:
        if about.choices and part not in about.choices:
            raise ValueError(f"{part!r} is unknown; choose from {', '.join(map(str, about.choices))}")
        if (about.low is not None and part < about.low or about.high is not None and part > about.high
                or about.above is not None and part <= about.above):
            raise ValueError(f"it must be {about.allowed}")
    if about.name == "sources" and (bad := [task for task, corpus in made.items() if not isinstance(corpus, str)]):
        raise ValueError(f"the corpus of {bad[0]} must be a text")
    if about.name == "limits" and (bad := [n for n in made.values() if type(n) is not int or n < 1]):
        raise ValueError(f"a limit must be a whole number above 0, not {bad[0]!r}")


def table():
    """Lines of the table of parameters: dicts for the book."""
    return [{"parameter": p.name, "type": p.type_name, "default": str(p.default), "unit": p.unit, "allowed": p.allowed,
             "meaning": p.help} for p in PARAMETERS.values()]


def cell(names, values):
    """The text of a notebook's parameter cell: a line a parameter, ``name: type = value  # help``. values: those that
    differ from the defaults, such as a profile's."""
    lines = []
    for name in names:
        about = PARAMETERS[name]
        value = check(name, values.get(name, about.default))
        value = list(value) if about.kind is tuple else value
        lines.append(f"{name}: {about.type_name} = {value!r}  # {about.help}".replace("'", '"'))
    return "\n".join(lines)


def experiment_values(namespace):
    """Of a notebook's variables those that are parameters of an experiment."""
    return {name: namespace[name] for name in (*EXPERIMENT, *TRAINING) if name in namespace}


def with_seeds(experiment, seeds):
    """The same experiment with each of several seeds."""
    return [replace(experiment, training=replace(experiment.training, seed=seed)) for seed in seeds]
