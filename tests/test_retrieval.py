"""Ranks against a slow loop over all pairs of a query and a passage; sharded search against the same, and its figures
against pytrec_eval."""

import os
import zlib

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_batch import metrics, retrieval
from hybrid_batch.data.benchmarks import Benchmark, load_benchmark
from hybrid_batch.data.probes import Probes
from hybrid_batch.data.streaming import Collection
from hybrid_batch.evaluation import evaluate_collections, score
from hybrid_batch.retrieval import (
    Embeddings,
    embed,
    embed_probes,
    encode,
    encode_shards,
    encoding_precision,
    rank,
    restrict_languages,
    search,
)

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


@pytest.fixture(params=["NumPy", "as on a GPU"])
def arrays(request, monkeypatch):
    """What scores are computed with."""
    monkeypatch.setattr(retrieval, "on_device", torch.from_numpy if request.param == "as on a GPU" else lambda array: array)


@pytest.mark.parametrize("vectors", ["spread", "tied"])
@pytest.mark.parametrize("chunk", [512, 7, 1])
def test_ranks_are_those_of_a_slow_loop(vectors, chunk, benchmark, request, arrays):
    embeddings = request.getfixturevalue(vectors)
    ranks, _ = rank(embeddings, benchmark, chunk=chunk)
    assert as_dict(ranks, benchmark) == slow_ranks(embeddings, benchmark)


def test_ranks_name_item_group_and_languages(benchmark, spread):
    ranks, _ = rank(spread, benchmark)
    assert list(ranks) == ["item", "group", "query_language", "passage_language", "rank", "rank_mul"]
    queries = benchmark.queries.set_index(["item", "language"])
    assert all(queries.group[row.item, row.query_language] == row.group for row in ranks.itertuples())


def test_ties_count_against_the_system(make_benchmark, arrays):
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


def test_top_language_labels_the_best_passages_of_the_mixed_pool(benchmark, spread, arrays):
    _, top = rank(spread, benchmark, top=5, chunk=7)
    best = np.argsort(-(spread.queries @ spread.passages.T), axis=1)[:, :5]
    assert top.tolist() == benchmark.passages.language.to_numpy()[best].tolist()


def test_top_is_at_most_the_pool(benchmark, spread):
    _, top = rank(spread, benchmark, top=1000)
    assert top.shape == (len(benchmark.queries), 60)


class Encoder:
    """Encodes a text as (number of the prompt, length of the text), scaled to length 1, and
    remembers what it was asked."""

    device = torch.device("cpu")

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


class Drawn:
    """Encodes a text as a vector drawn for it and its prompt."""

    device = torch.device("cpu")

    def get_embedding_dimension(self):
        return 8

    def encode(self, texts, prompt_name, **_):
        return unit(np.stack([np.random.default_rng(zlib.crc32(f"{prompt_name}: {text}".encode())).normal(size=8)
                              for text in texts]))


@pytest.mark.parametrize("languages", [["de", "en"], ["hi"], ["ar", "el", "th", "zh"]])
def test_of_some_languages_only_ranks_are_those_of_a_benchmark_in_these_languages(languages):
    whole, alone = load_benchmark("encyclo11"), load_benchmark("encyclo11", languages=languages)
    vectors = embed(Drawn(), whole)
    part, inside = restrict_languages(whole, vectors, languages)
    assert part.languages == sorted(languages) and part.counts().equals(alone.counts())
    (ranks, top), (expected, expected_top) = rank(inside, part), rank(embed(Drawn(), alone), alone)
    pd.testing.assert_frame_equal(ranks, expected)
    assert top.tolist() == expected_top.tolist()
    assert len(whole.passages) == len(vectors.passages) > len(part.passages)  # left as it was


@pytest.mark.parametrize("vectors", ["spread", "tied"])
def test_items_without_a_passage_in_these_languages_have_no_rank(vectors, benchmark, request):
    embeddings = request.getfixturevalue(vectors)
    part, inside = restrict_languages(benchmark, embeddings, ["hi"])
    found = as_dict(rank(inside, part)[0], part)
    assert found == slow_ranks(inside, part)
    assert set(part.queries.item) > {item for item, _, _ in found}
    whole = rank(embeddings, benchmark)[0]
    kept = whole[(whole.query_language == "hi") & (whole.passage_language == "hi")]
    assert sorted(kept["rank"]) == sorted(own for own, _ in found.values())  # the pool of one language is as before


