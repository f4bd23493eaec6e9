"""Batches: which query meets which passage, and in which languages.

A corpus is one table with a row per (item, language). A batch is a list of pairs of row numbers (query row,
passage row) of one item each, so one table serves every kind of batch. A *kind* says how the languages of the
pairs are drawn, a *strategy* is a mixture of kinds, and the sampler turns it into batches of one kind each.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from torch.utils.data import Sampler

from hybrid_batch.data.corpora import EMPTY, codes, text_hashes

PAIRINGS = ("mixed", "mono", "cross")
ATTEMPTS = 20  # at a batch, before the table is refused


@dataclass(frozen=True)
class Kind:
    """One kind of batch.

    pairing: "mixed", each pair within one language, languages mixed in the batch (X-X); "mono", the whole batch
        in one language (X-X-mono); "cross", each pair across two languages (X-Y).
    task: whose rows it draws, "qa", "reasoning" or "parallel" (a text and its translations, so "cross" only).
    languages: None, or only these.
    """

    pairing: str
    task: str = "qa"
    languages: tuple | None = None

    def __post_init__(self):
        if self.pairing not in PAIRINGS:
            raise ValueError(f"pairing {self.pairing!r} is unknown; choose from {sorted(PAIRINGS)}")
        if self.task == "parallel" and self.pairing != "cross":
            raise ValueError(f"{self.task} batches pair a text with its translation: their pairing must be 'cross', not "
                             f"{self.pairing!r}")

    def __str__(self):
        where = f" [{' '.join(self.languages)}]" if self.languages else ""
        return f"{self.task} {self.pairing}{where}"


class Mixture(dict):
    """A strategy: {Kind: share}, shares made to sum to 1, kinds without a share left out;
    ``Mixture({Kind("mono"): .5, Kind("cross"): .5})`` is the paper's hybrid."""

    def __init__(self, shares):
        if any(share < 0 for share in shares.values()) or not sum(shares.values()) > 0:
            raise ValueError(f"the shares of a strategy must be 0 or more and not all 0: {shares}")
        total = sum(shares.values())
        super().__init__({kind: share / total for kind, share in shares.items() if share})


STRATEGIES = {  # name: shares of kinds of question-passage batch, given alpha
    "X-X": lambda alpha: {Kind("mixed"): 1},
    "X-X-mono": lambda alpha: {Kind("mono"): 1},
    "X-Y": lambda alpha: {Kind("cross"): 1},
    "Hybrid": lambda alpha: {Kind("mono"): alpha, Kind("cross"): 1 - alpha},
    "En-En": lambda alpha: {Kind("mono", languages=("en",)): 1},
}
REASONING = {"mixed": {"mixed": 1}, "mono": {"mono": 1}, "cross": {"cross": 1}, "hybrid": {"mono": 0.5, "cross": 0.5}}


def strategy(name, alpha=0.5, rho=0.0, reasoning="hybrid"):
    """The strategy called ``name`` (a key of STRATEGIES) as a Mixture.

    alpha: Hybrid's share of monolingual batches, the rest is cross-lingual.
    rho: share of reasoning batches; reasoning: how those are paired (a key of REASONING).
    Raises ValueError for an unknown name or a share outside 0 to 1.
    """
    for what, value, table in (("strategy", name, STRATEGIES), ("reasoning pairing", reasoning, REASONING)):
        if value not in table:
            raise ValueError(f"{what} {value!r} is unknown; choose from {list(table)}")
    for what, share in (("alpha", alpha), ("rho", rho)):
        if not 0 <= share <= 1:
            raise ValueError(f"{what} = {share} is outside 0 to 1")
    shares = {kind: (1 - rho) * share for kind, share in STRATEGIES[name](alpha).items()}
    shares |= {Kind(pairing, "reasoning"): rho * share for pairing, share in REASONING[reasoning].items()}
    return Mixture(shares)


class Index:
    """What the sampler knows of a table: codes, no texts, so that it stays small. rows: a datasets.Dataset with the
    columns item, group, language, task and hashes, as corpora.table makes them."""

    def __init__(self, rows):
        self.item, items = codes(rows, "item")                               # (rows,)
        self.group, _ = codes(rows, "group")
        self.language, languages = codes(rows, "language")
        self.task, tasks = codes(rows, "task")
        self.languages, self.tasks = languages.to_pylist(), tasks.to_pylist()
        cells = (self.item.astype(np.int64) * len(languages) + self.language) * len(tasks) + self.task
        cells.sort()
        if (cells[1:] == cells[:-1]).any():
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
        return rows[(self.language[rows] != self.language[row]) & self.answers[rows] & self._of(kind, rows)]

    def pool(self, kind):
        """{language code: rows whose query may open a pair of this kind}."""
        rows = np.flatnonzero(self._of(kind, slice(None)))
        if kind.pairing == "cross":  # the item must have a passage in a second language
            answered = np.bincount(self.item[rows], self.answers[rows], minlength=self.item.max(initial=-1) + 1)
            rows = rows[self.asks[rows] & (answered[self.item[rows]] > self.answers[rows])]
        else:
            rows = rows[self.asks[rows] & self.answers[rows]]
        return {code: rows[self.language[rows] == code] for code in np.unique(self.language[rows]).tolist()}

    def sizes(self, kind):
        """Passages of a kind in each language, (languages,)."""
        return np.bincount(self.language[self._of(kind, slice(None)) & self.answers], minlength=len(self.languages))

    def _of(self, kind, rows):
        """Which of some rows have the task and a language of a kind."""
        task = self.tasks.index(kind.task) if kind.task in self.tasks else -1
        allowed = np.array([kind.languages is None or name in kind.languages for name in self.languages], bool)
        return (self.task[rows] == task) & allowed[self.language[rows]]


