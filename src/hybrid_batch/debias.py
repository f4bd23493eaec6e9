"""What removes language bias without training: fitted on the vectors of one corpus, applied to those of another.

Each method is a function from vectors (texts, dim) and their languages (texts,) to a function of vectors and languages.
Queries and passages are fitted apart, since their prompts differ. What a method must know when a query is searched:
centring, LIR and SHIFT the language of every text; LSAR and CSLS nothing. Vectors may have any length afterwards where a
method is defined so; they are compared by inner product.
"""

import numpy as np

from hybrid_batch.retrieval import Embeddings


def centring(vectors, languages):
    """e - mean of its language, of length 1 again."""
    means = language_means(vectors, languages)
    return lambda e, names: unit(e - _of_each(means, names))


def lir(vectors, languages, rank=1):
    """Language information removal (Yang et al. 2021, arXiv 2109.04727): e - C C'e, C the first ``rank`` right singular
    vectors of that language's vectors (not centred)."""
    languages = np.asarray(languages)
    bases = {name: np.linalg.svd(vectors[languages == name], full_matrices=False)[2][:rank] for name in set(languages)}

    def apply(e, names):
        names, made = np.asarray(names), np.array(e, float)
        for name in set(names):
            here, basis = names == name, bases[_known(name, bases)]
            made[here] -= made[here] @ basis.T @ basis
        return unit(made)

    return apply


def lsar(vectors, languages, rank=None):
    """Low-rank subtraction (Xie et al. 2022, arXiv 2401.05792): one subspace for all languages is removed, e - Ms Ms'e.
    Ms, (dim, rank), and mu are those of the least ||M - mu 1' - Ms G'||, M the language means, mu orthogonal to Ms.
    rank: None takes the number of languages less 1."""
    means = np.stack(list(language_means(vectors, languages).values()), 1)  # (dim, languages)
    rank = min(rank or means.shape[1] - 1, means.shape[1] - 1)
    centre = means.mean(axis=1, keepdims=True)
    left, sizes, right = np.linalg.svd(means - centre, full_matrices=False)
    approximated = centre + (left[:, :rank] * sizes[:rank]) @ right[:rank]
    direction = np.linalg.pinv(approximated.T).sum(axis=1, keepdims=True)   # orthogonal to the differences of the means
    common = direction / np.sum(direction ** 2)
    subspace = np.linalg.svd(approximated - common, full_matrices=False)[0][:, :rank]
    return lambda e, names: unit(e - e @ subspace @ subspace.T)


def shift(vectors, languages, strength=1.0, pivot="en"):
    """SHIFT (arXiv 2606.18801): e - strength * V, V the mean difference of a language's texts from the parallel ones of
    the pivot language."""
    means = language_means(vectors, languages)
    steps = {name: mean - means[_known(pivot, means)] for name, mean in means.items()}
    return lambda e, names: unit(e - strength * _of_each(steps, names))


def unit(vectors):
    """Vectors of length 1; zero stays zero."""
    vectors = np.asarray(vectors, float)
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)).astype(np.float32)


def language_means(vectors, languages):
    """{language: mean vector, (dim,)}, languages in order."""
    languages = np.asarray(languages)
    return {name: vectors[languages == name].mean(axis=0, dtype=float) for name in sorted(set(languages))}


def _of_each(means, names):
    return np.stack([means[_known(name, means)] for name in names])


def _known(name, fitted):
    if name not in fitted:
        raise ValueError(f"debias was fitted on {', '.join(sorted(fitted))} and knows nothing of {str(name)!r}: fit it on texts "
                         f"of that language, or leave the language out")
    return name


METHODS = {"centring": centring, "LIR": lir, "LSAR": lsar, "SHIFT": shift}
FOLDED = "LSAR for both"  # one subspace for queries and passages, so that it can be a layer of the encoder


def fit(method, embeddings, query_languages, passage_languages, **options):
    """A function from (Embeddings, query languages, passage languages) to Embeddings, fitted on other embeddings.

    method: a key of METHODS with its options, or "CSLS" (Conneau et al. 2018) with neighbours=10: the score of a passage
    is its cosine less half its mean cosine with its nearest queries among those that it was fitted on; or FOLDED.
    """
    if method == "CSLS":
        return lambda new, *_: csls(new, embeddings.queries, **options)
    if method == FOLDED:
        method, embeddings = "LSAR", Embeddings(*2 * [np.concatenate([embeddings.queries, embeddings.passages])])
        query_languages = passage_languages = np.concatenate([query_languages, passage_languages])
    of_queries = METHODS[method](embeddings.queries, query_languages, **options)
    of_passages = METHODS[method](embeddings.passages, passage_languages, **options)
    return lambda new, queries, passages: Embeddings(of_queries(new.queries, queries), of_passages(new.passages, passages))


def csls(embeddings, queries, neighbours=10):
    """Embeddings whose inner products are cos(q, d) - r(d) / 2, r(d) the mean cosine of passage d with its nearest of
    some queries (n, dim): one more dimension, 1 for queries and -r / 2 for passages."""
    count = min(neighbours, len(queries))
    scores = embeddings.passages @ queries.T                                # (passages, n)
    nearest = np.partition(scores, -count, axis=1)[:, -count:].mean(axis=1)
    return Embeddings(np.column_stack([embeddings.queries, np.ones(len(embeddings.queries), np.float32)]),
                      np.column_stack([embeddings.passages, -nearest / 2]).astype(np.float32))
