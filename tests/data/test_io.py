"""Files of data sets: where they are found, what is read from them, and what is said of those that are broken."""

import gzip
import itertools

import pytest
from hub import hub, write  # noqa: F401  hub is a fixture

from hybrid_batch import storage
from hybrid_batch.data import catalogue, corpora, io

ROWS = [{"id": "a", "text": "one, \"two\""}, {"id": "b", "text": "ὀκτώ\u2028 八"}]
NESTED = [{"id": 1, "parts": [{"text": "x"}, {"text": None}]}, {"id": 2, "parts": []}]
LINES = b'{"id": 1}\n\n{"id": 2}\n'


def read(path, *arguments):
    return list(io.records(f"file://{path}", *arguments))


# Records


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "parquet", "jsonl.gz", "json.gz", "csv.gz", "tsv.gz"])
def test_every_kind_of_file_has_its_records(kind, tmp_path):
    path = tmp_path / f"rows.{kind}"
    write(path, ROWS)
    assert [record for _, record in read(path, ["id", "text"])] == ROWS
    assert [record for _, record in io.records(str(path))] == ROWS  # a plain path is an address too


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_numbers_lists_and_nested_records_stay_what_they_are(kind, tmp_path):
    write(tmp_path / f"rows.{kind}", NESTED)
    assert [record for _, record in read(tmp_path / f"rows.{kind}")] == NESTED


def test_a_json_file_may_hold_one_record(tmp_path):
    write(tmp_path / "one.json", {"examples": [1, 2]})
    assert [record for _, record in read(tmp_path / "one.json")] == [{"examples": [1, 2]}]


@pytest.mark.parametrize("name, content, expected", [
    ("a.tsv", "1\t\"one\n2\ttwo\n", [{"n": "1", "t": '"one'}, {"n": "2", "t": "two"}]),  # a mark is no quotation
    ("a.tsv", "1\tone\ttwo\r\n", [{"n": "1", "t": "one\ttwo"}]),  # the last cell may hold tabs
    ("a.csv", '1,"one\nand, ""half"""\n2,two\n', [{"n": "1", "t": 'one\nand, "half"'}, {"n": "2", "t": "two"}]),
])
def test_a_table_without_a_heading_gets_the_columns_that_it_is_told(name, content, expected, tmp_path):
    write(tmp_path / name, content)
    assert [record for _, record in read(tmp_path / name, ["t"], ["n", "t"])] == expected


@pytest.mark.parametrize("name, content, columns, places", [
    ("a.jsonl", LINES, None, ["line 1", "line 3"]),
    ("a.tsv", "id\n1\n2\n", None, ["line 2", "line 3"]),
    ("a.tsv", "1\n2\n", ["id"], ["line 1", "line 2"]),
    ("a.csv", "id\n1\n2\n", None, ["row 1", "row 2"]),
    ("a.json", [{"id": 1}, {"id": 2}], None, ["row 1", "row 2"]),
    ("a.parquet", [{"id": number} for number in range(2002)], None, [f"row {number + 1}" for number in range(2002)]),
])
def test_each_record_says_where_it_is(name, content, columns, places, tmp_path):
    write(tmp_path / name, content)
    assert [where for where, _ in read(tmp_path / name, ["id"], columns)] == [
        f"{tmp_path / name}, {place}" for place in places]


def test_records_are_read_one_by_one(tmp_path):
    write(tmp_path / "a.jsonl", LINES + b"broken")
    records = io.records(str(tmp_path / "a.jsonl"))
    assert [record for _, record in itertools.islice(records, 2)] == [{"id": 1}, {"id": 2}]
    with pytest.raises(ValueError, match="line 4"):
        next(records)


MANY = b"".join(b'{"id": %d, "text": "%x"}\n' % (number, 7 ** number) for number in range(400))


