"""Paragraphs cut into sentences, by hand and for any text, and questions with the sentence that answers."""

import json
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybrid_batch.data import catalogue, sentences

CLOSING = "\"'”’»)]」』）"
PARTS = {  # sentences of a text, worked out by hand; what stands between two of them is space or closes a quotation
    "English": ["The river rises in the hills.", "Does it reach the sea at all?", "It does, after forty miles!",
                "Nobody has measured it since…"],
    "an abbreviation begins a sentence": ["Dr. Smith was born in the old town.", "He died there as an old man."],
    "an abbreviation ends a long stretch": ["It was found in a field by Mr.", "Brown, who kept all of it for himself."],
    "decimals, dates and addresses": ["The mast is 3.14 metres high and 1.500 years old.",
                                      "See www.example.org/a.html for a picture of it."],
    "Arabic": ["تقع المدينة على ضفة النهر.", "هل تعرف متى بنيت هذه المدينة؟", "نعم، بنيت قبل ألف عام تقريبا!"],
    "Hindi": ["यह नदी हिमालय से निकलती है।", "क्या यह समुद्र तक पहुँचती है?", "हाँ, यह बहुत लंबी नदी है।"],
    "Turkish": ["Nehir dağlardan doğar ve denize ulaşır.", "Boyu 1.355 km'dir; adı ‘Kızılırmak’ olarak bilinir.",
                "Kaynağı Sivas'tadır, ağzı Bafra'dadır."],
    "Chinese": ["这条河发源于山中。", "它是否流入大海？", "流入大海，全长四百公里！", "后来没有人再测量过它。"],
    "Chinese, short ones": ["是的。这条河发源于山中。", "真的！？它是否流入大海？"],
    "a last one that is short": ["It was burnt down in the war.", "Nobody was hurt on that day. He wept. [3]"],
    "a first one that is short": ["No. It was not burnt down.", "Nobody was hurt on that day."],
    "no marks": ["a text that never stops and has not one mark in it though it is long"],
    "short": ["Yes. No."],
    "Thai": ["แม่น้ำสายนี้ไหลลงสู่ทะเล และยาวมาก"],
}


def cut(text):
    return [text[begin:end] for begin, end in sentences.sentences(text)]


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("space", [" ", "\n", " \n\n  "])
def test_a_text_is_cut_after_the_marks_that_end_sentences(kind, space):
    assert cut(space.join(PARTS[kind])) == PARTS[kind]


@pytest.mark.parametrize("kind", ["Hindi", "Chinese", "Chinese, short ones"])
def test_some_marks_need_no_space(kind):
    assert cut("".join(PARTS[kind]).replace("?", "? ")) == PARTS[kind]


@pytest.mark.parametrize("text, parts", [
    ('"We shall go to the hills." So they said to him. Then all of them went.',
     ['"We shall go to the hills.', "So they said to him.", "Then all of them went."]),
    ("“Dağlara doğru gideceğiz.” «Ben de sizinle gelirim!» Sonra hepsi yola çıktı.",
     ["“Dağlara doğru gideceğiz.", "«Ben de sizinle gelirim!", "Sonra hepsi yola çıktı."]),
    ("The town was old (it had walls.) It had nine gates.[2] Some of them still stand.",
     ["The town was old (it had walls.", "It had nine gates.[2] Some of them still stand."]),
    ("他说：「我们到山里去。」然后大家都出发了。『谁也没有回来。』", ["他说：「我们到山里去。", "然后大家都出发了。", "『谁也没有回来。』"]),
    ("他说：“我们到山里去！”。然后大家都出发了。”", ["他说：“我们到山里去！”。", "然后大家都出发了。”"]),
    ('He said: "We shall go there now." "', ['He said: "We shall go there now." "']),
])
def test_a_quotation_is_closed_with_its_sentence(text, parts):
    assert cut(text) == parts


