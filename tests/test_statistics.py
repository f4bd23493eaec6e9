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
from hybrid_batch.statistics import bootstrap, by_group, cell_sums, compare, difference, holm, interval


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


def grouped(scores):
    groups = {}
    for row in scores.to_dict("records"):
        groups.setdefault(row["group"], []).append(row)
    return groups


def test_cell_sums_add_up_the_queries_of_a_group(scores):
    sums, counts, cells = cell_sums(scores, "map")
    assert sums.shape == counts.shape == (9, 6)
    for (g, group), (c, cell) in itertools.product(enumerate(range(9)), enumerate(cells)):
        values = [row["map"] for row in grouped(scores)[group]
                  if (row["setting"], row["query_language"], row["passage_language"]) == cell]
        assert counts[g, c] == len(values)
        assert sums[g, c] == pytest.approx(sum(values))


def test_bootstrap_agrees_with_a_slow_loop_over_resampled_groups(scores):
    groups, draw, drawn = grouped(scores), random.Random(0), []
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
    pairs = [(a, b) for a, b in zip(grouped(scores).values(), grouped(other).values())]

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


# Figures by groups of queries


@given(st.integers(0, 1000))
def test_figures_are_the_sums_over_groups_of_value_times_weight(seed):
    """Groups of 1 to 4 items, some without a language: whatever the counts, the figures are those of metrics."""
    random = np.random.default_rng(seed)
    rows = [(group, f"{group}/{item}", x, y, *random.integers(1, 30, 2)) for group in range(6)
            for item in range(random.integers(1, 5)) for x in random.choice(["de", "en", "hi"], random.integers(1, 4), False)
            for y in random.choice(["de", "en", "hi"], random.integers(1, 4), False)]
    scores = metrics.per_query(pd.DataFrame(rows, columns=["group", "item", "query_language", "passage_language", "rank",
                                                           "rank_mul"]))
    values, weights = by_group(scores)
    assert values.columns.equals(weights.columns)
    figures = (values * weights).sum()
    assert np.allclose(weights.sum(), 1) and not (values.isna() & (weights > 0)).any(axis=None)
    macro, languages = metrics.macro(scores), metrics.per_language(scores)
    measures = ["map", "recall@1", "recall@10", "rank_distance"]
    for setting, row in macro[measures].iterrows():
        for measure, expected in row.dropna().items():
            assert figures[setting, "all", measure] == pytest.approx(expected)
    for (setting, language), part in languages.groupby(["setting", "query_language"]):
        assert figures[setting, language, "map"] == pytest.approx(part["map"].mean())


def test_a_value_is_the_mean_of_its_group_and_a_weight_its_share_of_the_queries():
    values, weights = by_group(table([0.1, 0.3, 0.8], group=[4, 4, 9]))
    assert values["Mo", "all", "map"].to_dict() == pytest.approx({4: 0.2, 9: 0.8})
    assert weights["Mo", "all", "map"].to_dict() == pytest.approx({4: 2 / 3, 9: 1 / 3})


def test_the_figure_of_several_seeds_by_hand():
    """Means over the seeds are 2 3 4; the fourth group has no weight."""
    runs, weights = np.array([[1.0, 2, 3, 99], [3, 4, 5, -99]]), np.array([0.5, 0.25, 0.25, 0])
    made = interval(runs, weights, draws=200)
    assert (made["value"], made["groups"], made["seeds"]) == (2.75, 3, 2)
    assert made["low"] < made["value"] < made["high"] < 5


def test_an_interval_agrees_with_a_slow_loop_over_resampled_seeds_and_groups():
    generator, draw, drawn = np.random.default_rng(4), random.Random(4), []
    runs, weights = generator.random((3, 12)) + generator.normal(0, 0.1, (3, 1)), generator.dirichlet(np.ones(12))
    for _ in range(4000):
        groups, seeds = draw.choices(range(12), k=12), draw.choices(range(3), k=3)
        values = [sum(runs[seed, group] for seed in seeds) / 3 for group in groups]
        drawn.append(sum(v * weights[g] for v, g in zip(values, groups)) / sum(weights[g] for g in groups))
    made = interval(runs, weights, draws=4000, level=0.9)
    low, high = np.quantile(drawn, [0.05, 0.95])
    assert made["low"] == pytest.approx(low, abs=0.08 * (high - low))
    assert made["high"] == pytest.approx(high, abs=0.08 * (high - low))


def test_the_interval_of_one_seed_is_that_of_the_bootstrap(scores):
    mine = scores[(scores.setting == "Mo") & (scores.query_language == "en")]
    values, weights = by_group(mine)
    made = interval(values["Mo", "all", "map"].to_numpy()[None], weights["Mo", "all", "map"].to_numpy(), draws=4000)
    expected = bootstrap(mine, "map", draws=4000, seed=1).loc["Mo"]
    assert made["value"] == pytest.approx(expected.value) and made["seeds"] == 1
    assert [made["low"], made["high"]] == pytest.approx([expected.low, expected.high],
                                                        abs=0.08 * (expected.high - expected.low))


