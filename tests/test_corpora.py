"""Corpora: what is loaded, and what a wrong name or file is told."""

import json

import pytest

from hybrid_batch import corpora
from hybrid_batch.corpora import LANGUAGES, join, load_corpus, shuffle_answers

ROW = dict(item="1", language="en", query="Who?", passage="She did.")


@pytest.fixture
def write(tmp_path):
    """A function that writes rows (or lines of text) to a JSON-lines file and names it."""
    def write(*rows, name="rows.jsonl"):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        return str(tmp_path / name)

    return write


# Rows to train on


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_our_own_corpus_has_the_items_of_the_split_in_every_language(split):
    ids = json.loads((corpora.OWN / "encyclo11" / "splits.json").read_text())[split]
    for name, field in (("encyclo11", "group"), ("encyclo11-reasoning", "item")):
        rows = load_corpus(name, split).rows.to_pandas()
        items = rows.groupby("language")[["item", "group"]].agg(list)
        assert sorted(items.index) == LANGUAGES
        assert all(row.to_dict() == items.loc["en"].to_dict() for _, row in items.iterrows())
        ids = sorted(set(ids) ^ set(items[field]["en"]))  # what the other corpus must have
        assert len(rows) == len(set(rows["item"])) * len(LANGUAGES)
    assert ids == []


def test_questions_meet_the_sentence_that_answers_them():
    rows = {(row["item"], row["language"]): row for row in load_corpus("encyclo11").rows}
    for entry in corpora.own("passages", "de", "train"):
        for question in entry["questions"]:
            assert rows[question["id"], "de"] == dict(
                item=question["id"], group=entry["id"], language="de", task="qa", query=question["text"],
                passage=entry["sentences"][question["answer"]], negatives=[])


def test_stems_meet_the_right_option_and_the_wrong_ones_are_negatives():
    rows = {(row["item"], row["language"]): row for row in load_corpus("encyclo11-reasoning").rows}
    for entry in corpora.own("reasoning", "hi", "train"):
        row = rows[entry["id"], "hi"]
        assert (row["task"], row["query"], row["group"]) == ("reasoning", entry["stem"], entry["id"])
        assert row["passage"] == entry["options"][entry["answer"]]
        assert [row["passage"], *row["negatives"]] == sorted(entry["options"], key=lambda o: o != row["passage"])


def test_languages_can_be_chosen():
    chosen = load_corpus("encyclo11", languages=["hi", "en"])
    assert set(chosen.rows["language"]) == {"en", "hi"}
    assert len(chosen.rows) == len(load_corpus("encyclo11").rows) * 2 // 11


def test_a_file_of_rows_gets_task_group_and_negatives_if_it_has_none(write):
    full = dict(ROW, item="2", group="g", task="reasoning", negatives=["He did.", "Nobody did."])
    rows = load_corpus(write(ROW, full)).rows.to_list()
    assert rows == [dict(ROW, group="1", task="qa", negatives=[]), full]


def test_the_checksum_changes_with_the_files(write):
    first, second = write(ROW, name="a.jsonl"), write(dict(ROW, query="Which?"), name="b.jsonl")
    assert load_corpus(first).checksum == load_corpus(write(ROW, name="c.jsonl")).checksum
    assert load_corpus(first).checksum != load_corpus(second).checksum


