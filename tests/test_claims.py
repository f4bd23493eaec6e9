"""Verdicts: on hypotheses and claims from comparisons, and on the pattern of the paper's table 1."""

import pandas as pd
import pytest

from hybrid_batch import claims, results


def comparison(first, second, figure, difference, low, high, p, family="table 1", benchmark="xquad-r"):
    return dict(family=family, benchmark=benchmark, first=first, second=second, figure=figure, difference=difference,
                low=low, high=high, p_holm=p, effect=0.1, detectable=0.01)


@pytest.fixture
def compared(monkeypatch):
    """A function that makes some comparisons those of the one study that there is."""
    def compared(*rows):
        table = pd.DataFrame(rows)
        seen = (table.p_holm < 0.05) & ((table.low > 0) | (table.high < 0))
        monkeypatch.setattr(results, "compared", lambda name: table.assign(seen=seen))
        monkeypatch.setattr(results, "studies", lambda: ["cpu-use"])

    return compared


def verdicts():
    table = claims.hypotheses()
    return dict(zip(table[""], table.verdict))


def test_a_hypothesis_holds_in_those_comparisons_that_are_seen_and_as_hoped(compared):
    compared(comparison("X-X-mono", "Hybrid", "Cr map", 0.02, 0.01, 0.03, 0.001),
             comparison("X-X-mono", "Hybrid", "Mul map", 0.02, 0.01, 0.03, 0.06),           # not after correction
             comparison("X-X-mono", "Hybrid", "Mul rank_distance", -50, -80, -20, 0.001),   # lower is better
             comparison("X-X", "X-X-mono", "Mul map", -0.02, -0.03, -0.01, 0.001),
             comparison("X-X", "X-X-mono", "Mul rank_distance", -50, -80, 20, 0.001),       # 0 is in the interval
             comparison("no reasoning", "centre", "Mul rank_distance", -9, -12, -6, 0.01, "reasoning"),
             comparison("no reasoning", "centre", "Mul rank_distance", 9, 6, 12, 0.01, "other family"))
    assert verdicts() | {"H1": "holds in 2 of 3 comparisons", "H5": "not seen; the other way in 1", "H11": "holds",
                         "H2": "not measured", "H8": "not measured"} == verdicts()
    grid = claims.evidence("cpu-use")
    assert grid["XQuAD-R"].tolist() == ["+0.020*", "+0.020", "-50*", "-0.020*", "-50", "-9*"]


def test_not_worse_is_said_of_an_interval_above_the_margin_whatever_is_seen(compared):
    compared(comparison("X-X-mono", "Hybrid", "Mo map", -0.003, -0.0049, -0.001, 0.001),
             comparison("X-Y", "Hybrid", "Cr map", 0.003, -0.0051, 0.01, 1.0),
             comparison("X-Y", "Hybrid", "Mul map", -0.01, -0.02, -0.001, 0.001))
    assert verdicts()["H3"] == "holds" and verdicts()["H4"] == "not seen; the other way in 1"


@pytest.mark.parametrize("ours, p, theirs, verdict", [
    ((0.02, 0.01, 0.03), 0.001, (0.03, 0.01), "reproduced"),
    ((0.02, 0.01, 0.03), 0.001, (0.03, 0.0), "reproduced"),
    ((-0.02, -0.03, -0.01), 0.001, (0.03, 0.01), "opposite"),
    ((0.02, 0.01, 0.03), 0.001, (0.03, -0.01), "the paper's two encoders differ"),
    ((0.02, 0.01, 0.03), 0.001, (0.001, 0.0), "the paper has none"),
    ((0.00, -0.01, 0.01), 1.0, (0.03, 0.02), "excluded"),
    ((0.00, -0.01, 0.01), 1.0, (0.03, 0.005), "not seen"),
    ((0.02, 0.01, 0.03), 0.06, (0.02, 0.02), "not seen"),
])
def test_the_pattern_of_table_1(ours, p, theirs, verdict, compared, monkeypatch):
    compared(comparison("X-Y", "Hybrid", "Cr map", *ours, p))
    monkeypatch.setattr(results, "published", lambda model, benchmark: pd.DataFrame(
        [dict(strategy="x-y", figure="Cr map", value=0.5),
         dict(strategy="hybrid", figure="Cr map", value=0.5 + theirs[model == "labse"])]))
    assert results.pattern("any", "xquad-r").verdict.tolist() == [verdict]


def test_ranks_of_another_pool_are_not_excluded(compared, monkeypatch):
    compared(comparison("X-Y", "Hybrid", "Mul rank_distance", 1, -2, 4, 1.0))
    monkeypatch.setattr(results, "published", lambda model, benchmark: pd.DataFrame(
        [dict(strategy=strategy, figure="Mul rank_distance", value=value) for strategy, value in (("x-y", 300), ("hybrid", 200))]))
    assert results.pattern("any", "xquad-r").verdict.tolist() == ["not seen"]
