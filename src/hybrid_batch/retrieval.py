"""From an encoder and a benchmark to ranks.

Every passage is ranked by the cosine of its vector with the query's, in the pool of its own language and
in the pool of all languages.

Ties: scores are compared to six decimals, about what float32 can tell apart, and a tie counts against the
system: a relevant passage stands behind all others of the same score, relevant ones of one score behind each
other. So ranks do not depend on the order of the candidates, nor on the way they were computed.
"""

from dataclasses import dataclass

import faiss
import numpy as np
import pandas as pd
from tqdm import tqdm

DECIMALS = 6


@dataclass(frozen=True)
class Embeddings:
    """queries: (queries, dim), passages: (passages, dim), rows of length 1, in the order of the benchmark's tables."""

    queries: np.ndarray
    passages: np.ndarray


def embed(encoder, benchmark, batch_size=16, progress=False):
    """Encode a benchmark's queries and passages, each with its prompt; equal texts once."""
    def encode(table, prompt):
        vectors = np.empty((len(table), encoder.get_embedding_dimension()), np.float32)
        parts = table.groupby("language").indices.items()
        # Language by language, so that a batch, which holds texts of like length in
        # characters, has like lengths in tokens too and little padding.
        for language, rows in tqdm(parts, prompt, disable=not progress):
            code, unique = pd.factorize(table.text.to_numpy()[rows])
            encoded = encoder.encode(list(unique), prompt_name=prompt, batch_size=batch_size, convert_to_numpy=True,
                                     normalize_embeddings=True, show_progress_bar=False)
            vectors[rows] = encoded[code]
        return vectors

    return Embeddings(encode(benchmark.queries, "query"), encode(benchmark.passages, "passage"))


def remove_language_means(embeddings, benchmark):
    """The training-free baseline: subtract from each vector the mean of its language, queries and passages apart,
    and scale to length 1 again. It sees the languages of the pool, as a search engine could, but no label."""
    def centred(vectors, languages):
        vectors = vectors.copy()
        for language in set(languages):
            here = (languages == language).to_numpy()
            vectors[here] -= vectors[here].mean(axis=0)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    return Embeddings(centred(embeddings.queries, benchmark.queries.language),
                      centred(embeddings.passages, benchmark.passages.language))


def rank(embeddings, benchmark, top=10, chunk=512):
    """Rank the relevant passages of every query, all candidates scored.

    Returns (ranks, top_language): ranks as described in metrics, a row per (query, relevant passage);
    top_language: (queries, top) labels of the best passages of the mixed pool, best first.
    """
    codes, languages = pd.factorize(benchmark.passages.language)
    blocks = [np.flatnonzero(codes == code) for code in range(len(languages))]
    frame = _pairs(benchmark)
    pool, mixed = np.empty(len(frame)), np.empty(len(frame))
    top_language = np.empty((len(benchmark.queries), min(top, len(codes))), object)
    queries, passages = frame["query"].to_numpy(), frame["passage"].to_numpy()
    for start in range(0, len(embeddings.queries), chunk):
        scores = np.round(embeddings.queries[start:start + chunk] @ embeddings.passages.T, DECIMALS)
        top_language[start:start + chunk] = languages.to_numpy()[codes[_best(scores, top_language.shape[1])]]
        first, last = np.searchsorted(queries, [start, start + chunk])
        for begin, end in _runs(queries, first, last):
            row, relevant = scores[queries[begin] - start], passages[begin:end]
            mixed[begin:end] = _ranks(row, relevant)
            for code in np.unique(codes[relevant]):
                mine = np.flatnonzero(codes[relevant] == code)
                inside = np.searchsorted(blocks[code], relevant[mine])
                pool[begin + mine] = _ranks(row[blocks[code]], inside)
    return frame.assign(rank=pool, rank_mul=mixed).drop(columns=["query", "passage"]), top_language


def rank_faiss(embeddings, benchmark, depth=1000, top=10):
    """As ``rank`` for pools too large to score at once: the ``depth`` best of each pool by exact search with FAISS;
    passages below have rank infinity, the others the rank that ``rank`` gives."""
    frame = _pairs(benchmark)
    codes, languages = pd.factorize(benchmark.passages.language)
    query, passage = frame["query"].to_numpy(), frame["passage"].to_numpy()

    def search(candidates, queries, positions):
        """Search among the passages ``candidates``; ranks of the pairs at ``positions`` of frame."""
        index = faiss.IndexFlatIP(embeddings.passages.shape[1])
        index.add(embeddings.passages[candidates])
        scores, found = index.search(embeddings.queries[queries], min(depth + 1, len(candidates)))
        scores, found, ranks = np.round(scores, DECIMALS), candidates[found], np.full(len(positions), np.inf)
        row_of = {number: row for row, number in enumerate(queries)}
        for begin, end in _runs(query[positions], 0, len(positions)):
            row = row_of[query[positions[begin]]]
            # One more than depth was asked for: what ties with it has a rank below depth or unknown.
            known = scores[row] > scores[row, -1] if depth < len(candidates) else np.ones(len(scores[row]), bool)
            place = {p: i for i, p in enumerate(found[row]) if known[i]}
            hit = [i for i in range(begin, end) if passage[positions[i]] in place]
            if hit:
                ranks[hit] = _ranks(scores[row], [place[passage[positions[i]]] for i in hit])
        return ranks, found

    mixed, best = search(np.arange(len(codes)), np.arange(len(benchmark.queries)), np.arange(len(frame)))
    pool = np.empty(len(frame))
    for code in np.unique(codes[passage]):
        positions = np.flatnonzero(codes[passage] == code)
        pool[positions], _ = search(np.flatnonzero(codes == code), np.unique(query[positions]), positions)
    return (frame.assign(rank=pool, rank_mul=mixed).drop(columns=["query", "passage"]),
            languages.to_numpy()[codes[best[:, :top]]])


def _pairs(benchmark):
    """A row per (query, relevant passage), sorted by query."""
    queries = benchmark.queries.drop(columns="text").rename(columns={"language": "query_language"})
    frame = queries.assign(query=np.arange(len(queries))).merge(benchmark.relevant, on="item")
    frame["passage_language"] = benchmark.passages.language.to_numpy()[frame["passage"]]
    return frame.sort_values(["query", "passage"], ignore_index=True)


def _runs(queries, first, last):
    """[begin, end) of the rows of each query between rows first and last."""
    edges = first + np.flatnonzero(np.diff(queries[first:last])) + 1
    return zip([first, *edges], [*edges, last]) if last > first else []


def _ranks(scores, relevant):
    """Ranks of the candidates ``relevant`` by rounded scores, ties to their disadvantage."""
    own = scores[relevant][:, None]                                    # (relevant, 1)
    others_ahead = (scores >= own).sum(axis=1) - (own.T >= own).sum(axis=1)
    place = np.empty(len(own), int)  # among the relevant ones, best first
    place[np.argsort(-own[:, 0], kind="stable")] = np.arange(1, len(own) + 1)
    return others_ahead + place


def _best(scores, top):
    """Columns of the ``top`` best of each row, best first, ties by column."""
    some = np.argpartition(-scores, top - 1, axis=1)[:, :top]
    some.sort(axis=1)
    values = np.take_along_axis(scores, some, axis=1)
    return np.take_along_axis(some, np.argsort(-values, axis=1, kind="stable"), axis=1)
