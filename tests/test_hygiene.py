"""Contamination: what of a benchmark is found in a corpus."""

import json

import pytest

from hybrid_batch.benchmarks import load_benchmark
from hybrid_batch.corpora import load_corpus
from hybrid_batch.hygiene import overlap

ROW = dict(item="1", language="en", query="Who?", passage="She did.")


@pytest.fixture
def write(tmp_path):
    """A function that writes rows (or lines of text) to a JSON-lines file and names it."""
    def write(*rows, name="rows.jsonl"):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        return str(tmp_path / name)

    return write


def test_overlap_finds_texts_but_for_case_punctuation_and_spaces(write, make_benchmark):
    benchmark = make_benchmark(["en", "el"], {"a": (["en"], [0])})
    benchmark.passages["text"] = ["She did it.", "Η ΑΘΗΝΑ!"]
    benchmark.queries["text"] = ["Who did it?"]
    rows = [dict(ROW, item="copy", query="who  DID it", passage="«she did it»"),
            dict(ROW, item="greek", language="el", query="Ποια;", passage="η Αθηνα"),
            dict(ROW, item="crossed", query="She did it?", passage="Who did it?"),
            dict(ROW, item="clean", query="Who did that?", passage="..."),
            dict(ROW, item="mark", query="?!", passage="She did it too.")]
    found = overlap(load_corpus(write(*rows)), benchmark)
    assert list(found.columns) == ["field", "item", "language", "text"]
    assert list(zip(found.field, found["item"])) == [
        ("query", "copy"), ("passage", "copy"), ("passage", "greek"), ("query", "crossed"), ("passage", "crossed")]
    assert found.text[1] == "«she did it»"


def test_overlap_is_empty_without_copies(write, make_benchmark):
    found = overlap(load_corpus(write(ROW)), make_benchmark(["en"], {"a": (["en"], [0])}))
    assert list(found.columns) == ["field", "item", "language", "text"]
    assert len(found) == 0


@pytest.mark.parametrize("name", ["xquad-r", "mlqa-r"])
def test_our_own_corpus_shares_no_text_with_a_real_benchmark(name, data):
    benchmark = load_benchmark(name, data)
    for corpus in ("encyclo11", "encyclo11-reasoning"):
        for split in ("train", "validation", "test"):
            assert len(overlap(load_corpus(corpus, split), benchmark)) == 0
