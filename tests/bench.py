"""Speed, as ratios within one run: `make bench`. Not a test: nothing fails here."""

import time

import numpy as np
import pandas as pd

from hybrid_batch import experiment, retrieval, sampler, trainer
from hybrid_batch.config import Training
from hybrid_batch.data import benchmarks, corpora
from hybrid_batch.encoders import load
from hybrid_batch.strategies import mixture


def seconds(action, repeat=3):
    """The fastest of a few tries."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def slow_ranks(vectors, benchmark):
    """Sort the whole pool for every query and every language, as a first try would."""
    languages = benchmark.passages.language.to_numpy()
    answers = benchmark.relevant.groupby("item").passage.apply(list)
    for query, item in zip(vectors.queries, benchmark.queries["item"]):
        scores = vectors.passages @ query
        for pool in [np.arange(len(scores)), *(np.flatnonzero(languages == code) for code in benchmark.languages)]:
            order = pool[np.argsort(-scores[pool])]
            [np.flatnonzero(order == passage) for passage in answers[item]]


def main():
    experiment.quiet()
    benchmark, corpus = benchmarks.load_benchmark("encyclo11"), corpora.load_corpus("encyclo11")
    encoder = load.load("offline-e5-small")
    few = benchmarks.load_benchmark("encyclo11", languages=["ar", "en", "th", "zh"])
    one_by_one = seconds(lambda: [encoder.encode(text) for text in few.passages.text[:100]], 1)
    together = seconds(lambda: encoder.encode(list(few.passages.text[:100]), batch_size=16), 1)
    vectors = retrieval.embed(encoder, benchmark)
    fast = seconds(lambda: retrieval.rank(vectors, benchmark))
    training = dict(steps=3, batch_size=8, max_length=64)
    hybrid = mixture("Hybrid")
    frozen, free = (seconds(lambda: trainer.train(encoder, corpus, hybrid, Training(freeze_embeddings=f, **training)), 1)
                    for f in (True, False))
    batches = seconds(lambda: list(sampler.HybridBatchSampler(corpus.rows, hybrid, 8, 100)))
    rows = [("encoding in batches of 16, against one text at a time", one_by_one / together),
            ("rank(), against sorting every pool", seconds(lambda: slow_ranks(vectors, benchmark), 1) / fast),
            ("training steps with frozen word embeddings, against all weights", free / frozen),
            ("a training step, in batches that the sampler draws in its time", frozen / 3 / (batches / 100))]
    print(pd.DataFrame(rows, columns=["what", "times as fast"]).round(1).to_markdown(index=False))


if __name__ == "__main__":
    main()
