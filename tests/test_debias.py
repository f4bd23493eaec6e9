"""What needs no training: each method by hand, fitted on one corpus and applied to another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_batch import debias
from hybrid_batch.retrieval import Embeddings

SQUARE = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]], float)


def test_centring_subtracts_the_mean_of_a_language_of_the_corpus_it_was_fitted_on():
    apply = debias.centring(np.array([[1, 0], [3, 0], [0, 5]], float), ["en", "en", "de"])  # means (2, 0) and (0, 5)
    made = apply(np.array([[2, 3], [6, 3], [0, 4]], float), ["en", "en", "de"])
    assert np.allclose(made, [[0, 1], [0.8, 0.6], [0, -1]])


def test_lir_removes_the_first_principal_component_of_a_language():
    apply = debias.lir(np.array([[2, 0, 0], [4, 0, 0], [0, 3, 0]], float), ["en", "en", "de"])
    made = apply(np.array([[5, 3, 4], [1, 2, 2]], float), ["en", "de"])
    assert np.allclose(made, [[0, 0.6, 0.8], [1 / 5 ** 0.5, 0, 2 / 5 ** 0.5]], atol=1e-6)


def test_lir_of_more_components_removes_more():
    vectors = np.array([[3, 0, 0], [0, 2, 0]], float)
    made = debias.lir(vectors, ["en", "en"], rank=2)(np.array([[1, 2, 7]], float), ["en"])
    assert np.allclose(made, [[0, 0, 1]], atol=1e-6)


def test_lsar_of_two_languages_removes_the_direction_between_their_means_and_keeps_what_they_share():
    # Means (1, 1, 0) and (1, -1, 0): they differ along the second axis and share the first.
    apply = debias.lsar(np.array([[1, 1, 0], [1, -1, 0]], float), ["en", "de"])
    made = apply(np.array([[1, 7, 0], [0, -3, 2], [3, 1, 4]], float), ["en", "de", "xx"])  # it asks for no language
    assert np.allclose(made, [[1, 0, 0], [0, 0, 1], [0.6, 0, 0.8]], atol=1e-6)


@given(st.integers(0, 50), st.integers(3, 6))
def test_after_lsar_the_means_of_all_languages_are_one(seed, languages):
    random = np.random.default_rng(seed)
    names = np.repeat([f"l{n}" for n in range(languages)], 5)
    vectors = random.normal(size=(len(names), 12)) + 3 * random.normal(size=(languages, 12)).repeat(5, 0)
    means = np.stack(list(debias.language_means(vectors, names).values()), 1)
    subspace_free = debias.lsar(vectors, names)(means.T, None)
    assert np.allclose(subspace_free, subspace_free[0], atol=1e-5)
    less = debias.lsar(vectors, names, rank=1)(means.T, None)
    assert not np.allclose(less, less[0], atol=1e-3)


def test_shift_moves_a_language_to_the_pivot_by_the_difference_of_their_means():
    vectors, languages = np.array([[1, 0], [1, 2], [4, 0], [4, 2]], float), ["en", "en", "de", "de"]
    apply = debias.shift(vectors, languages)                                   # V of de is (3, 0)
    assert np.allclose(apply(np.array([[3, 4], [3, 1]], float), ["en", "de"]), [[0.6, 0.8], [0, 1]])
    half = debias.shift(vectors, languages, strength=0.5)
    assert np.allclose(half(np.array([[2.5, 1]], float), ["de"]), debias.unit([[1, 1]]))


def test_csls_takes_off_half_the_mean_cosine_with_the_nearest_queries():
    new = Embeddings(np.eye(3)[:2], SQUARE[[0, 2]] / [[1], [2 ** 0.5]])
    seen = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1]])
    made = debias.fit("CSLS", Embeddings(seen, None), None, None, neighbours=2)(new, None, None)
    near = [(1 + 0.8) / 2, (1.4 / 2 ** 0.5 + 1 / 2 ** 0.5) / 2]                # of each passage
    expected = new.queries @ new.passages.T - np.array(near) / 2
    assert np.allclose(made.queries @ made.passages.T, expected, atol=1e-6)


@pytest.mark.parametrize("method", list(debias.METHODS))
def test_queries_and_passages_are_fitted_apart_and_nothing_is_changed_in_place(method):
    random = np.random.default_rng(0)
    fitted, new = (Embeddings(random.normal(size=(40, 8)), 2 + random.normal(size=(60, 8))) for _ in range(2))
    queries, passages = np.tile(["en", "de"], 20), np.tile(["en", "de", "hi"], 20)
    before = new.queries.copy(), new.passages.copy()
    made = debias.fit(method, fitted, queries, passages)(new, queries, passages)
    assert np.allclose(made.passages, debias.METHODS[method](fitted.passages, passages)(new.passages, passages))
    assert np.allclose(made.queries, debias.METHODS[method](fitted.queries, queries)(new.queries, queries))
    assert np.allclose(np.linalg.norm(made.queries, axis=1), 1, atol=1e-6)
    assert (new.queries == before[0]).all() and (new.passages == before[1]).all()


@pytest.mark.parametrize("method", ["centring", "LIR", "SHIFT"])
def test_a_language_that_it_was_not_fitted_on_is_named(method):
    apply = debias.METHODS[method](SQUARE, ["en", "en", "de", "de"])
    with pytest.raises(ValueError, match="fitted on de, en and knows nothing of 'th'"):
        apply(SQUARE, ["en", "th", "de", "en"])


def test_one_subspace_for_queries_and_passages_is_that_of_their_common_means():
    queries, passages = np.array([[1, 2, 0], [1, 0, 0]], np.float32), np.array([[1, 0, 0], [1, -2, 0]], np.float32)
    corpus = Embeddings(queries, passages)  # means of both together: en (1, 1, 0), de (1, -1, 0)
    apply = debias.fit(debias.FOLDED, corpus, ["en", "de"], ["en", "de"])
    new = Embeddings(np.array([[1, 7, 0]], np.float32), np.array([[0, -3, 2]], np.float32))
    made = apply(new, ["xx"], ["xx"])  # it asks for no language
    assert np.allclose(made.queries, [[1, 0, 0]], atol=1e-6) and np.allclose(made.passages, [[0, 0, 1]], atol=1e-6)
