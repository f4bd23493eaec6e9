"""How each form of reasoning task is read: record by record, into items.

A reader is one as ``readers`` explains. It yields items with item, stem, options, answer (the number of the right option),
subject, which catalogue makes rows.
"""

import re
from collections import Counter
from pathlib import Path

from hybrid_batch.data import io
from hybrid_batch.data.readers import file_stem, follow

LETTERS = {letter: number for number, letter in enumerate("ABCDEFGHIJ")}
SIGNS = str.maketrans("-*/", "−×÷")


def _choices(source, language, part, counts):
    """Multiple choice. entry: fields {item, stem, options (a field, or a list of fields), answer (a number or a
    letter), subject}; the subject may be the first part of the id."""
    fields = source.entry["fields"]
    options = fields["options"] if isinstance(fields["options"], list) else [fields["options"]]
    needed = dict.fromkeys(name for what in fields.values() for name in ([what] if isinstance(what, str) else what)
                           if name not in source.entry.get("optional", ()))
    for number, (where, record) in enumerate(source.records(language, part, counts, *needed)):
        item = io.identifier(where, record, fields["item"]) if "item" in fields else str(number)
        texts = [text or "" for text in (record[options[0]] if len(options) == 1 else map(record.get, options))]
        answer = record[fields["answer"]]  # a figure in a text might count from 0 or from 1: no right option
        yield dict(item=item, stem=record[fields["stem"]] or "", options=texts,
                   answer=answer if isinstance(answer, int) else LETTERS.get(answer, -1),
                   subject=str(record.get(fields.get("subject")) or item.rpartition("/")[0].split("/")[0]))


def _xnli(source, language, part, counts):
    """The entailed hypothesis asks for its premise, the contradictory one is the distractor. The rows of a premise, one
    for each label, make an item. Without ids an item is the premise's number in its file, the same in all languages."""
    labels = source.entry.get("labels")
    triples = {}  # item: [its texts by label, its rows]
    last, premises = None, Counter()
    needed = ["premise", "hypothesis"] + ["label"] * bool(labels)
    for where, record in source.records(language, part, counts, *needed):
        premise, label, split = record["premise"], record.get("label"), file_stem(where).split(".")[0].split("-")[0]
        if label in (None, -1):
            counts[language, "left out: no label"] += 1
            continue
        label = labels[label] if labels else label
        if "id" in record:
            item = f"{split}/{record['id'] // 3}"
        else:
            if last is None or premise != triples[last][0]["premise"] or label in triples[last][0]:
                premises[split] += 1
            item = last = f"{split}/{premises[split] - 1}"
        texts, rows = triples.setdefault(item, [{"premise": premise}, 0])
        if texts["premise"] != premise:
            raise ValueError(f"{where}: the ids of a premise's rows must be a three (0 to 2, 3 to 5 ...), but {item} "
                             f"has another premise already: fix the ids, or leave them out")
        texts[label] = record["hypothesis"]
        triples[item][1] = rows + 1
    if (found := [*premises.values()]) != (other := source.memory.setdefault("premises", found)):
        raise ValueError(f"{source.name!r}: without ids the premises must be the same in all languages, but "
                         f"{language!r} has {found} of them and another one {other}: add ids")
    for item, (texts, rows) in triples.items():
        if "entailment" not in texts or "contradiction" not in texts:
            counts[language, "left out: a label is missing in its three"] += rows
            continue
        counts[language, "left out: neutral or contradictory, part of another row's item"] += rows - 1
        yield dict(item=item, stem=texts["entailment"], options=[texts["premise"], texts["contradiction"]], answer=0,
                   subject="entailment")


def _xcopa(source, language, part, counts):
    """The premise and a word for "because" or "so" ask for the more plausible of two sentences."""
    words = source.entry["connectives"][language]
    for where, record in source.records(language, part, counts, "premise", "choice1", "choice2", "question", "label",
                                        "idx"):
        split = file_stem(where).split(".")[0].split("-")[0]
        stem = f"{record['premise'].strip(' .!。')} {words[record['question']]}"
        yield dict(item=f"{split}/{record['idx']}", stem=stem,
                   options=[record["choice1"], record["choice2"]], answer=record["label"], subject=record["question"])


def _exams(source, language, part, counts):
    """School exams; questions that parallel_questions names as translations of each other are one item."""
    same = {}
    for file in source.extra:
        for _, record in io.records(file):
            for one, others in record.items():
                root = _root(same, one)
                for other in others:
                    same[_root(same, other)] = root
    seen = set()
    name = source.entry["languages"][language]
    all_in_one = "{language}" not in source.entry["files"][0]
    for where, record in source.records(language, part, counts, "id", "question", "answerKey", "info",
                                        only=lambda where, record: not all_in_one or name == follow(
                                            record, ["info", "language"], where)):
        root = _root(same, record["id"])
        stem, choices, subject = (follow(record, path.split("."), where) for path in (
            "question.stem", "question.choices", "info.subject"))
        labels, options = (follow(choices, [what], where) if isinstance(choices, dict)  # as Parquet has it
                           else [follow(choice, [what], where) for choice in choices] for what in ("label", "text"))
        if record["answerKey"] not in labels:
            counts[language, "left out: no right option"] += 1
            continue
        item = root if root not in seen else f"{root}/{record['id']}"  # two of one language: one group, but two items
        seen.add(root)
        yield dict(item=item, group=root, stem=stem, options=options, answer=labels.index(record["answerKey"]),
                   subject=subject)


