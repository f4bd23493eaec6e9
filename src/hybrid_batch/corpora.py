"""Corpora to train on and benchmarks to measure with, by name, in one form each.

A **corpus** is a table with a row per (item, language): item, group, language, task, query, passage,
negatives. Items are parallel: one item has the same id in all its languages. Items of one group share
a passage, or passages of one text.

A **benchmark** has queries and a pool of passages in several languages, and says for each item which
passages answer it.
"""

import gzip
import hashlib
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import Dataset, Features, Value
from datasets import List as Sequence
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "corpora"
LANGUAGES = "ar de el en es hi ru th tr vi zh".split()
NAMES = {"ar": "Arabic", "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "hi": "Hindi",
         "ru": "Russian", "th": "Thai", "tr": "Turkish", "vi": "Vietnamese", "zh": "Chinese"}
FEATURES = Features({name: Value("string") for name in ("item", "group", "language", "task", "query", "passage")}
                    | {"negatives": Sequence(Value("string"))})


@dataclass(frozen=True)
class Corpus:
    """Rows to train on. checksum: sha256 of the files they were read from."""

    name: str
    rows: Dataset
    checksum: str


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


def load_corpus(name, split="train", languages=None):
    """Load rows to train on.

    name: ``encyclo11`` (question -> passage) or ``encyclo11-reasoning`` (stem -> right option, wrong ones as
        negatives), our own, in 11 languages; or a JSON-lines file of rows (task, group, negatives are optional).
    split: train, validation or test; a JSON-lines file has no splits. languages: keep only these.
    Raises FileNotFoundError or ValueError that names what is wrong and the remedy.
    """
    if Path(name).suffix == ".jsonl":
        rows, files = _read_rows(Path(name)), [Path(name)]
    elif name in ("encyclo11", "encyclo11-reasoning"):
        rows, files = _own_rows(name, split), _own_files(name)
    else:
        raise FileNotFoundError(f"corpus {name!r} is unknown: name 'encyclo11', 'encyclo11-reasoning' "
                                f"or a file of rows that ends in .jsonl")
    if languages:
        _known(languages, {row["language"] for row in rows}, name)
        rows = [row for row in rows if row["language"] in languages]
    return Corpus(name, Dataset.from_list(rows, features=FEATURES), _checksum(files))


def join(*corpora):
    """One corpus of several; ids are prefixed by the corpus they come from."""
    rows = [row | {key: f"{corpus.name}/{row[key]}" for key in ("item", "group")}
            for corpus in corpora for row in corpus.rows]
    checksum = hashlib.sha256("".join(corpus.checksum for corpus in corpora).encode()).hexdigest()
    return Corpus("+".join(corpus.name for corpus in corpora), Dataset.from_list(rows, features=FEATURES), checksum)


def shuffle_answers(corpus, seed=0):
    """The control corpus: for each item one of the wrong options, the same in all its languages, takes the
    place of the right one. Rows without negatives stay as they are."""
    rows = corpus.rows.to_list()
    for row in rows:
        if negatives := row["negatives"]:
            drawn = int.from_bytes(hashlib.sha256(f"{seed}/{row['item']}".encode()).digest()[:8], "big")
            place = drawn % len(negatives)
            row["passage"], negatives[place] = negatives[place], row["passage"]
    return Corpus(f"{corpus.name}, answers shuffled", Dataset.from_list(rows, features=FEATURES),
                  f"{corpus.checksum}-shuffled-{seed}")


def load_benchmark(name, data=None, split="test", languages=None):
    """Load a benchmark.

    name: ``encyclo11``: questions and sentences of a split of our own corpus;
        ``encyclo11-reasoning``: stems, and all options of the split as the pool;
        ``xquad-r``, ``mlqa-r``, or any folder of data with one {language}.json or .json.gz in the form of LAReQA
        (SQuAD JSON with sentence_breaks): every sentence; the one where the first answer begins is the answer.
    data: the folder that holds the folder ``name``; needed for all but our own.
    """
    if name in ("encyclo11", "encyclo11-reasoning"):
        _known(languages or [], LANGUAGES, name)
        return _assemble(name, lambda code: _own_texts(name, code, split), languages or LANGUAGES, _own_files(name))
    return _lareqa(name, data, languages)


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


