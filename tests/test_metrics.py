"""Measures against numbers worked out by hand and against ranx and pytrec_eval."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hybrid_batch import metrics
from hybrid_batch.metrics import hubness, language_variance, translation_accuracy

INF = math.inf


def test_an_item_is_right_if_its_own_right_option_is_nearer_than_its_wrong_ones():
    # Stem a in de is nearest to a's right option in de, but in en to a wrong one; b's options do not count for a; a tie is wrong.
    scores = metrics.choice_scores(
        stems=np.array([[1.0, 0], [0, 1.0]]), item=["a", "b"], language=["de", "de"],
        options=np.array([[0.9, 0], [0.2, 0], [0.1, 0], [0.3, 0], [1.0, 0.5], [0.0, 0.5]]),
        option_item=["a", "a", "a", "a", "b", "b"], option_language=["de", "de", "en", "en", "de", "de"],
        right=[True, False, True, False, True, False])
    found = {(row.item, row.setting): row.accuracy for row in scores.itertuples()}
    assert found == {("a", "Mo"): 1, ("a", "Cr"): 0, ("b", "Mo"): 0}


@pytest.mark.parametrize("ranks, expected", [
    ([1], 1), ([4], 1 / 4), ([INF], 0), ([1, 2, 3], 1),
    ([1, 3], (1 / 1 + 2 / 3) / 2), ([3, 1], (1 / 1 + 2 / 3) / 2),
    ([2, 5, 6], (1 / 2 + 2 / 5 + 3 / 6) / 3), ([2, INF], (1 / 2) / 2), ([INF, INF], 0),
])
def test_average_precision_by_hand(ranks, expected):
    assert metrics.average_precision(ranks) == pytest.approx(expected)


@pytest.mark.parametrize("ranks, k, expected", [
    ([1], 1, 1), ([2], 1, 0), ([10], 10, 1), ([11], 10, 0), ([1, 10, 11, INF], 10, 1 / 2), ([INF], 10, 0)])
def test_recall_by_hand(ranks, k, expected):
    assert metrics.recall(ranks, k) == expected


@pytest.mark.parametrize("ranks, k, expected", [
    ([1], 10, 1), ([3], 10, 1 / 2), ([7], 10, 1 / 3), ([11], 10, 0), ([INF], 10, 0), ([2, 1], 10, 1),
    ([1, 3], 10, (1 + 1 / 2) / (1 + 1 / math.log2(3))), ([3, INF], 10, (1 / 2) / (1 + 1 / math.log2(3))),
    ([1, 2, 3], 1, 1),  # no more than k can be found, so the best possible has k terms
])
def test_ndcg_by_hand(ranks, k, expected):
    assert metrics.ndcg(ranks, k) == pytest.approx(expected)


@pytest.mark.parametrize("ranks, grades, k, expected", [
    ([1, 3], [1, 1], 10, (1 + 1 / 2) / (1 + 1 / math.log2(3))), ([1], [3], 10, 1), ([INF], [3], 10, 0),
    ([1, 3], [1, 3], 10, (1 + 3 / 2) / (3 + 1 / math.log2(3))), ([1, 2], [3, 1], 10, 1),
    ([1, 2, INF], [1, 2, 3], 2, (1 + 2 / math.log2(3)) / (3 + 2 / math.log2(3)))])
def test_ndcg_with_grades_by_hand(ranks, grades, k, expected):
    assert metrics.ndcg(ranks, k, grades) == pytest.approx(expected)


@pytest.mark.parametrize("ranks, distance, last", [
    ([5], 0, 5), ([1, 2, 3], 2, 3), ([40, 7, 12], 33, 40), ([3, INF], INF, INF), ([INF, INF], INF, INF)])
def test_rank_distance_and_max_rank_by_hand(ranks, distance, last):
    assert metrics.rank_distance(ranks) == distance
    assert metrics.max_rank(ranks) == last


# Against other programs


@pytest.fixture(scope="module")
def random_run():
    """(qrels, run) of 40 queries: 1 to 6 relevant passages of 60, 50 retrieved, no ties."""
    random, qrels, run = np.random.default_rng(7), {}, {}
    for query in range(40):
        relevant = random.choice(60, random.integers(1, 7), replace=False)
        scores = random.permutation(60)[:50] / 60
        qrels[f"q{query}"] = {f"p{passage}": 1 for passage in relevant}
        run[f"q{query}"] = {f"p{passage}": float(score) for passage, score in zip(random.permutation(60), scores)}
    return qrels, run


def ranks_of(qrels, run):
    """{query: ranks of its relevant passages}; infinity for those not retrieved."""
    places = {query: {passage: place for place, passage in enumerate(sorted(scores, key=lambda p: -scores[p]), 1)}
              for query, scores in run.items()}
    return {query: [places[query].get(passage, INF) for passage in passages] for query, passages in qrels.items()}


OURS = {
    "map": metrics.average_precision,
    "recall_10": lambda ranks: metrics.recall(ranks, 10),
    "recall_1": lambda ranks: metrics.recall(ranks, 1),
    "ndcg_cut_10": lambda ranks: metrics.ndcg(ranks, 10),
    "ndcg_cut_3": lambda ranks: metrics.ndcg(ranks, 3),
}


def test_measures_equal_those_of_pytrec_eval(random_run):
    import pytrec_eval

    qrels, run = random_run
    measures = {"map", "recall.1,10", "ndcg_cut.3,10"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    for query, ranks in ranks_of(qrels, run).items():
        for name, ours in OURS.items():
            assert ours(ranks) == pytest.approx(theirs[query][name], abs=1e-9)


def test_measures_equal_those_of_ranx(random_run, monkeypatch):
    import numba

    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)  # it would compile for half a minute
    import ranx

    qrels, run = random_run
    names = {"map": "map", "recall_1": "recall@1", "recall_10": "recall@10", "ndcg_cut_10": "ndcg@10"}
    theirs = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(names.values()))
    for ours, name in names.items():
        mean = np.mean([OURS[ours](ranks) for ranks in ranks_of(qrels, run).values()])
        assert mean == pytest.approx(theirs[name], abs=1e-9)


def test_a_metric_is_a_value_that_knows_its_name_label_and_direction():
    for name, metric in metrics.METRICS.items():
        assert metric.name == name and metric.label and metric.lower_is_better in (True, False, None)
    for ranks in ([1], [2, 9], [4, 12, INF]):
        assert metrics.METRICS["map"](ranks) == metrics.average_precision(ranks)
        assert metrics.METRICS["recall@10"](ranks) == metrics.recall(ranks, 10)
    assert metrics.METRICS["rank_distance"].lower_is_better and not metrics.METRICS["map"].lower_is_better
    assert metrics.figure_label("Mul map") == "Mul mAP" and metrics.figure_label("hubness") == "hubness"
    assert set(metrics.FIGURES) >= {"Mo map", "Cr recall@1", "Mul rank_distance", "gap"} and "Mo rank_distance" not in metrics.FIGURES


@pytest.mark.parametrize("metric, value, printed, difference", [
    ("map", 0.12345, "0.123", "+0.123"), ("rank_distance", 1213.4, "1213", "+1213"), ("map", float("nan"), "–", "–")])
def test_a_metric_prints_its_values(metric, value, printed, difference):
    assert metrics.METRICS[metric].format(value) == printed
    assert metrics.METRICS[metric].format(value, sign=True) == difference


def test_an_impossible_value_cannot_be_returned():
    with pytest.raises(ValueError, match=r"mAP = 1.5: impossible, it must be from 0 to 1; .*an id stands for two queries"):
        metrics.METRICS["map"]([1, 1])  # two passages at one rank


# Language bias


def kruskal_by_hand(*samples):
    """Kruskal and Wallis's H with the correction for ties, and its chi-square tail."""
    every = np.concatenate(samples)
    places = np.array([np.mean(np.flatnonzero(np.sort(every) == value)) + 1 for value in every])
    n, h, start = len(every), 0, 0
    for sample in samples:
        h += places[start:start + len(sample)].sum() ** 2 / len(sample)
        start += len(sample)
    ties = sum(count**3 - count for count in np.unique(every, return_counts=True)[1])
    h = (12 / (n * (n + 1)) * h - 3 * (n + 1)) / (1 - ties / (n**3 - n))
    return stats.chi2.sf(h, len(samples) - 1)


