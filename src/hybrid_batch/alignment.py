"""How well a space is aligned across languages: pure functions of vectors, rows of length 1."""

import numpy as np


def translation_accuracy(first, second):
    """Share of sentences whose nearest sentence of the other language is their translation, mean of both directions.
    first, second: (sentences, dim), row i of one translated as row i of the other. A tie counts as a miss."""
    scores = np.round(first @ second.T, 6)                             # (sentences, sentences)
    own = np.diag(scores)
    return float(np.mean([(scores >= own[:, None]).sum(1) == 1, (scores >= own).sum(0) == 1]))


def language_variance(vectors, languages):
    """Share of the variance of vectors (texts, dim) that their language explains: between-language over total sum of
    squares (the eta squared of one-way analysis of variance, over all dimensions)."""
    languages, centre = np.asarray(languages), vectors.mean(axis=0)
    between = sum((languages == code).sum() * np.sum((vectors[languages == code].mean(axis=0) - centre) ** 2)
                  for code in np.unique(languages))
    return float(between / np.sum((vectors - centre) ** 2))


def hubness(queries, passages, k=10, chunk=1024):
    """Skewness of how often each passage is among the k nearest of a query (Radovanović et al. 2010): 0, all alike;
    large, some passages are near to everything. Of fewer than k passages all are near: 0."""
    k = min(k, len(passages))
    counts = np.zeros(len(passages))
    for start in range(0, len(queries), chunk):
        scores = queries[start:start + chunk] @ passages.T
        counts += np.bincount(np.argpartition(scores, -k, axis=1)[:, -k:].ravel(), minlength=len(passages))
    spread = counts.std()
    return float(np.mean((counts - counts.mean()) ** 3) / spread ** 3) if spread else 0.0