@pytest.mark.parametrize("name, content, named", [
    ("a.jsonl", LINES + b'{"id": \n', ["line 4", "not a JSON object", "fix or remove"]),
    ("a.jsonl", LINES + b"[1, 2]\n", ["line 4", "not a JSON object", "[1, 2]", "fix or remove"]),
    ("a.jsonl", LINES + b'"id"\n', ["line 4", "not a JSON object", "fix or remove"]),
    ("a.jsonl", LINES + b'\n{"id": "\xff"}\n', ["line 5", "utf-8", "fix or remove"]),
    ("a.jsonl", LINES + b'{"ID": 3}\n', ["line 4", "no field 'id', only ID", "rename it"]),
    ("a.jsonl.gz", LINES, ["line 1", "not readable as .jsonl", "fetch it again"]),  # not compressed
    ("a.jsonl.gz", gzip.compress(LINES, mtime=0)[:-8], ["line 4", "not readable as .jsonl", "end-of-stream", "fetch it again"]),
    ("a.jsonl.gz", gzip.compress(MANY, mtime=0)[:20_000], ["line ", "not readable as .jsonl", "end-of-stream"]),
    ("a.jsonl.gz", gzip.compress(LINES, mtime=0)[:-8] + bytes(8), ["line 4", "CRC", "fetch it again"]),
    ("a.jsonl.gz", gzip.compress(LINES, mtime=0)[:10] + b"\7" * 20, ["line 1", "not readable as .jsonl", "block", "fetch it"]),
    ("a.json", b'[{"id": 1},\n {"id": }]', ["row 1", "not readable as .json", "line 2 column 9", "fetch it again"]),
    ("a.json", b'[{"id": 1}, 7]', ["row 2", "not a JSON object", "(7)"]),
    ("a.json", b'[{"id": "\xff"}]', ["row 1", "utf-8", "fetch it again"]),
    ("a.json", b'[{"id": 1}, {"Id": 1}]', ["row 2", "no field 'id', only Id"]),
    ("a.json", b"", ["row 1", "not readable as .json"]),
    ("a.tsv", "text\tid\none\t1\ntwo\n", ["line 3", "no field 'id', only text", "rename it"]),
    ("a.tsv", b"id\n1\n\xff\n", ["line 3", "not readable as .tsv", "utf-8", "fetch it again"]),
    ("a.tsv", "ID\n1\n", ["line 2", "no field 'id', only ID"]),
    ("a.csv", "text,id\none,1\ntwo\n", ["row 2", "no field 'id', only text"]),
    ("a.csv", b"id\n1\n\xff\n", ["row 2", "not readable as .csv", "utf-8", "fetch it again"]),
    ("a.csv", "id\n1\n" + "x" * 200_000, ["row 2", "not readable as .csv", "field limit", "fetch it again"]),
    ("a.parquet", b"PAR1 no more", ["not a readable Parquet file", "fetch it again"]),
    ("a.parquet", b"", ["not a readable Parquet file", "fetch it again"]),
    ("a.parquet", [{"ID": 1}], ["row 1", "no field 'id', only ID"]),
    ("a.txt", b"", ["unknown kind of file", ".jsonl", ".parquet", ".gz"]),
])
def test_a_file_that_cannot_be_read_is_named_with_the_place(name, content, named, tmp_path):
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        write(tmp_path / name, content)
    with pytest.raises(ValueError) as error:
        read(tmp_path / name, ["id"])
    assert str(error.value).startswith(str(tmp_path / name))
    assert all(part in str(error.value) for part in named), error.value
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spoil", [lambda whole: whole[:-30], lambda whole: whole[:4] + b"\xff" * 20 + whole[24:],
                                   lambda whole: whole[:60] + b"\xff" * 20 + whole[80:]])
