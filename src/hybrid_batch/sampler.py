"""Batches: which query meets which passage, and in which languages.

A corpus is one table with a row per (item, language). A batch is a list of pairs of row numbers (query row,
passage row) of one item each, so one table serves every kind of batch. The sampler turns a strategy, a mixture of
kinds of batch, into batches of one kind each.
"""

import zlib
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hybrid_batch.data.table import EMPTY, codes, text_hashes
from hybrid_batch.strategies import Mixture

ATTEMPTS = 20  # at a batch, before the table is refused


class Index:
    """What the sampler knows of a table: codes, no texts, so that it stays small. rows: a datasets.Dataset with the
    columns item, group, language, task and hashes, see data.table."""

    def __init__(self, rows):
        self.item, items = codes(rows, "item")                               # (rows,)
        self.group, _ = codes(rows, "group")
        self.language, languages = codes(rows, "language")
        self.task, tasks = codes(rows, "task")
        self.languages, self.tasks = languages.to_pylist(), tasks.to_pylist()
        places = (self.item.astype(np.int64) * len(languages) + self.language) * len(tasks) + self.task
        if len(np.unique(places)) < len(places):
            raise ValueError("an item occurs twice in one language: give each question an id of its own")
        # Texts as 64-bit hashes: of the query, and of the candidates that a row brings, its passage and negatives.
        self._hashes, self._start = text_hashes(rows)
        self.query, passage = self._hashes[self._start[:-1]], self._hashes[self._start[:-1] + 1]
        self.asks, self.answers = self.query != EMPTY, passage != EMPTY  # a row may lack its query or its passage
        self._by_item = np.argsort(self.item, kind="stable")
        self._item_start = np.concatenate([[0], np.cumsum(np.bincount(self.item, minlength=len(items)))])

    def candidates(self, row):
        """Hashes of the row's passage and negatives."""
        return self._hashes[self._start[row] + 1:self._start[row + 1]].tolist()

    def partners(self, kind, row):
        """The rows of the same item and task, in other languages of the kind, that have a passage."""
        item = self.item[row]
        rows = self._by_item[self._item_start[item]:self._item_start[item + 1]]
        return rows[(self.language[rows] != self.language[row]) & self.answers[rows] & self._belong(kind, rows)]

    def pool(self, kind):
        """{language code: rows whose query may open a pair of this kind}."""
        rows = np.flatnonzero(self._belong(kind, slice(None)))
        if kind.pairing == "cross":  # the item must have a passage in a second language
            answered = np.bincount(self.item[rows], self.answers[rows], minlength=self.item.max(initial=-1) + 1)
            rows = rows[self.asks[rows] & (answered[self.item[rows]] > self.answers[rows])]
        else:
            rows = rows[self.asks[rows] & self.answers[rows]]
        return {code: rows[self.language[rows] == code] for code in np.unique(self.language[rows]).tolist()}

    def sizes(self, kind):
        """Passages of a kind in each language, (languages,)."""
        return np.bincount(self.language[self._belong(kind, slice(None)) & self.answers], minlength=len(self.languages))

    def _belong(self, kind, rows):
        """Which of some rows have the task and a language of a kind."""
        task = self.tasks.index(kind.task) if kind.task in self.tasks else -1
        allowed = np.array([kind.languages is None or name in kind.languages for name in self.languages], bool)
        return (self.task[rows] == task) & allowed[self.language[rows]]


def spread(shares, count, random):
    """``count`` numbers of shares in random order, each as often as its share says, over any stretch: (count,).

    The next number is drawn with probabilities in proportion to how far each share is behind. So the count of share s
    in the first n numbers is below s n + 1; if all s n are whole numbers, it is s n; for two shares it is within 1 of
    s n, whatever n.
    """
    shares = np.asarray(shares, float) / np.sum(shares)
    drawn, counts = np.zeros(count, int), np.zeros(len(shares))
    for place in range(count):
        behind = np.round(np.maximum(shares * (place + 1) - counts, 0), 9)
        drawn[place] = random.choice(len(shares), p=behind / behind.sum())
        counts[drawn[place]] += 1
    return drawn


