"""Sentences that answer, found by an encoder, and the corpora made of them."""

import json

import numpy as np
import pytest
import torch

from hybrid_batch import mining
from hybrid_batch.data import catalogue, corpora, sentences

FIRST = "The first sentence is long enough. "


class Words:
    """An encoder whose vectors are counts of a few words, the same in two languages."""

    WORDS = ("river lake mountain sea", "Fluss See Gebirge Meer")
    max_seq_length, device = None, torch.device("cpu")

    def get_embedding_dimension(self):
        return 5

    def encode(self, texts, **_):
        vectors = [[0.1, *(sum(word in text for word in same) for same in zip(*map(str.split, self.WORDS)))] for text in texts]
        return np.array(vectors, np.float32) / np.linalg.norm(vectors, axis=1, keepdims=True)


def corpus(tmp_path, rows):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return corpora.load_corpus(str(path), "all")


def test_the_sentence_that_is_like_the_question_and_like_one_of_the_other_paragraph(tmp_path):
    found = mining.pick_sentences(Words(), corpus(tmp_path, [
        dict(item="a", language="en", query="Which river, which mountain?", passage=f"{FIRST}The mountain has a river. The river is long here."),
        dict(item="a", language="de", query="Welcher Fluss?", passage="Der Fluss ist lang, sagt man. Hier ist ein See, sagt man."),
        dict(item="c", language="en", query="Which lake?", passage="Here is a river, they say so. Here is a lake, they say so."),
        dict(item="c", language="de", query="Welcher See?", passage="Hier ist ein Fluss, sagt man. Hier ist ein See, sagt man."),
        dict(item="b", language="en", query="Which sea?", passage=f"{FIRST}It is by the sea, they say.")]))
    assert found == {"mine/a": {"en": 2, "de": 0}, "mine/c": {"en": 1, "de": 1}}  # b has a passage in one language only


def test_an_item_whose_sentences_are_not_alike_is_left_out(tmp_path):
    assert mining.pick_sentences(Words(), corpus(tmp_path, [
        dict(item="a", language="en", query="Which river?", passage="There is a mountain by the sea."),
        dict(item="a", language="de", query="Welcher Fluss?", passage="Hier ist ein großer See, sagt man.")])) == {}


def test_picks_are_written_without_texts_and_read_again(tmp_path, monkeypatch):
    context = f"{FIRST}The answer is in the second one here. And this is a third sentence. Here the fourth one stands."
    folder = tmp_path / "mlqa" / "test"
    folder.mkdir(parents=True)
    records = {"de": [dict(id="aaaaaaaa11", question="Wo?", context=context), dict(id="bbbbbbbb22", question="Wer?", context=context)],
               "es": [dict(id="aaaaaaaa11", context=context)], "ar": [dict(id="aaaaaaaa11", question="أين؟")]}
    for language, part in records.items():
        lines = "".join(json.dumps(record) + "\n" for record in part)
        (folder / f"{language}.jsonl").write_text(lines)
    mining.write({"mlqa/aaaaaaaa11": {"de": 1, "es": 1}}, tmp_path / "picks.tsv")
    assert (tmp_path / "picks.tsv").read_text() == "aaaaaaaa\tde:1 es:1\n"
    entries = {name: entry | {"picks": str(tmp_path / "picks.tsv")} for name, entry in catalogue.catalogue().items()}
    monkeypatch.setattr(catalogue, "catalogue", lambda: entries)
    asked = corpora.load_corpus("mlqa-sentences", "all", list(records), tmp_path)
    rows = {row["language"]: row for row in asked.rows}
    assert rows["de"]["passage"] == rows["es"]["passage"] == "The answer is in the second one here."
    assert rows["de"]["negatives"] == [FIRST.strip(), "And this is a third sentence.", "Here the fourth one stands."]
    assert rows["es"]["query"] == "" and (rows["ar"]["query"], rows["ar"]["passage"]) == ("أين؟", "")
    assert asked.about["counts"]["de"] == {"kept": 1, "left out: no sentence was found to answer": 1, "read": 2}
    pairs = corpora.load_corpus("mlqa-sentence-pairs", "all", ["de", "es"], tmp_path)
    assert {row["query"] for row in pairs.rows} == {"The answer is in the second one here."}


def test_ids_that_begin_alike_are_refused(tmp_path):
    with pytest.raises(ValueError, match="first characters"):
        mining.write({"mlqa/aaaaaaaa11": {"de": 1}, "mlqa/aaaaaaaa22": {"de": 1}}, tmp_path / "picks.tsv")


def test_the_number_of_a_sentence_is_that_of_the_picks():
    text = f"{FIRST}The answer is in the second one here. And this is a third sentence."
    assert sentences.nth(text, 2, 1) == (sentences.texts(text)[2], [sentences.texts(text)[1]])
    assert sentences.nearest(text, text.index("answer"), 3) == sentences.nth(text, 1, 3)
