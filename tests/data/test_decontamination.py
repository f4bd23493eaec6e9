"""Contamination: what of a benchmark is found in a corpus, and what is not."""

import json
import random
import unicodedata
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from hybrid_batch.data import corpora, decontamination
from hybrid_batch.data.benchmarks import Benchmark, load_benchmark
from hybrid_batch.data.corpora import load_corpus
from hybrid_batch.data.decontamination import contamination, plain
from hybrid_batch.data.table import table as as_table

NILE = "The Nile is a river in north-eastern Africa that flows into the Mediterranean Sea."
ASKED = "Which river flows through Cairo?"


def corpus(*rows):
    """Each row: (item, language, query, passage), perhaps with a dict of further fields."""
    rows = [dict(item=f"set/{item}", language=language, query=query, passage=passage, **dict(*rest))
            for item, language, query, passage, *rest in rows]
    rows = [row | {"group": f"set/{row.get('group', row['item'])}"} for row in rows]
    return corpora.Corpus("made", Dataset(as_table(rows)), "")


def benchmark(queries=(ASKED,), passages=(NILE,), items=None, language="en"):
    items = items or [str(number) for number in range(len(queries))]
    return Benchmark("made", pd.DataFrame({"item": items, "group": 0, "language": language, "text": list(queries)}),
                     pd.DataFrame({"language": language, "text": list(passages)}),
                     pd.DataFrame({"item": items, "passage": 0}), repr((queries, passages)))


def found(made, measured=None):
    table = contamination(made, measured or benchmark())
    return [(row["item"].removeprefix("set/"), row.language, row.field, row.why) for _, row in table.iterrows()]


# Texts


