"""Data sets of others: what each reader makes of a record, what is left out and counted, the real sets, and memory."""

import re
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hub import write
from hypothesis import given
from hypothesis import strategies as st

from hybrid_batch.data import catalogue, corpora
from hybrid_batch.data.catalogue import CONSENT, open_source
from hybrid_batch.data.corpora import load_corpus

LOCAL = [name for name, entry in catalogue.catalogue().items() if "repo" not in entry]


@pytest.fixture
def given_set(tmp_path, monkeypatch):
    """A function (reader, {path: content}, what else its entry has) that puts a data set into a folder and into a
    catalogue of its own and gives a function: options of open_source -> (rows, {what became of records: how many})."""
    def given_set(reader, contents, **entry):
        for path, content in contents.items():
            write(tmp_path / "set" / path, content)
        entry = dict(task="reasoning", languages=["en"], files=["{language}.jsonl"], reader=reader) | entry
        monkeypatch.setattr(catalogue, "catalogue", lambda: {"set": entry})

        def load(**options):
            tally = Counter()
            rows = list(open_source("set", tmp_path, **options).rows(tally))
            counts = Counter()
            for (language, what), number in tally.items():
                assert language in entry["languages"]
                counts[what] += number
            left_out = sum(number for what, number in counts.items() if what.startswith("left out"))
            assert "limit" in options or rows_of_a_record(entry) * counts["read"] == len(rows) + left_out
            return rows, dict(+counts)

        return load

    return given_set


def rows_of_a_record(entry):
    return len(entry.get("fields", "q")) if entry["reader"] == "parallel" else 1


def place(name, data):
    """The folder of a data set and its description; skips without it."""
    folder = data / catalogue.catalogue()[name].get("folder", name)
    if not (folder / "README.md").exists():
        pytest.skip(f"{folder.name} is not in {data}")
    return folder, (folder / "README.md").read_text()


def texts(rows):
    return {(row["item"], row["language"]): (row["query"], row["passage"]) for row in rows}


def cast(rows):
    return {row["item"]: (row["query"], row["passage"], row["negatives"]) for row in rows}


# Question -> passage


def test_questions_and_passages_lie_where_the_catalogue_says(given_set):
    load = given_set("qa", {"en.jsonl": [
        {"key": 7, "ask": {"text": " Who \n is it?"}, "ctx": [{"text": "She  is."}, {"text": "not this"}],
         "wrong": [{"text": "He is."}, {"text": ""}, {"text": None}, {"text": "We are."}]},
        {"key": "b", "ask": {"text": "Where?"}, "ctx": [{"text": "There."}], "wrong": []},
        {"key": "c", "ask": {"text": "When?"}, "ctx": [], "wrong": None},
        {"key": "d", "ask": {"text": None}, "ctx": [{"text": "Now."}], "wrong": []},
        {"key": "e", "ask": {"text": 3}, "ctx": [{"text": "Now."}], "wrong": []},
        {"key": "f", "ask": {"text": "How?"}, "ctx": [{"text": " "}], "wrong": []},
    ]}, task="qa", fields=dict(item="key", query="ask.text", passage="ctx.0.text", negatives="wrong.*.text"))
    rows, counts = load()
    assert rows == [dict(task="qa", language="en", item="7", query="Who is it?", passage="She is.",
                         negatives=["He is.", "We are."]),
                    dict(task="qa", language="en", item="b", query="Where?", passage="There.", negatives=[])]
    assert counts == {"read": 6, "left out: an empty query or passage": 4}


def test_a_record_may_lack_a_half_where_the_catalogue_says_so(given_set):
    records = {"de.jsonl": [{"id": "a", "q": "Wer?"}, {"id": "b", "q": "Wo?", "p": None}, {"id": "c", "p": "Da."}],
               "en.jsonl": [{"id": "a", "p": "She."}, {"id": "b", "q": "Where?", "p": "There."}]}
    form = dict(languages=["de", "en"], task="qa", fields=dict(item="id", query="q", passage="p"))
    rows, _ = given_set("qa", records, optional=["query", "passage"], **form)()
    assert texts(rows) == {("a", "de"): ("Wer?", ""), ("b", "de"): ("Wo?", ""), ("c", "de"): ("", "Da."),
                           ("a", "en"): ("", "She."), ("b", "en"): ("Where?", "There.")}
    with pytest.raises(ValueError, match="de.jsonl, line 1: no field 'p', only id, q"):
        given_set("qa", records, **form)()


@pytest.mark.parametrize("native, fields, ids", [
    (False, dict(item="id"), [("x", "de"), ("y", "de"), ("x", "en")]),  # the same id is the same item
    (False, dict(), [("0", "de"), ("1", "de"), ("0", "en")]),  # without ids rows are parallel
    (True, dict(item="id"), [("de/one.de/x", "de"), ("de/two.de/y", "de"), ("en/one.en/x", "en")]),
    (True, dict(), [("de/one.de/0", "de"), ("de/two.de/1", "de"), ("en/one.en/0", "en")]),
])
def test_items_are_named_by_id_or_row_and_in_native_sets_by_file_too(native, fields, ids, given_set):
    rows, _ = given_set("qa", {
        "one.de.jsonl.gz": [{"id": "x", "q": "Q", "p": "P"}], "two.de.jsonl": [{"id": "y", "q": "Q", "p": "P"}],
        "one.en.jsonl": [{"id": "x", "q": "Q", "p": "P"}],
    }, task="qa", languages=["de", "en"], files=["*.{language}.jsonl*"], native=native,
        fields=fields | dict(query="q", passage="p"))()
    assert [(row["item"], row["language"]) for row in rows] == ids