@dataclass
class _Queue:
    """Rows in random order, each once before any comes again; rows that do not fit the batch at hand keep their
    place for the next."""

    rows: np.ndarray
    random: np.random.Generator
    order: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    next: int = 0  # of the order; the rows before it were taken, or passed over and wait
    passed: list = field(default_factory=list)

    def take(self, match):
        """(row, partner) of the first row to which ``match(row)`` finds a partner; None if there is no such row."""
        for place, row in enumerate(self.passed):
            if (partner := match(row)) is not None:
                return self.passed.pop(place), partner
        for refill in (False, True):
            if refill:
                self.order, self.next = self.random.permutation(self.rows), 0
            while self.next < len(self.order):
                row = int(self.order[self.next])
                self.next += 1
                if (partner := match(row)) is not None:
                    return row, partner
                self.passed.append(row)
        del self.passed[-len(self.rows):]  # the second round, which was in vain
        return None


class _Batch:
    """Pairs of which no two share a group, a query or a candidate text."""

    def __init__(self, index):
        self.index, self.pairs = index, []
        self.groups, self.queries, self.candidates = set(), set(), set()

    def accepts(self, row):
        return self.index.group[row] not in self.groups and self.index.query[row] not in self.queries

    def accepts_partner(self, row):
        return self.candidates.isdisjoint(self.index.candidates(row))

    def add(self, row, partner):
        self.pairs.append((row, partner))
        self.groups.add(self.index.group[row])
        self.queries.add(self.index.query[row])
        self.candidates.update(self.index.candidates(partner))


class _Stream:
    """Batches of one kind, without end. Its random numbers are its own, so that the batches of a kind are the same
    whatever other kinds a strategy has."""

    def __init__(self, index, kind, pairs, sampling, seed, epoch):
        self.index, self.kind, self.pairs, self.by_size = index, kind, pairs, sampling == "size"
        self.random = np.random.default_rng([seed, epoch, zlib.crc32(str(kind).encode())])
        self.pool, self.sizes = index.pool(kind), index.sizes(kind)
        self.queues = {code: _Queue(rows, self.random) for code, rows in self.pool.items()}

    def next(self):
        """(pairs, 2) row numbers."""
        for _ in range(ATTEMPTS):
            if (pairs := self._draw()) is not None:
                return np.array(pairs)
        raise ValueError(f"found no {self.pairs} pairs for a {self.kind} batch whose passages have no text in common: "
                         f"make the batch smaller")

    def _draw(self):
        """Pairs of one batch; None at a dead end, where another draw may do better."""
        batch = _Batch(self.index)
        weights = {code: float(len(rows)) if self.by_size else 1.0 for code, rows in self.pool.items()}
        if self.kind.pairing == "mono":
            code = self._choose(weights)
            weights = {code: weights[code]}
        while len(batch.pairs) < self.pairs:
            if not weights:
                return None
            code = self._choose(weights)
            taken = self.queues[code].take(lambda row: self._partner(batch, row))
            if taken is None:
                del weights[code]  # nothing left in this language that may join this batch
            else:
                batch.add(*taken)
        return batch.pairs

    def _choose(self, weights):
        total = sum(weights.values())
        return list(weights)[self.random.choice(len(weights), p=[weight / total for weight in weights.values()])]

    def _partner(self, batch, row):
        """The passage row that joins a batch with this query row; None if there is none."""
        if not batch.accepts(row):
            return None
        partners = self._cross_partners(row) if self.kind.pairing == "cross" else [row]
        return next((partner for partner in partners if batch.accepts_partner(partner)), None)

    def _cross_partners(self, row):
        """The rows in other languages that may answer a query row: one drawn, then the others."""
        others = self.index.partners(self.kind, row)
        sizes = self.sizes[self.index.language[others]]
        drawn = self.random.choice(len(others), p=sizes / sizes.sum() if self.by_size else None)
        return [others[drawn], *others[:drawn], *others[drawn + 1:]]


