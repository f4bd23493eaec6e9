"""Batches keep their promises whatever the table: see the docstrings of sampler."""

from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from accelerate import skip_first_batches
from accelerate.data_loader import BatchSamplerShard
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.utils.data import DataLoader

from hybrid_batch import sampler
from hybrid_batch.data import table as rows_of
from hybrid_batch.sampler import HybridBatchSampler, Index, explain, spread
from hybrid_batch.strategies import ADDED_PAIRINGS, PAIRINGS, STRATEGIES, Kind, Mixture
from hybrid_batch.strategies import mixture as strategy

LANGUAGES = ("en", "de", "hi", "th")
CASES = [(name, rho, reasoning) for name in STRATEGIES
         for rho, reasoning in [(0, "hybrid"), *((0.5, reasoning) for reasoning in ADDED_PAIRINGS)]]


def row(item, language, task="qa", group=None, query=None, passage=None, negatives=0):
    """A row whose texts say where they come from, unless they are given; an empty one is missing."""
    if isinstance(negatives, int):
        negatives = [f"n{i}:{item}:{language}" for i in range(negatives)]
    return dict(item=item, group=group or item, language=language, task=task, negatives=negatives,
                query=f"q:{item}:{language}" if query is None else query,
                passage=f"p:{item}:{language}" if passage is None else passage)


def table(*rows):
    return Dataset(rows_of.table(list(rows)))


def parallel(items, languages=LANGUAGES, tasks=("qa", "reasoning")):
    """Every item in every language; reasoning items have three negatives."""
    return table(*(row(f"{task}{i}", language, task, negatives=3 * (task == "reasoning"))
                   for task in tasks for i in range(items) for language in languages))


def unbalanced(sizes, task="qa"):
    """Items in one language each, as many as ``sizes`` says."""
    return table(*(row(f"{language}{i}", language, task) for language, size in sizes.items() for i in range(size)))


@st.composite
def rows_of_any_table(draw, whole=0):
    """Rows of two tasks: partial parallelism, groups of several items, repeated texts, some with negatives, some
    without query or passage. The first ``whole`` items of a task are in all languages, in groups of their own, with
    texts of their own: with them, batches of as many pairs always exist."""
    languages = draw(st.sampled_from([LANGUAGES[:2], LANGUAGES]))
    rows = []
    for task in ("qa", "reasoning"):
        for i in range(whole):
            rows += [row(f"{task}{i}", language, task, negatives=i) for language in languages]
        for i in range(whole, whole + draw(st.integers(0 if whole else 2, 6))):
            group = f"{task}{draw(st.integers(0, whole + 4))}"
            for language in draw(st.lists(st.sampled_from(languages), min_size=1, unique=True)):
                shared = st.sampled_from([None, None, None, f"Shared {task}", f" shared  {task.upper()}", "other"])
                negatives = draw(st.lists(st.sampled_from([f"n:{task}{i}:{language}", "other", f"shared {task}"]),
                                          max_size=2, unique=True))
                texts = draw(st.sampled_from([(shared, shared)] * 4 + [(shared, st.just("")), (st.just(""), shared)]))
                rows.append(row(f"{task}{i}", language, task, group, *map(draw, texts), negatives))
    return draw(st.permutations(rows))


def normal(text):
    return " ".join(text.split()).casefold()


def check(rows, batches):
    """Assert what holds for every batch (kind, pairs) of row numbers."""
    rows = rows.to_list()
    for kind, pairs in batches:
        opened, answered = [rows[q] for q, _ in pairs], [rows[p] for _, p in pairs]
        assert [q["item"] for q in opened] == [p["item"] for p in answered]
        assert all(q["query"] for q in opened) and all(p["passage"] for p in answered)
        assert {r["task"] for r in opened + answered} == {kind.task}
        languages = [(q["language"], p["language"]) for q, p in zip(opened, answered)]
        if kind.languages:
            assert {language for pair in languages for language in pair} <= set(kind.languages)
        if kind.pairing == "cross":
            assert all(x != y for x, y in languages)
        else:
            assert all(q == p for q, p in pairs)  # so the row is whole
        if kind.pairing == "mono":
            assert len(set(languages)) == 1
        assert len({q["group"] for q in opened}) == len(pairs)
        assert len({normal(q["query"]) for q in opened}) == len(pairs)
        texts = [{normal(text) for text in (p["passage"], *p["negatives"])} for p in answered]
        assert len(set.union(*texts)) == sum(map(len, texts))