def test_only_records_with_the_wanted_values_are_taken(given_set):
    load = given_set("qa", {"en.jsonl": [
        {"q": f"Q{number}", "p": f"P{number}", "label": label, "part": part}
        for number, (label, part) in enumerate([(1, "a"), (0, "a"), (1, "b"), (True, "a"), (None, "a")])]},
        task="qa", fields=dict(query="q", passage="p"), where={"label": 1, "part": "a"}, otherwise="a wrong answer")
    rows, counts = load()
    assert [row["query"] for row in rows] == ["Q0", "Q3"]
    assert counts == {"read": 5, "left out: a wrong answer": 3}


def test_texts_without_passages_are_their_own(given_set):
    contents = {f"{code}.jsonl": [{"id": 1, "question": text}] for code, text in (("de", "Wer?"), ("en", "Who?"))}
    rows, _ = given_set("parallel", contents, task="parallel", languages=["de", "en"])()
    assert texts(rows) == {("1", "de"): ("Wer?", "Wer?"), ("1", "en"): ("Who?", "Who?")}
    assert {row["task"] for row in rows} == {"parallel"}


def test_texts_may_be_missing_where_the_catalogue_says_so(given_set):
    contents = {"en.jsonl": [{"id": 1, "question": "Who?"}, {"id": 2, "context": "They."}, {"id": 3, "question": ""}]}
    rows, counts = given_set("parallel", contents, task="parallel", optional=["question"])()
    assert texts(rows) == {("1", "en"): ("Who?", "Who?")}
    assert counts == {"read": 3, "left out: an empty query or passage": 2}
    with pytest.raises(ValueError, match="line 2: no field 'question'"):
        given_set("parallel", contents, task="parallel")()


def test_every_sentence_of_a_record_is_an_item_and_its_own_passage(given_set):
    load = given_set("parallel", {
        "dev.de.jsonl": [{"id": 0, "one": "Schnee  fällt.", "two": "Es ist kalt.", "label": "neutral"},
                         {"id": 1, "one": "Eis.", "two": " Es\nschmilzt. "}],
        "dev.en.jsonl.gz": [{"id": 1, "one": "Ice.", "two": "It melts."}, {"id": 0, "one": "Snow falls.", "two": "It is cold."}],
        "test.de.jsonl": [{"id": 0, "one": "Regen.", "two": "Es ist nass."}],
        "test.en.jsonl": [{"id": 0, "one": "Rain.", "two": "It is wet."}],
    }, task="parallel", languages=["de", "en"], files=["dev.{language}.jsonl*", "test.{language}.jsonl*"],
        fields=["one", "two"])
    rows, counts = load()
    assert counts == {"read": 6}
    german = {"dev/0/one": "Schnee fällt.", "dev/0/two": "Es ist kalt.", "dev/1/one": "Eis.",
              "dev/1/two": "Es schmilzt.", "test/0/one": "Regen.", "test/0/two": "Es ist nass."}
    english = {"dev/0/one": "Snow falls.", "dev/0/two": "It is cold.", "dev/1/one": "Ice.",
               "dev/1/two": "It melts.", "test/0/one": "Rain.", "test/0/two": "It is wet."}
    assert texts(rows) == {(item, code): (text, text) for code, part in (("de", german), ("en", english))
                           for item, text in part.items()}
    assert {row["task"] for row in rows} == {"parallel"}


def test_a_record_without_one_of_its_sentences_is_named(given_set):
    load = given_set("parallel", {"dev.en.jsonl": [{"id": 0, "one": "Snow.", "two": "Ice."}, {"id": 1, "one": "Rain."}]},
                     files=["dev.{language}.jsonl"], task="parallel", fields=["one", "two"])
    with pytest.raises(ValueError, match="dev.en.jsonl, line 2: no field 'two', only id, one"):
        load()


def test_several_entries_of_the_catalogue_may_read_one_folder(tmp_path, monkeypatch):
    write(tmp_path / "shared" / "en.jsonl", [{"id": 1, "question": "Who?", "passage": "She did."}])
    form = dict(languages=["en"], files=["{language}.jsonl"], folder="shared")
    monkeypatch.setattr(catalogue, "catalogue", lambda: {
        "texts": form | dict(reader="parallel", task="parallel"),
        "pairs": form | dict(reader="qa", task="qa", fields=dict(item="id", query="question", passage="passage"))})
    made = {name: list(open_source(name, tmp_path).rows(Counter())) for name in ("texts", "pairs")}
    assert {name: texts(rows) for name, rows in made.items()} == {
        "texts": {("1", "en"): ("Who?", "Who?")}, "pairs": {("1", "en"): ("Who?", "She did.")}}
    with pytest.raises(FileNotFoundError, match="'shared': there is no folder .*nowhere.shared.*--data"):
        open_source("texts", tmp_path / "nowhere")


# Reasoning