def _root(same, one):
    while same.get(one, one) != one:
        one = same[one]
    return one


def _numbers(source, language, part, counts):
    """Mathematics in words with a number for an answer. With an equation, that is the passage, and other operations
    on the same numbers are the distractors; a number alone carries no content."""
    fields = source.entry["fields"]
    for number, (where, record) in enumerate(source.records(language, part, counts, *fields.values())):
        item = str(record[fields["item"]] if "item" in fields else number).replace(f"-{language}-", "-")
        answer = str(record[fields["answer"]]).removesuffix(".0")
        options = [answer]
        if "equation" in record:
            values = re.findall(r"\d+(?:\.\d+)?", record["query_en"])
            options = list(dict.fromkeys(_infix(record["equation"].split(), values, swap) for swap in (
                "", "+-", "-+", "*/", "/*", "+*", "-/")))
        yield dict(item=item, stem=record[fields["stem"]], options=options, answer=0,
                   subject=record.get("level", "mathematics"))


def _infix(tokens, values, swap):
    """An equation in prefix form with number0, number1 ... as people write it, one operation swapped for another."""
    tokens = [swap[1] if swap and token == swap[0] else token for token in tokens]
    stack = []
    for token in reversed(tokens):
        if token in "+-*/":
            left, right = stack.pop(), stack.pop()
            stack.append(f"({left} {token.translate(SIGNS)} {right})")
        else:
            place = token.removeprefix("number")
            stack.append(values[int(place)] if token != place and int(place) < len(values) else place)
    return stack[0].removeprefix("(").removesuffix(")") if stack[0].count("(") == 1 else stack[0]


def _cloze(source, language, part, counts):
    """Facts with a gap: the options are the sentence with each candidate in the gap."""
    for where, record in source.records(language, part, counts, "id", "prompt", "answer", "candidates"):
        if record["answer"] not in record["candidates"]:
            counts[language, "left out: no right option"] += 1
            continue
        yield dict(item=io.identifier(where, record, "id"), stem=record["prompt"].replace("<mask>", "…"),
                   options=[record["prompt"].replace("<mask>", c) for c in record["candidates"]],
                   answer=record["candidates"].index(record["answer"]), subject="facts")


def _bigbench(source, language, part, counts):
    """BIG-bench: records with input and target_scores or target, one a line or in the list ``examples`` of a task
    file; options may stand in the input, as in BIG-Bench Hard: "Options: (A) ... (B) ...". entry: fields, if all
    must have them."""
    for file in part:
        task, split = Path(file).name.split(".")[0], ""
        if file.endswith(".parquet"):
            task, split = Path(file).parent.name, task.split("-")[0] + "/"
        records = ((where, example) for where, record in io.records(file, source.entry.get("fields", ()))
                   for example in record.get("examples", [record]))
        for number, (where, example) in enumerate(records):
            counts[language, "read"] += 1
            for names in (("input", "inputs"), ("target", "targets", "target_scores")):
                if not any(name in example for name in names):
                    raise ValueError(f"{where}: no field {names[0]!r}, only {', '.join(map(str, example))}: rename it, "
                                     f"or use the revision that this data set was pinned at")
            source.memory["where"] = where
            stem, target, options = _bigbench_item(where, example)
            options = [target or ""] + [option for option in options if option != target]
            yield dict(item=f"{task}/{split}{example.get('id', example.get('idx', number))}", stem=stem,
                       options=options, answer=0, subject=task)


def _bigbench_item(where, example):
    """(stem, right option or None, all options) of an example."""
    stem, target = example.get("input", example.get("inputs")), example.get("target", example.get("targets"))
    scores = example.get("target_scores") or dict(zip(example.get("multiple_choice_targets") or (),
                                                      example.get("multiple_choice_scores") or ()))
    if isinstance(target, list):
        target = next(iter(target), None)
    if isinstance(target, (int, float)):
        target = str(target)
    if not isinstance(stem, str) or not isinstance(target, (str, type(None))):
        raise ValueError(f"{where}: input and target must be texts, not {stem!r:.60} and {target!r:.60}: fix or leave "
                         f"out")
    stem, _, listed = stem.partition("\nOptions:\n")
    options = [text.strip() for text in re.split(r"^(?:\([A-Z]\)|-)", listed, flags=re.M)[1:]]
    if scores:
        best = [option for option in scores if scores[option] == max(scores.values()) > 0]
        return stem, best[0].strip() if best else None, [option.strip() for option in scores if option not in best]
    if target and (place := re.fullmatch(r"\(([A-Z])\)", target.strip())):
        number = ord(place[1]) - ord("A")
        if number >= len(options):
            raise ValueError(f"{where}: the target is option {target.strip()}, but there are {len(options)} options: "
                             f"fix or leave out")
        target = options[number]
    return stem, target and target.strip(), options


READERS = {"choices": _choices, "xnli": _xnli, "xcopa": _xcopa, "exams": _exams, "numbers": _numbers, "cloze": _cloze,
           "bigbench": _bigbench}