@pytest.mark.parametrize("rows, named", [
    ([ROW, "{"], ["line 2", "not a JSON object"]),
    ([ROW, "[1]"], ["line 2", "not a JSON object"]),
    ([ROW, "", dict(ROW, item="")], ["line 3", "'item'", "not empty"]),  # empty lines are left out, but counted
    ([ROW, {k: v for k, v in ROW.items() if k != "item"}], ["line 2", "'item'", "not None"]),
    ([dict(ROW, query=" ")], ["line 1", "'query'", "not empty"]),
    ([dict(ROW, passage=7)], ["line 1", "'passage'", "must be a text", "not 7"]),
    ([dict(ROW, language=None)], ["line 1", "'language'", "must be a text"]),
    ([dict(ROW, group="")], ["line 1", "'group'", "not empty"]),
    ([dict(ROW, negatives="no")], ["line 1", "'negatives'", "list of texts", "'no'"]),
    ([dict(ROW, negatives=["a", ""])], ["line 1", "'negatives'", "list of texts"]),
    ([dict(ROW, negatives=None)], ["line 1", "'negatives'", "list of texts"]),
    ([dict(ROW, anwser="x")], ["line 1", "unknown field 'anwser'", "a row has", "'passage'"]),
    ([ROW, ROW], ["line 2", "'1' occurs twice in language 'en'", "its own id"]),
    ([], ["has no rows"]),
])
def test_a_wrong_row_is_named_by_file_line_and_field(rows, named, write):
    path = write(*rows)
    with pytest.raises(ValueError) as error:
        load_corpus(path)
    assert all(part in str(error.value) for part in [path, *named]), error.value


@pytest.mark.parametrize("call, kind, named", [
    (lambda: load_corpus("wiki"), FileNotFoundError, ["'wiki'", "'encyclo11'", ".jsonl"]),
    (lambda: load_corpus("no/such.jsonl"), FileNotFoundError, ["such.jsonl does not exist"]),
    (lambda: load_corpus("encyclo11", "dev"), ValueError, ["'dev'", "train", "validation", "test"]),
    (lambda: load_corpus("encyclo11-reasoning", languages=["en", "fr"]), ValueError, ["'fr'", "it has ar de el en"]),
])
def test_a_wrong_name_is_told_the_right_ones(call, kind, named):
    with pytest.raises(kind) as error:
        call()
    assert all(part in str(error.value) for part in named), error.value


# Joining and shuffling


def test_joined_corpora_keep_their_rows_under_ids_of_their_own(write):
    first, second = load_corpus(write(ROW, name="a.jsonl")), load_corpus("encyclo11-reasoning", languages=["de"])
    both = join(first, second)
    assert len(both.rows) == 1 + len(second.rows)
    for old, new in zip([*first.rows, *second.rows], both.rows):
        name = first.name if new["query"] == ROW["query"] else second.name
        assert new == old | dict(item=f"{name}/{old['item']}", group=f"{name}/{old['group']}")
    assert both.checksum not in (first.checksum, second.checksum, join(second, first).checksum)
    assert first.name in both.name and second.name in both.name


def test_shuffling_puts_the_same_wrong_option_in_place_of_the_right_one_in_all_languages():
    corpus = load_corpus("encyclo11-reasoning")
    shuffled, places = shuffle_answers(corpus, seed=1), {}
    for old, new in zip(corpus.rows, shuffled.rows, strict=True):
        place = old["negatives"].index(new["passage"])
        assert new["negatives"] == [old["passage"] if i == place else n for i, n in enumerate(old["negatives"])]
        assert {k: new[k] for k in ("item", "group", "language", "query", "task")} == {
            k: old[k] for k in ("item", "group", "language", "query", "task")}
        places.setdefault(new["item"], set()).add(place)
    assert all(len(place) == 1 for place in places.values())
    assert {place for (place,) in places.values()} == {0, 1, 2}
    assert shuffled.name != corpus.name and shuffled.checksum != corpus.checksum


def test_the_seed_decides_which_wrong_option():
    corpus = load_corpus("encyclo11-reasoning", languages=["en"])
    assert shuffle_answers(corpus, 1).rows["passage"][:] == shuffle_answers(corpus, 1).rows["passage"][:]
    assert shuffle_answers(corpus, 1).rows["passage"][:] != shuffle_answers(corpus, 2).rows["passage"][:]


def test_rows_without_negatives_are_not_shuffled():
    corpus = load_corpus("encyclo11", languages=["en"])
    assert shuffle_answers(corpus).rows.to_list() == corpus.rows.to_list()
