"""Parameters: each said once, checked everywhere alike, and keys that cover what differs from the defaults."""

import dataclasses
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hybrid_batch import config
from hybrid_batch.config import PARAMETERS, Experiment, check


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_every_parameter_has_a_type_a_default_that_is_allowed_and_a_help(name):
    about = PARAMETERS[name]
    assert check(name, about.default) == about.default and len(about.help) > 10
    assert about.type_name in ("str", "int", "float", "bool", "list", "dict")


@pytest.mark.parametrize("name, written, value", [
    ("learning_rate", "2e-5", 2e-5), ("alpha", "1", 1.0), ("alpha", 1, 1.0), ("steps", "12", 12), ("steps", 12.0, 12),
    ("seeds", "[1, 2]", (1, 2)), ("seeds", 3, (3,)), ("seeds", [0], (0,)), ("languages", "en", ("en",)), ("languages", None, ()),
    ("languages", '["no", "sv"]', ("no", "sv")), ("probes", "true", True), ("data", None, ""), ("encoder", "1", "1"),
    ("strategy", "Hybrid", "Hybrid"), ("strategy", "{qa mono: 1, cross: 3}", {"qa cross": 0.75, "qa mono": 0.25}),
    ("sources", "{qa: mine.jsonl}", {"qa": "mine.jsonl", "reasoning": "encyclo11-reasoning", "parallel": "encyclo11-parallel"}),
    ("limits", {"reasoning": 800}, {"reasoning": 800})])
def test_a_value_from_python_yaml_or_a_command_line_gets_its_type(name, written, value):
    assert check(name, written) == value and type(check(name, written)) is type(value)


@pytest.mark.parametrize("name, value, named", [
    ("alpha", 1.7, "alpha = 1.7: it must be from 0 to 1"), ("alpha", "much", "allowed: from 0 to 1"),
    ("alpha", "nan", "finite"), ("alpha", True, "number"), ("steps", 1.5, "whole number"), ("steps", 0, "1 or more"),
    ("learning_rate", 0, "above 0"), ("learning_rate", float("inf"), "finite"),
    ("answers", "shufled", "choose from right, neutral, anti-signal"), ("precision", "fp16", "auto, float32, bf16"),
    ("strategy", "hybrid", "choose from X-X, X-X-mono, X-Y, Hybrid, En-En"), ("strategy", "{qa mno: 1}", "pairing 'mno'"),
    ("strategy", {"qa mono": -1}, "share of qa mono"), ("strategies", '["Hybrid", "Y-Y"]', "strategy 'Y-Y'"),
    ("languages", [False], 'quote them, as in "no"'), ("languages", "[no]", 'quote them, as in "no"'),
    ("debias", ["centering"], "choose from centring"), ("sources", {"questions": "mlqa"}, "'questions' is unknown"),
    ("sources", {"qa": None}, "must be a text"), ("limits", {"qa": 0}, "above 0"), ("probes", "1", "true or false"),
    ("data", 3, "must be a text"), ("interpolation", [0.5, 1.2], "from 0 to 1"), ("sources", "[a", "sources")])
def test_an_impossible_value_is_refused_with_what_is_allowed(name, value, named):
    with pytest.raises(ValueError) as error:
        check(name, value)
    assert named in str(error.value) and str(error.value).startswith(f"{name} = ") and PARAMETERS[name].help in str(error.value)


def test_an_unknown_name_is_told_with_the_nearest_one():
    with pytest.raises(ValueError, match="an experiment has no 'alhpa'; did you mean 'alpha'\\? It has added, alpha, answers"):
        Experiment.of(alhpa=0.7)


def test_yaml_of_a_study_is_read_as_it_is_meant():
    values = yaml.safe_load("{learning_rate: 2e-5, steps: 10, alpha: 1, seed: 3, unseen: [el]}")
    made = Experiment.of(**values)
    assert (made.training.learning_rate, made.training.seed, made.alpha, made.unseen) == (2e-5, 3, 1.0, ("el",))


