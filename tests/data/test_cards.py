"""Cards say what is in a corpus, in figures, and the committed ones are those of the data."""

import json

import pandas as pd
import pytest

from hybrid_batch import paths
from hybrid_batch.data import cards, catalogue, corpora
from hybrid_batch.data.benchmarks import Benchmark, load_benchmark
from hybrid_batch.data.corpora import load_corpus

COMMITTED = cards.read(paths.ROOT / "results" / "data")
ROWS = [dict(item="1", language="en", query="Who?", passage="She did."),
        dict(item="1", language="de", query="Wer?", passage="Sie."),
        dict(item="2", language="en", query="Who?", passage="He did it all."),
        dict(item="3", language="en", query="When was it?", passage="She did.", negatives=["Then.", "Now."]),
        dict(item="4", language="de", passage="Er.")]


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "CACHE", tmp_path / "cache")
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    measured = Benchmark("small", pd.DataFrame({"item": ["a"], "group": 0, "language": "en", "text": ["When was it?"]}),
                         pd.DataFrame({"language": ["en"], "text": ["Nothing."]}), pd.DataFrame({"item": ["a"], "passage": 0}), "")
    return cards.card(load_corpus(str(path)), [measured])


def test_a_card_counts_rows_items_groups_passages_halves_and_repeats(made):
    assert (made["rows"], made["items"], made["groups"]) == (5, 4, 3)  # 1 and 3 have a passage in common
    english, german = made["languages"]["en"], made["languages"]["de"]
    assert (english["rows"], english["groups"], english["passages"], english["repeated queries"]) == (3, 2, 2, 1)
    assert (english["without query"], german["without query"], german["without passage"]) == (0, 1, 0)
    assert english["negatives a row"] == 0.67
    assert english["query characters"][2] == 4 and english["passage characters"][0] == 8
    assert made["coverage"] == {"languages": ["de", "en"], "items": [[2, 1], [1, 3]]}


def test_a_card_says_what_of_a_benchmark_was_found(made):
    assert made["contamination"] == {"small": {"rows": 1, "items": 1, "by reason": {"query, text": 1}}}
    assert "1 rows (1 items) stand in small" in cards.text(made)


def test_cards_are_kept_and_read_again(made, tmp_path):
    cards.write([made, made | {"name": "org/set"}], tmp_path / "kept")
    assert cards.read(tmp_path / "kept") == {made["name"]: made, "org/set": made | {"name": "org/set"}}
    assert {path.suffix for path in (tmp_path / "kept").iterdir()} == {".json"}


def test_our_own_corpora_say_their_licence():
    for name in ("encyclo11", "encyclo11-reasoning"):
        assert load_corpus(name).about["licence"] == COMMITTED[name]["licence"] == "CC BY 4.0"


def test_a_corpus_of_which_nothing_is_left_has_a_card(data):
    card = cards.card(load_corpus("mgsm", "all", ["de"], data))
    assert card["rows"] == 0 and card["read"] == 250 and sum(card["left out"].values()) == 250


@pytest.mark.parametrize("name", sorted(COMMITTED))
def test_the_committed_cards_are_those_of_the_data(name, data):
    """All figures but the contamination, whose slow search is repeated for two sets."""
    corpus = load_corpus(name, "all", data=data, consent=catalogue.CONSENT)
    against = [load_benchmark(b, data) for b in ("xquad-r", "mlqa-r")] if name in ("encyclo11", "xcopa") else []
    card = json.loads(json.dumps(cards.card(corpus, against)))
    expected = dict(COMMITTED[name])
    assert set(expected["contamination"]) == {"xquad-r", "mlqa-r"}
    if not against:
        card["contamination"] = expected["contamination"]
    assert card == expected


def test_every_local_set_has_a_committed_card(data):
    local = {name for name, entry in catalogue.catalogue().items() if (data / entry.get("folder", name)).is_dir()}
    assert local | {"encyclo11", "encyclo11-reasoning"} == set(COMMITTED)


def test_a_card_holds_no_text_of_the_corpus(made):
    assert not any(text in json.dumps(made) for row in ROWS for text in (row.get("query", "-?-"), row["passage"]))