@pytest.mark.parametrize("text, parts", [
    ("The history of the town\nIt was founded by monks", ["The history of the town", "It was founded by monks"]),
    ("History\nIt was founded by monks.\n\n", ["History\nIt was founded by monks."]),  # a short heading
    ("It was founded by monks\r\n" + 30 * " " + "\nThey left it very soon  ",
     ["It was founded by monks", "They left it very soon"]),
    ("", []), (" \n\t ", []), (".", ["."]), ("。」", ["。」"]), ("\n", []),
])
def test_a_new_line_ends_a_sentence_and_space_is_none(text, parts):
    assert cut(text) == parts


def test_a_sentence_is_long_enough_from_twenty_letters_or_eight_chinese_ones():
    assert len(cut(19 * "a" + ". " + 19 * "b" + ".")) == 2 and len(cut(18 * "a" + ". " + 18 * "b" + ".")) == 1
    assert len(cut(7 * "水" + "。" + 7 * "山" + "。")) == 2 and len(cut(6 * "水" + "。" + 7 * "山" + "。")) == 1


texts = st.text(st.sampled_from("abcأक水山かน1 \n.!?…؟。！？।,，" + CLOSING + "“「"), max_size=80) | st.lists(
    st.sampled_from([part for parts in PARTS.values() for part in parts] + ["。", "」", '."', " ", "\n", "[1]"])).map("".join)


@given(texts)
@example("水" * 8 + "。」")
@example("a" * 20 + "\n" + " " * 30 + "\nb")
@example(" " * 30)
def test_sentences_are_in_order_and_hold_every_letter_and_mark_of_the_text(text):
    spans = sentences.sentences(text)
    assert bool(spans) == bool(text.strip())
    ends = [0, *(place for span in spans for place in span), len(text)]
    assert ends == sorted(ends)
    for begin, end in spans:
        assert text[begin:end].strip() and (end - begin >= 8 or len(spans) == 1)
    between = [text[begin:end] for begin, end in zip(ends[::2], ends[1::2])]
    assert set("".join(between[1:-1])) <= {*CLOSING, *" \n"}
    assert not (between[0] + between[-1]).strip()


@given(texts.filter(str.strip), st.data(), st.integers(0, 4))
def test_the_nearest_are_other_sentences_in_the_order_of_their_distance(text, draw, most):
    spans = sentences.sentences(text)
    number = draw.draw(st.integers(0, len(spans) - 1))
    place = draw.draw(st.integers(spans[number][0], spans[number][1] - 1))
    parts = [" ".join(part.split()) for part in cut(text)]
    own, others = sentences.nearest(text, place, most)
    assert own == parts[number] and own not in others and all(others)
    left = sorted((abs(i - number), i) for i, part in enumerate(parts) if part != own)
    assert others == [parts[i] for _, i in left][:most]


TEXT = ("Alba was founded by monks. “It has nine gates in all.”  Its walls are of red stone. It was burnt down in the war."
        " Its walls are of  red stone. Few of them still stand.")
FOUNDED, GATES, WALLS, BURNT, FEW = ("Alba was founded by monks.", "“It has nine gates in all.", "Its walls are of red stone.",
                                     "It was burnt down in the war.", "Few of them still stand.")


@pytest.mark.parametrize("answer, most, own, others", [
    ("Alba", 3, FOUNDED, [GATES, WALLS, BURNT]), ("monks.", 1, FOUNDED, [GATES]), ("war", 0, BURNT, []),
    ("nine", 3, GATES, [FOUNDED, WALLS, BURNT]),
    ("burnt", 9, BURNT, [WALLS, WALLS, GATES, FEW, FOUNDED]),
    ("red", 9, WALLS, [GATES, BURNT, FOUNDED, FEW]),  # said again: no other sentence
    ("”  Its", 1, WALLS, [GATES]), ("  Its", 1, WALLS, [GATES]),  # between two of them: the next one
    ("stand.", 3, FEW, [WALLS, BURNT, WALLS]),
])
def test_a_sentence_and_the_nearest_others_by_hand(answer, most, own, others):
    assert sentences.nearest(TEXT, TEXT.index(answer), most) == (own, others)


def test_a_place_behind_the_text_is_in_its_last_sentence():
    assert sentences.nearest(TEXT, 1000, 1) == (FEW, [WALLS]) and sentences.nearest("Alba", 0, 3) == ("Alba", [])