def test_the_stem_asks_for_the_right_one_of_its_choices(given_set):
    load = given_set("choices", {"en.jsonl": [
        {"id": "law/dev/0", "stem": " Which? ", "choices": ["red one", " green one ", "blue one"], "answer": 1},
        {"id": "art/0", "stem": "Where?", "choices": ["up high", "down low"], "answer": "B"},
        {"id": 5, "stem": "When?", "choices": ["at dawn", "at dusk", None], "answer": "A"},
    ]}, fields=dict(item="id", stem="stem", options="choices", answer="answer"))
    rows, counts = load()
    assert rows == [dict(task="reasoning", language="en", item="law/dev/0", subject="law", query="Which?",
                         passage="green one", negatives=["red one", "blue one"]),
                    dict(task="reasoning", language="en", item="art/0", subject="art", query="Where?",
                         passage="down low", negatives=["up high"]),
                    dict(task="reasoning", language="en", item="5", subject="", query="When?",
                         passage="at dawn", negatives=["at dusk"])]
    assert counts == {"read": 3, "distractors left out": 1}


def test_options_may_stand_in_fields_of_their_own(given_set):
    rows, _ = given_set("choices", {"en.csv": [
        {"Q": "Which?", "A": "red one", "B": "green one", "C": "", "Right": "B", "About": "colours"},
        {"Q": "Where?", "A": "up high", "B": "", "C": "down low", "Right": "C", "About": "places"}],
        "en.jsonl": [{"Q": "When?", "A": "at dawn", "B": "at dusk", "Right": "A", "About": None},
                     {"Q": "How?", "A": None, "B": "well enough", "C": "badly", "Right": "C", "About": "x"}]},
        files=["en.csv", "en.jsonl"], optional=["C", "About"],
        fields=dict(stem="Q", options=["A", "B", "C"], answer="Right", subject="About"))()
    assert cast(rows) == {"0": ("Which?", "green one", ["red one"]), "1": ("Where?", "down low", ["up high"]),
                          "2": ("When?", "at dawn", ["at dusk"]), "3": ("How?", "badly", ["well enough"])}
    assert [row["subject"] for row in rows] == ["colours", "places", "", "x"]


@pytest.mark.parametrize("change", [
    dict(answer=2), dict(answer=-1), dict(answer=None), dict(answer=""), dict(answer="C"), dict(answer="AB"),
    dict(answer="a"), dict(answer="1"), dict(answer=0.0), dict(stem=""), dict(stem=" "), dict(stem=None),
    dict(choices=[" ", "two words"]), dict(choices=[None, "two words"])])
@pytest.mark.parametrize("keep", ["content", "all"])
def test_an_item_without_a_question_or_a_right_option_is_left_out(change, keep, given_set):
    whole = dict(id="a/1", stem="Which?", choices=["one word", "two words"], answer=0)
    load = given_set("choices", {"en.jsonl": [whole | change]},
                     fields=dict(item="id", stem="stem", options="choices", answer="answer"))
    assert load(keep=keep) == ([], {"read": 1, "left out: no stem or no right option": 1})


def test_the_entailed_sentence_asks_for_its_premise(given_set):
    def three(premise, *labels, at=None, **more):
        return [dict(premise=f"{premise} is so.", hypothesis=f"{premise} {label}", label=label) | more
                | ({} if at is None else {"id": at + n}) for n, label in enumerate(labels)]

    e, n, c = "entailment", "neutral", "contradiction"
    load = given_set("xnli", {
        "dev.en.jsonl": [*three("Snow", n, e, c, at=0), *three("Rain", c, n, e, at=3), *three("Hail", e, n, None, at=6),
                         *three("Fog", n, n, c, at=9), *three("Wind", c, None, e, at=12)][::-1],
        "test.en.jsonl": three("Ice", None, -1, None, at=0)},
        files=["dev.{language}.jsonl", "test.{language}.jsonl"])
    rows, counts = load()
    assert cast(rows) == {"dev/0": ("Snow entailment", "Snow is so.", ["Snow contradiction"]),
                          "dev/1": ("Rain entailment", "Rain is so.", ["Rain contradiction"]),
                          "dev/4": ("Wind entailment", "Wind is so.", ["Wind contradiction"])}
    assert {row["subject"] for row in rows} == {"entailment"}
    assert counts["read"] == 18 and counts["left out: no label"] == 5
    assert counts["left out: neutral or contradictory, part of another row's item"] == 2 + 2 + 1
    numbered = three("Snow", e, n, c) + three("Rain", n, c, e)  # without ids, and labels by number
    numbered = [row | {"label": [e, n, c].index(row["label"])} for row in numbered]
    rows, _ = given_set("xnli", {"en.jsonl": numbered}, labels=[e, n, c])()
    assert cast(rows) == {"en/0": ("Snow entailment", "Snow is so.", ["Snow contradiction"]),
                          "en/1": ("Rain entailment", "Rain is so.", ["Rain contradiction"])}