@contextmanager
def bounded_queues(takes):
    """Fail instead of hanging: rows are taken from queues so often at most, and for each a
    queue may look at the rows it holds, and at all its rows once more."""
    take = sampler._Queue.take

    def counted_take(queue, match):
        nonlocal takes
        takes -= 1
        assert takes >= 0, "a batch asks its queues for ever"
        left = 2 * (len(queue.passed) + len(queue.order)) + len(queue.rows)

        def counted(number):
            nonlocal left
            left -= 1
            assert left >= 0, "a queue looks at its rows for ever"
            return match(number)

        return take(queue, counted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler._Queue, "take", counted_take)
        yield


# Batches


@pytest.mark.parametrize("name, rho, reasoning", CASES)
@pytest.mark.parametrize("languages", ["uniform", "size"])
def test_every_batch_keeps_the_promises_of_its_kind(name, rho, reasoning, languages):
    mixture = strategy(name, rho=rho, pairing=reasoning)

    @settings(max_examples=8)
    @given(st.data())
    def holds(data):
        pairs = data.draw(st.integers(2, 4), "pairs")
        rows = table(*data.draw(rows_of_any_table(whole=pairs), "rows"))
        batches = HybridBatchSampler(rows, mixture, pairs, batches=9, seed=data.draw(st.integers(0, 99)),
                                     sampling=languages)
        drawn = list(batches.draw())
        assert len(drawn) == len(batches) == 9
        assert all(numbers.shape == (pairs, 2) for _, numbers in drawn)
        assert {kind for kind, _ in drawn} <= set(mixture)
        check(rows, drawn)

    holds()


@given(rows_of_any_table(), st.sampled_from(CASES), st.integers(2, 5))
@settings(max_examples=150)
def test_any_table_gives_right_batches_or_a_value_error(rows, case, pairs):
    name, rho, reasoning = case
    rows, drawn = table(*rows), []
    with bounded_queues(takes=6 * sampler.ATTEMPTS * (pairs + len(LANGUAGES))):
        try:
            for batch in HybridBatchSampler(rows, strategy(name, rho=rho, pairing=reasoning), pairs, 6).draw():
                drawn.append(batch)
        except ValueError as error:
            assert "make the batch smaller" in str(error) or "add such rows" in str(error)
    check(rows, drawn)


@pytest.mark.parametrize("name, rho, reasoning", CASES)
def test_the_loader_gets_pairs_whose_texts_have_one_origin(name, rho, reasoning):
    rows = parallel(6)
    batches = HybridBatchSampler(rows, strategy(name, rho=rho, pairing=reasoning), 4, batches=12)
    loaded = list(DataLoader(rows, batch_sampler=batches, collate_fn=list))
    assert len(loaded) == 12
    for batch in loaded:
        assert len(batch) == 8
        queries, passages = batch[::2], batch[1::2]
        origins = [(q["query"].split(":"), p["passage"].split(":")) for q, p in zip(queries, passages)]
        assert all((q[0], p[0], q[1]) == ("q", "p", p[1]) for q, p in origins)
        assert len({r["task"] for r in batch}) == 1


