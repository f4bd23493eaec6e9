"""Intervals and tests against plain loops, and against what simulation says they must do."""

import itertools
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hybrid_batch import metrics
from hybrid_batch.statistics import bootstrap, cell_sums, compare, holm


def table(values, group=None, cell=("Mo", "en", "en")):
    """Scores of one cell: a row per value; by default every query is a group of its own."""
    setting, x, y = cell
    group = range(len(values)) if group is None else group
    return pd.DataFrame(dict(setting=setting, query_language=x, passage_language=y, group=list(group),
                             item=[f"i{number}" for number in range(len(values))], map=np.asarray(values, float)))


@pytest.fixture(scope="module")
def scores():
    """Nine groups of 1 to 3 items, in 2 + 2 + 2 cells, one cell without some of the groups."""
    generator, parts = np.random.default_rng(3), []
    groups = np.repeat(np.arange(9), [1, 2, 3, 1, 2, 3, 1, 2, 3])
    for cell in [("Mo", "en", "en"), ("Mo", "de", "de"), ("Cr", "en", "de"), ("Cr", "de", "en"),
                 ("Mul", "en", "all"), ("Mul", "de", "all")]:
        mine = groups[groups != 4] if cell == ("Cr", "de", "en") else groups
        parts.append(table(generator.random(len(mine)), mine, cell))
    return pd.concat(parts, ignore_index=True)


def slow_macro(rows):
    """{setting: mean over its cells of the mean over their queries}; rows: dicts."""
    cells = {}
    for row in rows:
        cells.setdefault((row["setting"], row["query_language"], row["passage_language"]), []).append(row["map"])
    settings = {}
    for (setting, _, _), values in cells.items():
        settings.setdefault(setting, []).append(sum(values) / len(values))
    return {setting: sum(means) / len(means) for setting, means in settings.items()}


def by_group(scores):
    groups = {}
    for row in scores.to_dict("records"):
        groups.setdefault(row["group"], []).append(row)
    return groups


def test_cell_sums_add_up_the_queries_of_a_group(scores):
    sums, counts, cells = cell_sums(scores, "map")
    assert sums.shape == counts.shape == (9, 6)
    for (g, group), (c, cell) in itertools.product(enumerate(range(9)), enumerate(cells)):
        values = [row["map"] for row in by_group(scores)[group]
                  if (row["setting"], row["query_language"], row["passage_language"]) == cell]
        assert counts[g, c] == len(values)
        assert sums[g, c] == pytest.approx(sum(values))


def test_bootstrap_agrees_with_a_slow_loop_over_resampled_groups(scores):
    groups, draw, drawn = by_group(scores), random.Random(0), []
    for _ in range(4000):
        drawn.append(slow_macro(itertools.chain.from_iterable(draw.choices(list(groups.values()), k=len(groups)))))
    result = bootstrap(scores, "map", draws=4000, level=0.9)
    expected = metrics.macro(scores)["map"]
    for setting in ("Mo", "Cr", "Mul"):
        low, high = np.quantile([each[setting] for each in drawn], [0.05, 0.95])
        row = result.loc[setting]
        assert row.value == pytest.approx(slow_macro(scores.to_dict("records"))[setting])
        assert row.value == pytest.approx(expected[setting])
        assert row.low == pytest.approx(low, abs=0.08 * (high - low))
        assert row.high == pytest.approx(high, abs=0.08 * (high - low))
        assert row.groups == 9


def test_compare_agrees_with_all_swaps_of_the_two_systems(scores):
    """Nine groups can be swapped in 512 ways: all of them give the exact p-value."""
    generator = np.random.default_rng(1)
    other = scores.assign(map=scores["map"] + generator.normal(0.12, 0.25, len(scores)))
    pairs = [(a, b) for a, b in zip(by_group(scores).values(), by_group(other).values())]

    def difference(swapped):
        first = [row for swap, pair in zip(swapped, pairs) for row in pair[swap]]
        second = [row for swap, pair in zip(swapped, pairs) for row in pair[not swap]]
        before, after = slow_macro(first), slow_macro(second)
        return {setting: after[setting] - before[setting] for setting in before}

    observed = difference([False] * 9)
    every = [difference(swapped) for swapped in itertools.product([False, True], repeat=9)]
    result = compare(scores, other, "map", draws=20_000)
    for setting in ("Mo", "Cr", "Mul"):
        exact = np.mean([abs(each[setting]) >= abs(observed[setting]) - 1e-12 for each in every])
        assert 0.002 < exact < 0.9  # else the example says little
        assert result.difference[setting] == pytest.approx(observed[setting])
        assert result.p[setting] == pytest.approx(exact, abs=0.02)


