"""Is a text of a benchmark in a corpus to train on?"""

import unicodedata

import pandas as pd


def overlap(corpus, benchmark):
    """Texts of a corpus that also stand in a benchmark: columns field, item, language, text. Compared without
    case, punctuation and spaces, in every language; an empty table is what training needs. Finds copies, not
    paraphrases or translations."""
    known = {_plain(text) for text in (*benchmark.queries.text, *benchmark.passages.text)} - {""}
    found = [(field, row["item"], row["language"], row[field]) for row in corpus.rows
             for field in ("query", "passage") if _plain(row[field]) in known]
    return pd.DataFrame(found, columns=["field", "item", "language", "text"])


def _plain(text):
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if unicodedata.category(c)[0] in "LMN")
