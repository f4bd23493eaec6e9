"""How each form of data set is read: record by record, into rows or, for reasoning tasks, items.

A reader is a generator with the parameters (source, language, part, counts): a catalogue.Source, one of its languages,
the addresses of that language's files, and the Counter of what was left out. It yields rows with item, query and
passage, perhaps group, negatives, subject; or items with item, stem, options, answer (the number of the right
option), subject, which catalogue makes rows.
"""

import re
from collections import Counter
from pathlib import Path

from hybrid_batch.data import io
from hybrid_batch.data.sentences import first_answer, nearest, nth

LETTERS = {letter: number for number, letter in enumerate("ABCDEFGHIJ")}
SIGNS = str.maketrans("-*/", "−×÷")


# Question -> passage


def _qa(source, language, part, counts):
    """Flat records. entry: fields {item, query, passage, negatives: path in a record}; native: ids of one file, not
    parallel; where {field: value}: only these records."""
    entry = source.entry
    paths = {what: path.split(".") for what, path in entry["fields"].items()}
    optional = entry.get("optional", ())
    needed = [path[0] for what, path in paths.items() if what not in optional] + list(entry.get("where", ()))
    for number, (where, record) in enumerate(source.records(language, part, counts, *needed)):
        if any(record.get(key) != value for key, value in entry.get("where", {}).items()):
            counts[language, "left out: " + entry["otherwise"]] += 1
            continue
        row = {what: _follow(record, path, where) for what, path in paths.items() if path[0] in record}
        row = {"item": number, "query": "", "passage": ""} | row
        row["item"] = io.identifier(where, row, "item")
        if entry.get("native"):
            row["item"] = f"{language}/{_stem(where)}/{row['item']}"
        for what in ("query", "passage"):
            row[what] = " ".join(row[what].split()) if isinstance(row[what], str) else ""
        if any(not row[what] for what in ("query", "passage") if what not in optional):
            counts[language, "left out: an empty query or passage"] += 1
            continue
        yield row


def _follow(record, path, where):
    """record["a"][0]["b"] for the path a.0.b; for a.*.b the list of them. Not there: None."""
    for place, step in enumerate(path):
        if step == "*":
            return [value for part in record or () if (value := _follow(part, path[place + 1:], where))]
        try:
            record = record[int(step) if step.isdigit() else step]
        except IndexError:
            return None
        except (KeyError, TypeError):
            raise ValueError(f"{where}: no field {'.'.join(path)!r}: use the revision that this data set was pinned "
                             f"at") from None
    return record


def _mfaq(source, language, part, counts):
    """A web page a record, with its pairs; the pairs of a page are a group."""
    for where, page in source.records(language, part, counts, "id", "qa_pairs"):
        for number, pair in enumerate(page["qa_pairs"]):
            query, passage, code = (_follow(pair, [what], where) for what in ("question", "answer", "language"))
            if code != language:
                counts[language, "pairs left out: in another language"] += 1
            elif not (query and query.strip() and passage and passage.strip()):
                counts[language, "pairs left out: an empty query or passage"] += 1
            else:
                yield dict(item=f"{language}/{page['id']}/{number}", group=f"{language}/{page['id']}",
                           query=query, passage=passage)


def _mmarco(source, language, part, counts):
    """Tables of questions and passages by id, and of triples (question, right passage, wrong passage), the same for
    all languages. Only the texts that are asked for are kept in memory."""
    if "pairs" not in source.memory:
        pairs = source.memory["pairs"] = {}
        for _, triple in io.records(source.extra[0], ("question", "right"), ("question", "right", "wrong")):
            if len(pairs) == source.limit and triple["question"] not in pairs:
                break
            pairs.setdefault(triple["question"], triple["right"])
    pairs = source.memory["pairs"]
    needed, texts = set(pairs.values()), {}
    questions, passages = sorted(part, key=lambda file: "collection" in file)
    for _, passage in io.records(passages, ("id", "text"), ("id", "text")):
        if passage["id"] in needed:
            texts[passage["id"]] = passage["text"]
    for where, question in source.records(language, [questions], counts, "id", "text", columns=("id", "text")):
        if question["id"] not in pairs:
            counts[language, "left out: not in the triples asked for"] += 1
        elif pairs[question["id"]] not in texts:
            raise ValueError(f"{where}: passage {pairs[question['id']]} is not in {passages}: fetch it again")
        else:
            yield dict(item=question["id"], query=question["text"], passage=texts[pairs[question["id"]]])