def test_peer_is_near_zero_for_a_biased_ranking_and_not_for_a_fair_one():
    random, languages = np.random.default_rng(0), np.repeat(["de", "en", "hi"], 30)
    fair = random.integers(1, 50, 90)
    biased = fair + np.where(languages == "en", 0, 40)
    assert metrics.peer(fair, languages) > 0.05
    assert metrics.peer(biased, languages) < 1e-6
    for ranks in (fair, biased):
        by_hand = kruskal_by_hand(*(ranks[languages == language] for language in ("de", "en", "hi")))
        assert metrics.peer(ranks, languages) == pytest.approx(by_hand)


@pytest.mark.parametrize("ranks, languages", [([], []), ([1, 2], ["en", "en"]), ([3, 3, 3], ["en", "de", "hi"])])
def test_peer_sees_no_bias_where_nothing_can_be_compared(ranks, languages):
    assert metrics.peer(ranks, languages) == 1


def test_language_shares_by_hand():
    top = np.array([["en", "en", "de", "hi"], ["en", "en", "en", "de"], ["de", "de", "de", "de"]])
    shares = metrics.language_shares(["en", "en", "hi"], top)
    assert shares.loc["en"].to_dict() == {"en": 5 / 8, "de": 2 / 8, "hi": 1 / 8}
    assert shares.loc["hi"].to_dict() == {"en": 0, "de": 1, "hi": 0}
    assert np.allclose(shares.sum(axis=1), 1)