class HybridBatchSampler:
    """Batches of one kind each, drawn from a strategy, for a stock DataLoader.

    Yields lists of 2 * ``pairs`` row numbers: query row, passage row, query row, ... so that a batch can be cut
    between ranks without cutting a pair.

    The question-passage batches of a seed are one stream, whatever else a strategy has: batches of other tasks take
    the place of some of them. So two strategies with the same seed differ in those batches only (common random numbers).

    rows: the table (or its Index). strategy: a Mixture. pairs: pairs in a batch.
    batches: batches in an epoch; None takes as many as give one pair for each row.
    sampling: "uniform" draws languages alike, "size" by their numbers of rows.
    schedule: "interleaved" spreads the batches of other tasks evenly, "late" puts them last.
    seed, epoch: they alone decide the batches, so an epoch is resumed by skipping the batches already seen.
    Raises ValueError if some kind cannot fill a batch, naming the kind and a remedy.
    """

    def __init__(self, rows, strategy, pairs, batches=None, seed=0, sampling="uniform", schedule="interleaved"):
        self.index = rows if isinstance(rows, Index) else Index(rows)
        if pairs < 2:
            raise ValueError(f"a batch of {pairs} pair has no negatives; use 2 pairs or more")
        self.strategy, self.pairs, self.seed, self.sampling = Mixture(strategy), pairs, seed, sampling
        self.late, self.epoch = schedule == "late", 0
        self.batches = batches or max(1, len(self.index.item) // pairs)
        self.batch_size, self.drop_last = 2 * pairs, True  # in rows, as the DataLoader counts
        for kind in self.strategy:
            self._check(kind)

    def _check(self, kind):
        pool = self.index.pool(kind)
        if not pool:
            raise ValueError(f"the table has no rows for {kind} batches: add such rows or set their share to 0")
        parts = pool.items() if kind.pairing == "mono" else [(None, np.concatenate(list(pool.values())))]
        for language, rows in parts:
            groups = np.count_nonzero(np.bincount(self.index.group[rows]))
            if groups < self.pairs:
                where = "" if language is None else f" in {self.index.languages[language]!r}"
                raise ValueError(f"{kind} batches of {self.pairs} pairs need as many groups, but there are {groups}"
                                 f"{where}: make the batch smaller or leave {'it' if where else 'the kind'} out")

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.batches

    def __iter__(self):
        for _, pairs in self.draw():
            yield pairs.ravel().tolist()

    def draw(self):
        """Yield (kind, pairs) for each batch of the epoch; pairs: (pairs, 2) row numbers."""
        streams = {kind: _Stream(self.index, kind, self.pairs, self.sampling, self.seed, self.epoch)
                   for kind in self.strategy}
        for main, kind in self.plan():
            pairs = streams[main].next()
            if kind is not main:  # it takes the place of that batch
                pairs = streams[kind].next()
            yield kind, pairs

    def plan(self):
        """[(main, kind)] of the epoch's batches: the kind of the question-passage batch that stands there, and the kind
        that is drawn in its place, the same unless it is of another task."""
        first = "qa" if "qa" in self.strategy.tasks else self.strategy.tasks[0]
        main = [kind for kind in self.strategy if kind.task == first]
        added = [kind for kind in self.strategy if kind.task != first]
        random = np.random.default_rng([self.seed, self.epoch, 0])
        numbers = spread([self.strategy[kind] for kind in main], self.batches, random)
        replaced = np.zeros(self.batches, bool)
        if share := sum(self.strategy[kind] for kind in added):
            random = np.random.default_rng([self.seed, self.epoch, 1])
            if self.late:
                replaced[self.batches - round(share * self.batches):] = True
            else:
                places = np.argsort(numbers, kind="stable")  # kind by kind, so that of each the same share is replaced
                replaced[places] = spread([1 - share, share], self.batches, random) == 1
            order = iter(spread([self.strategy[kind] for kind in added], int(replaced.sum()), random))
        planned = [main[number] for number in numbers]
        return [(kind, added[next(order)] if other else kind) for kind, other in zip(planned, replaced)]


def explain(rows, strategy, pairs, batches, seed=0, sampling="uniform", schedule="interleaved"):
    """What a strategy would draw, as a table for figures: a row per pair with batch, slot, kind, item, group,
    query_language, passage_language."""
    sampler = HybridBatchSampler(rows, strategy, pairs, batches, seed, sampling, schedule)
    drawn = pd.DataFrame([(batch, slot, str(kind), query, passage) for batch, (kind, places) in enumerate(sampler.draw())
                          for slot, (query, passage) in enumerate(places)],
                         columns=["batch", "slot", "kind", "query", "passage"])
    about = rows.select_columns(["item", "group", "language"]).to_pandas()
    queries, passages = (about.iloc[drawn.pop(name)].reset_index(drop=True) for name in ("query", "passage"))
    return drawn.assign(item=queries["item"], group=queries["group"], query_language=queries["language"],
                        passage_language=passages["language"])
