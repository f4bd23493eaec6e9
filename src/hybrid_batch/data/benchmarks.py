"""Benchmarks to measure with, by name, in one form.

A **benchmark** has queries and a pool of passages in several languages, and says for each item which
passages answer it. It is parallel, and small enough for memory; for others see streaming.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hybrid_batch import storage
from hybrid_batch.data import corpora, encyclo11, io
from hybrid_batch.data.languages import FLORES, LANGUAGES, check_languages
from hybrid_batch.data.sentences import first_answer
from hybrid_batch.data.streaming import load_collections, streamed
from hybrid_batch.data.table import identity

HELD_OUT = " held out"
PARALLEL = (*encyclo11.BENCHMARKS, "xquad-r", "mlqa-r", "xquad", "mlqa", "belebele")
HUB = {name: dict(repo=repo, revision=revision) for name, repo, revision in (
    ("belebele", "facebook/belebele", "7899cdfa4e1e0d733fd77c848e2c273cb1d32be2"),
    ("mlqa", "google/xtreme", "b09e9378cb97d39c628feb5135a749ac43e7ea5e"),
    ("xquad", "google/xquad", "51adfef1c1287aab1d2d91b5bead9bcfb9c68583"))}
SQUAD = {  # languages, and the files of a language and split, of question answering with a row a question
    "mlqa": ("ar de en es hi vi zh", "MLQA.{0}.{0}/{1}-*.parquet"),
    "xquad": ("ar de el en es hi ro ru th tr vi zh", "xquad.{0}/{1}-*.parquet")}


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


def load(name, data=None, split=None, languages=None):
    """Load what ``name`` is: a Benchmark, see load_benchmark, or a list of Collections, see load_collections."""
    loader = load_collections if streamed(name, data) else load_benchmark
    return loader(name, data, split, languages)


def load_benchmark(name, data=None, split=None, languages=None):
    """Load a Benchmark.

    name: ``encyclo11``: questions and sentences of a split of our own corpus; ``encyclo11-quick``: of a part of
        test; ``encyclo11-validation``: of validation; ``encyclo11-held-out``: of validation and test together;
        ``encyclo11-passages``, ``encyclo11-passages-validation``: the same questions and whole passages;
        ``encyclo11-reasoning``: stems, and all options of the split as the pool;
        ``CORPUS held out``: what a corpus to train on, see corpora.load_corpus, keeps for validation;
        ``mine.jsonl``, ``mine.jsonl:test``: a file of rows, see catalogue.read_rows, or a part of one, see corpora.PARTS;
        of these every passage and every negative is a candidate;
        ``xquad-r``, ``mlqa-r``, or any folder of data with one {language}.json or .json.gz in the form of LAReQA
        (SQuAD JSON with sentence_breaks): every sentence; the one where the first answer begins is the answer;
        ``xquad``, ``mlqa``: every paragraph, from the folder ``xquad-r`` or ``mlqa-r`` or else the Hub;
        ``belebele``: every passage, from the Hub; a language is named by its ISO code or its FLORES code.
    data: the folder that holds the folder ``name``; a folder is taken before the Hub.
    split: None is validation of xquad and mlqa, and test of the others.
    Raises FileNotFoundError or ValueError that names what is wrong and the remedy.
    """
    if streamed(name, data):
        raise ValueError(f"benchmark {name!r} is read as a stream and measured by the command `evaluate` only")
    if name in encyclo11.BENCHMARKS:
        check_languages(languages, LANGUAGES, name)
        parts = encyclo11.BENCHMARKS[name] or [split or "test"]
        return _assemble(name, lambda code: (text for part in parts for text in encyclo11.texts(name, code, part)),
                         dict.fromkeys(languages or LANGUAGES, encyclo11.files(name)))
    if name == "belebele":
        return _belebele(name, data, split, languages)
    if io.file_and_part(name)[0].endswith(".jsonl"):
        return _of_file(f"{name}:{split}" if split else name, languages)
    if name.endswith(HELD_OUT) and not split:
        corpus = name.removesuffix(HELD_OUT)
        found = corpora.load_corpus(corpus, "validation", corpora.available_languages(corpus, languages), data)
        return _of_corpus(name, found)
    if name in SQUAD and not (split in (None, "validation") and (Path(data or ".") / f"{name}-r").is_dir()):
        known, form = SQUAD[name]
        check_languages(languages, known.split(), name)
        patterns = {code: form.format(code, split or "validation") for code in languages or known.split()}
        return _questions(name, data, patterns, ["id"], "question", "context")
    if split and name not in SQUAD:
        raise ValueError(f"benchmark {name!r} has no splits: leave --split out")
    return _lareqa(name, data, languages)


def _of_file(name, languages):
    """A JSON-lines file of rows, or a part of one, as a Benchmark. Raises ValueError if nothing can be measured with it."""
    corpus = corpora.load_corpus(name, "all", languages)
    asks = np.array(corpus.rows["task"]) != "parallel"  # a text that is both query and passage finds itself
    made = _of_corpus(name, corpora.select(corpus, asks, "questions"))
    if not len(made.queries):
        raise ValueError(f"benchmark {name!r}: no row has both a query and a passage that answers it, so nothing can be "
                         f"measured: give rows both, and a task other than parallel")
    _warn_of_one_language(name, made.queries)
    return made


def _of_corpus(name, corpus):
    """The rows of a corpus as a Benchmark: every passage is a candidate, and every wrong one that a row brings; of an item the
    passages of all its languages answer."""
    rows = corpus.rows.select_columns(["item", "group", "language", "query", "passage", "negatives"]).to_pandas()
    found = rows[rows.passage != ""]
    wrong = rows[["language", "negatives"]].explode("negatives").dropna().set_axis(["language", "passage"], axis=1)
    pool = pd.concat([found[["language", "passage"]], wrong])
    number, passages = pd.factorize(pd.MultiIndex.from_frame(pool))
    queries = rows[(rows["query"] != "") & rows["item"].isin(found["item"])].reset_index(drop=True)
    queries = queries.drop(columns="passage").rename(columns={"query": "text"}).assign(group=pd.factorize(queries.group)[0])
    relevant = pd.DataFrame({"item": found["item"].to_numpy(), "passage": number[:len(found)]}).drop_duplicates(ignore_index=True)
    return Benchmark(name, queries, pd.DataFrame(list(passages), columns=["language", "text"]), relevant, corpus.checksum)


def _belebele(name, data, split, languages):
    if split not in (None, "test"):
        raise ValueError(f"{name!r} has no split {split!r}, only 'test'")
    patterns = {code: f"data/{FLORES.get(code, code)}.jsonl" for code in languages or LANGUAGES}
    if unknown := [code for code, pattern in patterns.items() if "_" not in pattern]:
        raise ValueError(f"{name!r}: name the language {unknown[0]!r} by its FLORES code, such as gle_Latn; ISO codes "
                         f"are known of {' '.join(FLORES)}")
    return _questions(name, data, patterns, ["link", "question_number"], "question", "flores_passage")


def _questions(name, data, patterns, item, question, passage):
    """A Benchmark from files, by language, with a row a question; the fields that make its id, and of its texts."""
    found = io.locate(name, list(patterns.values()), data, **HUB[name])
    found = {language: found[pattern] for language, pattern in patterns.items()}

    def texts(language):
        return _distinct((" ".join(io.identifier(where, record, field) for field in item),
                          io.text(where, record, question), io.text(where, record, passage))
                         for file in found[language]
                         for where, record in io.records(file, [*item, question, passage]))

    return _assemble(name, texts, found)


def _distinct(rows):
    """From (item, question, passage) what _assemble asks for, each passage once."""
    questions = {}
    for item, question, passage in rows:
        questions.setdefault(identity(passage), (passage, []))[1].append((item, question, 0))
    for number, (passage, asked) in enumerate(questions.values()):
        yield number, [passage], asked


def _lareqa(name, data, languages):
    folder = Path(data or ".") / (f"{name}-r" if name in SQUAD else name)
    if not folder.is_dir():
        raise FileNotFoundError(f"benchmark {name!r}: no folder {folder}; say with --data (in a notebook: the parameter"
                                f" data) which folder holds it. Known by name are {', '.join(PARALLEL)}, miracl")
    found = {path.name.split(".")[0]: [str(path)] for path in sorted(folder.glob("*.json*"))
             if path.name.endswith((".json", ".json.gz"))}
    if not found:
        raise FileNotFoundError(f"benchmark {name!r}: {folder} has neither files such as en.json or en.json.gz, the "
                                f"form of LAReQA, nor corpus.jsonl, that of BEIR, nor a folder corpus, that of mteb")
    check_languages(languages, found, name)

    def texts(language):
        paragraphs = _paragraphs(*found[language], whole=name in SQUAD)
        if name not in SQUAD:
            return paragraphs
        return _distinct((item, question, text) for _, (text,), asked in paragraphs for item, question, _ in asked)

    return _assemble(name, texts, {language: found[language] for language in languages or found})


def _paragraphs(file, whole):
    """Yield (paragraph, sentences or the whole text, [(item, question, index of the answer)])."""
    at, left_out, moved = file, 0, 0
    try:
        for where, content in io.records(file, ["data"]):
            for a, article in enumerate(content["data"]):
                for p, paragraph in enumerate(article["paragraphs"]):
                    at = f"{where}, article {a + 1}, paragraph {p + 1}"
                    context, asked = io.text(at, paragraph, "context"), []
                    breaks = [[0, len(context)]] if whole else paragraph["sentence_breaks"]
                    for qa in paragraph["qas"]:
                        item = io.identifier(at, qa, "id")
                        question = io.text(f"{at}, question {item}", qa, "question")
                        answer = first_answer(qa["answers"], context, f"{at}, question {item}")
                        if answer is None:  # SQuAD 2 has such
                            left_out += 1
                            continue
                        moved += not answer[1]
                        asked.append((item, question, _sentence(f"{at}, question {item}", answer[0], breaks)))
                    yield f"{a}/{p}", [context[begin:end] for begin, end in breaks], asked
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{at} is not in the form of LAReQA ({type(error).__name__}: {error}): "
                         f"it needs data, paragraphs, context, sentence_breaks, qas, answers, answer_start") from None
    for number, what in ((left_out, "questions without an answer are left out"),
                         (moved, "answers do not stand at their answer_start and are taken from where they do")):
        if number:
            warnings.warn(f"{file}: {number} {what}", stacklevel=2)


def _sentence(at, start, breaks):
    """The number of the sentence in which an answer begins."""
    found = [i for i, (begin, end) in enumerate(breaks) if begin <= start < end]
    if len(found) != 1:
        raise ValueError(f"{at} is answered by {len(found)} sentences, not one: fix sentence_breaks or answer_start")
    return found[0]


def _assemble(name, texts, files):
    """A Benchmark from ``texts(language)``: (paragraph, passages, [(item, question, index of the passage)]) of each.
    files: {language: addresses of its files}."""
    queries, passages, relevant, seen = [], [], [], set()
    for language, addresses in files.items():
        for paragraph, candidates, questions in texts(language):
            for item, question, answer in questions:
                if (item, language) in seen:
                    raise ValueError(f"{', '.join(str(file).removeprefix('file://') for file in addresses)}: question "
                                     f"id {item!r} occurs twice in {language!r}: give each question its own id, the "
                                     f"same in all languages")
                seen.add((item, language))
                queries.append((item, f"{language}/{paragraph}", language, question))
                relevant.append((item, len(passages) + answer))
            passages += [(language, text) for text in candidates]
    queries = pd.DataFrame(queries, columns=["item", "group", "language", "text"])
    if missing := sorted(set(files) - set(queries.language)):
        raise ValueError(f"benchmark {name!r} has no questions in {missing[0]!r}: leave that language out")
    _warn_of_one_language(name, queries)
    queries["group"] = _groups(queries)
    addresses = sorted({str(file) for part in files.values() for file in part})
    return Benchmark(name, queries, pd.DataFrame(passages, columns=["language", "text"]),
                     pd.DataFrame(relevant, columns=["item", "passage"]), storage.checksum(addresses))


def _warn_of_one_language(name, queries):
    if queries.language.nunique() > 1 and queries["item"].is_unique:
        warnings.warn(f"benchmark {name!r}: no question has the same id in two languages, so nothing is measured "
                      f"across languages", stacklevel=3)


def _groups(queries):
    """Number the groups of items that share a paragraph in some language."""
    item, items = pd.factorize(queries.item)
    paragraph, paragraphs = pd.factorize(queries.group)
    size = len(items) + len(paragraphs)
    edges = coo_array((np.ones(len(item)), (item, paragraph + len(items))), shape=(size, size))
    return connected_components(edges, directed=False)[1][item]
