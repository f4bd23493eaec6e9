"""From an encoder and a benchmark to ranks.

Every passage is ranked by the cosine of its vector with the query's, in the pool of its own language and
in the pool of all languages. The passages of a collection are encoded and searched in shards, which are kept in files.

Ties: scores are compared to six decimals, about what float32 can tell apart, and a tie counts against the
system: a relevant passage stands behind all others of the same score, relevant ones of one score behind each
other. So ranks do not depend on the order of the candidates, nor on the way they were computed.
"""

import hashlib
import itertools
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from tqdm import tqdm

from hybrid_batch import alignment
from hybrid_batch.data.files import write

DECIMALS = 6


@dataclass(frozen=True)
class Embeddings:
    """queries: (queries, dim), passages: (passages, dim), rows of length 1, in the order of the benchmark's tables."""

    queries: np.ndarray
    passages: np.ndarray


def embed(encoder, benchmark, batch_size=64, progress=False):
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


def only(benchmark, embeddings, languages):
    """A benchmark and its embeddings, with the queries and the pool of some languages alone."""
    queries = np.flatnonzero(benchmark.queries.language.isin(languages))
    passages = np.flatnonzero(benchmark.passages.language.isin(languages))
    place = np.full(len(benchmark.passages), -1)
    place[passages] = np.arange(len(passages))
    relevant = benchmark.relevant.assign(passage=place[benchmark.relevant.passage])
    part = replace(benchmark, queries=benchmark.queries.iloc[queries].reset_index(drop=True),
                   passages=benchmark.passages.iloc[passages].reset_index(drop=True),
                   relevant=relevant[relevant.passage >= 0].reset_index(drop=True))
    return part, Embeddings(embeddings.queries[queries], embeddings.passages[passages])


def probe(encoder, probes, batch_size=64):
    """Translation accuracy, see alignment: {"tatoeba": {language: with English}, "ntrex": {"language language": ...}}.
    Both sentences are encoded as passages."""
    def encode(texts):
        return encoder.encode(texts, prompt_name="passage", batch_size=batch_size, convert_to_numpy=True,
                              normalize_embeddings=True, show_progress_bar=False)

    tatoeba = {language: alignment.translation_accuracy(encode(texts), encode(english))
               for language, (texts, english) in probes.tatoeba.items()}
    vectors = {language: encode(texts) for language, texts in probes.ntrex.items()}
    return {"checksum": probes.checksum, "tatoeba": tatoeba,
            "ntrex": {f"{x} {y}": alignment.translation_accuracy(vectors[x], vectors[y])
                      for x, y in itertools.combinations(vectors, 2)}}


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
        here = slice(*np.searchsorted(queries, [start, start + chunk]))
        row, relevant = queries[here] - start, passages[here]
        mixed[here] = _ranks(scores, row, relevant)
        for code, block in enumerate(blocks):
            mine = np.flatnonzero(codes[relevant] == code)
            pool[here][mine] = _ranks(scores[:, block], row[mine], np.searchsorted(block, relevant[mine]))
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
                ranks[hit] = _ranks(scores[[row]], np.zeros(len(hit), int), [place[passage[positions[i]]] for i in hit])
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


def _ranks(scores, rows, relevant):
    """Ranks by rounded scores (queries, candidates) of the candidates ``relevant`` of the queries ``rows``, both
    (pairs,), sorted by query; ties to their disadvantage."""
    own = scores[rows, relevant]                                       # (pairs,)
    ahead = np.array([np.count_nonzero(scores[row] >= score) for row, score in zip(rows, own)], int)
    order = np.lexsort((-own, rows))  # of each query, the best first
    same = (np.diff(rows[order]) == 0) & (np.diff(own[order]) == 0)
    ends = np.append(np.flatnonzero(~same) + 1, len(own))  # of the stretches of equal scores
    places = np.arange(len(own))
    ranks = np.empty(len(own), int)  # those as good as it are ahead, but of the relevant ones only those before it
    ranks[order] = ahead[order] - ends[np.searchsorted(ends, places, "right")] + places + 1
    return ranks


def _best(scores, top):
    """Columns of the ``top`` best of each row, best first, ties by column: (rows, top)."""
    least = np.partition(scores, -top, axis=1)[:, -top, None]
    rows, columns = np.nonzero(scores >= least)
    order = np.lexsort((columns, -scores[rows, columns], rows))
    first = np.searchsorted(rows, np.arange(len(scores)))[:, None]
    return columns[order[first + np.arange(top)]]


# Collections