def test_without_ids_the_rows_of_a_premise_belong_together_whatever_is_missing(given_set):
    """Two rows a premise, and one of them dropped: before, the next premise's hypotheses moved up."""
    def row(premise, hypothesis, label):
        return dict(premise=premise, hypothesis=hypothesis, label=label)

    def half(bees, sand):
        return [row("Snow.", "It is cold.", "entailment"), row("Snow.", "It is hot.", "contradiction"),
                row(bees, f"{bees} Yes.", "entailment"),
                row(sand, f"{sand} No.", "contradiction"), row(sand, f"{sand} Yes.", "entailment")]

    rows, counts = given_set("xnli", {"en.jsonl": half("Bees.", "Sand."), "de.jsonl": half("Bienen.", "Sand.")},
                             languages=["de", "en"])()
    assert cast(row for row in rows if row["language"] == "en") == {
        "en/0": ("It is cold.", "Snow.", ["It is hot."]), "en/2": ("Sand. Yes.", "Sand.", ["Sand. No."])}
    assert {row["item"].split("/")[1] for row in rows if row["language"] == "de"} == {"0", "2"}
    assert counts["left out: a label is missing in its three"] == 2
    for rows, named in (([*half("Bees.", "Sand.")[:2]], "without ids the premises must be the same in all languages"),
                        ([row | {"id": n + 1} for n, row in enumerate(half("Bees.", "Sand."))], "line 4: the ids of a premise's rows must be a three")):
        with pytest.raises(ValueError, match=named):
            given_set("xnli", {"dev.en.jsonl": rows, "dev.de.jsonl": half("Bienen.", "Sand.")},
                      languages=["de", "en"], files=["dev.{language}.jsonl"])()


def test_a_negative_that_is_the_passage_in_other_letters_is_left_out_and_counted(given_set):
    rows, counts = given_set("qa", {"en.jsonl": [dict(id="1", q="Who?", p="Ｓhe did.", n=["she  DID.", "He did."])]},
                             fields=dict(item="id", query="q", passage="p", negatives="n"), task="qa")()
    assert [row["negatives"] for row in rows] == [["He did."]]
    assert counts["negatives left out: the passage itself"] == 1


@pytest.mark.parametrize("reader, record, named", [
    ("bigbench", dict(input="Which?\nOptions:\n(A) one\n(B) two", target="(C)"), ["option (C)", "2 options"]),
    ("bigbench", dict(input=["Which?"], target="one"), ["must be texts", "['Which?']"]),
    ("bigbench", dict(input="Which?", target={"one": 1}), ["must be texts", "{'one': 1}"]),
    ("bigbench", dict(input="Which?", target_scores={"one": "many", "two": 1}), ["TypeError"]),
    ("choices", dict(id=1, stem=7, options=["a", "b"], answer=0), ["stem must be a text", "not 7"]),
    ("choices", dict(id=1, stem="Who?", options=["a", 3], answer=0), ["option must be a text", "not 3"]),
    ("choices", dict(id=None, stem="Who?", options=["a", "b"], answer=0), ["'id'", "not None"]),
    ("parallel", dict(id=1, question=3), ["AttributeError"]),
    ("xnli", dict(id="a", premise="P", hypothesis="H", label="entailment"), ["TypeError"]),
    ("mfaq", dict(id="a", qa_pairs=[dict(question=4, answer="x", language="en")]), ["AttributeError"]),
])
def test_a_record_with_odd_values_is_named_with_the_place(reader, record, named, given_set):
    fields = dict(item="id", stem="stem", options="options", answer="answer") if reader == "choices" else None
    task = "parallel" if reader == "parallel" else "qa" if reader == "mfaq" else "reasoning"
    load = given_set(reader, {"en.jsonl": [record]}, task=task, **({"fields": fields} if fields else {}))
    with pytest.raises(ValueError) as error:
        load(keep="all")
    assert all(part in str(error.value) for part in ["en.jsonl, line 1", *named]), error.value


def test_a_number_is_a_target_like_any_other(given_set):
    rows, _ = given_set("bigbench", {"en.jsonl": [dict(input="2 + 2 =", target=4), dict(input="Best?", target_scores={
        "one": 0, "two": 0})]})(keep="all")
    assert cast(rows) == {"en/0": ("2 + 2 =", "4", [])}  # of options none of which scores none is right


def test_a_premise_asks_for_its_cause_or_effect(given_set):
    records = [dict(premise=text, choice1=f"{idx} one", choice2=f"{idx} two", question=question, label=label, idx=idx)
               for idx, (text, question, label) in enumerate([("It rained.", "effect", 0), ("我累了。", "cause", 1)])]
    rows, _ = given_set("xcopa", {"val.en.jsonl": records, "test.en.jsonl": records[1:]},
                        files=["val.{language}.jsonl", "test.{language}.jsonl"],
                        connectives={"en": {"cause": "because", "effect": "so"}})(keep="all")
    assert cast(rows) == {"val/0": ("It rained so", "0 one", ["0 two"]),
                          "val/1": ("我累了 because", "1 two", ["1 one"]),
                          "test/1": ("我累了 because", "1 two", ["1 one"])}
    assert [row["subject"] for row in rows] == ["effect", "cause", "cause"]


def exam(number, language, answer="B", labels="AB"):
    choices = [dict(label=label, text=f"{number} is {label}") for label in labels]
    return dict(id=number, question=dict(stem=f"{number}?", choices=choices), answerKey=answer,
                info=dict(subject="Biology", language=language))