def test_probes_are_encoded_as_passages_each_text_once():
    asked = []

    class Lengths:
        device = torch.device("cpu")

        def get_embedding_dimension(self):
            return 2

        def encode(self, texts, prompt_name, **_):
            asked.append((prompt_name, texts))
            return unit(np.array([[1, len(text)] for text in texts], float))

    made = embed_probes(Lengths(), Probes({"de": (["a", "bb"], ["ccc", "d"])}, {"de": ["a"], "en": ["bb"], "hi": ["c"]}, ""))
    assert list(made["ntrex"]) == ["de en", "de hi", "en hi"] and list(made["tatoeba"]) == ["de"]
    assert np.allclose(made["tatoeba"]["de"][1], unit(np.array([[1, 3], [1, 1]], float)))
    assert {prompt for prompt, _ in asked} == {"passage"} and len(asked) == 3 + 2


class Broken(Drawn):
    """Gives no number for some texts."""

    def __init__(self, bad):
        self.bad = bad

    def encode(self, texts, prompt_name, **_):
        vectors = super().encode(texts, prompt_name)
        vectors[[self.bad(text) for text in texts]] = np.nan
        return vectors


@pytest.mark.parametrize("bad, named", [(lambda text: True, "20 of 20"), (lambda text: text in ("t7", "t9"), "2 of 20"),
                                        (lambda text: text == "t7", "number 8, as passage")])
def test_vectors_that_are_not_finite_are_refused_not_scored(bad, named):
    with pytest.raises(ValueError, match="vectors that are not finite") as error:
        encode(Broken(bad), [f"t{n}" for n in range(20)], "passage")
    assert named in str(error.value)


def test_half_precision_is_used_only_where_the_vectors_come_out_alike(monkeypatch):
    class Rounded(Drawn):
        spoilt = 0.0

        def encode(self, texts, prompt_name, **_):
            vectors = super().encode(texts, prompt_name)
            return vectors + self.spoilt * torch.is_autocast_enabled("cpu")

    encoder = Rounded()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert encoding_precision(encoder) == "float32" and encoding_precision(encoder, "bf16") == "bf16"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert encoding_precision(encoder) == "bf16"
    encoder.spoilt = 1.0
    assert encoding_precision(encoder) == "float32" and encoding_precision(encoder, "float32") == "float32"


# Collections


class Made:
    """A Collection with its passages in memory, a list of (id, text), that remembers which of them were read."""

    def __init__(self, name, queries, qrels, corpus, checksum, language="xx"):
        self.name, self.language, self.checksum, self.corpus = name, language, checksum, corpus
        self.passages_checksum = checksum
        self.queries = pd.DataFrame(queries, columns=["id", "text"])
        self.qrels = pd.DataFrame(qrels, columns=["query", "passage", "grade"]).drop_duplicates(["query", "passage"])
        self.read = []

    def check_ids(self, parts):
        return np.ones(len(np.concatenate(list(parts))), bool)

    def passages(self):
        for row in self.corpus:
            self.read.append(row[0])
            yield row


def collect(passages=40, queries=12, grades=(0, 1, 2, 3), seed=0, **about):
    """Queries with 1 to 8 judged passages of random grades; the last has none, and the one before no relevant one."""
    random = np.random.default_rng(seed)
    ids = [f"d{number:02}" for number in random.permutation(passages)]
    qrels = [(f"q{query}", str(passage), int(random.choice(grades))) for query in range(queries - 2)
             for passage in random.choice(ids, random.integers(1, 9), replace=False)]
    qrels = [("q0", ids[0], 1), (f"q{queries - 2}", ids[0], 0)] + qrels
    return Made(**dict(name="made", checksum=f"{seed}") | about, queries=[(f"q{n}", f"q{n}") for n in range(queries)],
                qrels=qrels, corpus=[(id_, id_) for id_ in ids])


class Table:
    """An encoder that looks vectors up by text; stops at a passage if told to."""

    prompts, max_seq_length, device = {"query": "", "passage": ""}, 8, torch.device("cpu")

    def __init__(self, collection, ties=False, seed=0, stop=None):
        random = np.random.default_rng(seed)
        texts = [*collection.queries.text, *(text for _, text in collection.corpus)]
        vectors = np.zeros((len(texts), 6))
        for vector in vectors:  # cosines that are exact quarters, so with many ties, or any
            made = random.choice([-0.5, 0.5], 4) if ties else random.normal(size=4)
            vector[random.choice(6, 4, replace=False)] = made
        self.vectors, self.seed, self.stop, self.encoded = dict(zip(texts, unit(vectors))), seed, stop, []

    device = torch.device("cpu")

    def get_embedding_dimension(self):
        return len(next(iter(self.vectors.values())))

    def __repr__(self):
        return "Table"

    def state_dict(self):
        return {"seed": torch.tensor(self.seed)}

    def encode(self, texts, prompt_name, normalize_embeddings, convert_to_numpy, **_):
        assert normalize_embeddings and convert_to_numpy
        if prompt_name == "passage":
            if self.stop in texts:
                raise KeyboardInterrupt
            self.encoded += texts
        return np.stack([self.vectors[text] for text in texts])


