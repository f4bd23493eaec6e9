"""The answer in words: only what the comparisons support is said, whatever they are."""

import numpy as np
import pandas as pd
import pytest
from test_claims import comparison

from hybrid_batch import paths, rows, statistics, study, summary
from hybrid_batch.report import answer, tables

FIGURES = ("Mo map", "Cr map", "Mul map", "Mul rank_distance")


def primary(effects, family="primary", benchmark="xquad-r"):
    """Comparisons of the centre: effects {(first, figure): difference}, significant; all others are not."""
    made = []
    for first in ("no reasoning", *answer.CONTROLS):
        for figure in FIGURES:
            found = effects.get((first, figure))
            size = (found or 0.001) * (1 if found is None else 1)
            spread = abs(size) / 2 if found else 0.01
            made.append(comparison(first, "centre", figure, size, size - spread, size + spread, 0.001 if found else 0.8, family,
                                   benchmark) | dict(groups=240, seeds=5))
    return made


def accuracy(effects):
    return [comparison("no reasoning", "centre", figure, effects.get((name, figure), 0.002), 0.0, 0.1,
                       0.001 if (name, figure) in effects else 0.7, "accuracy", name) | dict(groups=100, seeds=5)
            for name in answer.FAMILIES for figure in ("Mo accuracy", "Cr accuracy")] + [
        comparison("neutral answers", "centre", figure, 0.01, -0.01, 0.03, 0.4, "accuracy", name) | dict(groups=100, seeds=5)
        for name in answer.FAMILIES for figure in ("Mo accuracy", "Cr accuracy")]


@pytest.fixture
def found(monkeypatch):
    def found(*parts):
        monkeypatch.setattr(summary, "compare", lambda name: pd.DataFrame([row for part in parts for row in part], columns=[
            "family", "benchmark", "first", "second", "figure", "difference", "low", "high", "p_holm", "significant",
            "detectable", "groups", "seeds"]))
        monkeypatch.setattr(rows, "manifests", lambda name: dict.fromkeys(item.key for item in study.plan(name)))
        return answer.sentences()

    return found


def test_nothing_is_said_before_the_primary_comparisons_are_measured(found):
    assert found() == []


def test_without_a_significant_difference_none_is_called_one_and_what_would_be_seen_is_said(found):
    retrieval, why, taught = found(primary({}), accuracy({}))
    assert "differs significantly in none of knowledge, science, entailment and mathematics" in taught and "nothing" in taught
    assert "made no significant difference to Mo mAP (+0.001 [-0.009,\N{NO-BREAK SPACE}+0.011], smallest detectable 0.010)" in retrieval
    assert "raised" not in retrieval + why and "lowered" not in retrieval + why and "improve" not in retrieval
    assert "no gain to explain" in why and why.count("not significantly different in any measure") == 3
    assert "240 groups of questions, 5 seeds" in retrieval


def test_the_headline_names_a_difference_only_where_one_is_significant(found):
    assert found() == [] and answer.headline() == ""
    found(primary({("no reasoning", "Mul map"): 0.02}), accuracy({}))
    assert answer.headline().startswith("**Reasoning batches raise Mul mAP by 0.020** against hybrid batches alone (+0.020 [")
    assert "the difference is not significant (+0.001" in answer.headline() and "240 groups of questions, 5 seeds" in answer.headline()
    found(primary({("extra QA", "Mul map"): -0.02}), accuracy({}))
    assert "**Reasoning batches do not significantly change Mul mAP** against" in answer.headline()
    assert "the difference is significant (-0.020" in answer.headline().replace("\N{MINUS SIGN}", "-")


def test_nothing_is_looked_at_while_one_run_of_the_primary_part_is_missing(found, monkeypatch):
    assert len(found(primary({}), accuracy({}))) == 3
    keys = [item.key for item in study.plan("full") if item.part == "reasoning"]
    monkeypatch.setattr(rows, "manifests", lambda name: dict.fromkeys(keys[:-1]))
    assert answer.sentences() == [] and answer.primary().empty
    assert "full" not in tables.studies()
    assert not tables.is_made("full", "reasoning") and not tables.is_made("full", "reasoning", "no such condition")


def test_each_effect_is_named_with_its_direction_and_the_controls_that_it_outlives(found):
    effects = {("no reasoning", "Cr map"): 0.012, ("no reasoning", "Mul rank_distance"): -30, ("extra QA", "Cr map"): 0.011,
               ("neutral answers", "Cr map"): -0.02}
    retrieval, why, taught = found(primary(effects), accuracy({("xnli", "Mo accuracy"): 0.05, ("msvamp", "Mo accuracy"): -0.04}))
    assert "**Reasoning batches improve retrieval a little.**" in retrieval and "raised Cr mAP by 0.012" in retrieval
    assert "lowered rank distance by 30 [15,\N{NO-BREAK SPACE}45]" in retrieval and "Mo mAP (" in retrieval.split("no significant")[1]
    assert "**None of these gains is specific to reasoning.**" in why and "extra question–passage batches they are significantly better in Cr mAP alone" in why
    assert "translations they are not significantly different" in why and "between them they are significantly worse in Cr mAP alone" in why
    assert "**They teach entailment.**" in taught and "mathematics (-0.040" in taught and "not in knowledge and science; against swapped" in taught
    assert "answers in none of knowledge, science, entailment and mathematics" in taught


def test_a_gain_is_specific_to_reasoning_only_if_it_outlives_all_controls_in_the_same_direction(found):
    gain = {(first, "Mo map"): 0.02 for first in ("no reasoning", *answer.CONTROLS)}
    assert "**All of that is specific to reasoning.**" in found(primary(gain), accuracy({}))[1]
    assert "**Of these gains Mo mAP alone is" in found(primary(gain | {("no reasoning", "Cr map"): 0.01}), accuracy({}))[1]
    assert "**None of these" in found(primary(gain | {("extra QA", "Mo map"): -0.02}), accuracy({}))[1]
    assert "**Reasoning batches change retrieval.**" in found(primary({("no reasoning", "Mo map"): -0.02}), accuracy({}))[0]


