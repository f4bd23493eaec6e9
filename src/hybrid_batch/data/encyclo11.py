"""Our own corpus, encyclo11, as it is written in corpora/encyclo11."""

import json

from hybrid_batch.data import io
from hybrid_batch.paths import CORPORA

FOLDER = CORPORA / "encyclo11"
ABOUT = {name: dict(title=title, use=use, task=task, licence="CC BY 4.0", note="Written for this book.")
         for name, title, use, task in (
             ("encyclo11", "Encyclopaedic passages with two questions each, in 11 languages", "training", "qa"),
             ("encyclo11-sentences", "The same, the passage's other sentences as negatives", "training", "qa"),
             ("encyclo11-passages", "The same questions with the whole passage", "training", "qa"),
             ("encyclo11-reasoning", "Reasoning items with four options, in 11 languages", "reasoning", "reasoning"),
             ("encyclo11-parallel", "Questions and sentences, with their translations", "parallel", "parallel"))}
BENCHMARKS = {  # name: the splits that it is made of; None: the one that is asked for, else test
    "encyclo11": None, "encyclo11-quick": ["quick"], "encyclo11-validation": ["validation"],
    "encyclo11-held-out": ["validation", "test"],
    "encyclo11-passages": None, "encyclo11-passages-validation": ["validation"],
    "encyclo11-reasoning": None}


def splits():
    """{split: ids of its passages and reasoning items}; "quick" is a part of test, and all of it if not written."""
    found = json.loads((FOLDER / "splits.json").read_text(encoding="utf-8"))
    return {"quick": found["test"]} | found


def read_encyclo11(kind, language, split=None):
    """Our own corpus as written, a list of dicts. kind: "passages" (id, subject, title, sentences, questions with id,
    text and answer, the index of the sentence that answers) or "reasoning" (id, family, stem, options, answer).
    split: None is all of it; else a key of ``splits``."""
    known = splits()
    if split not in (None, *known):
        raise ValueError(f"split {split!r} is unknown: encyclo11 has {', '.join(sorted(known))}")
    wanted = set(known.get(split, ()))
    return [entry for _, entry in io.records(str(FOLDER / kind / f"{language}.jsonl"), ["id"])
            if split is None or entry["id"] in wanted]


def files(name):
    """The files that a corpus or benchmark of ours is read from."""
    kind = "reasoning" if name == "encyclo11-reasoning" else "passages"
    return [*sorted((FOLDER / kind).glob("*.jsonl")), FOLDER / "splits.json"]


def texts(name, language, split):
    """Yield (passage or item id, sentences, the whole passage or options, [(item, question, index of the answer)])."""
    split = None if split == "all" else split
    if name == "encyclo11-reasoning":
        for entry in read_encyclo11("reasoning", language, split):
            yield entry["id"], entry["options"], [(entry["id"], entry["stem"], entry["answer"])]
    else:
        whole = name.startswith("encyclo11-passages")
        for entry in read_encyclo11("passages", language, split):
            texts = [("" if language == "zh" else " ").join(entry["sentences"])] if whole else entry["sentences"]
            yield entry["id"], texts, [(q["id"], q["text"], 0 if whole else q["answer"]) for q in entry["questions"]]


def rows(name, split, languages):
    """Yield rows to train on, see table.table, of a name in ABOUT."""
    for language in languages:
        for group, passages, questions in texts(name, language, split):
            row = dict(group=group, language=language, task=ABOUT[name]["task"])
            if name == "encyclo11-parallel":
                marked = {f"{group}/{answer}": passages[answer] for _, _, answer in questions}
                for item, text in ({item: question for item, question, _ in questions} | marked).items():
                    yield row | dict(item=item, query=text, passage=text)
                continue
            for item, question, answer in questions:
                others = [] if name in ("encyclo11", "encyclo11-passages") else passages[:answer] + passages[answer + 1:]
                yield row | dict(item=item, query=question, passage=passages[answer], negatives=others)