def slow_run(encoder, collection, depth):
    """[(query, passage, score, rank)]: ties count against the system, then go by id; one that reaches below depth is
    left out."""
    grades = {(row.query, row.passage): row.grade for row in collection.qrels.itertuples()}
    result = []
    for query in sorted({query for (query, _), grade in grades.items() if grade > 0}):
        scores = {id_: round(float(encoder.vectors[query] @ encoder.vectors[id_]), 6) for id_, _ in collection.corpus}
        scored = sorted((-value, grades.get((query, id_), 0), id_) for id_, value in scores.items())
        cut = scored[depth][0] if depth < len(scored) else np.inf
        result += [(query, id_, -value, place) for place, (value, _, id_) in enumerate(scored, 1) if value < cut]
    return result


def same(run, expected):
    assert [tuple(row) for row in run[["query", "passage", "rank"]].values.tolist()] == [
        (query, passage, place) for query, passage, _, place in expected]
    assert np.allclose(run.score, [score for _, _, score, _ in expected], atol=2e-6)


@given(shard=st.integers(1, 45), depth=st.integers(1, 45), ties=st.booleans())
def test_search_in_shards_of_any_size_is_that_of_a_slow_loop(shard, depth, ties, tmp_path_factory):
    collection = collect()
    encoder = Table(collection, ties)
    run = search(encoder, collection, tmp_path_factory.mktemp("shards"), depth, shard)
    same(run, slow_run(encoder, collection, depth))


def test_shards_hold_vectors_and_ids_in_the_order_of_the_passages(tmp_path):
    collection = collect(passages=10)
    encoder = Table(collection)
    files = encode_shards(encoder, collection, tmp_path, shard=4)
    assert [file.name for file in files] == ["shard-00000.npz", "shard-00001.npz", "shard-00002.npz"]
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["manifest.json", *(file.name for file in files)]
    saved = [dict(np.load(file)) for file in files]
    assert [len(part["ids"]) for part in saved] == [4, 4, 2]
    ids = np.concatenate([part["ids"] for part in saved]).tolist()
    assert ids == [id_ for id_, _ in collection.corpus]
    vectors = np.concatenate([part["passages"] for part in saved])
    assert vectors.dtype == np.float32 and (vectors == np.stack([encoder.vectors[id_] for id_ in ids])).all()


@pytest.mark.parametrize("stop", range(10))
def test_an_interrupted_search_goes_on_after_the_last_whole_shard(stop, tmp_path):
    collection = collect(passages=10)
    stopping = Table(collection, stop=collection.corpus[stop][0])
    with pytest.raises(KeyboardInterrupt):
        search(stopping, collection, tmp_path, depth=5, shard=4)
    whole = stop // 4 * 4
    assert len(collection.read) == min(whole + 4, 10)  # no more than a shard is read ahead
    encoder = Table(collection)
    same(search(encoder, collection, tmp_path, depth=5, shard=4), slow_run(encoder, collection, 5))
    assert encoder.encoded == [id_ for id_, _ in collection.corpus[whole:]]
    again = Table(collection)
    del collection.read[:]
    same(search(again, collection, tmp_path, depth=5, shard=4), slow_run(encoder, collection, 5))
    assert not again.encoded and not collection.read  # all is there


@pytest.mark.parametrize("moment", range(1, 6))  # manifest, three shards, manifest with the number of passages
def test_a_search_killed_while_it_writes_goes_on(moment, tmp_path, monkeypatch):
    collection = collect(passages=10)
    encoder, calls, replace = Table(collection), [], os.replace

    def killed(*names):
        calls.append(names)
        if len(calls) == moment:
            raise KeyboardInterrupt
        replace(*names)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        search(encoder, collection, tmp_path, depth=5, shard=4)
    monkeypatch.undo()
    same(search(encoder, collection, tmp_path, depth=5, shard=4), slow_run(encoder, collection, 5))


def test_a_shard_that_was_lost_is_made_again(tmp_path):
    collection = collect(passages=10)
    files = encode_shards(Table(collection), collection, tmp_path, shard=4)
    files[1].unlink()
    encoder = Table(collection)
    same(search(encoder, collection, tmp_path, depth=5, shard=4), slow_run(encoder, collection, 5))
    assert encoder.encoded == [id_ for id_, _ in collection.corpus[4:]]


@pytest.mark.parametrize("change, named", [
    (dict(encoder=dict(seed=1)), "another encoder"), (dict(collection=dict(seed=1)), "another passages"),
    (dict(shard=5), "another shard")])
