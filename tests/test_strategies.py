"""Strategies as values: named ones, mixtures, and how kinds are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_batch.strategies import PAIRINGS, TASKS, Kind, Mixture, mixture


@pytest.mark.parametrize("arguments, expected", [
    (dict(strategy="X-X"), {"qa mixed": 1}),
    (dict(strategy="X-X-mono"), {"qa mono": 1}),
    (dict(strategy="X-Y"), {"qa cross": 1}),
    (dict(strategy="En-En"), {"qa mono [en]": 1}),
    (dict(strategy="Hybrid"), {"qa mono": 0.5, "qa cross": 0.5}),
    (dict(strategy="Hybrid", alpha=0.7), {"qa mono": 0.7, "qa cross": 0.3}),
    (dict(strategy="Hybrid", alpha=1), {"qa mono": 1}),
    (dict(strategy="Hybrid", alpha=0), {"qa cross": 1}),
    (dict(strategy="X-X", rho=0.2, pairing="mixed"), {"qa mixed": 0.8, "reasoning mixed": 0.2}),
    (dict(strategy="En-En", rho=0.2, pairing="cross"), {"qa mono [en]": 0.8, "reasoning cross": 0.2}),
    (dict(strategy="Hybrid", alpha=0.25, rho=0.2),
     {"qa mono": 0.2, "qa cross": 0.6, "reasoning mono": 0.1, "reasoning cross": 0.1}),
    (dict(strategy="Hybrid", rho=0.2, added="extra"),
     {"qa mono": 0.4, "qa cross": 0.4, "extra mono": 0.1, "extra cross": 0.1}),
    (dict(strategy="Hybrid", rho=0.2, added="parallel", pairing="mono"),  # translations cross languages, always
     {"qa mono": 0.4, "qa cross": 0.4, "parallel cross": 0.2}),
    (dict(strategy="Hybrid", rho=1, pairing="mono"), {"reasoning mono": 1}),
    (dict(strategy={"qa mono": 4, "qa cross": 4, "reasoning cross": 2}, alpha=0.9, rho=0.5),
     {"qa mono": 0.4, "qa cross": 0.4, "reasoning cross": 0.2}),
])
def test_a_strategy_has_the_shares_of_its_definition(arguments, expected):
    assert {str(kind): share for kind, share in mixture(**arguments).items()} == pytest.approx(expected)


def test_a_mixture_scales_its_shares_to_one():
    assert Mixture({Kind("mono"): 3, "cross": 1, Kind("mixed"): 0}) == {Kind("mono"): 0.75, Kind("cross"): 0.25}


@given(st.sampled_from(PAIRINGS), st.sampled_from(TASKS[:3]), st.sampled_from([None, ("en",), ("de", "zh-Hant")]))
def test_a_kind_is_read_as_it_is_written(pairing, task, languages):
    kind = Kind(pairing, task, languages)
    assert Kind.parse(str(kind)) == kind


def test_the_written_form_of_a_mixture_does_not_depend_on_its_order():
    assert Mixture({"qa mono": 1, "qa cross": 2}).written() == Mixture({"cross": 2, "mono": 1}).written()
    assert list(Mixture({"qa mono": 1, "qa cross": 2}).written()) == ["qa cross", "qa mono"]


@pytest.mark.parametrize("call, named", [
    (lambda: mixture("X-Z"), ["strategy 'X-Z'", "X-X-mono", "mixture such as"]),
    (lambda: mixture("Hybrid", alpha=1.1), ["alpha = 1.1", "from 0 to 1"]),
    (lambda: mixture("Hybrid", alpha=float("nan")), ["alpha = nan", "from 0 to 1"]),
    (lambda: mixture("Hybrid", rho=-0.1), ["rho = -0.1", "from 0 to 1"]),
    (lambda: Kind("monolingual"), ["pairing 'monolingual'", "mono"]),
    (lambda: Kind("mono", "translation"), ["task 'translation'", "parallel"]),
    (lambda: Kind("mono", "parallel"), ["parallel", "must be 'cross'", "not 'mono'"]),
    (lambda: Kind.parse("qa, mono"), ["'qa, mono'", "TASK PAIRING"]),
    (lambda: Mixture({"mono": -1, "cross": 2}), ["share of qa mono", "-1"]),
    (lambda: Mixture({"mono": float("nan")}), ["share of qa mono", "nan"]),
    (lambda: Mixture({"mono": "half"}), ["share of qa mono", "half"]),
    (lambda: Mixture({"mono": 0}), ["a share above 0"]),
    (lambda: Mixture({}), ["a share above 0"]),
])
def test_what_is_wrong_is_named_with_what_is_right(call, named):
    with pytest.raises(ValueError) as error:
        call()
    assert all(part in str(error.value) for part in named), error.value