def test_iterating_yields_the_drawn_pairs_interleaved():
    batches = HybridBatchSampler(parallel(6), strategy("Hybrid", rho=0.3), 4, batches=10)
    flat = [[number for pair in pairs for number in pair] for _, pairs in batches.draw()]
    assert list(batches) == flat
    assert all(type(number) is int for batch in batches for number in batch)


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_a_kind_can_be_confined_to_some_languages(pairing):
    mixture = Mixture({Kind(pairing, languages=("en", "hi")): 0.5, Kind("cross", "reasoning", ("de", "th")): 0.5})
    rows = parallel(6)
    check(rows, HybridBatchSampler(rows, mixture, 4, batches=20).draw())


def test_a_pair_never_crosses_tasks_even_if_tasks_share_an_item_id():
    rows = table(*(row(str(i), language, task) for i in range(4)
                   for language, task in (("en", "qa"), ("de", "qa"), ("hi", "reasoning"))),
                 *(row(f"x{i}", language) for i in range(4) for language in ("hi", "en")))
    check(rows, HybridBatchSampler(rows, strategy("X-Y"), 3, batches=50).draw())


def test_a_partner_whose_text_collides_gives_way_to_one_that_fits():
    rows = table(row("a", "en"), row("a", "de", passage="x", negatives=["y"]),
                 row("b", "en"), row("b", "de", passage="x"), row("b", "hi", passage="y"))
    for seed in range(100):
        check(rows, HybridBatchSampler(rows, strategy("X-Y"), 2, batches=2, seed=seed).draw())


def test_a_batch_that_ends_in_a_dead_end_is_drawn_again():
    """a goes with neither of the others, but b goes with c."""
    rows = table(row("a", "en", passage="x", negatives=["y"]), row("b", "en", passage="x"), row("c", "en", passage="y"))
    for seed in range(50):
        check(rows, HybridBatchSampler(rows, strategy("X-X-mono"), 2, batches=4, seed=seed).draw())


def test_batches_is_one_pair_a_row_if_not_given():
    rows = parallel(6, tasks=["qa"])
    assert len(HybridBatchSampler(rows, strategy("X-X"), 4)) == len(rows) // 4
    assert len(HybridBatchSampler(rows.select(range(12)), strategy("X-X"), 3)) == 4


def halves(items=8):
    """Items with a question in English, an answer in German, both in Hindi; Thai has the other half of odd items."""
    return table(*(r for i in range(items) for r in (
        row(f"i{i}", "en", passage=""), row(f"i{i}", "de", query=""), row(f"i{i}", "hi"),
        row(f"i{i}", "th", **{"passage" if i % 2 else "query": ""}))))


def test_rows_that_lack_a_half_meet_the_other_half_in_another_language():
    rows, seen = halves(), Counter()
    drawn = list(HybridBatchSampler(rows, strategy("X-Y"), 4, batches=200).draw())
    check(rows, drawn)
    for _, pairs in drawn:
        seen.update((rows[int(q)]["language"], rows[int(p)]["language"]) for q, p in pairs)
    assert set(seen) == {(x, y) for x in ("en", "hi", "th") for y in ("de", "hi", "th") if x != y}


@pytest.mark.parametrize("name", ["X-X", "X-X-mono"])
def test_rows_that_lack_a_half_are_left_out_of_batches_within_a_language(name):
    rows = halves()
    used = {rows[number]["language"] for batch in HybridBatchSampler(rows, strategy(name), 4, 20) for number in batch}
    assert used == {"hi"}
    with pytest.raises(ValueError, match="no rows for qa (mixed|mono) batches"):
        HybridBatchSampler(rows.filter(lambda r: r["language"] != "hi"), strategy(name), 4)


def test_texts_and_their_translations_are_paired_across_languages_only():
    rows = table(*(row(f"{task}{i}", language, task, query=f"{task}{i} {language}", passage=f"{task}{i} {language}")
                   for task in ("qa", "parallel") for i in range(6) for language in LANGUAGES))
    mixture = Mixture({Kind("cross", "parallel"): 1, Kind("mono"): 1})
    drawn = list(HybridBatchSampler(rows, mixture, 4, 30).draw())
    check(rows, drawn)
    assert {kind.task for kind, _ in drawn} == {"qa", "parallel"}