@pytest.fixture
def read(tmp_path):
    """A function: records -> (rows, {what became of records: how many}), with one to three negatives unless said."""
    def read(*records, **entry):
        (tmp_path / "en.old.jsonl").write_text("\n".join(map(json.dumps, records)))
        entry = dict(reader="answers", task="qa", most=3, least=1) | entry
        source = catalogue.Source("set", entry, {"en": [f"file://{tmp_path}/en.old.jsonl"]}, [])
        rows = list(source.rows(tally := Counter()))
        assert all((row.pop("task"), row.pop("language")) == ("qa", "en") for row in rows)
        left_out = sum(number for (_, what), number in tally.items() if what.startswith("left out"))
        assert len(rows) + left_out == tally["en", "read"]
        return rows, {what: number for (_, what), number in tally.items()}

    return read


def record(number, answer="nine", context=TEXT, question=" How \n many? ", **more):
    found = [] if answer is None else [dict(text=answer, answer_start=context.index(answer))]
    return dict(id=number, question=question, context=context, answers=found) | more


def test_a_question_asks_for_the_sentence_of_its_first_answer_and_others_are_negatives(read):
    both = [dict(text=text, answer_start=TEXT.index(text)) for text in ("burnt", "nine")]
    rows, counts = read(record("a"), record("b", answers=both), most=2)
    assert [row.pop("item").rpartition("/")[2] for row in rows] == ["a", "b"]
    assert rows == [dict(query="How many?", passage=GATES, negatives=[FOUNDED, WALLS]),
                    dict(query="How many?", passage=BURNT, negatives=[WALLS, WALLS])]
    assert counts == {"read": 2}


def test_answers_may_be_a_dict_of_lists_as_in_parquet_files(read):
    places = [TEXT.index("red"), TEXT.index("monks")]
    rows, counts = read(record("a", answers=dict(text=["red", "monks"], answer_start=places)),
                        record("b", answers=dict(text=[], answer_start=[])))
    assert [(row["passage"], row["negatives"]) for row in rows] == [(WALLS, [GATES, BURNT, FOUNDED])]
    assert counts == {"read": 2, "left out: no answer is marked": 1}


def test_records_without_a_marked_answer_a_question_or_enough_other_sentences_are_counted_and_left_out(read):
    unmarked = record("c")
    del unmarked["answers"]
    one = "Alba has nine gates in all."
    rows, counts = read(record("a"), record("b", None), unmarked, record("d", answers=None), record("e", "", " "),
                        record("f", question=" "), record("g", question=None), record("h", context=one),
                        record("i", context=f"{one} It was burnt down in the war."),
                        record("j", context=f"{one} {one} {one} {one}"), least=2)
    assert [row["item"].rpartition("/")[2] for row in rows] == ["a"]
    assert counts == {"read": 10, "left out: no answer is marked": 4, "left out: an empty query or passage": 2,
                      "left out: too few other sentences": 3}


def test_items_are_named_by_language_file_and_id(read):
    rows, _ = read(record("a"), record("b"), record(7))
    parts = [row["item"].split("/") for row in rows]
    assert [(part[0], part[-1]) for part in parts] == [("en", "a"), ("en", "b"), ("en", "7")]
    assert all(part[1].startswith("en.old") for part in parts)


def test_a_record_in_another_form_is_named(read):
    with pytest.raises(ValueError, match="en.old.jsonl, line 2: no field 'context', only id, question"):
        read(record("a"), dict(id="b", question="Who?"))


def test_an_answer_that_is_not_where_it_is_marked_is_looked_for(read):
    """Once elsewhere: taken and counted. Nowhere or twice: left out and counted."""
    def marked(number, text, start):
        return record(number) | {"answers": [dict(text=text, answer_start=start)]}

    right, _ = read(record("a"))
    rows, counts = read(marked("a", "nine", 0), marked("b", "no such", 0), marked("c", "a", 1000),
                        marked("d", "nine", "12"), marked("e", "", 0))
    assert rows == right
    assert counts == {"read": 5, "answers found elsewhere than marked": 1, "left out: no answer is marked": 1,
                      "left out: its answer is not where it is marked": 3}