def test_the_cost_counts_a_run_once_where_parts_share_it(monkeypatch):
    items = {item.key: item for item in study.plan("full")}
    some = list(items.values())[:2]
    made = {item.key: dict(steps=100, seconds=dict(training=600.0, evaluation=1200.0)) for item in some}
    monkeypatch.setattr(rows, "manifests", lambda name: made)
    table = answer.cost("full").set_index("part")
    assert table.runs.sum() == len(items) == 111 and table["runs made"].sum() == 2
    assert table.loc["alpha", "hours planned"] == pytest.approx(12 * (600 + 1200) / 3600, abs=0.05)
    assert table["hours used"].sum() == pytest.approx(1.0, abs=0.05)


def test_the_trend_over_rho_is_the_slope_of_a_line(monkeypatch):
    """Values that rise by .2 a unit of rho in every group and seed, plus noise common to all conditions of a seed."""
    groups, seeds, rhos = 30, 3, {"no reasoning": 0.0, "rho 0.1": 0.1, "centre": 0.25, "rho 0.5": 0.5}
    noise = np.random.default_rng(0).normal(size=(seeds, groups))

    class Data:
        def __init__(self, name):
            self.complete = {("recipes", condition) for condition in rhos}
            self.conditions = {place: place[1] for place in self.complete}

        def values(self, condition, *_):
            return 0.2 * rhos[condition] + noise, np.full(groups, 1 / groups)

    monkeypatch.setattr(summary, "Rows", Data)
    made = answer.dose()
    assert made["difference"] == pytest.approx(0.2) and made["seeds"] == 3 and made["groups"] == groups
    assert statistics.LEVEL == 0.95 and made["low"] == pytest.approx(0.2) == made["high"]


def test_the_primary_family_is_what_the_plan_says():
    asked = study.load("full")["comparisons"]["primary"]
    assert asked["paired"] and asked["benchmarks"] == ["xquad-r"] and asked["figures"] == list(FIGURES) == tables.TABLE1
    assert [pair[1] for pair in asked["pairs"]] == ["centre"] * 4
    assert [pair[0] for pair in asked["pairs"]] == ["no reasoning", *answer.CONTROLS]
    counts = {}
    for item in study.plan("full"):
        if item.part == "reasoning":
            counts[item.condition] = counts.get(item.condition, 0) + 1
    assert counts == dict.fromkeys(["no reasoning", "centre", *answer.CONTROLS], 5)


def test_the_pilots_that_the_preregistration_shows_are_the_committed_ones():
    """All runs that settings were chosen by, but for centring after training; and the chosen ones are those of the study."""
    page = (paths.ROOT / "book" / "preregistration.md").read_text()
    pilots = pd.read_csv(paths.RESULTS / "pilots.csv")
    shown = pilots[(pilots.strategy == "untrained") | (pilots.system == "plain")]
    for row in shown.itertuples():
        name = ("untrained" + ", centring" * (row.system == "centring") if row.strategy == "untrained" else
                f"Hybrid, {row.steps} steps of {row.batch_size:.0f} pairs, learning rate {row.learning_rate:g}, temperature {row.temperature:g}")
        assert f"| {name} | {row.Mo_map:.3f} | {row.Cr_map:.3f} | {row.Mul_map:.3f} | {row.rank_distance:.0f} |" in page, name
    best = shown.loc[shown.Mul_map.idxmax()]
    settings = study.load("full")["experiment"]
    assert {name: settings[name] for name in ("learning_rate", "temperature", "steps", "batch_size")} == {
        name: best[name] for name in ("learning_rate", "temperature", "steps", "batch_size")}


def test_the_pilot_of_the_recipe_is_shown_as_it_was_measured():
    page = (paths.ROOT / "book" / "preregistration.md").read_text()
    found = pd.read_csv(paths.RESULTS / "pilot-accuracy.csv").pivot(index=["data_set", "items"], columns="condition")
    assert len(found) == 5
    for (_, items), row in found.iterrows():
        values = [row["within", "untrained"], row["within", "centre"], row["across", "untrained"], row["across", "centre"]]
        assert f"| {items} | " + " | ".join(f"{value:.3f}" for value in values) + " |" in page


def test_what_cosines_in_float32_change_is_shown_as_it_was_measured():
    page = (paths.ROOT / "book" / "preregistration.md").read_text()
    found = pd.read_csv(paths.RESULTS / "cosines.csv")
    for row in found.itertuples():
        assert f"| {row.condition} | {row.cosines} | {row.Mo_map:.3f} | {row.Cr_map:.3f} | {row.Mul_map:.3f} | {row.rank_distance:.0f} |" in page
    before, now = (found[found.cosines == name].set_index("condition") for name in ("bf16", "float32"))
    maps = ["Mo_map", "Cr_map", "Mul_map"]
    assert (before[maps] - now[maps]).abs().max().max() < 0.008
    assert list(before.Mul_map.sort_values().index) == list(now.Mul_map.sort_values().index)
    for item in study.plan("full"):  # the first line of each is the study's own
        if item.part == "reproduction" and item.condition in before.index and item.experiment.training.seed == 0:
            made = rows.read("full", [item.key]).query("benchmark == 'xquad-r' and system == 'plain' and figure == 'Mul map'")
            assert made[made.group.isna() & (made.query_language == "all")].value.item() == pytest.approx(before.Mul_map[item.condition], abs=1e-4)
