"""From an encoder and a benchmark to ranks.

Every passage is ranked by the cosine of its vector with the query's, in the pool of its own language and
in the pool of all languages. The passages of a collection are encoded and searched in shards, which are kept in files.

Ties: scores are compared to six decimals, about what float32 can tell apart, and a tie counts against the
system: a relevant passage stands behind all others of the same score, relevant ones of one score behind each
other. So ranks do not depend on the order of the candidates, nor on the way they were computed.
"""

import contextlib
import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from hybrid_batch import storage
from hybrid_batch.encoders.weights import fingerprint, has_bf16

DECIMALS = 6
TOKENS = (65_536, 1_024)  # in a batch, padding too: on a GPU, on a CPU
SOME = 1_024  # passages of a shard that are encoded between two updates of its bar
LETTERS = 3  # about so many make a token
ALIKE = 0.999  # least cosine of vectors in half precision with those in full


@dataclass(frozen=True)
class Embeddings:
    """queries: (queries, dim), passages: (passages, dim), rows of length 1, in the order of the benchmark's tables."""

    queries: np.ndarray
    passages: np.ndarray


def encode(encoder, texts, prompt, precision="float32", progress=False):
    """Vectors of texts with one of an encoder's prompts: (texts, dim), float32, of length 1. Texts of like length share
    a batch, so that little is padding. precision: float32, or bf16 for autocast. progress: show a bar; None: on a
    terminal. Raises ValueError if a vector is not finite."""
    texts, half = list(texts), precision == "bf16"
    vectors = np.empty((len(texts), encoder.get_embedding_dimension()), np.float32)
    lengths = token_counts(encoder, texts)
    with (torch.autocast(encoder.device.type, torch.bfloat16) if half else contextlib.nullcontext(),
          tqdm(total=len(texts), unit=" texts", desc=prompt, disable=None if progress is None else not progress) as bar):
        for rows in batches(lengths, TOKENS[encoder.device.type == "cpu"]):
            vectors[rows] = encoder.encode([texts[row] for row in rows], prompt_name=prompt, batch_size=len(rows),
                                           convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False)
            bar.update(len(rows))
    if len(bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise ValueError(f"the encoder gives vectors that are not finite for {len(bad)} of {len(texts)} texts (the first is "
                         f"number {bad[0] + 1}, as {prompt}): its weights are broken, or need more precision")
    return vectors


def token_counts(encoder, texts):
    """Tokens of each text as far as the encoder reads it, (texts,); of an encoder without a tokenizer of its own about
    as many, from the letters."""
    tokenizer = getattr(encoder, "tokenizer", None)
    if callable(tokenizer):
        ids = tokenizer(texts, padding=False, truncation=False, verbose=False)["input_ids"] if texts else []
        counts = np.array([len(row) for row in ids], int)
    else:
        counts = np.array([1 + len(text) // LETTERS for text in texts], int)
    return np.minimum(counts, encoder.max_seq_length) if getattr(encoder, "max_seq_length", None) else counts


def batches(lengths, most):
    """Yield row numbers, in batches that are at most ``most`` tokens large when padded, the longest texts first, so that
    what does not fit in memory fails at once. lengths: (texts,)."""
    order = np.argsort(-lengths, kind="stable")
    while len(order):
        count = max(1, most // max(1, lengths[order[0]]))
        yield order[:count]
        order = order[count:]


def encoding_precision(encoder, wanted="auto"):
    """The precision to encode with: as wanted; "auto" is bf16 on a processor that has it, if the vectors of a few texts
    come out alike, and float32 elsewhere."""
    if wanted != "auto":
        return wanted
    if not has_bf16(encoder.device):
        return "float32"
    texts = ["One text to try.", "Ein zweiter Text, etwas länger als der erste, mit einem Nebensatz.", "第三个句子。", "๔"]
    full, half = (encode(encoder, texts, "passage", name) for name in ("float32", "bf16"))
    return "bf16" if (full * half).sum(axis=1).min() >= ALIKE else "float32"


def embed(encoder, benchmark, precision="float32", progress=None):
    """Encode a benchmark's queries and passages, each with its prompt; equal texts once. progress: see encode."""
    def encode_table(table, prompt):
        code, unique = pd.factorize(table.text.to_numpy())
        return encode(encoder, unique, prompt, precision, progress)[code]

    return Embeddings(encode_table(benchmark.queries, "query"), encode_table(benchmark.passages, "passage"))


def embed_probes(encoder, probes, precision="float32"):
    """Vectors of parallel sentences, encoded as passages: {"tatoeba": {language: (vectors, vectors of their English)},
    "ntrex": {"language language": (vectors, vectors)}}."""
    vectors = {language: encode(encoder, texts, "passage", precision) for language, texts in probes.ntrex.items()}
    tatoeba = {language: tuple(encode(encoder, part, "passage", precision) for part in both)
               for language, both in probes.tatoeba.items()}
    ntrex = {f"{x} {y}": (vectors[x], vectors[y]) for x, y in itertools.combinations(vectors, 2)}
    return {"tatoeba": tatoeba, "ntrex": ntrex}


def restrict_languages(benchmark, embeddings, languages):
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


def rank(embeddings, benchmark, top=10, chunk=512):
    """Rank the relevant passages of every query, all candidates scored by inner product, on a GPU where there is one.

    Returns (ranks, top_language): ranks as described in metrics, a row per (query, relevant passage);
    top_language: (queries, top) labels of the best passages of the mixed pool, best first.
    """
    codes, languages = pd.factorize(benchmark.passages.language)
    blocks = [np.flatnonzero(codes == code) for code in range(len(languages))]
    frame = _pairs(benchmark)
    pool, mixed = np.empty(len(frame)), np.empty(len(frame))
    top_language = np.empty((len(benchmark.queries), min(top, len(codes))), object)
    queries, passages = frame["query"].to_numpy(), frame["passage"].to_numpy()
    for start, scores in _scores(embeddings, chunk):
        top_language[start:start + chunk] = languages.to_numpy()[codes[_best(scores, top_language.shape[1])]]
        here = slice(*np.searchsorted(queries, [start, start + chunk]))
        row, relevant = queries[here] - start, passages[here]
        mixed[here] = _ranks(scores, row, relevant)
        for code, block in enumerate(blocks):
            mine = np.flatnonzero(codes[relevant] == code)
            pool[here][mine] = _ranks(scores[:, block], row[mine], np.searchsorted(block, relevant[mine]))
    return frame.assign(rank=pool, rank_mul=mixed).drop(columns=["query", "passage"]), top_language


def best_passages(embeddings, benchmark, top=20, chunk=512):
    """Row numbers of the best passages of the mixed pool for every query, best first: (queries, top). Ties by row number."""
    found = [_best(scores, top) for _, scores in _scores(embeddings, chunk)]
    return np.concatenate(found).reshape(len(embeddings.queries), -1)


def _scores(embeddings, chunk):
    """Yield (number of the first query, rounded scores of a chunk of the queries, (chunk, passages), as ``on_device``)."""
    queries, passages = on_device(embeddings.queries), on_device(embeddings.passages)
    for start in range(0, len(queries), chunk):
        yield start, (queries[start:start + chunk] @ passages.T).round(decimals=DECIMALS)


def on_device(vectors):
    """Vectors as a tensor on the GPU, where there is one, else as they are: NumPy is the faster one on a CPU."""
    return torch.from_numpy(vectors).cuda() if torch.cuda.is_available() else vectors


def _pairs(benchmark):
    """A row per (query, relevant passage), sorted by query."""
    queries = benchmark.queries.drop(columns="text").rename(columns={"language": "query_language"})
    frame = queries.assign(query=np.arange(len(queries))).merge(benchmark.relevant, on="item")
    frame["passage_language"] = benchmark.passages.language.to_numpy()[frame["passage"]]
    return frame.sort_values(["query", "passage"], ignore_index=True)


def _ranks(scores, rows, relevant):
    """Ranks by rounded scores (queries, candidates) of the candidates ``relevant`` of the queries ``rows``, both
    (pairs,), sorted by query; ties to their disadvantage."""
    own = scores[rows, relevant]                                       # (pairs,)
    if torch.is_tensor(scores):
        ahead, own = (part.numpy(force=True) for part in ((scores[rows] >= own[:, None]).sum(1), own))
    else:
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
    if torch.is_tensor(scores):  # topk breaks ties as it likes, so whole numbers without any are made
        order = torch.arange(scores.shape[1], device=scores.device)
        return ((scores * 10 ** DECIMALS).round().long() * len(order) - order).topk(top).indices.numpy(force=True)
    least = np.partition(scores, -top, axis=1)[:, -top, None]
    rows, columns = np.nonzero(scores >= least)
    order = np.lexsort((columns, -scores[rows, columns], rows))
    first = np.searchsorted(rows, np.arange(len(scores)))[:, None]
    return columns[order[first + np.arange(top)]]


# Collections


def search(encoder, collection, folder, depth=100, shard=50_000, progress=False):
    """Exact search for the queries of a collection that have a relevant passage.

    folder, shard: see encode_shards; one shard is in memory at a time.
    Returns a ranking: columns query, passage, score, rank, with the ``depth`` best passages of each query, best first.
        A tie that reaches below depth is left out whole, so that it does not depend on the size of the shards.
    """
    relevant = collection.qrels[collection.qrels.grade > 0]
    queries = collection.queries[collection.queries.id.isin(relevant["query"])]
    vectors = encode(encoder, queries.text, "query")
    shards = encode_shards(encoder, collection, folder, shard, progress)
    scores, names = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), "U1")
    counted = collection.check_ids(_ids(file) for file in shards)  # of equal ids one, see there
    for file in tqdm(shards, "search", disable=not progress):
        with np.load(file) as saved:
            here, counted = counted[:len(saved["ids"])], counted[len(saved["ids"]):]
            passages, ids = saved["passages"][here], saved["ids"][here]
        index = faiss.IndexFlatIP(passages.shape[1])
        index.add(passages)
        values, found = index.search(vectors, min(depth + 1, len(ids)))
        scores = np.concatenate([scores, np.round(values, DECIMALS)], axis=1)
        names = np.concatenate([names, ids[found]], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :depth + 1]  # one more than asked for, to see ties
        scores, names = np.take_along_axis(scores, best, axis=1), np.take_along_axis(names, best, axis=1)
    known = scores > scores[:, -1:] if scores.shape[1] > depth else np.ones(scores.shape, bool)
    ranking = pd.DataFrame({"query": np.repeat(queries.id.to_numpy(), known.sum(axis=1)), "passage": names[known],
                            "score": scores[known].astype(float)})
    ranking = ranking.merge(collection.qrels, "left", ["query", "passage"]).fillna({"grade": 0})
    ranking = ranking.sort_values(["query", "score", "grade", "passage"], ascending=[True, False, True, True])
    return ranking.assign(rank=ranking.groupby("query").cumcount() + 1).drop(columns="grade").reset_index(drop=True)


def _ids(file):
    with np.load(file) as saved:
        return saved["ids"]


def encode_shards(encoder, collection, folder, shard=50_000, progress=False):
    """Encode the passages of a collection into files of ``shard`` passages each; returns their paths.

    folder: shard-00000.npz and so on, each with passages (shard, dim), float32, and ids (shard,). A file appears only
        when it is whole and is not made again, so an interrupted search goes on after the last one. manifest.json says
        what they were made from. Raises ValueError if that is another encoder, other passages or another size of shards.
    float32: scores are compared to six decimals, which half precision does not have.
    """
    folder = Path(folder)
    with storage.lock(folder / ".lock"):
        return _encode_shards(encoder, collection, folder, shard, progress)


def _encode_shards(encoder, collection, folder, shard, progress):
    manifest = {"encoder": fingerprint(encoder), "passages": collection.passages_checksum, "shard": shard}
    if (folder / "manifest.json").exists():
        kept = json.loads((folder / "manifest.json").read_text())
        for what, value in manifest.items():
            if kept.get(what) != value:
                raise ValueError(f"{folder} holds vectors of another {what}: remove it, or name another folder with "
                                 f"--shards")
        manifest = kept
    else:
        storage.write(folder / "manifest.json", json.dumps(manifest, indent=1))
    files = (folder / f"shard-{number:05}.npz" for number in itertools.count())
    done = list(itertools.takewhile(Path.exists, files))
    if "count" in manifest and len(done) == -(-manifest["count"] // shard):
        return done
    stream = iter(collection.passages())
    read = sum(1 for _ in itertools.islice(stream, len(done) * shard))
    what = f"{collection.name} {collection.language}"
    with tqdm(initial=read, unit=" passages", desc=what, disable=not progress) as bar:
        while part := list(itertools.islice(stream, shard)):
            ids, texts = zip(*part)
            vectors = []
            for start in range(0, len(texts), SOME):  # so that progress is seen
                vectors.append(encode(encoder, texts[start:start + SOME], "passage"))
                bar.update(len(vectors[-1]))
            done.append(folder / f"shard-{len(done):05}.npz")
            with storage.replacing(done[-1]) as partial:
                np.savez(partial, passages=np.concatenate(vectors), ids=np.array(ids))
            read += len(part)
    if not read:
        raise ValueError(f"{collection.name!r} has no passages in {collection.language!r}: look into "
                         f"{collection.corpus[0]}")
    storage.write(folder / "manifest.json", json.dumps(manifest | {"count": read}, indent=1))
    return done
