"""Data sets of others, turned into rows of a corpus.

catalogue.yaml says of each where it lies (a folder, the Hub), what it may be used for, its licence, its languages
and which of the readers understands it.

Reasoning tasks are cast as retrieval: the stem is the query, the right option the passage, the distractors hard
negatives. An option that is also an option of another item ("True", "None of the above"), or that carries no
content ("4", "A"), would be a wrong answer to its own question in any batch that holds the other: it is left out,
and an item with it, if it was the right one or the last distractor; what is left out is counted.
"""

import functools
import itertools
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from hybrid_batch.data import io, readers, reasoning
from hybrid_batch.data.languages import check_languages
from hybrid_batch.data.table import FIELDS, TEXTS, identity
from hybrid_batch.strategies import TASKS

READERS = readers.READERS | reasoning.READERS
CONSENT = "train on a benchmark that asks not to be trained on"


@functools.cache
def catalogue():
    """{name: what catalogue.yaml says of a data set}."""
    return yaml.safe_load(Path(__file__).with_name("catalogue.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Source:
    """A data set whose files were found. parts: {language: addresses of its files}."""

    name: str
    entry: dict
    parts: dict
    extra: list
    keep: str = "content"
    limit: int | None = None
    memory: dict = field(default_factory=dict)  # what a reader keeps from one language to the next; where it is

    @property
    def files(self):
        return sorted({file for part in self.parts.values() for file in part} | set(self.extra))

    @property
    def about(self):
        return {key: self.entry.get(key, "") for key in ("title", "use", "task", "licence", "note", "repo", "revision")}

    def rows(self, counts):
        """Yield rows, see table.table; counts, a Counter, takes (language, what): rows read and left out."""
        for language in self.parts:
            yield from itertools.islice(self._rows(language, counts), self.limit)

    def _rows(self, language, counts):
        made = READERS[self.entry["reader"]](self, language, self.parts[language], counts)
        texts = ("item", "stem") if self.entry["task"] == "reasoning" else ("item", "query", "passage")
        try:
            made = _texts(made, texts)
            if self.entry["task"] == "reasoning":
                made = options_to_rows(made, language, self.keep, counts)
            for row in made:
                negatives = row.get("negatives") or []
                row["negatives"] = [text for text in negatives if identity(text) != identity(row["passage"])]
                if left_out := len(negatives) - len(row["negatives"]):
                    counts[language, "negatives left out: the passage itself"] += left_out
                yield dict(task=self.entry["task"], language=language) | row
        except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
            raise ValueError(f"{self.memory.get('where', self.name)}: not in the form of {self.name!r} "
                             f"({type(error).__name__}: {error}): fix the record or leave it out") from None

    def records(self, language, part, counts, *fields, columns=None, only=lambda where, record: True):
        """Records of files in one language, counted; (where, record)."""
        for file in part:
            for where, record in io.records(file, fields, columns or self.entry.get("columns")):
                if only(where, record):
                    counts[language, "read"] += 1
                    self.memory["where"] = where
                    yield where, record


def _texts(rows, fields):
    """The same rows; raises TypeError for one whose texts are none."""
    for row in rows:
        for name in fields:
            if not isinstance(row[name], str):
                raise TypeError(f"the {name} must be a text, not {row[name]!r:.60}")
        for text in (*row.get("options", ()), *(row.get("negatives") or ())):
            if not isinstance(text, str):
                raise TypeError(f"an option must be a text, not {text!r:.60}")
        yield row


def open_source(name, data=None, languages=None, keep="content", limit=None, consent=None):
    """Find the files of a data set of the catalogue. Parameters and errors: see corpora.load_corpus."""
    entry = catalogue()[name]
    if keep not in ("content", "all"):
        raise ValueError(f"keep = {keep!r}; choose 'content' or 'all'")
    if entry.get("canary"):
        _refuse(name, consent)
    names = entry["languages"] if isinstance(entry["languages"], dict) else {code: code for code in entry["languages"]}
    check_languages(languages, names, name)
    patterns = {code: [pattern.replace("{language}", in_file) for pattern in entry["files"]
                       for in_file in ([names[code]] if isinstance(names[code], str) else names[code])]
                for code in names if not languages or code in languages}
    extra = entry.get("extra", [])
    found = io.locate(entry.get("folder", name), sorted({p for part in patterns.values() for p in part} | set(extra)),
                      data, entry.get("repo"), entry.get("revision"), entry.get("stream", False))
    parts = {code: list(dict.fromkeys(file for pattern in part for file in found[pattern]))
             for code, part in patterns.items()}
    return Source(name, entry, parts, [file for pattern in extra for file in found[pattern]], keep, limit)


def open_task(path, languages=None, keep="content", limit=None, consent=None):
    """A task of BIG-bench as its authors write it, one JSON file, in one language (English, if not said)."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist: check the path, which is taken from {Path.cwd()}")
    entry = dict(title=f"BIG-bench task {Path(path).parent.name}", use="reasoning", task="reasoning", reader="bigbench")
    if any("canary" in record for _, record in io.records(str(path))):
        _refuse(path, consent)
        entry["use"] = "analysis"
    return Source(str(path), entry, {(languages or ["en"])[0]: [str(path)]}, [], keep, limit)


def _refuse(name, consent):
    if consent != CONSENT:
        raise ValueError(f"{name!r} carries a canary: its authors ask that it never be trained on. Use it for analysis;"
                         f" if you mean to train on it and will say so with your results, pass consent={CONSENT!r}")


def options_to_rows(items, language, keep, counts):
    """Reasoning items as rows, see the head of this file."""
    items = list(items)
    uses = Counter(text for item in items for text in set(map(_key, item["options"])))
    for item in items:
        options, answer, stem = item.pop("options"), item.pop("answer"), item.pop("stem").strip()
        if not stem or not 0 <= answer < len(options) or not options[answer].strip():
            counts[language, "left out: no stem or no right option"] += 1
        elif keep != "all" and (why := rejection_reason(options[answer], uses)):
            counts[language, f"left out: its right option {why}"] += 1
        else:
            kept = [option for option in options[:answer] + options[answer + 1:]
                    if option.strip() and _key(option) != _key(options[answer])
                    and (keep == "all" or not rejection_reason(option, uses))]
            counts[language, "distractors left out"] += len(options) - 1 - len(kept)
            if kept or len(options) == 1:
                yield item | dict(query=stem, passage=options[answer].strip(), negatives=kept)
            else:
                counts[language, "left out: no distractor is left"] += 1


def rejection_reason(option, uses):
    """Why an option is left out, or None. uses: in how many items each option is one."""
    if not is_informative(option):
        return "carries no content"
    return "repeats in other items" if uses[_key(option)] > 1 else None


def _key(option):
    """What is compared to see whether two options are the same: marks around them do not count."""
    return identity(option).strip(" .,;:!?。؟।()\"'")


def is_informative(text):
    """Whether a text could mean something: it has two letters (vowel signs are some), or a Chinese character, or is a
    sum with two numbers; a number, a sign or the letter of an option do not."""
    letters = [c for c in text if unicodedata.category(c)[0] in "LM"]
    return (len(letters) > 1 or bool(letters) and letters[0] >= "\u2e80"
            or len(re.findall(r"\d+", text)) > 1 and any(sign in text for sign in "+−×÷="))


def read_rows(path, languages=None):
    """Rows of a JSON-lines file, checked field by field."""
    seen, found = set(), set()
    for where, row in io.records(str(path)):
        if extra := sorted(set(row) - set(FIELDS)):
            raise ValueError(f"{where}: unknown field {extra[0]!r}; rename it or leave it out; a row may have "
                             f"{', '.join(FIELDS)}")
        if "query" not in row and "passage" not in row:
            raise ValueError(f"{where}: neither field 'query' nor field 'passage' is there: give it one of them at "
                             f"least")
        row.setdefault("group", row.get("item"))
        for name in TEXTS:
            if (name in row or name in ("item", "language")) and not (
                    isinstance(row.get(name), str) and (row[name].strip() or name == "subject")):
                raise ValueError(f"{where}: field {name!r} must be a text that is not empty, not {row.get(name)!r}: "
                                 f"fill it, or leave the line out")
        row = dict(query="", passage="", task="qa", subject="") | row
        if row["task"] not in TASKS:
            raise ValueError(f"{where}: field 'task' must be one of {', '.join(TASKS)}, not {row['task']!r}")
        row["negatives"] = [] if row.get("negatives") is None else row["negatives"]
        if not isinstance(row["negatives"], list) or not all(isinstance(n, str) and n for n in row["negatives"]):
            raise ValueError(f"{where}: field 'negatives' must be a list of texts, not {row['negatives']!r}: write it "
                             f"in square brackets, without empty texts")
        if identity(row["passage"]) in map(identity, row["negatives"]):
            raise ValueError(f"{where}: the passage of item {row['item']!r} is also among its negatives: leave it out "
                             f"there")
        if (key := hash((row["item"], row["language"]))) in seen:
            raise ValueError(f"{where}: item {row['item']!r} occurs twice in language {row['language']!r}: give each "
                             f"its own id")
        seen.add(key)
        found.add(row["language"])
        if languages is None or row["language"] in languages:
            yield row
    if not found:
        raise ValueError(f"{path} has no rows: write one JSON object a line")
    check_languages(languages, found, str(path))