def test_a_language_that_is_never_found_has_a_share_of_zero():
    shares = metrics.language_shares(["de", "zh"], np.array([["de", "en"], ["en", "en"]]))
    assert shares.columns.tolist() == ["de", "en", "zh"] and shares.loc["zh"].to_dict() == {"de": 0, "en": 1, "zh": 0}


# Tables


@pytest.fixture
def tiny(make_ranks):
    """Two items in en and de: in the own language item a is found first, b second; across
    languages a second, b fourth. The German passages stand 100 places further down in the
    mixed pool."""
    return make_ranks(["en", "de"], lambda item, x, y: {"a": 1, "b": 2}[item] * (1 if x == y else 2))


def test_per_query_scores_each_query_in_each_setting(tiny):
    scores = metrics.per_query(tiny).set_index(["setting", "item", "query_language", "passage_language"])
    assert len(scores) == 4 + 4 + 4
    assert scores["map"]["Mo", "a", "de", "de"] == 1
    assert scores["map"]["Mo", "b", "de", "de"] == 1 / 2
    assert scores["map"]["Cr", "b", "de", "en"] == 1 / 4
    assert scores["recall@1"]["Cr", "a", "en", "de"] == 0
    assert scores["recall@10"]["Cr", "a", "en", "de"] == 1
    mul = scores.loc["Mul", "b", "en", "all"]  # its passages are at 2 (en) and 104 (de)
    assert mul["map"] == pytest.approx((1 / 2 + 2 / 104) / 2)
    assert (mul["recall@10"], mul.rank_distance, mul.max_rank) == (1 / 2, 102, 104)
    assert scores.rank_distance.notna().sum() == scores.max_rank.notna().sum() == 4


def test_a_new_metric_is_scored_wherever_it_is_defined(tiny, monkeypatch):
    new = metrics.Metric("first", lambda ranks: float(min(ranks) == 1), "first", settings=("Mul",))
    monkeypatch.setitem(metrics.QUERY_METRICS, "first", new)
    scores = metrics.per_query(tiny)
    assert scores[scores.setting == "Mul"]["first"].tolist().count(1) == 1 and scores[scores.setting != "Mul"]["first"].isna().all()


def test_per_language_means_over_queries_and_counts_them(make_ranks):
    first = {"a": 1, "b": 2, "c": 10}
    ranks = make_ranks(["en", "de"], lambda item, x, y: first[item] * (1 if x == y else 2), items=first)
    table = metrics.per_language(metrics.per_query(ranks)).set_index(["setting", "query_language", "passage_language"])
    assert len(table) == 2 + 2 + 2
    assert (table.queries == 3).all()
    assert table["map"]["Mo", "en", "en"] == pytest.approx((1 + 1 / 2 + 1 / 10) / 3)
    assert table["map"]["Cr", "en", "de"] == pytest.approx((1 / 2 + 1 / 4 + 1 / 20) / 3)
    assert table.rank_distance["Mul", "en", "all"] == ((102 - 1) + (104 - 2) + (120 - 10)) / 3
    assert table.rank_distance["Mul", "de", "all"] == ((101 - 2) + (102 - 4) + (110 - 20)) / 3


