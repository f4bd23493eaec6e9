"""Corpora: what is loaded and kept, which items form a group, and what a wrong name or file is told."""

import json
import os
import subprocess
import sys
import threading
import time
import unicodedata
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_batch import storage
from hybrid_batch.data import catalogue, corpora, encyclo11, table
from hybrid_batch.data.corpora import build, join, load_corpus, select, swap_answers, with_task
from hybrid_batch.data.languages import LANGUAGES
from hybrid_batch.data.table import hash_texts

ROW = dict(item="1", language="en", query="Who?", passage="She did.")
COLUMNS = [*table.TEXTS, "negatives", "hashes"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache for the tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpora, "CACHE", tmp_path_factory.mktemp("cache"))
        yield


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A function that gives a cache without anything in it from now on; the first is in place."""
    numbers = iter(range(100))

    def fresh():
        monkeypatch.setattr(corpora, "CACHE", tmp_path / f"cache{next(numbers)}")
        return corpora.CACHE

    fresh()
    return fresh


@pytest.fixture
def write(tmp_path):
    """A function that writes rows (or lines of text) to a JSON-lines file and names it."""
    def write(*rows, name="rows.jsonl"):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        return str(tmp_path / name)

    return write


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """A function that puts a data set of parallel questions and passages into a catalogue of its own."""
    made = {}
    monkeypatch.setattr(catalogue, "catalogue", lambda: made)

    def publish(name, languages, items, **entry):
        for language in languages:
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{language}.jsonl").write_text("".join(
                json.dumps(dict(id=str(i), q=f"q{i} {language}", p=f"p{i} {language}")) + "\n" for i in range(items)))
        made[name] = dict(use="training", task="qa", languages=languages, files=["{language}.jsonl"], reader="qa",
                          fields=dict(item="id", query="q", passage="p")) | entry
        return tmp_path

    return publish


def of_items(rows, *fields):
    return {(row["item"], row["language"]): tuple(row[field] for field in fields) for row in rows}


def make(rows, **options):
    """A corpus of rows, made anew."""
    make.number = getattr(make, "number", 0) + 1
    return build("made", rows, f"{make.number}", prefix="", **options)


# Our own rows


@pytest.mark.parametrize("split", ["train", "validation", "test", "all"])
def test_our_own_corpus_has_the_items_of_the_split_in_every_language(split):
    splits = json.loads((encyclo11.FOLDER / "splits.json").read_text())
    ids = set(splits[split]) if split != "all" else {one for part in splits.values() for one in part}
    for name, field in (("encyclo11", "group"), ("encyclo11-reasoning", "item")):
        rows = load_corpus(name, split).rows.to_pandas()
        items = rows.groupby("language")[["item", "group"]].agg(list)
        assert sorted(items.index) == LANGUAGES
        assert all(row.to_dict() == items.loc["en"].to_dict() for _, row in items.iterrows())
        found = {one.removeprefix(f"{name}/") for one in items[field]["en"]}
        assert found and not found - ids
        ids -= found  # what is left the other corpus must have
        assert len(rows) == len(set(rows["item"])) * len(LANGUAGES)
    assert not ids


def test_questions_meet_the_sentence_that_answers_them():
    rows = {(row["item"], row["language"]): row for row in load_corpus("encyclo11").rows}
    for entry in encyclo11.read_encyclo11("passages", "de", "train"):
        for question in entry["questions"]:
            texts = [question["text"], entry["sentences"][question["answer"]]]
            assert rows[f"encyclo11/{question['id']}", "de"] == dict(
                item=f"encyclo11/{question['id']}", group=f"encyclo11/{entry['id']}", language="de", task="qa",
                subject="", query=texts[0], passage=texts[1], negatives=[], hashes=hash_texts(texts).tolist())


def test_the_other_sentences_of_a_passage_are_negatives_where_that_is_asked_for():
    rows = {(row["item"], row["language"]): row for row in load_corpus("encyclo11-sentences").rows}
    plain = load_corpus("encyclo11").rows
    assert len(rows) == len(plain)
    for entry in encyclo11.read_encyclo11("passages", "th", "train"):
        for question in entry["questions"]:
            row = rows[f"encyclo11-sentences/{question['id']}", "th"]
            assert (row["query"], row["passage"]) == (question["text"], entry["sentences"][question["answer"]])
            assert row["negatives"] == [s for s in entry["sentences"] if s != row["passage"]] and row["task"] == "qa"


def test_stems_meet_the_right_option_and_the_wrong_ones_are_negatives():
    rows = {(row["item"], row["language"]): row for row in load_corpus("encyclo11-reasoning").rows}
    for entry in encyclo11.read_encyclo11("reasoning", "hi", "train"):
        row = rows[f"encyclo11-reasoning/{entry['id']}", "hi"]
        assert (row["task"], row["query"], row["group"]) == ("reasoning", entry["stem"], row["item"])
        assert row["passage"] == entry["options"][entry["answer"]]
        assert [row["passage"], *row["negatives"]] == sorted(entry["options"], key=lambda o: o != row["passage"])


def test_languages_can_be_chosen():
    chosen = load_corpus("encyclo11", languages=["hi", "en"])
    assert set(chosen.rows["language"]) == {"en", "hi"}
    assert len(chosen.rows) == len(load_corpus("encyclo11").rows) * 2 // 11


# Rows of a file


def test_a_file_of_rows_gets_task_group_subject_and_negatives_if_it_has_none(write):
    full = dict(ROW, item="2", language="de", group="g", task="reasoning", subject="logic", negatives=["He.", "Us."])
    rows = load_corpus(write(ROW, full, dict(full, item="3", negatives=None))).rows
    assert rows.column_names == COLUMNS
    rows = [{name: value for name, value in row.items() if name != "hashes"} for row in rows.to_list()]
    assert rows == [dict(ROW, item="rows/1", group="rows/1", task="qa", subject="", negatives=[]),
                    dict(full, item="rows/2", group="rows/1"),  # the same passage as that of the first
                    dict(full, item="rows/3", group="rows/1", negatives=[])]


def test_a_row_of_a_file_may_lack_its_query_or_its_passage(write):
    asks, answers = ({k: v for k, v in ROW.items() if k != name} for name in ("passage", "query"))
    rows = load_corpus(write(asks, dict(answers, language="de"), dict(asks, item="2"))).rows
    assert of_items(rows, "query", "passage", "group") == {
        ("rows/1", "en"): ("Who?", "", "rows/1"), ("rows/1", "de"): ("", "She did.", "rows/1"),
        ("rows/2", "en"): ("Who?", "", "rows/2")}  # missing passages are not one that items have in common
    assert (np.array(rows["hashes"]) == table.EMPTY).tolist() == [[False, True], [True, False], [False, True]]


def test_ids_that_differ_in_case_or_spaces_are_different_ids(write):
    groups = {"aB": "aB", "ab": "ab", "a b": "a b", "c": "AB"}
    path = write(*(dict(ROW, item=item, group=groups[item], passage=f"p {n}") for n, item in enumerate(groups)))
    rows = load_corpus(path).rows
    assert of_items(rows, "group") == {(f"rows/{i}", "en"): (f"rows/{g}",) for i, g in groups.items()}


def test_a_file_is_taken_whole_whatever_the_split(write):
    path = write(*(dict(ROW, item=str(i), passage=f"p{i}") for i in range(100)))
    taken = [load_corpus(path, split).rows.to_list() for split in ("train", "validation", "test", "all")]
    assert len(taken[0]) == 100 and all(rows == taken[0] for rows in taken)


def test_languages_and_number_of_rows_of_a_file_can_be_chosen(write):
    rows = [dict(ROW, item=str(i), language=code, passage=f"{i} {code}")
            for i in range(5) for code in ("en", "de", "th")]
    path = write(*rows)
    chosen = load_corpus(path, languages=["th", "en"], limit=2).rows
    assert list(zip(chosen["item"], chosen["language"])) == [
        ("rows/0", "en"), ("rows/0", "th"), ("rows/1", "en"), ("rows/1", "th")]
    assert len(load_corpus(path, limit=9).rows) == 15
    with pytest.raises(ValueError, match=f"'{path}' has no language 'fr'; it has de en th"):
        load_corpus(path, languages=["en", "fr"])
    assert Counter(load_corpus("encyclo11", languages=["hi", "en"], limit=3).rows["language"]) == {"en": 3, "hi": 3}


@pytest.mark.parametrize("rows, named", [
    ([ROW, "{"], ["line 2", "not a JSON object", "fix or remove"]),
    ([ROW, "[1]"], ["line 2", "not a JSON object", "fix or remove"]),
    ([ROW, "", dict(ROW, item="")], ["line 3", "'item'", "not empty", "fill it"]),  # empty lines are counted
    ([ROW, {k: v for k, v in ROW.items() if k != "item"}], ["line 2", "'item'", "not None", "fill it"]),
    ([ROW, {k: v for k, v in ROW.items() if k != "language"}], ["line 2", "'language'", "not None", "fill it"]),
    ([dict(item="1", language="en")], ["line 1", "neither", "'query'", "'passage'", "one of them at least"]),
    ([dict(ROW, query=" ")], ["line 1", "'query'", "not empty", "fill it"]),
    ([dict(ROW, passage="")], ["line 1", "'passage'", "not empty", "fill it"]),
    ([dict(ROW, query=None)], ["line 1", "'query'", "not None", "fill it"]),
    ([dict(ROW, passage=7)], ["line 1", "'passage'", "must be a text", "not 7"]),
    ([dict(ROW, language=None)], ["line 1", "'language'", "must be a text"]),
    ([dict(ROW, group="")], ["line 1", "'group'", "not empty"]),
    ([dict(ROW, subject=3)], ["line 1", "'subject'", "must be a text", "not 3"]),
    ([dict(ROW, task="quiz")], ["line 1", "'task'", "qa, extra, reasoning, parallel", "'quiz'"]),
    ([dict(ROW, negatives="no")], ["line 1", "'negatives'", "list of texts", "'no'", "square brackets"]),
    ([dict(ROW, negatives="")], ["line 1", "'negatives'", "list of texts", "''"]),
    ([dict(ROW, negatives=["a", ""])], ["line 1", "'negatives'", "list of texts", "without empty texts"]),
    ([ROW, dict(ROW, item="2", negatives=["He.", "SHE  did."])], ["line 2", "item '2'", "also among its negatives"]),
    ([dict(ROW, anwser="x")], ["line 1", "unknown field 'anwser'", "rename it", "a row may have", "passage"]),
    ([dict(ROW, hashes=[1, 2])], ["line 1", "unknown field 'hashes'", "leave it out"]),
    ([ROW, dict(ROW, language="de"), ROW], ["line 3", "'1' occurs twice in language 'en'", "its own id"]),
    ([], ["has no rows", "one JSON object a line"]),
    (["", " "], ["has no rows"]),
])
def test_a_wrong_row_is_named_by_file_line_and_field(rows, named, write):
    path = write(*rows)
    with pytest.raises(ValueError) as error:
        load_corpus(path)
    assert all(part in str(error.value) for part in [path, *named]), error.value


@pytest.mark.parametrize("call, kind, named", [
    (lambda: load_corpus("wiki"), FileNotFoundError, ["'wiki'", "'encyclo11'", ".jsonl", "okapi-arc"]),
    (lambda: load_corpus("no/such.jsonl"), FileNotFoundError, ["such.jsonl does not exist", "check the path"]),
    (lambda: load_corpus("encyclo11", "dev"), ValueError, ["'dev'", "train", "validation", "test"]),
    (lambda: load_corpus("encyclo11-reasoning", languages=["en", "fr"]), ValueError, ["'fr'", "it has ar de el en"]),
    (lambda: load_corpus("encyclo11+wiki"), FileNotFoundError, ["'wiki'", "'encyclo11'"]),
    (lambda: load_corpus("encyclo11+encyclo11"), ValueError, ["named twice", "leave one out"]),
])
def test_a_wrong_name_is_told_the_right_ones(call, kind, named):
    with pytest.raises(kind) as error:
        call()
    assert all(part in str(error.value) for part in named), error.value


# The Arrow file


SPREAD = [dict(item=str(i // 2), language=("en", "de")[i % 2], group=f"g{i // 6}", query=f"q{i}",
               passage=f"P {i * 7 % 29}", negatives=[f"n{j}" for j in range(i % 3)]) for i in range(50)]


def test_chunks_make_no_difference(write, fresh, monkeypatch):
    path = write(*SPREAD)
    whole = load_corpus(path)
    assert len(set(whole.rows["group"])) < len({row["group"] for row in SPREAD})
    for chunk in (1, 7):
        fresh()
        monkeypatch.setattr(corpora, "CHUNK", chunk)
        parts = load_corpus(path)
        assert len(parts.rows.data.to_batches()) > len(whole.rows.data.to_batches())
        assert parts.rows.to_list() == whole.rows.to_list()
        assert (parts.about, parts.checksum, parts.key) == (whole.about, whole.checksum, whole.key)


def kept_in(cache):
    """What is in a cache but the locks."""
    return [path for path in cache.iterdir() if path.suffix != ".lock"]


def never():
    raise AssertionError("rows are read although they are in the cache")
    yield


def test_a_corpus_asked_for_again_is_not_written_again(write, fresh):
    cache, path = fresh(), write(ROW)
    first = load_corpus(path)
    [folder] = kept_in(cache)
    before = {file: file.stat().st_mtime_ns for file in [folder, *folder.iterdir()]}
    again = load_corpus(path)
    assert again.rows.to_list() == first.rows.to_list()
    assert (again.about, again.checksum, again.key) == (first.about, first.checksum, first.key)
    assert {file: file.stat().st_mtime_ns for file in [folder, *folder.iterdir()]} == before
    kept = build("made", [ROW], "1", about={"title": "Made"}, counts=Counter({("en", "read"): 7}))
    assert build("made", never(), "1").rows.to_list() == kept.rows.to_list()
    assert kept.about == {"title": "Made", "counts": {"en": {"read": 7, "kept": 1}}}
    assert build("made", never(), "1").about == kept.about


def test_another_corpus_is_another_file(write, fresh, monkeypatch):
    cache, rows = fresh(), [dict(ROW, item=str(i), language=code) for i in range(3) for code in ("de", "en")]
    path = write(*rows)
    calls = [dict(), dict(split="all"), dict(limit=1), dict(limit=2), dict(keep="all"), dict(languages=["en"]),
             dict(languages=["de"])]
    corpora_ = [load_corpus(path, **call) for call in calls]
    assert [len(corpus.rows) for corpus in corpora_] == [6, 6, 2, 4, 6, 3, 3]
    assert len({corpus.key for corpus in corpora_}) == len(kept_in(cache)) == len(calls)
    assert len({corpus.checksum for corpus in corpora_}) == 1
    assert load_corpus(path, languages=["en", "de"]).key == load_corpus(path, languages=["de", "en"]).key
    other = load_corpus(write(*rows[:2], name="other/rows.jsonl"))
    assert len(other.rows) == 2 and other.checksum != corpora_[0].checksum and other.key != corpora_[0].key
    monkeypatch.setattr(storage, "code_fingerprint", lambda *_: "another version")
    keys = [build("made", [ROW], "1").key, build("made", [ROW], "2").key, build("made", [ROW], "1", hold=(True, 20)).key,
            build("made", [ROW], "1", hold=(False, 20)).key, build("made", [ROW], "1", options=["x"]).key,
            build("other", [ROW], "1").key, load_corpus(path).key]
    assert len({*keys, *(corpus.key for corpus in corpora_)}) == len(keys) + len(corpora_)


def test_the_checksum_changes_with_the_files(write):
    first, second = write(ROW, name="a.jsonl"), write(dict(ROW, query="Which?"), name="b.jsonl")
    assert load_corpus(first).checksum == load_corpus(write(ROW, name="c.jsonl")).checksum
    assert load_corpus(first).checksum != load_corpus(second).checksum


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("after", [0, 5])
def test_an_interrupted_corpus_leaves_nothing_behind(error, after, fresh, monkeypatch):
    cache = fresh()
    monkeypatch.setattr(corpora, "CHUNK", 2)

    def interrupted():
        yield from SPREAD[:after]
        assert any(cache.rglob("draft.arrow"))
        raise error

    with pytest.raises(error):
        build("made", interrupted(), "1")
    assert kept_in(cache) == []
    assert len(build("made", SPREAD, "1").rows) == 50
    monkeypatch.setattr(corpora, "_first_of_group", lambda *_: interrupted().throw(error))
    with pytest.raises(error):
        build("made", SPREAD, "2")
    assert len(kept_in(cache)) == 1


def test_of_two_that_make_the_same_corpus_at_once_both_get_it(fresh):
    cache, begun = fresh(), threading.Event()

    def slow():
        yield from SPREAD[:10]
        begun.set()
        time.sleep(0.2)
        yield from SPREAD[10:]

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(build, "made", slow(), "1")
        begun.wait(10)
        second = pool.submit(build, "made", never(), "1")
        assert first.result().rows.to_list() == second.result().rows.to_list()
    assert len(kept_in(cache)) == 1


def test_what_is_made_may_be_read_by_all_that_the_umask_lets(fresh):
    cache = fresh()
    before = os.umask(0o022)
    try:
        build("made", SPREAD, "1")
    finally:
        os.umask(before)
    [folder] = kept_in(cache)
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, folder / "rows.arrow", folder / "about.json")] == [
        "0o755", "0o644", "0o644"]


def test_the_longest_of_names_is_no_trouble(write):
    assert len(load_corpus(write(ROW, name="n" * 240 + ".jsonl")).rows) == 1


def test_an_item_that_comes_again_in_a_language_is_left_out_and_counted():
    rows = [ROW, dict(ROW, language="de"), dict(ROW, query="Again?", passage="Other."), dict(ROW, item="2"),
            dict(ROW, query="And again?")]
    corpus = make(rows)
    assert of_items(corpus.rows, "query") == {("1", "en"): ("Who?",), ("1", "de"): ("Who?",), ("2", "en"): ("Who?",)}
    assert corpus.about["counts"] == {"en": {"kept": 2, "left out: its id came before": 2}, "de": {"kept": 1}}


def test_a_corpus_may_end_up_without_rows():
    corpus = make([], counts=Counter({("en", "read"): 3, ("en", "left out: dull"): 3}))
    assert len(corpus.rows) == 0 and corpus.rows.column_names == COLUMNS
    assert corpus.about == {"counts": {"en": {"left out: dull": 3, "read": 3}}}


def test_ids_begin_with_the_name_of_the_corpus():
    rows = [dict(ROW, group="g")]
    for name, prefix, start in (("a/b", None, "a_b/"), ("c/d e.jsonl", None, "d e/"), ("x", "", ""), ("x", "y-", "y-")):
        [row] = build(name, rows, f"{name} {prefix}", prefix=prefix).rows.to_list()
        assert (row["item"], row["group"]) == (f"{start}1", f"{start}g")


# Hashes


@given(st.lists(st.text(alphabet="aAß \t\n\u3000.é", max_size=5), max_size=8))
def test_hashes_are_alike_for_texts_that_differ_in_case_and_spaces_only(texts):
    hashes = hash_texts(texts)
    assert hashes.dtype == np.uint64 and len(hashes) == len(texts)
    normal = [" ".join(text.split()).casefold() for text in texts]
    for one, text in zip(hashes, normal):
        assert (hashes == one).tolist() == [other == text for other in normal]
        assert (one == table.EMPTY) == (text == "")
    assert len(set(hash_texts(["Straße", "STRASSE", " strasse"]))) == 1


SAME = ["Ｃafé １２ km", "Cafe\u0301 12 km", "\ufeffCafé 12 km", "Ca\u200bfé\u00a012 km", "café\u3000１２\u2009ｋｍ", "CAFÉ 12 ㎞"]


def test_texts_that_the_tokenizer_cannot_tell_apart_are_one():
    """NFC and NFD, full-width and plain, with and without invisible signs."""
    assert len(set(hash_texts(SAME))) == 1
    assert len({*hash_texts([SAME[0], "Cafe 12 km", "Café 1 2 km", "Café12 km"])}) == 4
    corpus = make([dict(ROW, item=str(n), query=f"{n}?", passage=text) for n, text in enumerate(SAME)])
    assert set(corpus.rows["group"]) == {"0"}


@given(st.text(max_size=8))
def test_the_form_of_unicode_makes_no_difference(text):
    assert len(set(hash_texts([unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]))) == 1


@pytest.mark.parametrize("chunk", [7, 10_000])
def test_the_column_of_hashes_is_that_of_query_passage_and_negatives(chunk, write, monkeypatch):
    corpus = load_corpus(write(*SPREAD))
    for row in corpus.rows:
        assert row["hashes"] == hash_texts([row["query"], row["passage"], *row["negatives"]]).tolist()
    monkeypatch.setattr(corpora, "CHUNK", chunk)
    few = join(load_corpus("encyclo11-reasoning", limit=2), select(corpus, np.arange(50) % 3 == 1, "few")).rows
    for rows in (corpus.rows, few, few.select([])):
        hashes, start = table.text_hashes(rows)
        assert [hashes[a:b].tolist() for a, b in zip(start, start[1:])] == rows["hashes"][:]


# Groups


@pytest.mark.parametrize("rows, groups", [
    # (item, language, passage, group or None), the group that each item ends up in
    ([("a", "en", "P", None), ("b", "en", "Q", None)], dict(a="a", b="b")),
    ([("a", "en", "P", None), ("a", "de", "X", None), ("b", "en", "Q", None), ("b", "de", "X", None)],
     dict(a="a", b="a")),
    ([("a", "en", "P", None), ("a", "de", "X", None), ("b", "en", "X", None)], dict(a="a", b="a")),  # across languages
    ([("a", "en", "An Answer", None), ("b", "en", " an\tanswer ", None)], dict(a="a", b="a")),
    ([("a", "en", "", None), ("b", "en", "", None), ("c", "en", "a", None)], dict(a="a", b="b", c="c")),  # none at all
    ([("a", "en", "", None), ("b", "de", "P", None), ("a", "de", "P", None)], dict(a="a", b="a")),
    ([("a", "en", "P", "g"), ("b", "en", "Q", "g"), ("c", "en", "R", None)], dict(a="g", b="g", c="c")),
    ([("a", "en", "P", "g"), ("b", "en", "Q", "g"), ("c", "en", "Q", "h"), ("d", "en", "R", "h")],
     dict.fromkeys("abcd", "g")),
    ([("a", "en", "P", "b"), ("b", "en", "Q", "a")], dict(a="b", b="a")),  # a group may be called as another's item
    ([("a", "en", "1", None), ("b", "en", "4", None), ("c", "en", "3", None), ("d", "en", "2", None),
      ("b", "de", "1", None), ("e", "de", "3", None), ("c", "de", "4", None)], dict(a="a", b="a", c="a", e="a", d="d")),
    ([("a", "en", "P", "g"), ("a", "de", "Q", "h"), ("b", "de", "R", "h")], dict(a="g", b="g")),  # of two groups
])
def test_items_with_a_passage_or_group_in_common_form_a_group(rows, groups):
    rows = [dict(item=item, language=language, query="Same?", passage=passage, negatives=["Same."])
            | ({"group": group} if group else {}) for item, language, passage, group in rows]
    for seed in (None, 1, 2):  # whatever the order; the name is that of the first row
        made = of_items(make(rows).rows, "group")
        assert len(made) == len(rows)
        if seed is None:
            assert {item: group for (item, _), (group,) in made.items()} == groups
        assert len({(groups[item], group) for (item, _), (group,) in made.items()}) == len(set(groups.values()))
        rows = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]


def slow_groups(rows):
    """{item: the name of its group}, joining sets until nothing changes."""
    sets = []
    for row in rows:
        passage = {("passage", text) for text in [" ".join(row["passage"].split()).casefold()] if text}
        sets.append({("item", row["item"]), ("group", row["group"])} | passage)
    changed = True
    while changed:
        changed = False
        for one in sets:
            for other in sets:
                if one is not other and one & other and one != other:
                    one |= other
                    other |= one
                    changed = True
    names = {}
    for row, ties in zip(rows, sets):
        names.setdefault(frozenset(ties), row["group"])
    return {row["item"]: names[frozenset(ties)] for row, ties in zip(rows, sets)}


ROWS = st.lists(st.fixed_dictionaries(dict(
    item=st.integers(0, 8).map("i{}".format), language=st.sampled_from(["en", "de"]), query=st.just(""),
    passage=st.sampled_from(["", "a", " A", "b", "B ", *"cdefghi"]), group=st.sampled_from(["i0", *"ABCDEFGHIJK"]))),
    min_size=1, max_size=12, unique_by=lambda row: (row["item"], row["language"]))


@given(ROWS, st.integers(1, 13))
def test_the_groups_are_those_of_a_slow_union(rows, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpora, "CHUNK", chunk)
        made = make(rows).rows
    assert dict(zip(made["item"], made["group"])) == slow_groups(rows)


# Validation


@given(ROWS)
def test_training_and_validation_rows_are_all_rows_and_have_nothing_in_common(rows):
    whole, training, held = (make(rows, hold=hold).rows.to_list() for hold in (None, (False, 2), (True, 2)))
    assert [make(rows, hold=hold).rows.to_list() for hold in ((False, 2), (True, 2))] == [training, held]
    assert len(training) + len(held) == len(whole)
    assert [row for row in whole if row in training] == training and [row for row in whole if row in held] == held
    for what in ("item", "group"):
        assert {row[what] for row in training}.isdisjoint(row[what] for row in held)
    passages = [{row["hashes"][1] for row in part} - {table.EMPTY} for part in (training, held)]
    assert passages[0].isdisjoint(passages[1])


def test_one_group_in_twenty_is_held_out_by_its_name_alone(publish):
    data = publish("pairs", ["de", "en"], 2000)
    whole, training, held = (load_corpus("pairs", split, data=data) for split in ("all", "train", "validation"))
    ids = [set(corpus.rows["item"]) for corpus in (whole, training, held)]
    assert ids[1] | ids[2] == ids[0] == {f"pairs/{i}" for i in range(2000)} and not ids[1] & ids[2]
    assert len(training.rows) + len(held.rows) == len(whole.rows) == 4000
    assert 60 < len(ids[2]) < 140  # 100 expected, 10 the standard deviation
    assert set(load_corpus("pairs", "validation", ["de"], data).rows["item"]) == ids[2]
    assert load_corpus("pairs", "validation", data=data, limit=500).rows["item"][:] == [
        item for item in held.rows["item"] if int(item[6:]) < 500]
    for corpus, left in ((training, "held out"), (held, "not held out")):
        for counts in corpus.about["counts"].values():
            assert counts["read"] == 2000 == counts["kept"] + counts[left] and counts["kept"] == len(corpus.rows) / 2


def test_a_set_for_validation_is_taken_whole_and_not_trained_on(publish):
    data = publish("checks", ["en"], 30, use="validation")
    assert [len(load_corpus("checks", split, data=data).rows) for split in ("validation", "all")] == [30, 30]
    with pytest.raises(ValueError, match="'checks' is for validation: ask for split 'validation'"):
        load_corpus("checks", data=data)
    with pytest.raises(ValueError, match="'checks' has no test split here: choose train, validation or all"):
        load_corpus("checks", "test", data=data)


# Joining, selecting and shuffling


def test_joined_corpora_keep_their_rows(write):
    first, second = load_corpus(write(ROW, name="a.jsonl")), load_corpus("encyclo11-reasoning", languages=["de"])
    both = join(first, second)
    assert both.rows.to_list() == [*first.rows, *second.rows]
    assert both.name == f"{first.name}+{second.name}"
    assert both.checksum not in (first.checksum, second.checksum, join(second, first).checksum)
    assert first.key in both.key and second.key in both.key
    parts = [dict(name=c.name, checksum=c.checksum, **c.about) for c in (first, second)]
    assert both.about == {"parts": parts, "counts": {"en": {"kept": 1}, "de": {"kept": len(second.rows)}}}
    assert join(first, load_corpus(write(ROW, name="b.jsonl"))).about["counts"] == {"en": {"kept": 2}}


def test_names_joined_by_plus_are_loaded_with_the_same_split_and_limit(publish, write):
    data = publish("left", ["de", "en", "th"], 60)
    publish("right", ["en", "fr"], 60)
    path = write(ROW)
    for split in ("train", "validation"):
        both = load_corpus(f"left+right+{path}", split, data=data, limit=50)
        parts = [load_corpus(name, split, data=data, limit=50).rows for name in ("left", "right", path)]
        assert both.rows.to_list() == [row for part in parts for row in part]
    assert Counter(zip((i.split("/")[0] for i in both.rows["item"]), both.rows["language"]))["rows", "en"] == 1


def test_of_languages_asked_for_each_part_of_a_sum_brings_those_that_it_has(publish):
    data = publish("left", ["de", "en", "th"], 3)
    publish("right", ["en", "fr"], 3)

    def languages(name, *codes):
        rows = load_corpus(name, "all", list(codes), data).rows
        return {(item.split("/")[0], code) for item, code in zip(rows["item"], rows["language"])}

    assert languages("left+right", "en", "th") == {("left", "en"), ("left", "th"), ("right", "en")}
    assert languages("left+right", "fr") == {("right", "fr")}
    assert languages("right+encyclo11", "en", "fr", "hi") == {
        ("right", "en"), ("right", "fr"), ("encyclo11", "en"), ("encyclo11", "hi")}
    with pytest.raises(ValueError, match="'left.right' has no language 'ja'; it has de en fr th"):
        languages("left+right", "en", "ja")


def test_corpora_whose_ids_would_be_the_same_are_not_joined(write):
    paths = [write(ROW, name=f"{folder}/rows.jsonl") for folder in ("one", "two")]
    with pytest.raises(ValueError, match="named twice.*one/rows.jsonl.*names of their own"):
        join(*map(load_corpus, paths))
    both = load_corpus(f"{paths[0]}+encyclo11")
    with pytest.raises(ValueError, match="named twice"):
        join(both, load_corpus("encyclo11"))


def test_chosen_rows_are_a_corpus_of_another_key(write):
    corpus = load_corpus(write(*SPREAD))
    wanted = np.arange(50) % 3 == 0
    chosen = select(corpus, wanted, "every third")
    assert chosen.rows.to_list() == corpus.rows.to_list()[::3]
    assert (chosen.name, chosen.checksum, chosen.about) == (corpus.name, corpus.checksum, corpus.about)
    assert chosen.key not in (corpus.key, select(corpus, ~wanted, "the others").key)


def test_rows_said_to_be_of_another_task_are_else_the_same():
    corpus = load_corpus("encyclo11", languages=["de", "en"])
    other = with_task(corpus, "reasoning")
    assert other.rows.features == corpus.rows.features and other.rows.column_names == COLUMNS
    assert other.rows.to_list() == [row | {"task": "reasoning"} for row in corpus.rows]
    assert set(corpus.rows["task"]) == {"qa"}
    assert (other.name, other.checksum, other.about) == (corpus.name, corpus.checksum, corpus.about)
    assert len({corpus.key, other.key, with_task(corpus, "parallel").key}) == 3
    extra = load_corpus("encyclo11-reasoning", languages=["de", "en"])
    both = join(extra, other)
    assert len(both.rows) == len(extra.rows) + len(other.rows) and both.rows.unique("task") == ["reasoning"]


def test_shuffling_puts_the_same_wrong_option_in_place_of_the_right_one_in_all_languages():
    corpus = load_corpus("encyclo11-reasoning")
    shuffled, places = swap_answers(corpus, "anti-signal", 1), {}
    for old, new in zip(corpus.rows, shuffled.rows, strict=True):
        place = old["negatives"].index(new["passage"])
        assert new["negatives"] == [old["passage"] if i == place else n for i, n in enumerate(old["negatives"])]
        assert {k: new[k] for k in ("item", "group", "language", "query", "task", "subject")} == {
            k: old[k] for k in ("item", "group", "language", "query", "task", "subject")}
        assert new["hashes"] == hash_texts([new["query"], new["passage"], *new["negatives"]]).tolist()
        places.setdefault(new["item"], set()).add(place)
    assert all(len(place) == 1 for place in places.values())
    assert {place for (place,) in places.values()} == {0, 1, 2}
    assert shuffled.name != corpus.name and shuffled.checksum != corpus.checksum and shuffled.key != corpus.key


def test_the_seed_decides_which_wrong_option():
    corpus = load_corpus("encyclo11-reasoning", languages=["en"])
    assert (swap_answers(corpus, "anti-signal", 1).rows["passage"][:]
            == swap_answers(corpus, "anti-signal", 1).rows["passage"][:])
    assert (swap_answers(corpus, "anti-signal", 1).rows["passage"][:]
            != swap_answers(corpus, "anti-signal", 2).rows["passage"][:])


def test_what_is_shuffled_are_the_rows_at_hand():
    """Other rows of the same files, shuffled before, are not taken for these."""
    parts = [load_corpus("encyclo11-reasoning", *which) for which in (
        ("train", ["en"]), ("train", ["de"]), ("validation", ["en"]), ("train", ["en"], None, 20))]
    parts.append(select(parts[0], np.arange(len(parts[0].rows)) < 5, "five"))
    for corpus in parts:
        shuffled = swap_answers(corpus, "anti-signal").rows
        assert shuffled["item"][:] == corpus.rows["item"][:] and shuffled["query"][:] == corpus.rows["query"][:]


def test_items_that_get_a_passage_in_common_by_shuffling_become_a_group():
    corpus = make([dict(ROW, item=item, passage=passage, negatives=[wrong]) for item, passage, wrong in (
        ("1", "A", "Same"), ("2", "B", "Same"), ("3", "C", "Other"))])
    assert corpus.rows["group"][:] == ["1", "2", "3"]
    shuffled = swap_answers(corpus, "anti-signal").rows
    assert list(zip(shuffled["group"], shuffled["passage"], shuffled["negatives"])) == [
        ("1", "Same", ["A"]), ("1", "Same", ["B"]), ("3", "Other", ["C"])]


def test_rows_without_negatives_are_not_shuffled():
    corpus = load_corpus("encyclo11", languages=["en"])
    assert swap_answers(corpus, "anti-signal").rows.to_list() == corpus.rows.to_list()


def of_neutral(corpus, seed=0):
    """(rows of the neutral control by item and language, rows of the corpus, the control)."""
    control = swap_answers(corpus, "neutral", seed)
    return ({(row["item"], row["language"]): row for row in part.rows} for part in (control, corpus))


def test_neutral_answers_are_those_of_one_partner_in_all_languages():
    corpus = load_corpus("encyclo11-reasoning")
    new, old = of_neutral(corpus)
    owner = {(row["language"], row["passage"]): item for (item, _), row in old.items()}
    partner = {}
    for (item, language), row in new.items():
        partner.setdefault(item, set()).add(owner[language, row["passage"]])
        same = ("item", "query", "negatives", "language", "task", "subject")
        assert [row[name] for name in same] == [old[item, language][name] for name in same]
        assert row["hashes"] == hash_texts([row["query"], row["passage"], *row["negatives"]]).tolist()
    assert all(len(found) == 1 for found in partner.values())
    partner = {item: found for item, (found,) in partner.items()}
    assert all(partner[partner[item]] == item != partner[item] for item in partner)
    groups = {row["item"]: row["group"] for row in new.values()}
    assert all(groups[item] == groups[other] for item, other in partner.items())  # never in one batch
    assert len(set(groups.values())) == len(partner) // 2
    assert len(partner) >= len(set(corpus.rows["item"])) - 1  # of an odd number one has no partner


def test_the_seed_decides_which_partner():
    corpus = load_corpus("encyclo11-reasoning", languages=["en"])
    one, again, two = (swap_answers(corpus, "neutral", seed).rows["passage"][:] for seed in (1, 1, 2))
    assert one == again != two


def test_items_without_a_fit_partner_are_left_out_of_the_neutral_control_and_counted():
    def item(name, *languages, passage=None, negatives=("no",)):
        return [dict(item=name, language=code, query=f"{name}?", passage=passage or f"{name} {code}", task="reasoning",
                     negatives=list(negatives)) for code in languages]

    corpus = make([*item("a", "de", "en"), *item("b", "en", "de"), *item("c", "de"),  # c has no other of its languages
                   *item("d", "th", passage="yes"), *item("e", "th", negatives=["YES"])])  # e: d's answer is its own
    control = swap_answers(corpus, "neutral")
    assert of_items(control.rows, "passage") == {
        ("a", "de"): ("b de",), ("a", "en"): ("b en",), ("b", "de"): ("a de",), ("b", "en"): ("a en",),
        ("d", "th"): ("e th",)}
    why = "left out: no other item to take an answer from"
    assert control.about["counts"] == {"de": {"kept": 2, why: 1}, "en": {"kept": 2}, "th": {"kept": 1, why: 1}}


def test_items_that_shared_a_group_still_do_in_the_neutral_control():
    rows = [dict(ROW, item=str(n), group="g" if n < 2 else f"{n}", passage=f"p{n}", negatives=["n"]) for n in range(8)]
    control = swap_answers(make(rows), "neutral")
    groups = dict(zip(control.rows["item"], control.rows["group"]))
    assert groups["0"] == groups["1"] and len(groups) == 8 and len(set(groups.values())) in (3, 4)


def test_an_unknown_control_or_task_is_refused():
    corpus = load_corpus("encyclo11-reasoning", languages=["en"])
    with pytest.raises(ValueError, match="control 'shufled' is unknown; choose from anti-signal, neutral"):
        swap_answers(corpus, "shufled")
    with pytest.raises(ValueError, match="task 'more' is unknown; choose from qa, extra, reasoning, parallel"):
        with_task(corpus, "more")


def test_our_own_texts_with_their_translations_are_parallel():
    rows = load_corpus("encyclo11-parallel", languages=["en", "th"]).rows
    made = {(row["item"], row["language"]): row for row in rows}
    assert all(row["query"] == row["passage"] and row["task"] == "parallel" and not row["negatives"] for row in rows)
    entries = encyclo11.read_encyclo11("passages", "th", "train")
    wanted = {text for entry in entries for question in entry["questions"]
              for text in (question["text"], entry["sentences"][question["answer"]])}
    assert {row["query"] for row in rows if row["language"] == "th"} == wanted
    assert {(item, "th") for item, _ in made} | {(item, "en") for item, _ in made} == set(made)


def test_rows_chosen_otherwise_have_another_key_whatever_is_said_of_why(write):
    corpus = load_corpus(write(*SPREAD))
    assert len({select(corpus, np.arange(50) < number, "some").key for number in (10, 20, 30)}) == 3


# Memory


MEASURE = """
import sys
from pathlib import Path
from hybrid_batch.data import corpora
corpora.CACHE = Path(sys.argv[1])
for number in map(int, sys.argv[2:]):
    rows = (dict(item=str(n // 5), language="abcde"[n % 5], query=f"{n} " * 8, passage=f"{n} " * 50) for n in range(number))
    assert len(corpora.build("large", rows, str(number)).rows) == number
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory is read from /proc")
def test_a_corpus_is_written_in_memory_that_hardly_grows_with_it(tmp_path):
    """What a row adds is measured between two corpora, in one process: five millions would stay below 2 GiB."""
    done = subprocess.run([sys.executable, "-c", MEASURE, tmp_path, "50000", "250000"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    few, many = map(int, done.stdout.split())  # KiB
    assert few + (many - few) / 200_000 * 5_000_000 < 2 * 2**20