def test_exam_questions_that_are_translations_of_each_other_are_one_item(given_set):
    load = given_set("exams", {
        "German.jsonl": [exam(number, "German") for number in ("g1", "g2", "g3", "g4", "g5", "g6", "g7")],
        "Polish.jsonl": [exam(number, "Polish") for number in ("p1", "p2", "p3", "p5")],
        "Croatian.jsonl": [exam("c1", "Croatian"), exam("c2", "Croatian", "E"), exam("c3", "Croatian", "@", "#@")],
        "same.jsonl": [{"g1": ["p1"]}, {"p1": ["g1"]}, {"c1": ["p1"]}, {"g3": ["g2"]}, {"p2": ["g2", "unknown"]},
                       {"g4": ["g5"], "p5": ["g4"]}, {"g7": ["g6"]}],
    }, languages={"de": "German", "pl": "Polish", "hr": "Croatian"}, extra=["same.jsonl"])
    rows, counts = load()
    groups, items = defaultdict(list), {}
    for row in rows:
        number = row["query"][:-1]
        groups[row["group"]].append(number)
        items[number] = row["item"]
        assert (row["subject"], row["passage"]) == ("Biology", f"{number} is {'@' if number == 'c3' else 'B'}")
    assert sorted(map(sorted, groups.values())) == [
        ["c1", "g1", "p1"], ["c3"], ["g2", "g3", "p2"], ["g4", "g5", "p5"], ["g6", "g7"], ["p3"]]
    assert len({items[number] for number in ("g1", "p1", "c1")}) == 1
    for one, other, third in (("g2", "g3", "p2"), ("g4", "g5", "p5")):  # two of a language
        assert items[one] != items[other] and items[third] in (items[one], items[other])
    assert items["g6"] != items["g7"]
    assert counts == {"read": 14, "left out: no right option": 1}


@pytest.mark.parametrize("equation, text, expected", [
    ("- number0 number1", "18 kids, 10 more", ["18 − 10", "18 + 10", "18 ÷ 10"]),
    ("+ number1 number0", "18 kids, 10.5 more", ["10.5 + 18", "10.5 − 18", "10.5 × 18"]),
    ("* number0 2", "18 kids", ["18 × 2", "18 ÷ 2"]),
    ("/ number0 number1", "18 and 3", ["18 ÷ 3", "18 × 3"]),
    ("+ number0 * number1 number2", "5 and 3 and 2",
     ["(5 + (3 × 2))", "(5 − (3 × 2))", "(5 + (3 ÷ 2))", "(5 × (3 × 2))"]),
    ("- / number0 number1 - number2 1.0", "8 and 4 and 2",
     ["((8 ÷ 4) − (2 − 1.0))", "((8 ÷ 4) + (2 + 1.0))", "((8 × 4) − (2 − 1.0))", "((8 ÷ 4) ÷ (2 ÷ 1.0))"]),
])
def test_an_equation_is_the_passage_and_other_operations_the_distractors(equation, text, expected, given_set):
    record = dict(id=3, question="Wie viele?", answer="8.0", equation=equation, query_en=text)
    load = given_set("numbers", {"en.jsonl": [record]}, fields=dict(item="id", stem="question", answer="answer"))
    [row], counts = load()
    assert counts == {"read": 1}
    assert (row["item"], row["query"], row["passage"]) == ("3", "Wie viele?", expected[0])
    assert sorted(row["negatives"]) == sorted(expected[1:])


def test_a_number_alone_is_a_passage_only_if_all_is_kept(given_set):
    load = given_set("numbers", {
        "de.jsonl": [dict(id="x-de-0", q="Wie viele?", a="8.0", level="low"), dict(id="x-de-1", q="Wie weit?", a=20)],
        "en.jsonl": [dict(id="x-en-0", q="How many?", a="8.0", level="low"), dict(id="x-en-1", q="How far?", a="2.05")],
    }, languages=["de", "en"], fields=dict(item="id", stem="q", answer="a"))
    assert load() == ([], {"read": 4, "left out: its right option carries no content": 4})
    rows, counts = load(keep="all")
    assert texts(rows) == {("x-0", "de"): ("Wie viele?", "8"), ("x-1", "de"): ("Wie weit?", "20"),
                           ("x-0", "en"): ("How many?", "8"), ("x-1", "en"): ("How far?", "2.05")}
    assert [row["subject"] for row in rows] == ["low", "mathematics"] * 2
    assert counts == {"read": 4} and not any(row["negatives"] for row in rows)
    table = given_set("numbers", {"en.tsv": "How many?\t8\nHow far?\t20\n"}, files=["{language}.tsv"],
                      columns=["q", "a"], fields=dict(stem="q", answer="a"))
    assert texts(table(keep="all")[0]) == {("0", "en"): ("How many?", "8"), ("1", "en"): ("How far?", "20")}


def test_the_options_of_a_gap_are_the_sentence_with_each_candidate_in_it(given_set):
    rows, _ = given_set("cloze", {"en.jsonl": [
        dict(id=4, prompt="He died in <mask>.", answer="Rome", candidates=["Venice", "Rome", "Pisa"]),
        dict(id=5, prompt="<mask> is a city.", answer="Rome", candidates=["Rome", "Blue"])]})()
    assert cast(rows) == {"4": ("He died in ….", "He died in Rome.", ["He died in Venice.", "He died in Pisa."]),
                          "5": ("… is a city.", "Rome is a city.", ["Blue is a city."])}
    assert {row["subject"] for row in rows} == {"facts"}


