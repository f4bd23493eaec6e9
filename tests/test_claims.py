"""Verdicts: on hypotheses and claims from comparisons, and on the pattern of the paper's table 1."""

import numpy as np
import pandas as pd
import pytest

from hybrid_batch import summary
from hybrid_batch.report import claims, tables


def comparison(first, second, figure, difference, low, high, p, family="table 1", benchmark="xquad-r"):
    return dict(family=family, benchmark=benchmark, first=first, second=second, figure=figure, difference=difference,
                low=low, high=high, p_holm=p, significant=p < 0.05, detectable=0.01)


@pytest.fixture
def compared(monkeypatch):
    """A function that makes some comparisons those of the one study that there is."""
    def compared(*rows):
        monkeypatch.setattr(summary, "compare", lambda name: pd.DataFrame(rows))
        monkeypatch.setattr(tables, "studies", lambda: ["cpu-use"])
        monkeypatch.setattr(claims, "alpha", lambda name: [])

    return compared


def verdicts():
    table = claims.hypotheses()
    return dict(zip(table[""], table.verdict))


def test_a_hypothesis_holds_in_those_comparisons_that_are_seen_and_as_hoped(compared):
    compared(comparison("X-X-mono", "Hybrid", "Cr map", 0.02, 0.01, 0.03, 0.001),
             comparison("X-X-mono", "Hybrid", "Mul map", 0.02, 0.01, 0.03, 0.06),           # not after correction
             comparison("X-X-mono", "Hybrid", "Mul rank_distance", -50, -80, -20, 0.001),   # lower is better
             comparison("X-X", "X-X-mono", "Mul map", -0.02, -0.03, -0.01, 0.001),
             comparison("X-X", "X-X-mono", "Mul rank_distance", -50, -80, 20, 0.2),
             comparison("no reasoning", "centre", "Mul rank_distance", -9, -12, -6, 0.01, "reasoning"),
             comparison("no reasoning", "centre", "Mul rank_distance", 9, 6, 12, 0.01, "other family"))
    assert verdicts() | {"H1": "supported 2, contradicted 0, inconclusive 1",
                         "H5": "supported 0, contradicted 1, inconclusive 1",
                         "H11": "supported 1, contradicted 0, inconclusive 0",
                         "H2": "not measured", "H8": "not measured"} == verdicts()
    grid = claims.evidence("cpu-use")
    assert grid["XQuAD-R"].tolist() == ["+0.020*", "+0.020", "-50*", "-0.020*", "-50", "-9*"]


def test_not_worse_is_said_of_an_interval_above_the_margin_whatever_is_seen(compared):
    compared(comparison("X-X-mono", "Hybrid", "Mo map", -0.003, -0.0049, -0.001, 0.001),
             comparison("X-Y", "Hybrid", "Cr map", 0.003, -0.0051, 0.01, 1.0),
             comparison("X-Y", "Hybrid", "Mul map", -0.01, -0.02, -0.001, 0.001))
    assert verdicts()["H3"] == "supported 1, contradicted 0, inconclusive 0"
    assert verdicts()["H4"] == "supported 0, contradicted 1, inconclusive 1"


def test_against_baselines_the_strongest_alone_counts_on_whole_benchmarks(compared):
    compared(comparison("untrained; centring", "Hybrid", "Mul map", 0.05, 0.04, 0.06, 0.001),
             comparison("untrained; LSAR", "Hybrid", "Mul map", 0.001, -0.01, 0.012, 0.9),      # the stronger one
             comparison("untrained; centring", "Hybrid", "Mul map", 0.05, 0.04, 0.06, 0.001, benchmark="mlqa-r"),
             comparison("untrained; centring", "Hybrid", "Mul map", 0.05, 0.04, 0.06, 0.001, benchmark="xquad-r de en"))
    assert verdicts()["H6"] == "supported 1, contradicted 0, inconclusive 1"


def test_wrong_answers_are_no_test_of_right_ones(compared):
    compared(comparison("anti-signal", "centre", "Cr map", 0.05, 0.04, 0.06, 0.001, "reasoning"))
    assert verdicts()["H9"] == "not measured"
    compared(comparison("neutral answers", "centre", "Cr map", 0.05, 0.04, 0.06, 0.001, "primary"))
    assert verdicts()["H9"] == "supported 1, contradicted 0, inconclusive 0"


@pytest.mark.parametrize("states, verdict", [
    ({}, "not measured"), ({"full": ["holds", "holds"]}, "holds"), ({"full": ["inconclusive"], "cpu-e5": ["holds"]}, "inconclusive"),
    ({"full": ["holds", "contradicted"]}, "holds on 1 of 2, contradicted on 1 of 2"),
    ({"cpu-e5": ["holds"]}, "holds; not measured for the fully fine-tuned transformer"),
    ({"cpu-e5": ["holds"], "cpu-use": ["contradicted", "inconclusive"]},
     "holds on 1 of 3, contradicted on 1 of 3, inconclusive on 1 of 3; not measured for the fully fine-tuned transformer")])