def own(kind, language, split=None):
    """Our own corpus as written in corpora/encyclo11, a list of dicts. kind: "passages" (id, subject, title,
    sentences, questions with id, text and answer, the index of the sentence that answers) or "reasoning" (id,
    family, stem, options, answer)."""
    splits = json.loads((OWN / "encyclo11" / "splits.json").read_text())
    if split not in (None, *splits):
        raise ValueError(f"split {split!r} is unknown: encyclo11 has {sorted(splits)}")
    entries = [entry for _, entry in _lines(OWN / "encyclo11" / kind / f"{language}.jsonl")]
    return [entry for entry in entries if split is None or entry["id"] in splits[split]]


def _own_files(name):
    kind = "passages" if name == "encyclo11" else "reasoning"
    return [*sorted((OWN / "encyclo11" / kind).glob("*.jsonl")), OWN / "encyclo11" / "splits.json"]


def _own_texts(name, language, split):
    """Yield (passage or item id, sentences or options, [(item, question, index of the answer)])."""
    if name == "encyclo11":
        for entry in own("passages", language, split):
            yield entry["id"], entry["sentences"], [(q["id"], q["text"], q["answer"]) for q in entry["questions"]]
    else:
        for entry in own("reasoning", language, split):
            yield entry["id"], entry["options"], [(entry["id"], entry["stem"], entry["answer"])]


def _own_rows(name, split):
    task = "qa" if name == "encyclo11" else "reasoning"
    return [dict(item=item, group=group, language=language, task=task, query=question, passage=texts[answer],
                 negatives=[] if task == "qa" else texts[:answer] + texts[answer + 1:])
            for language in LANGUAGES for group, texts, questions in _own_texts(name, language, split)
            for item, question, answer in questions]


def _lareqa(name, data, languages):
    folder = Path(data or ".") / name
    files = {f.name.split(".")[0]: f for f in sorted(folder.glob("*.json*")) if f.name.endswith((".json", ".json.gz"))}
    if not files:
        raise FileNotFoundError(f"benchmark {name!r}: no folder {folder} with files such as en.json or en.json.gz; "
                                f"say with --data (in a notebook: the parameter data) which folder holds it")
    if languages:
        _known(languages, files, name)
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
                     pd.DataFrame(relevant, columns=["item", "passage"]), _checksum(files))


def _groups(queries):
    """Number the groups of items that share a paragraph in some language."""
    item, items = pd.factorize(queries.item)
    paragraph, paragraphs = pd.factorize(queries.group)
    size = len(items) + len(paragraphs)
    edges = coo_array((np.ones(len(item)), (item, paragraph + len(items))), shape=(size, size))
    return connected_components(edges, directed=False)[1][item]


def _read_rows(path):
    """Rows of a JSON-lines file, checked field by field."""
    rows, seen = [], set()
    for number, entry in _lines(path):
        where = f"{path}, line {number}"
        row = dict(task="qa", negatives=[]) | entry
        row.setdefault("group", row.get("item"))
        for field in ("item", "group", "language", "task", "query", "passage"):
            if not isinstance(row.get(field), str) or not row[field].strip():
                raise ValueError(f"{where}: field {field!r} must be a text that is not empty, not {row.get(field)!r}")
        if row["task"] not in ("qa", "reasoning"):
            raise ValueError(f"{where}: field 'task' must be 'qa' or 'reasoning', not {row['task']!r}")
        if not isinstance(row["negatives"], list) or not all(isinstance(n, str) and n for n in row["negatives"]):
            raise ValueError(f"{where}: field 'negatives' must be a list of texts, not {row['negatives']!r}")
        if extra := sorted(set(row) - set(FEATURES)):
            raise ValueError(f"{where}: unknown field {extra[0]!r}; a row has {sorted(FEATURES)}")
        if (key := (row["item"], row["language"])) in seen:
            raise ValueError(f"{where}: item {key[0]!r} occurs twice in language {key[1]!r}; give each its own id")
        seen.add(key)
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} has no rows")
    return rows


def _lines(path):
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: not a JSON object ({error.msg})") from None
            if not isinstance(entry, dict):
                raise ValueError(f"{path}, line {number}: not a JSON object")
            yield number, entry


def _known(languages, known, name):
    if unknown := sorted(set(languages) - set(known)):
        raise ValueError(f"{name!r} has no language {unknown[0]!r}; it has {' '.join(sorted(known))}")


def _checksum(files):
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()