@dataclass
class _Queue:
    """Rows in random order, each once before any comes again; rows that do not fit the batch at hand keep their
    place for the next."""

    rows: np.ndarray
    random: np.random.Generator
    order: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    next: int = 0  # of the order; the rows before it were taken, or passed over and wait
    passed: list = field(default_factory=list)

    def take(self, fits):
        """The first row for which ``fits(row)`` is true; None if no row is."""
        for place, row in enumerate(self.passed):
            if fits(row):
                return self.passed.pop(place)
        for refill in (False, True):
            if refill:
                self.order, self.next = self.random.permutation(self.rows), 0
            while self.next < len(self.order):
                row = int(self.order[self.next])
                self.next += 1
                if fits(row):
                    return row
                self.passed.append(row)
        del self.passed[-len(self.rows):]  # the second round, which was in vain
        return None


class HybridBatchSampler(Sampler):
    """Batches of one kind each, drawn from a strategy, for a stock DataLoader.

    Yields lists of 2 * ``pairs`` row numbers: query row, passage row, query row, ... so that a batch can be cut
    between ranks without cutting a pair.

    rows: the table (or its Index). strategy: a Mixture. pairs: pairs in a batch.
    batches: batches in an epoch; None takes as many as give one pair for each row.
    languages: "uniform" draws languages alike, "size" by their numbers of rows.
    seed, epoch: they alone decide the batches, so an epoch is resumed by skipping the batches already seen.
    Raises ValueError if some kind cannot fill a batch, naming the kind and a remedy.
    """

    def __init__(self, rows, strategy, pairs, batches=None, seed=0, languages="uniform"):
        self.index = rows if isinstance(rows, Index) else Index(rows)
        if languages not in ("uniform", "size"):
            raise ValueError(f"languages = {languages!r}; choose 'uniform' or 'size'")
        if pairs < 2:
            raise ValueError(f"a batch of {pairs} pair has no negatives; use 2 pairs or more")
        self.strategy, self.pairs, self.languages, self.seed, self.epoch = strategy, pairs, languages, seed, 0
        self.batches = batches or max(1, len(self.index.item) // pairs)
        self.batch_size, self.drop_last = 2 * pairs, True  # in rows, as the DataLoader counts
        self.pools = {kind: self.index.pool(kind) for kind in strategy}
        self.sizes = {kind: self.index.sizes(kind) for kind in strategy}
        for kind, pool in self.pools.items():
            self._check(kind, pool)

    def _check(self, kind, pool):
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
        random = np.random.default_rng([self.seed, self.epoch])
        kinds = list(self.strategy)
        schedule = random.choice(len(kinds), self.batches, p=[self.strategy[kind] for kind in kinds])
        queues = {kind: {code: _Queue(rows, random) for code, rows in self.pools[kind].items()} for kind in kinds}
        for choice in schedule:
            kind = kinds[choice]
            drawn = (self._batch(kind, queues[kind], random) for _ in range(ATTEMPTS))
            pairs = next((pairs for pairs in drawn if pairs is not None), None)
            if pairs is None:
                raise ValueError(f"found no {self.pairs} pairs for a {kind} batch whose passages have no text in "
                                 f"common: make the batch smaller")
            yield kind, pairs

    def _batch(self, kind, queues, random):
        codes, index = list(queues), self.index
        weights = np.array([len(self.pools[kind][code]) if self.languages == "size" else 1.0 for code in codes])
        if kind.pairing == "mono":
            weights *= np.arange(len(codes)) == random.choice(len(codes), p=weights / weights.sum())
        pairs, groups, queries, candidates, partner = [], set(), set(), set(), None

        def fits(row):
            """Whether a pair opened by this query row may join the batch; notes its partner."""
            nonlocal partner
            if index.group[row] in groups or index.query[row] in queries:
                return False
            for partner in [row] if kind.pairing != "cross" else self._partners(kind, row, random):
                if candidates.isdisjoint(index.candidates(partner)):
                    return True
            return False

        while len(pairs) < self.pairs:
            if not weights.any():
                return None  # a dead end; another draw may do better
            place = random.choice(len(codes), p=weights / weights.sum())
            row = queues[codes[place]].take(fits)
            if row is None:  # nothing left in this language that may join this batch
                weights[place] = 0
                continue
            pairs.append((row, partner))
            groups.add(index.group[row])
            queries.add(index.query[row])
            candidates.update(index.candidates(partner))
        return np.array(pairs)                                         # (pairs, 2)

    def _partners(self, kind, row, random):
        """The rows that may answer a query row: one drawn, then the others."""
        others = self.index.partners(kind, row)
        sizes = self.sizes[kind][self.index.language[others]]
        drawn = random.choice(len(others), p=sizes / sizes.sum() if self.languages == "size" else None)
        return [others[drawn], *others[:drawn], *others[drawn + 1:]]


def explain(rows, strategy, pairs, batches, seed=0, languages="uniform"):
    """What a strategy would draw, as a table for figures: a row per pair with batch, slot, kind, item, group,
    query_language, passage_language."""
    sampler = HybridBatchSampler(rows, strategy, pairs, batches, seed, languages)
    return pd.DataFrame([
        dict(batch=batch, slot=slot, kind=str(kind), item=query["item"], group=query["group"],
             query_language=query["language"], passage_language=passage["language"])
        for batch, (kind, drawn) in enumerate(sampler.draw())
        for slot, (query, passage) in enumerate((rows[int(q)], rows[int(p)]) for q, p in drawn)])