def test_compare_gives_the_bootstrap_interval_of_the_difference(scores):
    """The second system is the first plus noise; in the difference the first cancels out."""
    noise = np.random.default_rng(2).normal(0.05, 0.1, len(scores))
    result = compare(scores, scores.assign(map=scores["map"] + noise), "map", draws=4000)
    of_noise = bootstrap(scores.assign(map=noise), "map", draws=4000, seed=5)
    for setting in ("Mo", "Cr", "Mul"):
        width = of_noise.high[setting] - of_noise.low[setting]
        assert result.low[setting] == pytest.approx(of_noise.low[setting], abs=0.08 * width)
        assert result.high[setting] == pytest.approx(of_noise.high[setting], abs=0.08 * width)


def test_a_measure_of_one_setting_gives_figures_of_that_setting_alone(scores):
    partial = scores.assign(distance=scores["map"].where(scores.setting == "Mul"))
    assert list(bootstrap(partial, "distance", draws=50).index) == ["Mul"]
    assert list(compare(partial, partial, "distance", draws=50).index) == ["Mul"]


def test_the_seed_decides_the_result(scores):
    assert bootstrap(scores, "map", draws=50, seed=1).equals(bootstrap(scores, "map", draws=50, seed=1))
    assert not bootstrap(scores, "map", draws=50, seed=1).equals(bootstrap(scores, "map", draws=50, seed=2))


def test_asking_each_question_twice_does_not_narrow_the_interval(scores):
    twice = pd.concat([scores, scores.assign(item=scores.item + "again")])
    once, doubled = (bootstrap(each, "map", draws=300) for each in (scores, twice))
    assert np.allclose(once.to_numpy(float), doubled.to_numpy(float))
    assert np.allclose(compare(scores, scores.assign(map=0.5), "map", draws=300).to_numpy(float),
                       compare(twice, twice.assign(map=0.5), "map", draws=300).to_numpy(float))


def test_intervals_cover_the_true_mean_about_as_often_as_they_say():
    generator, covered = np.random.default_rng(11), 0
    group = np.repeat(np.arange(40), 3)
    for _ in range(200):  # questions of a passage share its difficulty
        values = 0.6 + generator.normal(0, 0.2, 40)[group] + generator.normal(0, 0.1, 120)
        row = bootstrap(table(values, group), "map", draws=300, level=0.9).loc["Mo"]
        covered += row.low <= 0.6 <= row.high
    assert 0.82 <= covered / 200 <= 0.96


def test_p_values_are_uniform_if_the_systems_are_alike():
    generator, p = np.random.default_rng(12), []
    group = np.repeat(np.arange(30), 2)
    for _ in range(200):
        shared = generator.normal(0, 0.2, (2, 30))[:, group]
        first, second = shared + generator.normal(0, 0.1, (2, 60))
        p.append(compare(table(first, group), table(second, group), "map", draws=400).p["Mo"])
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) <= 0.05) < 0.1


def test_p_is_small_for_a_strong_effect_and_one_for_none():
    values = np.random.default_rng(13).random(40)
    assert compare(table(values), table(values + 0.1), "map", draws=999).p["Mo"] == 1 / 1000
    same = compare(table(values), table(values), "map", draws=999).loc["Mo"]
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


@pytest.mark.parametrize("other", [
    table([0.1, 0.2, 0.3, 0.4]).iloc[:3],
    table([0.1, 0.2, 0.3, 0.4, 0.5], group=[0, 1, 2, 3, 3]),
    table([0.1, 0.2, 0.3, 0.4], group=[0, 1, 2, 2]),
    table([0.1, 0.2, 0.3, 0.4], group=[4, 5, 6, 7]),
    table([0.1, 0.2, 0.3, 0.4]).assign(item=["i0", "i1", "i2", "i9"]),
    table([0.1, 0.2, 0.3, 0.4], cell=("Mo", "de", "de")),
    table([0.1, 0.2, 0.3, np.nan]),
], ids=["query missing", "query more", "other grouping", "other groups", "other item", "other language", "not scored"])
def test_systems_scored_on_different_queries_are_not_compared(other):
    with pytest.raises(ValueError, match="same queries"):
        compare(table([0.1, 0.2, 0.3, 0.4]), other, "map", draws=10)


@pytest.mark.parametrize("p, expected", [
    ([0.03], [0.03]),
    ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
    ([0.5, 0.9, 0.6], [1, 1, 1]),
    ([0.02, 0.02], [0.04, 0.04]),
    ([], []),
])
def test_holm_by_hand(p, expected):
    assert holm(p) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_follows_its_definition(p):
    """Adjusted p of a hypothesis: the largest (m - j) p over it and those of smaller p."""
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted = holm(p)
    for place, number in enumerate(order):
        assert adjusted[number] == pytest.approx(
            min(1, max((len(p) - j) * p[order[j]] for j in range(place + 1))))