# Seeds, epochs, ranks, resuming


def test_seed_and_epoch_alone_decide_the_batches():
    rows, mixture = parallel(8), strategy("Hybrid", rho=0.4)

    def batches(seed, epoch, used=False):
        made = HybridBatchSampler(rows, mixture, 4, batches=10, seed=seed)
        if used:
            list(made)
        made.set_epoch(epoch)
        return list(made)

    first = batches(1, 0)
    assert first == batches(1, 0, used=True)
    assert batches(1, 3) == batches(1, 3, used=True)
    assert first not in (batches(2, 0), batches(1, 1), batches(0, 1))


def test_two_ranks_get_the_halves_of_each_batch_and_no_pair_is_cut():
    rows = parallel(8)
    batches = HybridBatchSampler(rows, strategy("Hybrid", rho=0.4), 6, batches=10)
    shards = [list(BatchSamplerShard(batches, 2, rank, split_batches=True)) for rank in (0, 1)]
    assert [left + right for left, right in zip(*shards, strict=True)] == list(batches)
    kinds = [kind for kind, _ in batches.draw()]
    assert len(set(kinds)) > 2
    for shard in shards:
        check(rows, zip(kinds, (np.reshape(half, (3, 2)) for half in shard), strict=True))


def test_an_epoch_is_resumed_by_skipping_what_was_seen():
    rows = parallel(8)
    batches = HybridBatchSampler(rows, strategy("Hybrid", rho=0.4), 4, batches=10, seed=3)
    batches.set_epoch(2)
    whole = list(DataLoader(rows, batch_sampler=batches, collate_fn=list))
    rest = skip_first_batches(DataLoader(rows, batch_sampler=batches, collate_fn=list), 7)
    assert list(rest) == whole[7:]


@pytest.mark.parametrize("rows, mixture", [(parallel(6), strategy("Hybrid", rho=0.4)), (halves(), strategy("Hybrid"))])
def test_explain_tells_what_the_sampler_draws(rows, mixture):
    told = explain(rows, mixture, 3, batches=8, seed=5)
    assert list(told.columns) == ["batch", "slot", "kind", "item", "group", "query_language", "passage_language"]
    records, expected = rows.to_list(), []
    for number, (kind, pairs) in enumerate(HybridBatchSampler(rows, mixture, 3, 8, seed=5).draw()):
        for slot, (q, p) in enumerate(pairs):
            expected.append((number, slot, str(kind), records[q]["item"], records[q]["group"],
                             records[q]["language"], records[p]["language"]))
    assert list(told.itertuples(index=False, name=None)) == expected


# References: the same thing said slowly


@given(rows_of_any_table(), st.sampled_from(list(PAIRINGS)), st.sampled_from(["qa", "reasoning"]),
       st.sampled_from([None, ("en",), ("en", "hi")]))
def test_the_pool_of_a_kind_is_that_of_a_slow_loop(rows, pairing, task, languages):
    def belongs(r):
        def inside(other):
            return other["task"] == task and (languages is None or other["language"] in languages)

        others = [o for o in rows if inside(o) and o["item"] == r["item"] and o["language"] != r["language"]]
        return inside(r) and r["query"] and any(o["passage"] for o in (others if pairing == "cross" else [r]))

    expected = {}
    for number, r in enumerate(rows):
        if belongs(r):
            expected.setdefault(r["language"], []).append(number)
    index = Index(table(*rows))
    pool = index.pool(Kind(pairing, task, languages))
    assert {index.languages[code]: numbers.tolist() for code, numbers in pool.items()} == expected


@given(rows_of_any_table(), st.sampled_from(["qa", "reasoning", "parallel"]),
       st.sampled_from([None, ("en",), ("en", "hi")]))
