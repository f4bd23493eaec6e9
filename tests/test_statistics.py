"""Intervals and tests: by hand, against scipy, and their coverage by simulation."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hybrid_batch import metrics, statistics


def scores_of(values, group_of=lambda item: item, setting="Mo"):
    """Scores of one language: {item: mAP}."""
    return pd.DataFrame([dict(group=group_of(item), item=str(item), query_language="en", passage_language="en",
                              setting=setting, map=value) for item, value in values.items()])


@pytest.fixture
def scores(make_ranks):
    """A function: seed -> scores of six items in three languages, two items a group."""
    def make(seed):
        random = np.random.default_rng(seed)
        ranks = make_ranks(["de", "en", "hi"], lambda *_: random.integers(1, 9), items="abcdef")
        return metrics.per_query(ranks.assign(group=ranks.group // 2))

    return make


# A figure by groups


@pytest.mark.parametrize("figure", ["Mo map", "Cr map", "Mul map", "Mo recall@1", "Mul rank_distance"])
def test_a_figure_is_the_sum_of_the_values_of_its_groups_times_their_weights(figure, scores):
    setting, metric = figure.split(" ")
    groups, values, weights = statistics.by_group(scores(0), figure)
    assert groups.tolist() == [0, 1, 2] and weights.sum() == pytest.approx(1)
    assert values @ weights == pytest.approx(metrics.macro(scores(0)).loc[setting, metric])


@pytest.mark.parametrize("language", ["de", "hi"])
def test_of_a_language_too(language, scores):
    _, values, weights = statistics.by_group(scores(0), "Cr map", language)
    table = metrics.per_language(scores(0))
    assert values @ weights == pytest.approx(table[(table.setting == "Cr") & (table.query_language == language)]["map"].mean())


def test_groups_with_more_queries_weigh_more():
    _, values, weights = statistics.by_group(scores_of({0: 1.0, 1: 0.5, 2: 0.0}, lambda item: item // 2), "Mo map")
    assert values.tolist() == [0.75, 0] and weights.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_runs_on_other_queries_are_refused(scores):
    fewer = scores(1)[lambda rows: rows.group != 2]
    with pytest.raises(ValueError, match="not scored on the same queries"):
        statistics.stacked([scores(0), fewer], "Mo map")


# Intervals


def test_an_interval_of_equal_groups_and_one_run_is_that_of_students_t():
    values = np.random.default_rng(0).normal(size=20)
    made = statistics.estimate(values[None], np.full(20, 1 / 20), trained=False)
    low, high = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
    assert (made["value"], made["low"], made["high"]) == pytest.approx((values.mean(), low, high))
    assert (made["groups"], made["seeds"], made["df"]) == (20, 1, pytest.approx(19))


def test_the_variance_is_that_of_groups_plus_that_of_seeds_with_satterthwaites_degrees():
    random = np.random.default_rng(1)
    values, weights = random.normal(size=(3, 12)), np.full(12, 1 / 12)
    made = statistics.estimate(values, weights)
    of_groups, of_seeds = stats.sem(values.mean(axis=0)) ** 2, stats.sem(values.mean(axis=1)) ** 2
    assert made["se"] ** 2 == pytest.approx(of_groups + of_seeds)
    assert made["df"] == pytest.approx((of_groups + of_seeds) ** 2 / (of_groups ** 2 / 11 + of_seeds ** 2 / 2))


def test_an_encoder_that_is_not_trained_has_no_variance_over_seeds():
    values = np.tile(np.arange(10.0), (2, 1)) + [[0], [5]]
    weights = np.full(10, 0.1)
    assert statistics.estimate(values, weights, trained=False)["se"] < statistics.estimate(values, weights)["se"]


def test_groups_without_weight_do_not_count():
    weights, values = np.array([0.5, 0.5, 0, 0]), np.array([[1.0, 2.0, 99.0, 0.0]])
    made = statistics.estimate(values, weights, trained=False)
    assert made["groups"] == 2 and made["value"] == 1.5


# Differences


def test_a_difference_of_equal_groups_and_single_runs_is_the_paired_t_test():
    first, second = np.random.default_rng(2).normal(size=(2, 15))
    made = statistics.difference(first[None], second[None], np.full(15, 1 / 15), trained=(False, False))
    assert made["p"] == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert made["difference"] == pytest.approx((second - first).mean()) and made["low"] < made["difference"] < made["high"]


def test_seeds_of_both_sides_add_up_and_paired_seeds_do_not():
    random = np.random.default_rng(3)
    common = random.normal(0, 1, (4, 1))                               # what a seed does to both sides
    first, second = (random.normal(size=30) + common + 0.1 * random.normal(size=(4, 1)) for _ in range(2))
    weights = np.full(30, 1 / 30)
    apart = statistics.difference(first, second, weights)
    together = statistics.difference(first, second, weights, paired=True)
    of_groups = stats.sem(second.mean(axis=0) - first.mean(axis=0)) ** 2
    assert apart["se"] ** 2 == pytest.approx(of_groups + stats.sem(first.mean(1)) ** 2 + stats.sem(second.mean(1)) ** 2)
    assert together["se"] ** 2 == pytest.approx(of_groups + stats.sem((second - first).mean(1)) ** 2)
    assert together["se"] < apart["se"]


def test_paired_seeds_need_as_many_on_both_sides():
    with pytest.raises(ValueError, match="one side has 3 seeds, the other 2"):
        statistics.difference(np.zeros((3, 4)), np.zeros((2, 4)), np.full(4, 0.25), paired=True)


def test_the_permutation_test_is_that_of_all_arrangements_and_never_zero():
    random = np.random.default_rng(4)
    first, second = random.normal(size=(2, 8))
    weights = random.dirichlet(np.ones(8))
    made = statistics.difference(first[None], second[None], weights, draws=40_000)
    apart = (second - first) * weights
    exact = np.mean([abs(np.dot(signs, apart)) >= abs(apart.sum()) - 1e-12 for signs in itertools.product((1, -1), repeat=8)])
    assert made["p_permutation"] == pytest.approx(exact, abs=0.01)
    clear = statistics.difference(np.zeros((1, 60)), np.ones((1, 60)), np.full(60, 1 / 60), draws=100)
    assert clear["p_permutation"] == pytest.approx(1 / 101)


def test_seeds_are_forgotten_by_the_permutation_test_and_not_by_ours():
    """Two strategies without any effect whose trainings differ: the difference is one between two trainings."""
    random = np.random.default_rng(5)
    groups, weights = random.normal(0.7, 0.1, 200), np.full(200, 1 / 200)
    ours, theirs = [], []
    for _ in range(60):
        first, second = (groups + random.normal(0, 0.01, (3, 1)) + random.normal(0, 0.02, (3, 200)) for _ in range(2))
        made = statistics.difference(first, second, weights, draws=200)
        ours.append(made["p"] < 0.05)
        theirs.append(made["p_permutation"] < 0.05)
    assert np.mean(theirs) > 0.5 and np.mean(ours) < 0.15


# Coverage


def simulated(seeds, groups, of_seed, random, effect=0.0):
    """(seeds, groups) values of one strategy: what a group, a seed and both together do."""
    return (effect + random.normal(0, of_seed, (seeds, 1)) + random.normal(0, 0.05, (seeds, groups)))


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("of_seed", [0.0, 0.005, 0.02])  # none, as much as groups, most of the error
@pytest.mark.parametrize("paired", [False, True])
def test_intervals_of_differences_hold_the_truth_about_as_often_as_they_say(seeds, of_seed, paired):
    random, groups, trials = np.random.default_rng(6), 100, 600
    weights, covered = np.full(groups, 1 / groups), 0
    for _ in range(trials):
        passages, common = random.normal(0, 0.2, groups), random.normal(0, 0.02, (seeds, 1)) * paired
        effects = random.normal(0.03, 0.05, groups)                    # the effect differs by passage, .03 in the mean
        first = passages + common + simulated(seeds, groups, of_seed, random)
        second = passages + common + effects + simulated(seeds, groups, of_seed, random)
        made = statistics.difference(first, second, weights, paired=paired, draws=1)
        covered += made["low"] <= 0.03 <= made["high"]
    assert 0.93 <= covered / trials <= 0.995


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_of_values_hold_the_truth_about_as_often_as_they_say(seeds):
    random, groups, trials = np.random.default_rng(7), 80, 600
    weights = random.dirichlet(np.full(groups, 20.0))
    covered = 0
    for _ in range(trials):
        made = statistics.estimate(random.normal(0.5, 0.2, groups) + simulated(seeds, groups, 0.02, random), weights)
        covered += made["low"] <= 0.5 <= made["high"]
    assert 0.925 <= covered / trials <= 0.99


# Families


def test_holm_by_hand():
    assert statistics.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.5]).tolist() == [1, 1]


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=8))
def test_holm_is_that_of_its_definition(p):
    order, expected, running = sorted(range(len(p)), key=lambda i: p[i]), {}, 0
    for place, number in enumerate(order):
        running = max(running, min(1, (len(p) - place) * p[number]))
        expected[number] = running
    assert statistics.holm(p).tolist() == pytest.approx([expected[number] for number in range(len(p))])


def test_a_family_says_what_is_significant_and_what_could_have_been_detected():
    made = statistics.family([dict(p=0.001, se=0.01, df=1e9), dict(p=0.04, se=0.01, df=4)])
    assert made.p_holm.tolist() == pytest.approx([0.002, 0.04]) and made.significant.tolist() == [True, True]
    assert made.detectable[0] == pytest.approx(0.01 * (stats.norm.ppf(1 - 0.025 / 2) + stats.norm.ppf(0.8)), abs=1e-6)
    assert made.detectable[1] > made.detectable[0]  # fewer seeds detect less


def test_the_detectable_difference_is_detected_with_power_eight_in_ten():
    random, groups, trials = np.random.default_rng(8), 100, 500
    weights = np.full(groups, 1 / groups)
    se = np.sqrt(0.05 ** 2 * 2 / groups / 5 + 2 * 0.01 ** 2 / 5)

    def trial(effect):
        first, second = (simulated(5, groups, 0.01, random, e) for e in (0, effect))
        return statistics.difference(first, second, weights, draws=1)

    detectable = statistics.family([trial(0)] * 1).detectable[0]
    typical = np.median([statistics.family([trial(0)]).detectable[0] for _ in range(50)])
    found = np.mean([trial(typical)["p"] < 0.05 for _ in range(trials)])
    assert detectable > 2 * se and 0.7 <= found <= 0.92


@pytest.mark.parametrize("figure, difference, better", [("Mo map", 0.1, True), ("Mo map", -0.1, False),
                                                        ("Mul rank_distance", -5, True), ("Mul rank_distance", 5, False)])
def test_which_side_is_better_is_the_metrics_to_say(figure, difference, better):
    assert statistics.improves(dict(figure=figure, difference=difference)) is better


def test_systems_are_estimated_and_compared_in_several_figures(scores):
    systems = {"untrained": [scores(0)], "Hybrid": [scores(1), scores(2)]}
    table = statistics.estimates(systems, ["Mo map", "Mul rank_distance"], lambda name: name != "untrained")
    assert list(zip(table.system, table.figure)) == [(s, f) for s in systems for f in ("Mo map", "Mul rank_distance")]
    assert table.seeds.tolist() == [1, 1, 2, 2]
    mean = np.mean([metrics.macro(part).loc["Mo", "map"] for part in systems["Hybrid"]])
    assert table.value[2] == pytest.approx(mean)
    rows = statistics.compare(systems["untrained"], systems["Hybrid"], ["Mo map"], trained=(False, True))
    assert rows[0]["difference"] == pytest.approx(mean - table.value[0]) and rows[0]["figure"] == "Mo map"
