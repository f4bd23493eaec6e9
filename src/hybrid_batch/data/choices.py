"""Reasoning items to measure with: is the right option nearer to its stem than the wrong ones of the same item?

Only what is held out from training is read: the test split of our own items, the held-out groups of a data set that
may be trained on, and all of one that may not (the benchmarks with a canary are measured with, never trained on).
"""

from dataclasses import dataclass

import pandas as pd

from hybrid_batch import storage
from hybrid_batch.data import catalogue, corpora, encyclo11
from hybrid_batch.data.languages import LANGUAGES, check_languages
from hybrid_batch.data.table import identity


@dataclass(frozen=True)
class Choices:
    """stems: columns item, language, text. options: columns item, language, right, text. Of a parallel data set each item is
    there in all of the languages, with at least two options in each."""

    name: str
    stems: pd.DataFrame
    options: pd.DataFrame
    checksum: str

    @property
    def languages(self):
        return sorted(self.stems.language.unique())

    @property
    def chance(self):
        """The accuracy of guessing."""
        return float((1 / self.options.groupby(["item", "language"]).size()).mean())


def load_choices(name, data=None, languages=None, limit=100):
    """Load the held-out items of a reasoning data set: encyclo11-reasoning, or a name of the catalogue.

    languages: keep those of them that the data set has (all, if it has none of them), and the items that are there in all of
        these; if none is, the data set is not parallel, and an item is kept in the languages that it has. limit: most items.
    Raises FileNotFoundError or ValueError that names what is wrong and the remedy.
    """
    rows, checksum = _own_rows(languages) if name == "encyclo11-reasoning" else _held_out_rows(name, data, languages)
    table = pd.DataFrame(rows, columns=["item", "language", "query", "passage", "negatives"])
    table = table[table.negatives.map(len) > 0]
    if table.empty:
        raise ValueError(f"{name!r} has no held-out item with two options or more in these languages: name others")
    count = table.groupby("item").language.nunique()
    items = count.index[count == table.language.nunique()] if (count == table.language.nunique()).any() else count.index
    chosen = sorted(items, key=lambda item: storage.digest(item))[:limit]
    table = table[table["item"].isin(chosen)].sort_values(["item", "language"], ignore_index=True)
    options = [(row.item, row.language, place == 0, text) for row in table.itertuples()
               for place, text in enumerate([row.passage, *row.negatives])]
    stems = table[["item", "language", "query"]].rename(columns={"query": "text"})
    return Choices(name, stems, pd.DataFrame(options, columns=["item", "language", "right", "text"]), checksum)


def _own_rows(languages):
    check_languages(languages, LANGUAGES, "encyclo11-reasoning")
    rows = [(item, language, stem, options[answer], options[:answer] + options[answer + 1:])
            for language in languages or LANGUAGES
            for _, options, [(item, stem, answer)] in encyclo11.texts("encyclo11-reasoning", language, "test")]
    return rows, storage.checksum(encyclo11.files("encyclo11-reasoning"))


def _held_out_rows(name, data, languages):
    entry = catalogue.catalogue().get(name)
    if entry is None or entry["task"] != "reasoning":
        known = [other for other, about in catalogue.catalogue().items() if about["task"] == "reasoning"]
        raise ValueError(f"{name!r} is no reasoning data set; choose from encyclo11-reasoning, {', '.join(known)}")
    languages = corpora.available_languages(name, languages)
    held_out = "all" if entry["use"] == "analysis" else "validation"
    corpus = corpora.load_corpus(name, held_out, languages, data, consent=catalogue.CONSENT)
    rows = corpus.rows.select_columns(["item", "language", "query", "passage", "negatives"]).to_pandas()
    if held_out == "validation":  # some questions are asked twice
        trained = set(map(identity, corpora.load_corpus(name, "train", languages, data).rows["query"]))
        rows = rows[~rows["item"].isin(rows["item"][rows["query"].map(identity).isin(trained)])]
    return rows, corpus.checksum