def test_a_spoilt_parquet_file_is_named(spoil, tmp_path):
    write(tmp_path / "a.parquet", [{"id": f"word {number} " * 20} for number in range(400)])
    (tmp_path / "a.parquet").write_bytes(spoil((tmp_path / "a.parquet").read_bytes()))
    with pytest.raises(ValueError, match="a.parquet: not a readable Parquet file .*: fetch it again"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize("name, content, expected", [
    ("a.tsv", b"\xef\xbb\xbfid\ttext\n1\tone\n\n \n", [{"id": "1", "text": "one"}]),
    ("a.csv", b"\xef\xbb\xbfid,text\n1,one\n\n", [{"id": "1", "text": "one"}]),
    ("a.jsonl", b'\xef\xbb\xbf{"id": 1}\n\n \n', [{"id": 1}]),
    ("a.json", b'\xef\xbb\xbf[{"id": 1}]', [{"id": 1}]),
    ("a.jsonl", b'{"id": "\\ud83d\\ude00"}\n', [{"id": "😀"}]),
])
def test_a_byte_order_mark_and_blank_lines_do_not_count(name, content, expected, tmp_path):
    write(tmp_path / name, content)
    assert [record for _, record in read(tmp_path / name)] == expected


@pytest.mark.parametrize("name, content, place", [("a.jsonl", LINES + b'{"id": "\\ud83d"}\n', "line 4"),
                                                  ("a.json", b'[{"id": "\\uDE00"}]', "row 1")])
def test_half_of_a_surrogate_pair_is_named_with_the_place(name, content, place, tmp_path):
    write(tmp_path / name, content)
    with pytest.raises(ValueError, match=f"{name}, {place}: .*surrogates not allowed.*fix"):
        read(tmp_path / name)


# Folders


@pytest.fixture
def folder(tmp_path):
    """A folder of data sets with one in it."""
    for name in ("b.en.jsonl", "a.en.jsonl.gz", "deep/en.jsonl", "a.de.jsonl", "README.md"):
        write(tmp_path / "data" / "set" / name, b"")
    return tmp_path / "data"


def names(found, data):
    return {pattern: [file.removeprefix(f"file://{data}/set/") for file in part] for pattern, part in found.items()}


def test_files_are_found_by_pattern_in_order_of_their_names(folder):
    found = io.locate("set", ["*.en.jsonl*", "deep/*.jsonl", "a.de.jsonl*"], folder)
    assert names(found, folder) == {"*.en.jsonl*": ["a.en.jsonl.gz", "b.en.jsonl"], "deep/*.jsonl": ["deep/en.jsonl"],
                                    "a.de.jsonl*": ["a.de.jsonl"]}


def test_a_folder_is_taken_before_the_hub(folder, hub):  # noqa: F811
    hub("some/set", "1" * 40, {"a.de.jsonl": [{"id": "of the Hub"}]})
    found = io.locate("set", ["a.de.jsonl"], folder, "some/set", "1" * 40)
    assert names(found, folder) == {"a.de.jsonl": ["a.de.jsonl"]}


@pytest.mark.parametrize("call, named", [
    (lambda data: io.locate("other", ["*"], data),
     ["'other'", "no folder", "data/other", "--data", "parameter data"]),
    (lambda data: io.locate("set", ["*.en.jsonl*", "*.fr.jsonl*"], data),
     ["'set'", "data/set", "'*.fr.jsonl*'", "check languages and split"]),
    (lambda data: io.locate("no-such-set", ["*"]), ["'no-such-set'", "no folder no-such-set", "--data"]),
])
def test_what_is_missing_in_a_folder_is_named(call, named, folder):
    with pytest.raises(FileNotFoundError) as error:
        call(folder)
    assert all(part in str(error.value) for part in named), error.value


def test_parts_of_a_file_that_are_missing_are_noticed(folder):
    for number in (0, 2):
        write(folder / "set" / f"train-0000{number}-of-00003.parquet", [{"id": 1}])
    write(folder / "set" / "test-00000-of-00001.parquet", [{"id": 1}])
    assert len(io.locate("set", ["test-*.parquet"], folder)["test-*.parquet"]) == 1
    with pytest.raises(FileNotFoundError, match="'set'.*only 2 of the 3 parts of 'train': fetch the others too"):
        io.locate("set", ["*.parquet"], folder)
    write(folder / "set" / "train-00001-of-00003.parquet", [{"id": 1}])
    assert len(io.locate("set", ["*.parquet"], folder)["*.parquet"]) == 4


# The Hub


OLD, NEW, NEVER = "1" * 40, "2" * 40, "3" * 40


@pytest.fixture
def published(hub):  # noqa: F811
    """A data set on the Hub in two revisions, with a script beside its files that shows if it is run."""
    trap = "from pathlib import Path\nPath(__file__).with_name('was-run').touch()\nraise SystemExit('run')\n"
    scripts = {name: trap for name in ("set.py", "dataset.py", "__init__.py", "conftest.py", "setup.py")}
    return {revision: hub("some/set", revision, scripts | {
        "data/en.jsonl": [{"id": "1", "q": f"Who, {revision[0]}?", "p": "She."}], "data/en.parquet": [{"id": "1"}]})
        for revision in (OLD, NEW)}


@pytest.mark.parametrize("revision", [OLD, NEW])
def test_the_files_of_the_pinned_revision_are_read(revision, published):
    found = io.locate("set", ["data/*.jsonl"], repo="some/set", revision=revision)
    assert list(found) == ["data/*.jsonl"]
    [(where, record)] = io.records(*found["data/*.jsonl"], fields=["id"])
    assert record["q"] == f"Who, {revision[0]}?"
    assert where == f"{published[revision]}/data/en.jsonl, line 1"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("repo, revision", [("some/set", NEVER), ("no/set", OLD)])
def test_a_revision_that_is_not_here_is_named_with_the_remedy(repo, revision, stream, published):
    with pytest.raises(FileNotFoundError) as error:
        io.locate("set", ["data/*.jsonl"], "nowhere", repo, revision, stream)
    named = ["'set'", repo, revision, "out of reach", "check the revision and the network", "folder 'set'", "--data"]
    assert all(part in str(error.value) for part in named), error.value


def test_a_file_that_a_revision_lacks_is_named(published):
    with pytest.raises(FileNotFoundError) as error:
        io.locate("set", ["data/*.jsonl", "data/*.csv"], repo="some/set", revision=OLD)
    assert all(part in str(error.value) for part in ["'set'", "some/set", OLD, "'data/*.csv'", "check languages"])


def test_nothing_of_a_repository_is_run_when_a_corpus_is_loaded(published, tmp_path, monkeypatch):
    entry = dict(use="training", task="qa", repo="some/set", revision=OLD, languages=["en"], reader="qa",
                 files=["data/{language}.jsonl"], fields=dict(item="id", query="q", passage="p"))
    monkeypatch.setattr(catalogue, "catalogue", lambda: {"set": entry})
    monkeypatch.setattr(corpora, "CACHE", tmp_path / "cache")
    old = corpora.load_corpus("set", "all")
    entry["revision"] = NEW
    new = corpora.load_corpus("set", "all")
    assert [(corpus.rows["query"][:], corpus.about["revision"]) for corpus in (old, new)] == [
        (["Who, 1?"], OLD), (["Who, 2?"], NEW)]
    assert old.checksum != new.checksum and old.key != new.key
    assert not list(tmp_path.rglob("was-run"))


# Checksums


def test_the_checksum_is_that_of_the_contents_whatever_their_folder_and_order(tmp_path):
    for place, content in (("one/a", b"1"), ("one/b", b"2"), ("two/a", b"1"), ("two/b", b"2"), ("three/a", b"12"),
                           ("three/b", b""), ("four/a", b"2"), ("four/b", b"1")):
        write(tmp_path / place, content)
    one, two, three, four = (storage.checksum([f"file://{tmp_path}/{name}/b", tmp_path / name / "a"])
                             for name in ("one", "two", "three", "four"))
    assert one == two == storage.checksum(str(tmp_path / "two" / name) for name in "ab")
    assert len({one, three, four, storage.checksum([tmp_path / "one" / "a"])}) == 4
    write(tmp_path / "one" / "a", b"3")
    assert storage.checksum([tmp_path / "one" / "a", tmp_path / "one" / "b"]) != one


def test_the_checksum_of_a_file_read_over_the_network_is_that_of_its_address():
    first, other = (f"hf://datasets/some/set@{revision}/data/en.jsonl" for revision in (OLD, NEW))
    assert storage.checksum([first]) == storage.checksum([first]) != storage.checksum([other])
