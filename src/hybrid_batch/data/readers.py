"""How each form of data set is read: record by record, into rows.

A reader is a generator with the parameters (source, language, part, counts): a catalogue.Source, one of its languages,
the addresses of that language's files, and the Counter of what was left out. It yields rows with item, query and
passage, perhaps group, negatives, subject; those of reasoning tasks are in ``reasoning``.
"""

import re
from pathlib import Path

from hybrid_batch.data import io
from hybrid_batch.data.sentences import first_answer, nearest, nth


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
        row = {what: follow(record, path, where) for what, path in paths.items() if path[0] in record}
        row = {"item": number, "query": "", "passage": ""} | row
        row["item"] = io.identifier(where, row, "item")
        if entry.get("native"):
            row["item"] = f"{language}/{file_stem(where)}/{row['item']}"
        for what in ("query", "passage"):
            row[what] = " ".join(row[what].split()) if isinstance(row[what], str) else ""
        if any(not row[what] for what in ("query", "passage") if what not in optional):
            counts[language, "left out: an empty query or passage"] += 1
            continue
        yield row


def follow(record, path, where):
    """record["a"][0]["b"] for the path a.0.b; for a.*.b the list of them. Not there: None."""
    for place, step in enumerate(path):
        if step == "*":
            return [value for part in record or () if (value := follow(part, path[place + 1:], where))]
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
            query, passage, code = (follow(pair, [what], where) for what in ("question", "answer", "language"))
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
                yield dict(item=item if len(fields) == 1 else f"{file_stem(where).split('.')[0]}/{item}/{field}",
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


def file_stem(where):
    """The file's name without its suffixes, from "file, line 3"."""
    return re.sub(r"\.(jsonl|json|tsv|csv|parquet)(\.gz)?$", "", Path(where.rpartition(", ")[0]).name)


READERS = {"qa": _qa, "answers": _answers, "picked": _picked, "mfaq": _mfaq, "mmarco": _mmarco, "parallel": _parallel}