# Keys


def test_the_key_of_the_defaults_covers_the_mixture_alone():
    assert Experiment().identity() == {"mixture": {"qa cross": 0.5, "qa mono": 0.5}}
    assert Experiment(strategy="").identity() == {}


@pytest.mark.parametrize("name, value", [("steps", 7), ("seed", 1), ("temperature", 0.1), ("hard_negatives", False), ("languages", ["de"]),
                                         ("sources", {"qa": "mlqa"}), ("limits", {"qa": 9}), ("unseen", ["el"]), ("alpha", 0.7)])
def test_what_changes_the_training_changes_the_key(name, value):
    assert Experiment.of(**{name: value}).key != Experiment().key


@pytest.mark.parametrize("values", [
    dict(benchmarks=["xquad-r"]), dict(probes=True), dict(debias=[]), dict(data="elsewhere"), dict(keep_encoder=True),
    dict(sources={"reasoning": "xnli"}), dict(limits={"reasoning": 3}), dict(answers="neutral"), dict(pairing="mono"),
    dict(strategy={"qa mono": 3, "qa cross": 3})])
def test_what_does_not_change_the_training_does_not_change_the_key(values):
    """The reasoning corpus and its answers, among others, where no reasoning batch is drawn."""
    assert Experiment.of(**values).key == Experiment().key


def test_two_ways_of_writing_one_strategy_have_one_key():
    assert Experiment.of(alpha=1).key == Experiment.of(strategy="X-X-mono").key == Experiment.of(strategy={"mono": 1}).key
    assert Experiment.of(rho=0.2, pairing="cross").key == Experiment.of(
        strategy={"reasoning cross": 1, "qa cross": 2, "qa mono": 2}).key
    assert Experiment.of(rho=0.2, added="parallel", pairing="mono").key == Experiment.of(rho=0.2, added="parallel").key


def test_a_new_parameter_renames_nothing(monkeypatch):
    key = Experiment.of(steps=7).key

    @dataclasses.dataclass(frozen=True)
    class Training(config.Training):
        momentum: float = config.parameter(0.9, "a parameter that nobody knew before", low=0, high=1)

    for table in ("TRAINING", "PARAMETERS"):
        monkeypatch.setattr(config, table, getattr(config, table) | config._parameters(Training))
    assert Experiment(training=Training(steps=7)).key == key != Experiment(training=Training(steps=7, momentum=0.5)).key


@given(st.fixed_dictionaries({}, optional={"alpha": st.floats(0, 1), "rho": st.floats(0, 1), "steps": st.integers(1, 99),
                                           "languages": st.lists(st.sampled_from(["de", "en"]), unique=True),
                                           "limits": st.dictionaries(st.sampled_from(["qa", "reasoning"]), st.integers(1, 9))}))
def test_an_experiment_is_read_from_its_manifest(values):
    made = Experiment.of(**values)
    again = Experiment.of(**json.loads(json.dumps(made.values())))
    assert again == made and again.key == made.key and again.label == made.label


# What is made from them


def test_a_cell_is_code_with_the_values_that_it_is_given():
    cell = config.cell(["steps", "strategies", "sources", "data"], {"steps": 12, "strategies": ["X-X", {"qa mono": 1}]})
    scope = {}
    exec(cell, scope)
    assert scope["steps"] == 12 and scope["strategies"] == ["X-X", {"qa mono": 1}] and scope["data"] == ""
    assert scope["sources"] == PARAMETERS["sources"].default
    assert cell.splitlines()[0] == "steps: int = 12  # optimiser steps at most"


def test_the_table_has_a_line_for_each():
    lines = {line["parameter"]: line for line in config.table()}
    assert set(lines) == set(PARAMETERS)
    assert lines["alpha"] == {"parameter": "alpha", "type": "float", "default": "0.5", "unit": "", "allowed": "from 0 to 1",
                              "meaning": "share of monolingual batches in Hybrid"}