def test_partners_and_numbers_of_passages_are_those_of_a_slow_loop(rows, task, languages):
    index, kind = Index(table(*rows)), Kind("cross", task, languages)

    def answers(r):
        return r["passage"] and r["task"] == task and (languages is None or r["language"] in languages)

    for number, r in enumerate(rows):
        others = [n for n, o in enumerate(rows)
                  if answers(o) and o["item"] == r["item"] and o["language"] != r["language"]]
        assert sorted(index.partners(kind, number).tolist()) == others
    sizes = Counter(r["language"] for r in rows if answers(r))
    assert index.sizes(kind).tolist() == [sizes[language] for language in index.languages]


@given(st.integers(2, 12), st.integers(2, 12), st.sampled_from(["X-X", "X-X-mono"]))
def test_each_row_comes_once_before_any_comes_again(items, pairs, name):
    rows, seen = parallel(max(items, pairs), ["en"], ["qa"]), Counter()
    for batch in HybridBatchSampler(rows, strategy(name), pairs, batches=2 * items):
        seen.update(batch[::2])
        counts = [seen[number] for number in range(len(rows))]
        assert max(counts) - min(counts) <= 1


@given(st.integers(1, 8), st.lists(st.frozensets(st.integers(0, 7)), max_size=40))
def test_a_queue_is_a_list_from_which_the_first_row_that_fits_is_taken(size, wishes):
    queue, random = sampler._Queue(np.arange(size), np.random.default_rng(0)), np.random.default_rng(0)
    pending = []
    for wish in wishes:
        if not wish & set(pending):  # another round; it is dropped again if it does not help
            fresh = random.permutation(size).tolist()
            pending += fresh if wish & set(fresh) else []
        expected = next((number for number in pending if number in wish), None)
        if expected is not None:
            pending.remove(expected)
        taken = queue.take(lambda number: -number if number in wish else None)
        assert taken == (None if expected is None else (expected, -expected))


# Shares


def fits(counts, shares):
    """Whether counts are what the shares lead one to expect (chi-square)."""
    shares = {key: share for key, share in shares.items() if share}
    assert set(counts) == set(shares)
    total, weight = sum(counts.values()), sum(shares.values())
    observed, expected = zip(*((counts[key], total * shares[key] / weight) for key in shares))
    return stats.chisquare(observed, expected).pvalue > 0.001


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any), st.integers(1, 200), st.integers(0, 99))
def test_a_share_is_never_ahead_by_one_and_exact_where_it_can_be(weights, count, seed):
    shares = np.array(weights) / sum(weights)
    drawn = spread(shares, count, np.random.default_rng(seed))
    counts = np.stack([np.cumsum(drawn == number) for number in range(len(shares))], 1)   # (count, shares)
    expected = np.arange(1, count + 1)[:, None] * shares
    assert (counts - expected < 1 + 1e-6).all()
    if np.allclose(expected[-1], expected[-1].round()):
        assert counts[-1].tolist() == expected[-1].round().astype(int).tolist()
    if len(shares) == 2:
        assert (np.abs(counts - expected) < 1 + 1e-6).all()


@pytest.mark.parametrize("alpha, mono", [(0.3, {3, 4}), (0.4, {4, 5}), (0.5, {6}), (0.75, {9})])
def test_alpha_has_its_effect_in_a_short_run_whatever_the_seed(alpha, mono):
    """With 12 steps and seed 0 the shares .3, .4 and .5 once drew the same 4 monolingual batches."""
    orders = set()
    for seed in range(20):
        plan = HybridBatchSampler(parallel(4), strategy("Hybrid", alpha), 2, 12, seed).plan()
        orders.add(tuple(kind.pairing for _, kind in plan))
        assert sum(kind.pairing == "mono" for _, kind in plan) in mono
    assert len(orders) > 5  # in random order


@pytest.mark.parametrize("rho, counts", [(0.25, {"qa mono": 6, "qa cross": 6, "reasoning mono": 2, "reasoning cross": 2}),
                                         (0.5, {"qa mono": 4, "qa cross": 4, "reasoning mono": 4, "reasoning cross": 4})])