def test_big_bench_has_many_forms(given_set):
    listed = "What now?\nOptions:\n(A) go left\n(B) go right\nfor ever\n(C) stay"
    load = given_set("bigbench", {
        "scores.jsonl": [
            dict(id=9, input="Which?", target_scores={"a fish": 0, "a bird": 1, "a beast": 0}),
            dict(id=10, input="Which two?", target_scores={"a bush": 1, "a tree": 0, "a herb": 1, "a stone": -1})],
        "targets.jsonl": [
            dict(input="Say it.", target=["well then", "so be it"]), dict(input="Say that.", target=" all right ")],
        "hard.json.gz": {"canary": "do not train", "examples": [
            dict(input=listed, target="(B)"),
            dict(input="Is it so?\nOptions:\n- It is so\n- It is not so", target="It is not so"),
            dict(input="Sort: b a", target="first a, then b")]},
        "none.jsonl": [dict(input="Nothing?", target=[])],
    }, languages={"en": "*"}, files=["{language}.json*"])
    rows, counts = load(keep="all")
    assert cast(rows) == {
        "scores/9": ("Which?", "a bird", ["a fish", "a beast"]),
        "scores/10": ("Which two?", "a bush", ["a tree", "a stone"]),  # the other right one is no distractor
        "targets/0": ("Say it.", "well then", []), "targets/1": ("Say that.", "all right", []),
        "hard/0": ("What now?", "go right\nfor ever", ["go left", "stay"]),
        "hard/1": ("Is it so?", "It is not so", ["It is so"]), "hard/2": ("Sort: b a", "first a, then b", [])}
    assert all(row["subject"] == row["item"].split("/")[0] for row in rows)
    assert counts == {"read": 8, "left out: no stem or no right option": 1}


# What an option says


CONTENT = {True: ["no", "Go!", "x + y", "5 cm", "18 − 10", "3 × (2 + 1)", "1 = 1", "水", "三", "か", "강", "да", "όχι",
                  "لا", "งู", "दो", "มี", "பூ", "মা", "টি", "టీ", "Ba", "IV"],
           False: ["", " ", "4", "-2", "3.5", "2,500", "3-5", "50%", "½", "٣", "३", "①", "A", "A)", "(b)", "m", "5 m",
                   "25 °C", "= 7", "+", "…", "$20", "α", "Б", "أ", "क", "(ख)", "ก.", "অ", "∞", "→", "–"]}


@pytest.mark.parametrize("says, option", [(says, option) for says, options in CONTENT.items() for option in options])
def test_an_option_says_something_if_it_has_two_letters_or_a_sign_for_a_word_or_is_a_sum(says, option):
    assert catalogue.is_informative(option) is says


FOUR = dict(item="id", stem="stem", options="options", answer="answer")


def quiz(*items):
    """Records; the first option is the right one."""
    return {"en.jsonl": [dict(id=f"quiz/{number}", stem=f"{number}?", options=options, answer=0)
                         for number, options in enumerate(items)]}


def test_options_that_repeat_or_say_nothing_are_left_out_and_items_with_them(given_set):
    load = given_set("choices", quiz(
        ["a red fox", "a hare", "4", "None of the above"],      # 0: two distractors say nothing of their own
        ["True", "False"],                                      # 1: as in 2
        ["false.", "TRUE"],                                     # 2
        ["7", "a bear"],                                        # 3
        ["a wolf", "none of  the above.", "B"],                 # 4: no distractor is left
        ["a lynx", "A Lynx.", "a lynx ", "an owl"],             # 5: said again within the item
        ["a stoat", "an eel", "an eel", "a mole", "a mole!"],   # 6: twice in one item only
        ["a hen", "a duck"], ["a goose", "a duck"], ["a cock", "a drake"],  # 7, 8: the one distractor of both
    ), fields=FOUR)
    rows, counts = load()
    assert cast(rows) == {"quiz/0": ("0?", "a red fox", ["a hare"]), "quiz/5": ("5?", "a lynx", ["an owl"]),
                          "quiz/6": ("6?", "a stoat", ["an eel", "an eel", "a mole", "a mole!"]),
                          "quiz/9": ("9?", "a cock", ["a drake"])}
    assert counts == {"read": 10, "distractors left out": 2 + 2 + 2 + 1 + 1, "left out: no distractor is left": 3,
                      "left out: its right option carries no content": 1,
                      "left out: its right option repeats in other items": 2}


def test_options_of_another_language_do_not_count(given_set):
    records = quiz(["a red fox", "a hare"])["en.jsonl"]
    rows, _ = given_set("choices", {"de.jsonl": records, "en.jsonl": records}, languages=["de", "en"], fields=FOUR)()
    assert len(rows) == 2


def test_all_is_kept_but_empty_options_if_asked_for(given_set):
    load = given_set("choices", quiz(["True", "False", "", " "], ["False", "True", "4", "false"], ["7", "A"], ["9"],
                                     ["9", ""]), fields=FOUR)
    rows, counts = load(keep="all")
    assert cast(rows) == {"quiz/0": ("0?", "True", ["False"]), "quiz/1": ("1?", "False", ["True", "4"]),
                          "quiz/2": ("2?", "7", ["A"]), "quiz/3": ("3?", "9", [])}
    assert counts == {"read": 5, "distractors left out": 4, "left out: no distractor is left": 1}


@given(st.lists(st.lists(st.sampled_from(["4", "", "oak", " Oak.", "ash", "elm", "fir", "yew", "a yew", "bay", "fig"]),
                         min_size=1, max_size=4), max_size=6))
def test_no_option_that_is_kept_is_one_of_another_item(items):
    def plain(options):
        return {option.strip(" .").lower() for option in options}

    given, tally = {f"{number}?": options for number, options in enumerate(items)}, Counter()
    posed = [dict(item=stem, stem=stem, options=options, answer=0) for stem, options in given.items()]
    rows = list(catalogue.options_to_rows(posed, "en", "content", tally))
    for row in rows:
        kept = plain([row["passage"], *row["negatives"]])
        assert kept.isdisjoint({"4", ""}) and (len(kept) > 1 or len(given[row["item"]]) == 1)
        assert all(stem == row["item"] or kept.isdisjoint(plain(options)) for stem, options in given.items())
    assert len(rows) + sum(number for (_, what), number in tally.items() if what.startswith("left out")) == len(items)


