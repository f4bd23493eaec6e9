"""Benchmarks to measure with, by name, in one form.

A **benchmark** has queries and a pool of passages in several languages, and says for each item which
passages answer it.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hybrid_batch import corpora


@dataclass(frozen=True)
class Benchmark:
    """queries: columns item, group, language, text, a row per (item, language).
    passages: columns language, text. relevant: columns item, passage (a row number of
    passages). group: items that depend on each other (one paragraph), resampled together."""

    name: str
    queries: pd.DataFrame
    passages: pd.DataFrame
    relevant: pd.DataFrame
    checksum: str

    @property
    def languages(self):
        return sorted(self.passages.language.unique())

    def counts(self):
        """Queries and candidate passages of each language."""
        return pd.DataFrame({"queries": self.queries.language.value_counts(),
                             "passages": self.passages.language.value_counts()}).sort_index()


def load_benchmark(name, data=None, split="test", languages=None):
    """Load a benchmark.

    name: ``encyclo11``: questions and sentences of a split of our own corpus;
        ``encyclo11-reasoning``: stems, and all options of the split as the pool;
        ``xquad-r``, ``mlqa-r``, or any folder of data with one {language}.json or .json.gz in the form of LAReQA
        (SQuAD JSON with sentence_breaks): every sentence; the one where the first answer begins is the answer.
    data: the folder that holds the folder ``name``; needed for all but our own.
    """
    if name in ("encyclo11", "encyclo11-reasoning"):
        corpora.known(languages or [], corpora.LANGUAGES, name)
        return _assemble(name, lambda code: corpora.own_texts(name, code, split), languages or corpora.LANGUAGES, corpora.own_files(name))
    return _lareqa(name, data, languages)


def _lareqa(name, data, languages):
    folder = Path(data or ".") / name
    files = {f.name.split(".")[0]: f for f in sorted(folder.glob("*.json*")) if f.name.endswith((".json", ".json.gz"))}
    if not files:
        raise FileNotFoundError(f"benchmark {name!r}: no folder {folder} with files such as en.json or en.json.gz; "
                                f"say with --data (in a notebook: the parameter data) which folder holds it")
    if languages:
        corpora.known(languages, files, name)
        files = {language: files[language] for language in languages}
    return _assemble(name, lambda code: _lareqa_texts(files[code]), list(files), list(files.values()))


def _lareqa_texts(path):
    """Yield (paragraph, sentences, [(item, question, index of the answer)])."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as stream:
            articles = json.load(stream)["data"]
        for a, article in enumerate(articles):
            for p, paragraph in enumerate(article["paragraphs"]):
                breaks, questions = paragraph["sentence_breaks"], []
                for qa in paragraph["qas"]:
                    start = qa["answers"][0]["answer_start"]
                    where = [i for i, (begin, end) in enumerate(breaks) if begin <= start < end]
                    if len(where) != 1:
                        raise ValueError(f"{path}: question {qa['id']} is answered by {len(where)} sentences, not one")
                    questions.append((qa["id"], qa["question"], where[0]))
                yield f"{a}/{p}", [paragraph["context"][begin:end] for begin, end in breaks], questions
    except (KeyError, IndexError, TypeError, OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not in the form of LAReQA ({type(error).__name__}: {error}): it needs "
                         f"data, paragraphs, context, sentence_breaks, qas, answers, answer_start") from None


def _assemble(name, texts, languages, files):
    """A Benchmark from ``texts(language)``, which yields what _own_texts and _lareqa_texts do."""
    queries, passages, relevant = [], [], []
    for language in languages:
        for paragraph, sentences, questions in texts(language):
            for item, question, answer in questions:
                queries.append((item, f"{language}/{paragraph}", language, question))
                relevant.append((item, len(passages) + answer))
            passages += [(language, sentence) for sentence in sentences]
    queries = pd.DataFrame(queries, columns=["item", "group", "language", "text"])
    queries["group"] = _groups(queries)
    return Benchmark(name, queries, pd.DataFrame(passages, columns=["language", "text"]),
                     pd.DataFrame(relevant, columns=["item", "passage"]), corpora.checksum(files))


def _groups(queries):
    """Number the groups of items that share a paragraph in some language."""
    item, items = pd.factorize(queries.item)
    paragraph, paragraphs = pd.factorize(queries.group)
    size = len(items) + len(paragraphs)
    edges = coo_array((np.ones(len(item)), (item, paragraph + len(items))), shape=(size, size))
    return connected_components(edges, directed=False)[1][item]