@pytest.mark.parametrize("text", [
    NILE, NILE.upper(), NILE.replace(" ", "  ").replace(".", "!?"), f"«{NILE}»", NILE.replace("-", " – "),
    NILE[:len(NILE) * 4 // 5], NILE[len(NILE) // 5:], f"In this book: {NILE} And so on, for many more lines of text."])
def test_copies_parts_and_texts_around_a_copy_are_found(text):
    assert found(corpus(("a", "en", "What?", text))) == [("a", "en", "passage", "text")]


@pytest.mark.parametrize("text", [
    "The Congo is a river in central Africa that flows into the Atlantic Ocean.", "Africa", "The river", "",
    "Der Nil ist ein Strom im Nordosten Afrikas, der in das Mittelmeer mündet."])
def test_other_texts_and_translations_alone_are_not_found(text):
    assert found(corpus(("a", "en", "What?", text))) == []


@pytest.mark.parametrize("one, other", [
    ("İSTANBUL'DA HANGİ IRMAK VAR?", "istanbul'da hangi ırmak var"), ("ΠΟΙΑ ΕΊΝΑΙ Η ΑΘΉΝΑ;", "Ποια είναι η Αθήνα;"),
    ("Wo ist die GROSSE STRASSE?", "Wo ist die große Straße?"), ("ＡＢＣ とは何ですか", "abcとは何ですか？"),
    ("กรุงเทพอยู่ที่ไหน?", "กรุงเทพ อยู่ ที่ไหน"), ("नदी कहाँ है?", "नदी  कहाँ है।"), ("ما هو النهر؟", "ما هو النهر"),
    ("长江在哪里？", "长江在哪里")])
def test_case_marks_and_spaces_do_not_count_in_any_script(one, other):
    assert plain(one) == plain(other)
    assert found(corpus(("a", "xx", one, "nothing of the kind")), benchmark([other])) == [("a", "xx", "query", "text")]


def test_a_short_text_is_found_if_it_is_the_same_but_not_as_a_part():
    measured = benchmark(["Who is he?"], ["Yes."])
    assert found(corpus(("a", "en", "who is HE", "x")), measured) == [("a", "en", "query", "text")]
    assert found(corpus(("a", "en", "Who is he talking to in this scene?", "Yes.")), measured) == []


def test_queries_passages_and_negatives_are_compared_with_queries_and_passages():
    made = corpus(("a", "en", NILE, ASKED), ("b", "en", "x", "y", dict(negatives=["z", ASKED])))
    assert found(made) == [("a", "en", "passage", "text"), ("a", "en", "query", "text"), ("b", "en", "negative", "text")]


def test_equal_texts_are_found_in_each_of_their_rows():
    made = corpus(*((str(number), "en", f"{number}?", NILE) for number in range(5)))
    assert len(found(made)) == 5


def test_the_most_similar_text_of_the_benchmark_is_named():
    measured = benchmark(["Which river flows through Cairo and Khartoum?", ASKED], [NILE])
    table = contamination(corpus(("a", "en", ASKED, "x")), measured)
    assert table.benchmark_text.tolist() == [1] and table.containment.tolist() == [1.0]


# Ids


def test_a_query_contaminates_its_item_and_a_passage_its_group_in_all_languages():
    made = corpus(("a", "en", ASKED, "x", dict(group="g")), ("a", "de", "Welcher Fluss?", "y", dict(group="g")),
                  ("b", "de", "Was?", "z", dict(group="g")), ("c", "en", "v", NILE, dict(group="h")),
                  ("d", "hi", "क्या?", "नील नदी", dict(group="h")), ("e", "en", "q", "r"))
    assert found(made) == [("a", "en", "query", "text"), ("a", "de", "query", "item"), ("c", "en", "passage", "text"),
                           ("d", "hi", "passage", "group")]


def test_an_item_with_the_id_of_a_question_is_found_without_a_common_text():
    long = "56beb4343aeaaa14008c925b"
    made = corpus((f"{long}", "ca", "Quin riu?", "El Nil"), (f"ca/dev/{long}", "ca", "Quin?", "Riu"), ("12", "ca", "u", "v"))
    measured = benchmark([ASKED, "Who?"], items=[long, "12"])
    assert found(made, measured) == [(long, "ca", "query", "id"), (f"ca/dev/{long}", "ca", "query", "id")]


# Leaving out, and the report


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A corpus of a file, whose report is kept."""
    monkeypatch.setattr(corpora, "CACHE", tmp_path / "cache")
    rows = [dict(item=str(n), language="en", query=f"Number {n}?", passage=NILE if n == 3 else f"It is {n}.") for n in range(6)]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return load_corpus(str(path))


def test_clean_leaves_out_what_was_found_and_counts_it(written):
    cleaned = decontamination.clean(written, [benchmark()])
    assert cleaned.rows["item"][:] == [f"mine/{n}" for n in (0, 1, 2, 4, 5)]
    assert cleaned.about["contaminated"] == {"made": 1}
    assert cleaned.key != written.key
    other = decontamination.clean(written, [benchmark(passages=["Nothing of this."])])
    assert other.rows is written.rows and other.about["contaminated"] == {"made": 0} and other.key == written.key
    with pytest.raises(ValueError, match="all 6 rows of the corpus.*mine.*another corpus"):
        decontamination.clean(written, [benchmark(passages=[NILE, *written.rows["query"][:]])])


def test_a_report_is_made_once_for_a_corpus_and_a_benchmark(written, monkeypatch):
    first = decontamination.report(written, benchmark())
    monkeypatch.setattr(decontamination, "_contaminations", lambda *_: pytest.fail("made again"))
    pd.testing.assert_frame_equal(decontamination.report(written, benchmark()), first)
    with pytest.raises(pytest.fail.Exception):
        decontamination.report(written, benchmark(queries=["Another?", "Two?"]))


def test_several_benchmarks_are_looked_for_together_as_each_alone(written):
    tests = [benchmark(), benchmark(passages=["Nothing of this."]), benchmark(queries=[written.rows["query"][0]]), benchmark()]
    alone = [contamination(written, one) for one in tests]
    assert len(alone[0]) and not len(alone[1])
    for together in (decontamination._contaminations(written, tests), decontamination._reports(written, tests)):
        for found, expected in zip(together, alone, strict=True):
            pd.testing.assert_frame_equal(found, expected, check_dtype=False)


# Against a slow reference, and planted duplicates


def slow(text, other):
    """Whether two texts are one, by sets."""
    text, other = plain(text).ljust(5, "\0"), plain(other).ljust(5, "\0")
    first, second = ({t[i:i + 5] for i in range(len(t) - 4)} for t in (text, other))
    sizes = sorted(len(t.rstrip("\0")) + 1.5 * sum("\u2e80" <= c <= "\u9fff" for c in t) for t in (text, other))
    share = len(first & second) / min(len(first), len(second))
    return share >= 0.9 and sizes[0] >= 6 and (sizes[0] >= 40 or sizes[0] >= 0.7 * sizes[1])


WORDS = st.lists(st.sampled_from(["river", "Nile", "is a", "河", "在非洲的河流", "long", "Ist das", "แม่น้ำ", "नदी", "42", "?"]),
                 max_size=14).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=8), st.lists(WORDS, min_size=1, max_size=8))
def test_what_is_found_is_what_a_slow_comparison_of_all_pairs_finds(texts, known):
    made = corpus(*((str(number), "xx", text, "") for number, text in enumerate(texts)))
    expected = {str(number) for number, text in enumerate(texts) if any(slow(text, other) for other in known)}
    assert {item for item, *_ in found(made, benchmark(known, [""]))} == expected


def recased(text, draw):
    return draw.choice([text.upper(), text.lower(), text.title(), text.swapcase()])


def repunctuated(text, draw):
    words = "".join(" " if unicodedata.category(c)[0] == "P" else c for c in text).split()
    return "".join(word + draw.choice([" ", ",", " – ", "; ", "! ", "... ", "  ", "، ", "。"]) for word in words)


def truncated(text, draw):
    size = len(text) - len(text) // 5
    start = draw.choice([0, len(text) - size, (len(text) - size) // 2])
    return text[start:start + size]


WAYS = {"copied": lambda text, draw: text, "recased": recased, "repunctuated": repunctuated, "truncated": truncated}


def planted(base, measured, times, seed=0):
    """(corpus, kind of each row): base rows and, for texts of the benchmark drawn at random, rows with the text changed
    in each of WAYS beside texts of base, and for each a row in another language with the same id only."""
    draw = random.Random(seed)
    rows = [dict(item=f"base/{number}", language=row["language"], query=row["query"], passage=row["passage"])
            for number, row in enumerate(base)]
    kinds = ["base"] * len(rows)
    for way, change in WAYS.items():
        for field, table in (("query", measured.queries), ("passage", measured.passages)):
            for number in draw.sample(range(len(table)), times):
                text = change(table.text.iloc[number], draw)
                item = f"{way}/{field}/{number}"
                other = f"{field[0]}{number} {way} {draw.random()}"
                rows.append(dict(item=item, language=table.language.iloc[number], query=f"{other}?", passage=f"{other}!")
                            | {field: text or "?"})
                rows.append(dict(item=item, language="xx", query=f"{other} asked", passage=f"{other} answered"))
                kinds += [way, "translated"]
    return corpora.Corpus("planted", Dataset(as_table(rows)), ""), kinds


def quality(base, measured, times):
    """(recall of each way, precision) in rows."""
    made, kinds = planted(base, measured, times)
    hit = np.zeros(len(kinds), bool)
    hit[contamination(made, measured).row.unique()] = True
    right, total = Counter(np.array(kinds)[hit]), Counter(kinds)
    return {way: right[way] / total[way] for way in (*WAYS, "translated")}, 1 - right["base"] / hit.sum()


def test_planted_duplicates_of_our_own_benchmark_are_found_and_nothing_else():
    base = [row for name in ("encyclo11", "encyclo11-reasoning") for row in load_corpus(name).rows]
    recall, precision = quality(base, load_benchmark("encyclo11"), times=100)
    assert min(recall.values()) > 0.99 and precision > 0.95, (recall, precision)


@pytest.mark.parametrize("name", ["xquad-r", "mlqa-r"])
def test_planted_duplicates_of_a_real_benchmark_are_found_among_real_texts(name, data):
    base = []
    for part in ("xnli", "qa-mono", "exams"):
        rows = load_corpus(part, data=data).rows
        base += list(rows.select(random.Random(0).sample(range(len(rows)), 1500)))
    recall, precision = quality(base, load_benchmark(name, data), times=250)
    assert min(recall.values()) > 0.99 and precision > 0.95, (recall, precision)


@pytest.mark.parametrize("name", ["xquad-r", "mlqa-r"])
def test_our_own_corpus_shares_no_text_with_a_real_benchmark(name, data):
    measured = load_benchmark(name, data)
    for part in ("encyclo11", "encyclo11-reasoning"):
        assert len(decontamination.report(load_corpus(part, "all"), measured)) == 0


def test_what_is_known_to_be_in_the_real_sets_is_found(data):
    """tydiqa-goldp's README says that one English passage shares a paragraph with XQuAD."""
    table = contamination(load_corpus("tydiqa-goldp", "all", ["en"], data), load_benchmark("xquad-r", data, languages=["en"]))
    assert len(table[table.why == "text"]) == 1 and set(table.language) == {"en"}


def test_the_report_of_another_split_of_the_same_files_is_another(tmp_path, monkeypatch):
    """Name, checksum and number of questions of both splits are the same: before, the second got the first's report."""
    monkeypatch.setattr(corpora, "CACHE", tmp_path)
    corpus = load_corpus("encyclo11", "validation", ["en"])
    test, validation = (load_benchmark("encyclo11", split=split, languages=["en"]) for split in ("test", "validation"))
    assert test.checksum == validation.checksum
    assert set(decontamination.report(corpus, test).row) != set(decontamination.report(corpus, validation).row)
    with pytest.raises(ValueError, match="all .* rows of the corpus 'encyclo11' stand in the benchmark"):
        decontamination.clean(corpus, [validation])