# How much, and errors


def test_the_limit_is_a_number_of_items_a_language(given_set):
    names = ["ant", "bee", "cat", "dog", "eel", "fox"]
    load = given_set("choices", {f"{code}.jsonl": [
        dict(id=name, stem=f"{name}?", options=["4" if name == "bee" else f"{name} {code}", f"no {name}"], answer=0)
        for name in names] for code in ("de", "en")}, languages=["de", "en"], fields=FOUR)
    assert [(row["language"], row["item"]) for row in load(limit=3)[0]] == [
        (code, name) for code in ("de", "en") for name in ("ant", "cat", "dog")]
    assert len(load(limit=50)[0]) == len(load()[0]) == 10
    assert [row["item"] for row in load(languages=["en"], limit=1)[0]] == ["ant"]


@pytest.mark.parametrize("call, kind, named", [
    (lambda data: load_corpus("xnli", languages=["ja", "en"], data=data), ValueError, ["'xnli'", "'ja'", "ar bg de"]),
    (lambda data: load_corpus("exams", languages=["German"], data=data), ValueError, ["'exams'", "'German'", "ar bg"]),
    (lambda data: load_corpus("xnli", keep="some", data=data), ValueError, ["'some'", "'content' or 'all'"]),
    (lambda data: load_corpus("xnly", data=data), FileNotFoundError, ["'xnly'", "encyclo11", ".jsonl", "xnli"]),
    (lambda data: load_corpus("xnli", data=data), FileNotFoundError, ["'xnli'", "no folder", "--data"]),
    (lambda data: load_corpus("bbh", data=data), ValueError, ["'bbh'", "canary", "never be trained on", CONSENT]),
    (lambda data: load_corpus("bbh", data=data, consent="yes"), ValueError, ["'bbh'", "canary", CONSENT]),
])
def test_a_wrong_argument_is_named_with_the_remedy(call, kind, named, tmp_path):
    with pytest.raises(kind) as error:
        call(tmp_path)
    assert all(part in str(error.value) for part in named), error.value
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name, entry in catalogue.catalogue().items() if entry.get("canary")])
def test_consent_to_a_canary_is_asked_for_before_anything_is_looked_for(name, tmp_path):
    for consent in (None, "", True, "train"):
        with pytest.raises(ValueError, match=f"'{name}' carries a canary.*pass consent='{CONSENT}'"):
            load_corpus(name, "all", data=tmp_path, consent=consent)
    with pytest.raises(FileNotFoundError):
        load_corpus(name, "all", data=tmp_path / "nowhere", consent=CONSENT)


# The real sets


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A cache without anything in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpora, "CACHE", tmp_path_factory.mktemp("cold"))
        yield corpora.CACHE


SCRIPTS = {code: script for script, codes in {
    "ARABIC": "ar fa ur", "BENGALI": "bn", "CYRILLIC": "bg mk ru sr uk", "DEVANAGARI": "hi", "GREEK": "el",
    "HANGUL": "ko", "KHMER": "km", "TAMIL": "ta", "TELUGU": "te", "THAI": "th", "CJK": "zh zh-Hant",
    "HIRAGANA": "ja"}.items() for code in codes.split()}  # others are written in Latin letters
PARALLEL = {  # languages whose items are the same, and how many; of sets where none is left out
    "mintaka-dev": ("ar de en es fr hi it ja pt", 2000), "mkqa-mia": ("ar en es fi ja km ko ms ru sv tr zh", 6758),
    "xnli": ("ar bg de el en es fr hi ru sw th tr vi zh", 830),
    "xnli-sentences": ("ar bg de el en es fr hi ru sw th tr vi zh", 15000), "okapi-arc": ("ar de es hi ru vi zh", 7753),
    "okapi-mmlu": ("ar de en es hi ru vi zh", 1525), "xcopa": ("et ht id it qu sw ta th tr vi zh", 600),
    "mgsm": ("bn de en es fr ja ru sw te th zh", 250), "msvamp": ("bn de en es fr ja ru sw th zh", 1000),
    "polymath": ("ar bn de en es fr id it ja ko ms pt ru sw te th vi zh", 500),
    "mmlu-test-parallel": ("en id vi zh", 14159),
    "bmlama53": ("ar bn de el en es fa fi fr hi id it ja ko pt ro ru ta th tr uk ur vi zh", 3070)}


