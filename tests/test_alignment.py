"""Measures of alignment by hand, and against slow loops and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hybrid_batch.alignment import hubness, language_variance, translation_accuracy


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
