"""Ranks against a slow loop over all pairs of a query and a passage."""

import numpy as np
import pytest

from hybrid_batch.benchmarks import Benchmark
from hybrid_batch.retrieval import Embeddings, embed, rank, rank_faiss, remove_language_means

LANGUAGES = ("de", "en", "hi")


@pytest.fixture(scope="module")
def benchmark(make_benchmark):
    """Twenty items over 60 passages in three languages: queries in some of the languages,
    one relevant passage to five, several in a language or none."""
    random = np.random.default_rng(0)
    return make_benchmark(
        random.choice(LANGUAGES, 60).tolist(),
        {f"i{number}": (random.choice(LANGUAGES, random.integers(1, 4), replace=False).tolist(),
                        random.choice(60, random.integers(1, 6), replace=False).tolist()) for number in range(20)})


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def spread(benchmark):
    """Vectors without ties."""
    random = np.random.default_rng(1)
    return Embeddings(unit(random.normal(size=(len(benchmark.queries), 16))), unit(random.normal(size=(60, 16))))


@pytest.fixture(scope="module")
def tied(benchmark):
    """Vectors with many ties: four components of a half, so cosines are exact quarters."""
    random = np.random.default_rng(2)

    def vectors(count):
        made = np.zeros((count, 6), np.float32)
        for vector in made:
            vector[random.choice(6, 4, replace=False)] = random.choice([-0.5, 0.5], 4)
        return made

    return Embeddings(vectors(len(benchmark.queries)), vectors(60))


def slow_ranks(embeddings, benchmark):
    """{(item, query language, passage): (rank in the pool of its language, rank in all)}.
    A relevant passage stands behind all that have its score and are not relevant; relevant
    ones of one score take places behind each other, here in the order of the table."""
    languages, result = benchmark.passages.language.tolist(), {}
    for query, row in enumerate(benchmark.queries.itertuples()):
        scores = [round(float(sum(a * b for a, b in zip(embeddings.queries[query].tolist(), vector))), 6)
                  for vector in embeddings.passages.tolist()]
        relevant = benchmark.relevant.passage[benchmark.relevant.item == row.item].tolist()
        order = sorted(range(len(scores)), key=lambda p: (-scores[p], p in relevant, p))
        for passage in relevant:
            inside = [p for p in order if languages[p] == languages[passage]]
            result[row.item, row.language, passage] = inside.index(passage) + 1, order.index(passage) + 1
    return result


def as_dict(ranks, benchmark):
    """Ranks in the form of slow_ranks; ties between relevant passages in table order."""
    found = {}
    for (item, language), part in ranks.groupby(["item", "query_language"]):
        passages = sorted(benchmark.relevant.passage[benchmark.relevant.item == item])
        assert part.passage_language.tolist() == benchmark.passages.language[passages].tolist()
        for passage, row in zip(passages, part.itertuples()):
            found[item, language, passage] = row.rank, row.rank_mul
    return found


@pytest.mark.parametrize("vectors", ["spread", "tied"])
@pytest.mark.parametrize("chunk", [512, 7, 1])
def test_ranks_are_those_of_a_slow_loop(vectors, chunk, benchmark, request):
    embeddings = request.getfixturevalue(vectors)
    ranks, _ = rank(embeddings, benchmark, chunk=chunk)
    assert as_dict(ranks, benchmark) == slow_ranks(embeddings, benchmark)


def test_ranks_name_item_group_and_languages(benchmark, spread):
    ranks, _ = rank(spread, benchmark)
    assert list(ranks) == ["item", "group", "query_language", "passage_language", "rank", "rank_mul"]
    queries = benchmark.queries.set_index(["item", "language"])
    assert all(queries.group[row.item, row.query_language] == row.group for row in ranks.itertuples())


def test_ties_count_against_the_system(make_benchmark):
    benchmark = make_benchmark(["en", "en", "de", "de", "en"], {"a": (["en"], [1, 2])})
    same = np.tile(np.float32([[1, 0]]), (5, 1))
    ranks, _ = rank(Embeddings(same[:1], same), benchmark)
    assert ranks.set_index("passage_language")["rank"].to_dict() == {"en": 3, "de": 2}
    assert sorted(ranks.rank_mul) == [4, 5]  # both behind the other three, and behind each other


@pytest.mark.parametrize("vectors", ["spread", "tied"])
def test_ranks_do_not_depend_on_the_order_of_the_candidates(vectors, benchmark, request):
    embeddings = request.getfixturevalue(vectors)
    order = np.random.default_rng(4).permutation(60)  # new passage i is old passage order[i]
    place = np.argsort(order)
    moved = Benchmark("moved", benchmark.queries, benchmark.passages.iloc[order].reset_index(drop=True),
                      benchmark.relevant.assign(passage=place[benchmark.relevant.passage]), "")
    keys = ["item", "query_language", "passage_language"]

    def ranks(benchmark, passages):
        table, _ = rank(Embeddings(embeddings.queries, passages), benchmark)
        return {column: table.groupby(keys)[column].apply(sorted).to_dict() for column in ("rank",)} | {
            "rank_mul": table.groupby(keys[:2])["rank_mul"].apply(sorted).to_dict()}

    assert ranks(benchmark, embeddings.passages) == ranks(moved, embeddings.passages[order])