@pytest.mark.parametrize("name", LOCAL)
def test_a_real_set_is_read_to_the_last_row(name, data, cold):
    folder, described = place(name, data)
    entry = catalogue.catalogue()[name]
    if entry.get("canary"):
        with pytest.raises(ValueError, match="canary"):
            load_corpus(name, "all", data=data)
    corpus = load_corpus(name, "all", data=data, consent=entry.get("canary") and CONSENT)

    # As many rows as the set's own description says, kept or counted as left out, and no file is forgotten
    others = {*catalogue.catalogue().get(folder.name, entry)["languages"]} - {*entry["languages"]}  # taken by other sets only
    counts = {file: number for file, number in re.findall(r"^- (\S+): (\d+)$", described, re.M)
              if Path(file).name.split(".")[0] not in others}
    source = open_source(name, data, consent=entry.get("canary") and CONSENT)
    start = f"file://{folder}/"
    found = sorted(file.removeprefix(start) for part in [source.extra, *source.parts.values()] for file in part)
    assert found == sorted(counts)
    kept, told = Counter(corpus.rows["language"]), corpus.about["counts"]
    assert set(told) == set(source.parts) == set(entry["languages"])
    for code, part in source.parts.items():
        assert told[code]["read"] == sum(int(counts[file.removeprefix(start)]) for file in part)
        made = rows_of_a_record(entry) * told[code].pop("read")
        for what in ("answers found elsewhere than marked", "negatives left out: the passage itself"):
            told[code].pop(what, None)  # these rows are kept
        assert made == sum(told[code].values()) - told[code].pop("distractors left out", 0)
        assert told[code].pop("kept", 0) == kept[code]
        assert all(what.startswith("left out: ") for what in told[code])

    # The texts are there, in the language's script, and no option is one of another item
    rows = corpus.rows.remove_columns(["subject"]).to_list()
    shown, uses = defaultdict(list), defaultdict(set)
    for row in rows:
        assert row["task"] == entry["task"] and all(row[what].startswith(f"{name}/") for what in ("item", "group"))
        assert (row["query"] and row["passage"]) or row["query"] + row["passage"] and "optional" in entry
        assert all(row["negatives"]) and (row["negatives"] == [] or row["task"] == "reasoning" or "most" in entry)
        if len(shown[row["language"]]) < 100:
            shown[row["language"]].append(row["query"] or row["passage"])
        if row["task"] == "reasoning":
            for option in row["hashes"][1:]:
                uses[row["language"], option].add(row["item"])
    assert all(len(items) == 1 for items in uses.values())
    for code, some in {} if entry.get("canary") else shown.items():
        letters = Counter(unicodedata.name(c, "?").split()[0] for text in some for c in text if c.isalpha())
        assert letters[SCRIPTS.get(code, "LATIN")] > letters.total() / 4, (code, letters)  # the rest: names, formulas
    if name == "msvamp":
        answers = {str(r["id"]): float(r["answer"]) for _, r in source.records("en", source.parts["en"], Counter())}
        for row in rows:
            value = eval(row["passage"].translate(str.maketrans("−×÷", "-*/")))
            assert value == pytest.approx(answers[row["item"].removeprefix("msvamp/")])


@pytest.mark.parametrize("name", list(PARALLEL))
def test_items_of_a_real_parallel_set_have_one_id_in_all_languages(name, data):
    place(name, data)
    languages, number = PARALLEL[name]
    ids = defaultdict(list)
    for row in open_source(name, data, languages.split(), keep="all").rows(tally := Counter()):
        ids[row["language"]].append(row["item"])
    assert sorted(ids) == languages.split() and all(len(set(part)) == len(part) for part in ids.values())
    broken = sum(n for (_, what), n in tally.items() if "no right option" in what or "no distractor" in what)
    assert broken <= 60  # most in one language
    assert number - broken <= len(set.intersection(*map(set, ids.values()))) <= number


WITH_SENTENCES = [name for name in LOCAL if catalogue.catalogue()[name]["reader"] == "answers"]


@pytest.mark.parametrize("name", WITH_SENTENCES)
def test_a_real_question_has_the_sentence_that_holds_its_answer_and_others_of_the_same_paragraph(name, data):
    place(name, data)
    source, entry = open_source(name, data), catalogue.catalogue()[name]
    records = {f"{code}/{where.rpartition('/')[2]}/{record['id']}": record for code, part in source.parts.items()
               for where, record in source.records(code, part, Counter())}
    whole = defaultdict(list)
    for row in source.rows(Counter()):
        record = records[row["item"]]
        context, answer = (" ".join(text.split()) for text in (record["context"], record["answers"][0]["text"]))
        assert row["query"] == " ".join(record["question"].split()) and row["passage"] in context
        assert entry["least"] <= len(row["negatives"]) <= entry["most"] and row["passage"] not in row["negatives"]
        assert all(text in context and len(text) >= 8 for text in row["negatives"])
        whole[row["language"]].append(answer in row["passage"])
    assert all(sum(found) / len(found) > 0.95 for found in whole.values()), whole  # a few go on in the next sentence


@pytest.mark.parametrize("name, languages", [("qa-mono-sentences", "ar fa ja tr zh zh-Hant"),
                                             ("tydiqa-sentences", "en ko sw")])
def test_real_records_without_a_marked_answer_are_those_of_the_parts_that_have_none(name, languages, data, cold):
    _, described = place(name, data)
    without = sum(int(number) for number in re.findall(r"^- dev/\S+: (\d+)$", described, re.M))
    corpus = load_corpus(name, "all", data=data)
    assert sorted(set(corpus.rows["language"])) == languages.split()
    assert sum(told.get("left out: no answer is marked", 0) for told in corpus.about["counts"].values()) == without


def test_real_exams_that_are_translations_are_parallel(data, cold):
    rows = load_corpus("exams", "all", ["de", "es", "hu", "mk", "tr"], data).rows
    languages = defaultdict(set)
    for item, code in zip(rows["item"], rows["language"]):
        languages[item].add(code)
    for x, y, least in (("de", "es", 100), ("mk", "tr", 600), ("de", "hu", 200)):  # half of what the set has
        assert sum({x, y} <= part for part in languages.values()) > least