@pytest.mark.parametrize("schedule", ["interleaved", "late"])
def test_added_batches_take_the_place_of_their_share_of_each_kind(rho, counts, schedule):
    for seed in range(10):
        batches = HybridBatchSampler(parallel(4), strategy("Hybrid", rho=rho), 2, 16, seed, schedule=schedule)
        drawn = Counter(str(kind) for kind, _ in batches.draw())
        if schedule == "interleaved" or rho == 0.5:
            assert drawn == counts
        else:
            assert sum(n for kind, n in drawn.items() if kind.startswith("reasoning")) == 4


def test_late_batches_come_last():
    plan = HybridBatchSampler(parallel(4), strategy("Hybrid", rho=0.25), 2, 20, schedule="late").plan()
    assert [kind.task for _, kind in plan] == ["qa"] * 15 + ["reasoning"] * 5


@pytest.mark.parametrize("other", [dict(rho=0.25), dict(rho=0.5, pairing="mono"), dict(rho=0.3, added="parallel")])
def test_question_batches_of_a_seed_are_one_stream_of_which_others_take_some_places(other):
    rows = table(*parallel(8).to_list(), *(row(f"p{i}", language, "parallel", query=f"p{i} {language}",
                                               passage=f"p{i} {language}") for i in range(8) for language in LANGUAGES))
    alone = list(HybridBatchSampler(rows, strategy("Hybrid"), 4, 20, seed=3).draw())
    with_others = list(HybridBatchSampler(rows, strategy("Hybrid", **other), 4, 20, seed=3).draw())
    same = [np.array_equal(pairs, others) for (_, pairs), (kind, others) in zip(alone, with_others) if kind.task == "qa"]
    assert len(same) == 20 - round(20 * other["rho"]) and all(same)


SIZES = {"en": 30, "de": 10, "hi": 5}
UNIFORM = dict.fromkeys(SIZES, 1)


@pytest.mark.parametrize("languages, shares", [("uniform", UNIFORM), ("size", SIZES)])
@pytest.mark.parametrize("name", ["X-X-mono", "X-X"])
def test_languages_are_drawn_alike_or_by_size(name, languages, shares):
    rows = unbalanced(SIZES)
    batches = HybridBatchSampler(rows, strategy(name), 2, 1500, sampling=languages)
    used = rows["language"][:]
    counts = Counter(used[number] for batch in batches for number in (batch[::2] if name == "X-X" else batch[:1]))
    assert fits(counts, shares)
    assert not fits(counts, UNIFORM if languages == "size" else SIZES)


@pytest.mark.parametrize("languages", ["uniform", "size"])
def test_cross_lingual_pairs_draw_both_languages_alike_or_by_size(languages):
    rows = table(*(row(f"i{i}", language) for i in range(40) for language in LANGUAGES[:3]),
                 *(row(f"j{i}", language) for i in range(40) for language in LANGUAGES[:2]))
    used = rows["language"][:]
    opened, answered = Counter(), Counter()
    for _, pairs in HybridBatchSampler(rows, strategy("X-Y"), 2, 2000, sampling=languages).draw():
        for q, p in pairs:
            opened[used[q]] += 1
            if used[q] == "hi":  # its items have both other languages
                answered[used[p]] += 1
    assert fits(opened, UNIFORM if languages == "uniform" else {"en": 80, "de": 80, "hi": 40})
    assert fits(answered, {"en": 1, "de": 1})


def test_a_partner_is_drawn_by_the_size_of_its_language():
    rows = table(*(row(f"i{i}", language) for i in range(20) for language in ("en", "de", "hi")),
                 *(row(f"j{i}", language) for i in range(60) for language in ("en", "de")),
                 *(row(f"k{i}", language) for i in range(60) for language in ("en", "th")))
    used, items = rows["language"][:], rows["item"][:]
    shares = {"uniform": {"en": 1, "de": 1}, "size": {"en": 140, "de": 80}}
    for languages, expected in shares.items():
        batches = HybridBatchSampler(rows, strategy("X-Y"), 2, 3000, sampling=languages)
        answered = Counter(used[p] for batch in batches for q, p in zip(batch[::2], batch[1::2])
                           if used[q] == "hi" and items[q].startswith("i"))
        assert fits(answered, expected)