def test_seeds_that_differ_widen_the_interval_and_alike_ones_do_not():
    values, weights = np.random.default_rng(6).random(30), np.full(30, 1 / 30)

    def width(runs):
        made = interval(np.array(runs), weights)
        return made["high"] - made["low"]

    one = width([values])
    assert width([values] * 3) == pytest.approx(one, rel=0.05)
    assert width([values - 0.3, values, values + 0.3]) > 2 * one
    assert width([np.full(30, 0.4)] * 2) == pytest.approx(0)


# Differences of two conditions


def test_a_difference_by_hand():
    """Differences 1 2 3 over groups of equal weight: two of the eight ways to flip signs are as far from 0."""
    first, weights = np.array([[0.0, 0, 0], [2, 2, 2]]), np.full(3, 1 / 3)
    made = difference(first, np.array([[2.0, 3, 4]]), weights)
    assert made["difference"] == pytest.approx(2) and made["p"] == pytest.approx(0.25, abs=0.02)
    assert made["effect"] == pytest.approx(2 / np.std([1, 2, 3]))
    assert (made["groups"], made["seeds"]) == (3, 1) and made["low"] < 2 < made["high"]


def test_groups_without_weight_do_not_count():
    first, second = np.random.default_rng(8).random((2, 3, 20))
    weights = np.repeat([0.1, 0], 10)
    other = second.copy()
    other[:, 10:] = 99
    assert difference(first, second, weights) == difference(first, other, weights) == difference(
        first[:, :10], second[:, :10], weights[:10])


def test_a_difference_is_the_same_the_other_way_round():
    generator = np.random.default_rng(9)
    first, second = generator.random((3, 40)), generator.random((5, 40)) + 0.1
    weights = generator.dirichlet(np.ones(40))
    one, other = difference(first, second, weights), difference(second, first, weights)
    assert one["difference"] == pytest.approx(-other["difference"]) and one["effect"] == pytest.approx(-other["effect"])
    assert one["difference"] > 0 and one["p"] == other["p"] and one["seeds"] == other["seeds"] == 3
    width = one["high"] - one["low"]
    assert [one["low"], one["high"]] == pytest.approx([-other["high"], -other["low"]], abs=0.08 * width)
    assert one["detectable"] == pytest.approx(other["detectable"], rel=0.08)


def test_the_p_of_a_difference_is_small_for_a_strong_effect_never_zero_and_one_for_none():
    runs, weights = np.random.default_rng(10).random((3, 40)), np.full(40, 1 / 40)
    made = difference(runs, runs + 0.1, weights, draws=999)
    assert made["p"] == 1 / 1000 and made["difference"] == pytest.approx(0.1)
    same = difference(runs, runs, weights, draws=999)
    assert (same["difference"], same["effect"], same["p"]) == (0, 0, 1) and same["low"] <= 0 <= same["high"]


@pytest.mark.parametrize("setting", ["Mo", "Cr", "Mul"])
def test_the_difference_of_one_seed_is_that_of_compare(setting, scores):
    other = scores.assign(map=scores["map"] + np.random.default_rng(1).normal(0.12, 0.25, len(scores)))
    expected = compare(scores, other, "map", draws=20_000).loc[setting]
    (first, weights), (second, _) = by_group(scores), by_group(other)
    column = (setting, "all", "map")
    made = difference(*(np.nan_to_num(each[column].to_numpy())[None] for each in (first, second)),
                      weights[column].to_numpy(), draws=20_000)
    assert made["difference"] == pytest.approx(expected.difference) and made["groups"] == expected.groups
    assert made["p"] == pytest.approx(expected.p, abs=0.02)
    assert [made["low"], made["high"]] == pytest.approx([expected.low, expected.high],
                                                        abs=0.15 * (expected.high - expected.low))


def test_with_fewer_groups_a_difference_must_be_larger_to_be_seen():
    """Of one seed and alike groups the standard error is the deviation over the root of their number."""
    apart = np.random.default_rng(14).normal(0.1, 0.3, 400)
    detectable = {}
    for groups in (25, 100, 400):
        mine = apart[None, :groups]
        detectable[groups] = difference(np.zeros_like(mine), mine, np.full(groups, 1 / groups))["detectable"]
        assert detectable[groups] == pytest.approx(2.8 * mine.std() / groups ** 0.5, rel=0.08)
    assert detectable[25] > detectable[100] > detectable[400]


def test_a_difference_as_large_as_the_least_detectable_is_seen_four_times_in_five():
    generator, seen, groups = np.random.default_rng(15), 0, 40
    for _ in range(200):
        apart = generator.normal(2.8 * 0.2 / groups ** 0.5, 0.2, (1, groups))
        seen += difference(np.zeros((1, groups)), apart, np.full(groups, 1 / groups), draws=400)["p"] < 0.05
    assert 0.72 < seen / 200 < 0.88