def test_macro_weighs_languages_alike_however_many_queries_they_have(make_ranks):
    ranks = make_ranks(["en", "de"], lambda item, x, y: {"a": 1, "b": 2}[item] * (1 if x == y else 2))
    ranks = ranks[~((ranks.item == "b") & (ranks.query_language == "de"))]  # German has one query only
    macro = metrics.macro(metrics.per_query(ranks))
    assert macro["map"]["Mo"] == ((1 + 1 / 2) / 2 + 1) / 2
    assert macro["map"]["Cr"] == ((1 / 2 + 1 / 4) / 2 + 1 / 2) / 2
    assert macro.rank_distance["Mul"] == (101.5 + 99) / 2


@pytest.mark.parametrize("languages", [["en"], ["en", "de"], ["ar", "de", "en", "hi", "zh"]])
def test_macro_averages_l_monolingual_l_times_l_minus_1_cross_lingual_and_l_mixed_settings(languages, make_ranks):
    macro = metrics.macro(metrics.per_query(make_ranks(languages, lambda item, x, y: 1)))
    count = len(languages)
    expected = {"Mo": count, "Cr": count * (count - 1), "Mul": count}
    assert macro.settings.to_dict() == {setting: number for setting, number in expected.items() if number}
    assert list(macro.index) == [setting for setting in metrics.SETTINGS if expected[setting]]


def test_a_table_without_ranks_gives_a_table_without_scores():
    empty = pd.DataFrame(columns=["group", "item", "query_language", "passage_language", "rank", "rank_mul"])
    assert len(metrics.per_query(empty)) == 0


def test_transfer_by_hand(make_ranks):
    rank = {("en", "en"): 1, ("de", "de"): 2, ("hi", "hi"): 4,
            ("en", "de"): 2, ("en", "hi"): 4, ("de", "en"): 4, ("de", "hi"): 8, ("hi", "en"): 5, ("hi", "de"): 10}
    table = metrics.transfer(metrics.per_query(make_ranks(["en", "de", "hi"], lambda item, x, y: rank[x, y])))
    assert table.mono.to_dict() == {"en": 1, "de": 1 / 2, "hi": 1 / 4}
    assert table.cross_from.to_dict() == pytest.approx({"en": 3 / 8, "de": 3 / 16, "hi": 3 / 20})
    assert table.cross_into.to_dict() == pytest.approx({"en": 9 / 40, "de": 3 / 10, "hi": 3 / 16})
    assert table.gap.to_dict() == pytest.approx({"en": 5 / 8, "de": 5 / 16, "hi": 1 / 10})
    assert table.ratio.to_dict() == pytest.approx({"en": 3 / 8, "de": 3 / 8, "hi": 3 / 5})


# Alignment