def test_a_language_counts_by_its_questions_for_queries_and_by_its_answers_for_partners():
    rows = table(*(row(f"i{i}", language) for i in range(20) for language in ("en", "de", "hi")),
                 *(r for i in range(60) for r in (row(f"j{i}", "en"), row(f"j{i}", "de", passage=""))),
                 *(r for i in range(30) for r in (row(f"k{i}", "en", passage=""), row(f"k{i}", "de", query=""))))
    used, opened, answered = rows["language"][:], Counter(), Counter()
    for batch in HybridBatchSampler(rows, strategy("X-Y"), 2, 3000, sampling="size"):
        for q, p in zip(batch[::2], batch[1::2]):
            opened[used[q]] += 1
            answered[used[p]] += used[q] == "hi"  # its items are answered in both other languages
    assert fits(opened, {"en": 20 + 30, "de": 20 + 60, "hi": 20})
    assert fits(+answered, {"en": 20 + 60, "de": 20 + 30})


# Errors


def test_a_batch_needs_two_pairs():
    with pytest.raises(ValueError, match="1 pair has no negatives; use 2 pairs or more"):
        HybridBatchSampler(parallel(3), strategy("X-X"), 1)


@pytest.mark.parametrize("name, rows, named", [
    ("X-X-mono", unbalanced({"en": 5, "hi": 3}), ["qa mono", "4 pairs", "3 in 'hi'", "make the batch smaller"]),
    ("X-X", unbalanced({"en": 2, "hi": 1}), ["qa mixed", "there are 3", "leave the kind out"]),
    ("X-Y", parallel(3, tasks=["qa"]), ["qa cross", "there are 3", "make the batch smaller"]),
    ("X-Y", unbalanced({"en": 9, "hi": 9}), ["no rows for qa cross", "set their share to 0"]),
    ("En-En", unbalanced({"de": 9}), ["no rows for qa mono [en]", "set their share to 0"]),
    ("X-X", parallel(9, tasks=["reasoning"]), ["no rows for qa mixed", "set their share to 0"]),
    ("X-X", table(*(row(str(i), "en", group="one") for i in range(9))), ["qa mixed", "there are 1"]),
])
def test_a_batch_that_cannot_be_filled_is_refused_at_once(name, rows, named):
    with pytest.raises(ValueError) as error:
        HybridBatchSampler(rows, strategy(name), 4)
    assert all(part in str(error.value) for part in named), error.value


def test_an_item_twice_in_one_language_is_refused():
    Index(table(row("a", "en"), row("a", "de"), row("a", "en", "reasoning")))
    with pytest.raises(ValueError, match="occurs twice"):
        Index(table(row("a", "en"), row("a", "de"), row("a", "en", query="Another?")))


def test_reasoning_batches_need_reasoning_rows():
    with pytest.raises(ValueError, match="no rows for reasoning mono"):
        HybridBatchSampler(parallel(5, tasks=["qa"]), strategy("X-X", rho=0.1), 4)


@pytest.mark.parametrize("name", ["X-X", "X-X-mono", "X-Y"])
@pytest.mark.parametrize("same", [dict(query="Same"), dict(passage="Same"), dict(negatives=["Same"])])
def test_texts_that_collide_end_in_an_error_and_never_hang(name, same):
    rows = table(*(row(str(i), language, **same) for i in range(6) for language in LANGUAGES[:2]))
    refused = pytest.raises(ValueError, match="found no 3 pairs for a qa .*: make the batch smaller")
    with bounded_queues(takes=sampler.ATTEMPTS * (1 + 2)), refused:  # of a batch: a row, and none of each language
        list(HybridBatchSampler(rows, strategy(name), 3, batches=5))