def test_a_verdict_is_that_of_the_fully_fine_tuned_encoder_where_it_is_measured(states, verdict):
    assert claims._of_benchmarks(states) == verdict


@pytest.mark.parametrize("rise, noise, held", [(0.0, 0.0005, 1), (0.02, 0.0005, -1), (0.006, 0.01, 0)])
def test_the_middle_of_alpha_is_as_good_as_the_best_by_the_interval_not_by_the_mean(rise, noise, held, monkeypatch):
    random = np.random.default_rng(0)

    class Data:
        def __init__(self, name):
            self.conditions = {("alpha", f"{value:g}"): value for value in (0.0, 0.5, 1.0)}
            self.complete = set(self.conditions)

        def values(self, value, *_):
            return 0.5 + rise * value + noise * random.normal(size=(3, 40)), np.full(40, 1 / 40)

    monkeypatch.setattr(summary, "Rows", Data)
    monkeypatch.setattr(tables, "benchmarks", lambda name, part: ["xquad-r"])
    found = claims.alpha("cpu-use")
    assert len(found) == 3 and {row["held"] for row in found} == {held}, found


@pytest.mark.parametrize("ours, p, theirs, verdict", [
    ((0.02, 0.01, 0.03), 0.001, (0.03, 0.01), "same direction and size"),
    ((0.02, 0.01, 0.03), 0.001, (0.05, 0.029), "same direction and size"),    # the interval reaches the smaller one
    ((0.02, 0.01, 0.03), 0.001, (0.05, 0.04), "same direction, smaller"),
    ((-0.02, -0.03, -0.01), 0.001, (-0.05, -0.04), "same direction, smaller"),  # the size counts both ways
    ((0.02, 0.01, 0.03), 0.001, (0.025, 0.0), "same direction and size"),
    ((-0.02, -0.03, -0.01), 0.001, (0.03, 0.01), "opposite"),
    ((0.02, 0.01, 0.03), 0.001, (0.03, -0.01), "the paper's two encoders differ"),
    ((0.02, 0.01, 0.03), 0.001, (0.001, 0.0), "the paper has none"),
    ((0.00, -0.01, 0.01), 1.0, (0.03, 0.02), "none, the paper's size excluded"),
    ((0.00, -0.01, 0.01), 1.0, (0.03, 0.005), "none, the paper's size not excluded"),
    ((0.00, -0.01, 0.01), 1.0, (-0.03, -0.005), "none, the paper's size not excluded"),
    ((0.02, -0.01, 0.05), 0.06, (0.02, 0.02), "none, the paper's size not excluded"),
])
def test_four_states_beside_the_paper(ours, p, theirs, verdict, compared, monkeypatch):
    compared(comparison("X-Y", "Hybrid", "Cr map", *ours, p))
    monkeypatch.setattr(tables, "published", lambda model, benchmark: pd.DataFrame(
        [dict(strategy="x-y", figure="Cr map", value=0.5),
         dict(strategy="hybrid", figure="Cr map", value=0.5 + theirs[model == "labse"])]))
    assert tables.pattern("any", "xquad-r").verdict.tolist() == [verdict]


@pytest.mark.parametrize("name", tables.studies())
def test_a_study_is_described_by_its_first_trained_run(name):
    """Not by any: manifests are sorted by key, and a study's other parts leave out other languages."""
    assert tables.first_trained(name, "Hybrid")["experiment"]["seed"] == 0
    assert {"el", "vi"} <= set(tables.first_trained(name)["experiment"]["unseen"])


def test_alignment_is_the_correlation_over_languages_of_levels_and_of_changes(monkeypatch):
    """Levels rise together; changes go against each other, exactly."""
    codes = ["de", "en", "es", "hi", "ru"]

    def square(mono, cross):
        table = pd.DataFrame(np.repeat(np.array(cross)[:, None], 5, 1), codes, codes)
        np.fill_diagonal(values := table.to_numpy().copy(), mono)
        return pd.DataFrame(values, codes, codes)

    before = square([0.5, 0.6, 0.7, 0.8, 0.9], [0.4, 0.5, 0.6, 0.7, 0.8])
    after = square([0.51, 0.62, 0.73, 0.84, 0.95], [0.39, 0.48, 0.57, 0.66, 0.75])
    monkeypatch.setattr(tables, "matrix", lambda name, part, condition, benchmark: {"none": before, "some": after}[condition])
    found = tables.alignment("any", "part", "xquad-r", ["none", "some"], "none").set_index("condition")
    assert found.loc["none", "r of Mo and Cr mAP"].startswith("+1.00") and found.loc["none"].iloc[-1] == "–"
    assert found.loc["some", "r of their changes from none"].startswith("-1.00")
    assert found.loc["some", "r of Mo and Cr mAP"].startswith("+1.00")