def _parallel(source, language, part, counts):
    """Texts and their translations, without passages: each is query and passage, for cross-lingual pairs. entry:
    fields: those that hold a text, ["question"] if not said; with several, ids of each file's split are apart.
    optional: fields that not all records have."""
    fields = source.entry.get("fields", ["question"])
    needed = [field for field in ("id", *fields) if field not in source.entry.get("optional", ())]
    for where, record in source.records(language, part, counts, *needed):
        item = io.identifier(where, record, "id")
        for field in fields:
            if text := " ".join((record.get(field) or "").split()):
                yield dict(item=item if len(fields) == 1 else f"{_stem(where).split('.')[0]}/{item}/{field}",
                           query=text, passage=text)
            else:
                counts[language, "left out: an empty query or passage"] += 1


def _answers(source, language, part, counts):
    """Questions with an answer marked in a context: the passage is the sentence that answers. entry: most, the most
    negatives; least, the fewest that a row must have."""
    entry = source.entry
    for where, record in source.records(language, part, counts, "id", "question", "context"):
        query, context = " ".join((record["question"] or "").split()), record["context"] or ""
        item = f"{language}/{where.rpartition('/')[2]}/{record['id']}"
        try:
            found = first_answer(record.get("answers"), context, where)
            why = None if found and context.strip() else "left out: no answer is marked"
        except ValueError:
            why = "left out: its answer is not where it is marked"
        if not query or why:
            counts[language, why if query else "left out: an empty query or passage"] += 1
            continue
        if not found[1]:
            counts[language, "answers found elsewhere than marked"] += 1
        passage, negatives = nearest(context, found[0], entry["most"])
        if len(negatives) < entry["least"]:
            counts[language, "left out: too few other sentences"] += 1
            continue
        yield dict(item=item, query=query, passage=passage, negatives=negatives)


def _picked(source, language, part, counts):
    """Questions with the sentence that answers, by the file of picks that mining.write made, or, of the task parallel, these
    sentences and their translations. entry: picks, the file; most, least: as of _answers. A question whose context says nothing
    in this language comes without a passage."""
    entry = source.entry
    with open(Path(__file__).parent / entry["picks"], encoding="utf-8") as file:
        picks = {start: dict(pick.split(":") for pick in found.split()) for start, found in (line.split("\t") for line in file)}
    length = len(next(iter(picks)))
    for where, record in source.records(language, part, counts, "id"):
        item, query = io.identifier(where, record, "id"), " ".join((record.get("question") or "").split())
        picked = picks.get(item[:length])
        if picked is None:
            counts[language, "left out: no sentence was found to answer"] += 1
            continue
        passage, negatives = "", []
        if language in picked and record.get("context"):
            passage, negatives = nth(record["context"], int(picked[language]), entry["most"])
        if entry["task"] == "parallel":
            query, negatives = passage, []
        elif passage and len(negatives) < entry["least"]:
            counts[language, "left out: too few other sentences"] += 1
            continue
        if query or passage:
            yield dict(item=item, query=query, passage=passage, negatives=negatives)
        else:
            counts[language, "left out: an empty query or passage"] += 1


# Reasoning: items with stem, options, answer (the number of the right option), item, subject


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
        premise, label, split = record["premise"], record.get("label"), _stem(where).split(".")[0].split("-")[0]
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
        split = _stem(where).split(".")[0].split("-")[0]
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
                                        only=lambda where, record: not all_in_one or name == _follow(
                                            record, ["info", "language"], where)):
        root = _root(same, record["id"])
        stem, choices, subject = (_follow(record, path.split("."), where) for path in (
            "question.stem", "question.choices", "info.subject"))
        labels, options = (_follow(choices, [what], where) if isinstance(choices, dict)  # as Parquet has it
                           else [_follow(choice, [what], where) for choice in choices] for what in ("label", "text"))
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


def _stem(where):
    """The file's name without its suffixes, from "file, line 3"."""
    return re.sub(r"\.(jsonl|json|tsv|csv|parquet)(\.gz)?$", "", Path(where.rpartition(", ")[0]).name)


READERS = {"qa": _qa, "answers": _answers, "picked": _picked, "mfaq": _mfaq, "mmarco": _mmarco, "parallel": _parallel,
           "choices": _choices, "xnli": _xnli, "xcopa": _xcopa, "exams": _exams, "numbers": _numbers, "cloze": _cloze,
           "bigbench": _bigbench}