def search(encoder, collection, folder, depth=100, shard=50_000, batch_size=16, progress=False):
    """Exact search for the queries of a collection that have a relevant passage.

    folder, shard: see encode_shards; one shard is in memory at a time.
    Returns a run: columns query, passage, score, rank, with the ``depth`` best passages of each query, best first. A
        tie that reaches below depth is left out whole, so that a run does not depend on the size of the shards.
    """
    relevant = collection.qrels[collection.qrels.grade > 0]
    queries = collection.queries[collection.queries.id.isin(relevant["query"])]
    shards = encode_shards(encoder, collection, folder, shard, batch_size, progress)
    vectors = encoder.encode(list(queries.text), prompt_name="query", batch_size=batch_size, convert_to_numpy=True,
                             normalize_embeddings=True, show_progress_bar=False)
    scores, names = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), "U1")
    for file in tqdm(shards, "search", disable=not progress):
        with np.load(file) as saved:
            passages, ids = saved["passages"], saved["ids"]
        index = faiss.IndexFlatIP(passages.shape[1])
        index.add(passages)
        values, found = index.search(vectors, min(depth + 1, len(ids)))
        scores = np.concatenate([scores, np.round(values, DECIMALS)], axis=1)
        names = np.concatenate([names, ids[found]], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :depth + 1]  # one more than asked for, to see ties
        scores, names = np.take_along_axis(scores, best, axis=1), np.take_along_axis(names, best, axis=1)
    known = scores > scores[:, -1:] if scores.shape[1] > depth else np.ones(scores.shape, bool)
    run = pd.DataFrame({"query": np.repeat(queries.id.to_numpy(), known.sum(axis=1)), "passage": names[known],
                        "score": scores[known].astype(float)})
    run = run.merge(collection.qrels, "left", ["query", "passage"]).fillna({"grade": 0})
    run = run.sort_values(["query", "score", "grade", "passage"], ascending=[True, False, True, True])
    return run.assign(rank=run.groupby("query").cumcount() + 1).drop(columns="grade").reset_index(drop=True)


def encode_shards(encoder, collection, folder, shard=50_000, batch_size=16, progress=False):
    """Encode the passages of a collection into files of ``shard`` passages each; returns their paths.

    folder: shard-00000.npz and so on, each with passages (shard, dim), float32, and ids (shard,). A file appears only
        when it is whole and is not made again, so an interrupted run goes on after the last one. manifest.json says
        what they were made from. Raises ValueError if that is another encoder, collection or size of shards.
    float32: scores are compared to six decimals, which half precision does not have.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"encoder": fingerprint(encoder), "collection": collection.checksum, "shard": shard}
    if (folder / "manifest.json").exists():
        kept = json.loads((folder / "manifest.json").read_text())
        for what, value in manifest.items():
            if kept[what] != value:
                raise ValueError(f"{folder} holds vectors of another {what}: remove it, or name another folder with "
                                 f"--shards")
        manifest = kept
    else:
        write(folder / "manifest.json", json.dumps(manifest, indent=1))
    files = (folder / f"shard-{number:05}.npz" for number in itertools.count())
    done = list(itertools.takewhile(Path.exists, files))
    if "passages" in manifest and len(done) == -(-manifest["passages"] // shard):
        return done
    stream = iter(collection.passages())
    read = sum(1 for _ in itertools.islice(stream, len(done) * shard))
    what = f"{collection.name} {collection.language}"
    with tqdm(initial=read, unit=" passages", desc=what, disable=not progress) as bar:
        while part := list(itertools.islice(stream, shard)):
            ids, texts = zip(*part)
            vectors = []
            for start in range(0, len(texts), some := 64 * batch_size):  # so that progress is seen
                vectors.append(encoder.encode(
                    list(texts[start:start + some]), prompt_name="passage", batch_size=batch_size,
                    convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False))
                bar.update(len(vectors[-1]))
            made = dict(passages=np.concatenate(vectors).astype(np.float32), ids=np.array(ids))
            done.append(folder / f"shard-{len(done):05}.npz")
            _write(done[-1], lambda stream: np.savez(stream, **made))
            read += len(part)
    if not read:
        raise ValueError(f"{collection.name!r} has no passages in {collection.language!r}: look into "
                         f"{collection.corpus[0]}")
    write(folder / "manifest.json", json.dumps(manifest | {"passages": read}, indent=1))
    return done


def fingerprint(encoder):
    """sha256 over what an encoder's vectors depend on: its parts, prompts, longest input and weights."""
    total = hashlib.sha256(f"{encoder} {encoder.prompts} {encoder.max_seq_length}".encode())
    for name, value in encoder.state_dict().items():
        total.update(name.encode())
        total.update(np.ascontiguousarray(value.detach().cpu().float()))
    return total.hexdigest()


def _write(path, save):
    """Write a file whole or not at all. save: a function of the stream."""
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "wb") as stream:
        save(stream)
    os.replace(partial, path)