def unit(vectors):
    vectors = np.asarray(vectors, float)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def angles(*degrees):
    """Vectors of length 1 in the plane."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def normal(seed, *shape):
    return unit(np.random.default_rng(seed).normal(size=shape))


# Translation accuracy


@pytest.mark.parametrize("first, second, expected", [
    ((0, 90, 180), (5, 95, 170), 1),
    ((0, 90), (80, 10), 0),  # the translations are exchanged
    ((0, 40), (0, 15), 3 / 4),  # 40 finds 15, 0 and 15 find 0: second -> first misses one
    ((0, 90), (45, 90), 3 / 4),  # 45 is as near to 90 as to 0, its translation
    ((0, 0), (0, 0), 0),  # all tie
    ((0,), (180,), 1),  # the only one is the nearest
])
def test_translation_accuracy_by_hand(first, second, expected):
    assert translation_accuracy(angles(*first), angles(*second)) == expected


@given(st.integers(1, 12), st.integers(0, 50), st.booleans())
def test_translation_accuracy_is_that_of_a_slow_loop(sentences, seed, ties):
    first, second = (normal(seed + shift, sentences, 3) for shift in (0, 1000))
    if ties:
        first, second = (unit(np.round(part) + [0, 0, 0.5]) for part in (first, second))
    hits = []
    for one, other in ((first, second), (second, first)):
        for i in range(sentences):
            scores = [round(float(one[i] @ vector), 6) for vector in other]
            hits.append(all(score < scores[i] for j, score in enumerate(scores) if j != i))
    assert translation_accuracy(first, second) == pytest.approx(np.mean(hits))
    assert translation_accuracy(second, first) == pytest.approx(np.mean(hits))


def test_cosines_that_differ_below_the_sixth_decimal_are_a_tie():
    assert translation_accuracy(angles(0, 0.01), angles(0, 0.01)) == 0
    assert translation_accuracy(angles(0, 1), angles(0, 1)) == 1


# Language variance


def test_language_variance_by_hand():
    """Means 1 and 4 around 2.5: between 4 x 2.25 = 9, within 4 x 1 = 4."""
    assert language_variance(np.array([[0.0], [2], [3], [5]]), ["de", "de", "en", "en"]) == pytest.approx(9 / 13)


def test_languages_that_lie_alike_explain_nothing():
    vectors = normal(0, 20, 5)
    assert language_variance(np.concatenate([vectors] * 3), np.repeat(["de", "en", "hi"], 20)) == pytest.approx(0, abs=1e-12)


def test_languages_of_one_point_each_explain_all():
    assert language_variance(normal(0, 3, 5), ["de", "en", "hi"]) == pytest.approx(1)
    assert language_variance(np.repeat(normal(0, 3, 5), 4, axis=0), np.repeat(["de", "en", "hi"], 4)) == pytest.approx(1)


@given(st.lists(st.sampled_from(["de", "en", "hi"]), min_size=2, max_size=20), st.integers(0, 50))
def test_language_variance_is_one_less_the_share_within_languages(languages, seed):
    """The sums of squares between and within add up to the total, whatever the numbers of texts."""
    vectors = np.random.default_rng(seed).normal(size=(len(languages), 4))
    total = sum(np.sum((vector - vectors.mean(axis=0)) ** 2) for vector in vectors)
    within = 0
    for code in set(languages):
        part = [vector for vector, own in zip(vectors, languages) if own == code]
        within += sum(np.sum((vector - sum(part) / len(part)) ** 2) for vector in part)
    assert language_variance(vectors, languages) == pytest.approx(1 - within / total)


def test_language_variance_does_not_change_if_the_space_is_turned_moved_or_scaled():
    vectors, languages = normal(3, 30, 4), np.repeat(["de", "en", "hi"], 10)
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(4, 4)))[0]
    assert language_variance(3 * vectors @ turn + 7, languages) == pytest.approx(language_variance(vectors, languages))


# Hubness


def occurrences(queries, passages, k):
    """How often each passage is among the k nearest, by a slow loop."""
    counts = [0] * len(passages)
    for query in queries:
        for passage in sorted(range(len(passages)), key=lambda p: -float(query @ passages[p]))[:k]:
            counts[passage] += 1
    return counts


def test_hubness_by_hand():
    """Three of four queries find the first passage, one the second: counts 3 1 0 0."""
    expected = np.mean((np.array([3, 1, 0, 0]) - 1.0) ** 3) / np.std([3, 1, 0, 0]) ** 3
    assert hubness(angles(0, 1, 2, 90), angles(0, 90, 180, 270), k=1) == pytest.approx(expected)
    assert hubness(angles(0, 90, 180, 270), angles(0, 90, 180, 270), k=1) == 0  # each once
    assert hubness(angles(0, 1, 2), angles(0, 90), k=2) == 0  # all are always found
    assert hubness(angles(0, 1, 2), angles(0, 90)) == 0  # fewer than k


@pytest.mark.parametrize("k", [1, 10, 39])
@pytest.mark.parametrize("chunk", [1024, 7])
def test_hubness_is_the_skewness_of_how_often_a_passage_is_found(k, chunk):
    queries, passages = normal(5, 50, 6), normal(6, 40, 6)
    skew = stats.skew(occurrences(queries, passages, k))
    assert abs(skew) > 0.01 and hubness(queries, passages, k, chunk) == pytest.approx(skew)


def test_passages_that_are_near_to_everything_raise_it():
    queries, passages = (unit(0.1 + normal(seed, 200, 20)) for seed in (7, 8))
    hubs = passages.copy()
    hubs[:5] = unit(queries.mean(axis=0) + 0.01 * hubs[:5])
    assert hubness(queries, hubs) > 2 + hubness(queries, passages)