def test_top_language_labels_the_best_passages_of_the_mixed_pool(benchmark, spread):
    _, top = rank(spread, benchmark, top=5, chunk=7)
    best = np.argsort(-(spread.queries @ spread.passages.T), axis=1)[:, :5]
    assert top.tolist() == benchmark.passages.language.to_numpy()[best].tolist()


def test_top_is_at_most_the_pool(benchmark, spread):
    _, top = rank(spread, benchmark, top=1000)
    assert top.shape == (len(benchmark.queries), 60)


@pytest.mark.parametrize("vectors", ["spread", "tied"])
def test_faiss_gives_the_same_ranks_at_full_depth(vectors, benchmark, request):
    embeddings = request.getfixturevalue(vectors)
    ranks, top = rank(embeddings, benchmark)
    found, found_top = rank_faiss(embeddings, benchmark, depth=60)
    assert as_dict(found, benchmark) == as_dict(ranks, benchmark)
    assert found_top.shape == top.shape
    if vectors == "spread":
        assert found_top.tolist() == top.tolist()


@pytest.mark.parametrize("depth", [1, 5, 20])
def test_faiss_gives_the_same_ranks_above_its_depth_and_infinity_below(depth, benchmark, spread):
    ranks, _ = rank(spread, benchmark)
    found, _ = rank_faiss(spread, benchmark, depth=depth)
    for column in ("rank", "rank_mul"):
        assert (ranks[column] > depth).any()
        assert found[column].tolist() == ranks[column].where(ranks[column] <= depth, np.inf).tolist()


def test_faiss_does_not_rank_a_tie_that_reaches_below_its_depth(make_benchmark):
    benchmark = make_benchmark(["en"] * 4, {"a": (["en"], [0])})
    same = np.tile(np.float32([[1, 0]]), (4, 1))
    found, _ = rank_faiss(Embeddings(same[:1], same), benchmark, depth=2)
    assert found.rank_mul.tolist() == [np.inf]  # its rank is 4: all others are as good


def test_faiss_labels_the_top_of_queries_without_relevant_passages_too(make_benchmark):
    benchmark = make_benchmark(["en", "de", "hi"], {"a": (["en"], [0]), "b": (["en"], [])})
    embeddings = Embeddings(unit(np.eye(3)[[0, 2]]), unit(np.eye(3)))
    _, top = rank(embeddings, benchmark, top=1)
    _, found_top = rank_faiss(embeddings, benchmark, top=1)
    assert found_top.tolist() == top.tolist() == [["en"], ["hi"]]


class Encoder:
    """Encodes a text as (number of the prompt, length of the text), scaled to length 1, and
    remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def get_embedding_dimension(self):
        return 2

    def encode(self, texts, prompt_name, normalize_embeddings, convert_to_numpy, **_):
        assert normalize_embeddings and convert_to_numpy
        self.asked += [(prompt_name, text) for text in texts]
        return unit(np.array([[{"query": 1, "passage": -1}[prompt_name], len(text)] for text in texts], float))


def test_embed_encodes_each_text_once_with_its_prompt(make_benchmark):
    benchmark = make_benchmark(["en", "de", "en"], {"a": (["en", "de"], [0]), "bb": (["en"], [2])})
    benchmark.passages.loc[2, "text"] = benchmark.passages.text[0]
    encoder = Encoder()
    embeddings = embed(encoder, benchmark)
    assert sorted(encoder.asked) == sorted(
        [("query", text) for text in benchmark.queries.text] + [("passage", "p:0:en"), ("passage", "p:1:de")])
    for vectors, texts, sign in ((embeddings.queries, benchmark.queries.text, 1),
                                 (embeddings.passages, benchmark.passages.text, -1)):
        assert np.allclose(vectors, unit(np.array([[sign, len(text)] for text in texts], float)))


def test_removing_language_means_centres_each_language_and_scales_to_length_one(benchmark, spread):
    before = spread.queries.copy(), spread.passages.copy()
    centred = remove_language_means(spread, benchmark)
    for old, new, languages in ((spread.queries, centred.queries, benchmark.queries.language.to_numpy()),
                                (spread.passages, centred.passages, benchmark.passages.language.to_numpy())):
        assert np.allclose(np.linalg.norm(new, axis=1), 1, atol=1e-6)
        for language in LANGUAGES:
            here = languages == language
            apart = old[here] - old[here].mean(axis=0)
            assert np.allclose(apart.mean(axis=0), 0, atol=1e-6)
            lengths = np.linalg.norm(apart, axis=1, keepdims=True)
            assert np.allclose(new[here] * lengths, apart, atol=1e-6)
    assert (spread.queries == before[0]).all() and (spread.passages == before[1]).all()