def test_shards_of_something_else_are_refused(change, named, tmp_path):
    collection = collect()
    search(Table(collection), collection, tmp_path, shard=4)
    other = collect(**change.get("collection", {}))
    with pytest.raises(ValueError) as error:
        search(Table(other, **change.get("encoder", {})), other, tmp_path, shard=change.get("shard", 4))
    for part in (str(tmp_path), named, "remove it", "--shards"):
        assert part in str(error.value)


def test_a_collection_without_passages_is_named(tmp_path):
    full = collect()
    (tmp_path / "none.jsonl").write_text("")
    empty = Collection("made", "xx", full.queries, full.qrels, [str(tmp_path / "none.jsonl")], "")
    with pytest.raises(ValueError, match="'made' has no passages in 'xx'.*none.jsonl"):
        search(Table(full), empty, tmp_path / "shards")


@pytest.mark.parametrize("grades", [(0, 1), (0, 1, 2, 3)])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("depth", [7, 300])
def test_figures_of_a_run_equal_those_of_pytrec_eval(grades, ties, depth, tmp_path):
    import pytrec_eval

    collection = collect(passages=250, queries=30, grades=grades)
    run = search(Table(collection, ties), collection, tmp_path, depth, shard=60)
    qrels = {query: dict(zip(part.passage, part.grade)) for query, part in collection.qrels.groupby("query")}
    qrels = {query: judged for query, judged in qrels.items() if max(judged.values()) > 0}
    # In a tie pytrec_eval puts the larger id first, so it is told the places instead.
    places = {query: dict(zip(part.passage, (-part["rank"]).astype(float))) for query, part in run.groupby("query")}
    expected = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut_10", "recall_100"}).evaluate(places)
    table = score(run, collection).set_index("query")
    assert 0 < table["ndcg@10"].mean() < 1 and sorted(table.index) == sorted(qrels)
    for query in qrels:
        for ours, theirs in (("ndcg@10", "ndcg_cut_10"), ("recall@100", "recall_100")):
            assert abs(table.loc[query, ours] - expected.get(query, {theirs: 0})[theirs]) < 1e-9
    if not ties:
        scores = {query: dict(zip(part.passage, part.score)) for query, part in run.groupby("query")}
        assert pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut_10", "recall_100"}).evaluate(scores) == expected


def test_figures_are_given_for_each_language_and_over_all(tmp_path):
    first, second = collect(name="a"), collect(name="b", seed=5, language="yy")
    encoder = Table(first)
    result = evaluate_collections(encoder, [first, second], tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-xx", "b-yy"]
    for language, collection, row in zip(("xx", "yy"), (first, second), result["languages"], strict=True):
        run = search(encoder, collection, tmp_path / f"{collection.name}-{language}")
        scores = score(run, collection)
        assert row["language"] == language and row["sha256"] == collection.checksum and row["passages"] == 40
        assert row["queries"] == len(scores) and row["queries_left_out"] == 12 - len(scores) >= 2
        for measure in ("ndcg@10", "recall@100"):
            assert row[measure] == pytest.approx(scores[measure].mean(), abs=1e-6)
            assert row[f"{measure}_low"] <= row[measure] <= row[f"{measure}_high"]
    assert result["macro"]["languages"] == 2
    mean = np.mean([row["ndcg@10"] for row in result["languages"]])
    assert result["macro"]["ndcg@10"] == pytest.approx(mean, abs=1e-6)
    assert result["macro"]["ndcg@10_low"] < result["macro"]["ndcg@10"] < result["macro"]["ndcg@10_high"]


def test_a_collection_and_a_benchmark_of_the_same_texts_have_the_same_figures(benchmark, spread, tmp_path):
    """All languages of the pool as one collection against the setting Mul, in which ranks are known to all depths."""
    queries = benchmark.queries.assign(id=benchmark.queries.item + benchmark.queries.language)
    names = [f"d{number}" for number in range(60)]
    qrels = [(row.id, names[row.passage], 1) for row in queries.merge(benchmark.relevant, on="item").itertuples()]
    same_texts = Made("made", queries[["id", "text"]], qrels, list(zip(names, names)), "")
    encoder = Table(same_texts)
    encoder.vectors = dict(zip([*queries.text, *names], [*spread.queries, *spread.passages]))
    ours = score(search(encoder, same_texts, tmp_path, shard=7), same_texts).set_index("query")["ndcg@10"]
    ranks, _ = rank(spread, benchmark)
    expected = ranks.groupby(ranks.item + ranks.query_language).rank_mul.apply(lambda places: metrics.ndcg(places, 10))
    assert ours.sort_index().tolist() == pytest.approx(expected.sort_index().tolist())
