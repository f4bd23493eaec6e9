"""What programs can check of our own corpus: that its languages say the same things in the
same places, each in its own words, and that nothing gives an answer away."""

import json
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from hybrid_batch.data.benchmarks import load_benchmark
from hybrid_batch.data.corpora import load_corpus
from hybrid_batch.data.decontamination import contamination
from hybrid_batch.data.languages import LANGUAGES

FOLDER = Path(__file__).parents[2] / "corpora" / "encyclo11"
SPLITS = json.loads((FOLDER / "splits.json").read_text(encoding="utf-8"))
SCRIPT = {"ar": "ARABIC", "el": "GREEK", "hi": "DEVANAGARI", "ru": "CYRILLIC", "th": "THAI", "zh": "CJK"}
QUESTION_MARK = {"ar": "؟", "el": ";", "zh": "？"}

every_language = pytest.mark.parametrize("language", LANGUAGES)


def read(kind, language):
    return [json.loads(line) for line in (FOLDER / kind / f"{language}.jsonl").read_text("utf-8").splitlines()]


PASSAGES = {language: read("passages", language) for language in LANGUAGES}
REASONING = {language: read("reasoning", language) for language in LANGUAGES}


def texts(language):
    """(id, place, text) of all texts of a language."""
    for entry in PASSAGES[language]:
        yield entry["id"], "title", entry["title"]
        yield from ((entry["id"], f"sentence {i}", sentence) for i, sentence in enumerate(entry["sentences"]))
        yield from ((entry["id"], "question", question["text"]) for question in entry["questions"])
    for entry in REASONING[language]:
        yield entry["id"], "stem", entry["stem"]
        yield from ((entry["id"], f"option {i}", option) for i, option in enumerate(entry["options"]))


def skeleton(entry):
    """What of an entry must be the same in all languages."""
    if "stem" in entry:
        return entry["id"], entry["family"], len(entry["options"]), entry["answer"]
    return (entry["id"], entry["subject"], len(entry["sentences"]),
            [(question["id"], question["answer"]) for question in entry["questions"]])


def test_there_is_a_file_for_each_language_and_no_other():
    for kind in ("passages", "reasoning"):
        assert sorted(path.stem for path in (FOLDER / kind).iterdir()) == LANGUAGES


def test_the_corpus_is_big_enough():
    assert len(PASSAGES["en"]) >= 80
    assert len({entry["subject"] for entry in PASSAGES["en"]}) >= 8
    assert len(REASONING["en"]) >= 48


@every_language
def test_ids_order_and_indices_are_those_of_english(language):
    for entries in (PASSAGES, REASONING):
        assert [skeleton(entry) for entry in entries[language]] == [skeleton(entry) for entry in entries["en"]]


def test_ids_are_unique():
    ids = [entry["id"] for entry in PASSAGES["en"] + REASONING["en"]]
    assert len(set(ids)) == len(ids)


@every_language
def test_passages_have_their_fields_and_two_questions_about_different_sentences(language):
    for entry in PASSAGES[language]:
        assert set(entry) == {"id", "subject", "title", "sentences", "questions"}
        assert len(entry["sentences"]) in (3, 4)
        first, second = entry["questions"]
        assert set(first) == set(second) == {"id", "text", "answer"}
        assert (first["id"], second["id"]) == (entry["id"] + "-a", entry["id"] + "-b")
        marked = {first["answer"], second["answer"]}
        assert len(marked) == 2 and marked <= set(range(len(entry["sentences"])))


@every_language
def test_reasoning_items_have_their_fields_and_four_options(language):
    for entry in REASONING[language]:
        assert set(entry) == {"id", "family", "stem", "options", "answer"}
        assert len(set(entry["options"])) == len(entry["options"]) == 4
        assert entry["answer"] in range(4)


@every_language
def test_texts_are_in_the_script_of_their_language(language):
    script = SCRIPT.get(language, "LATIN")
    for id_, place, text in texts(language):
        letters = [c for c in text if c.isalpha()]
        own = sum(unicodedata.name(c, "").startswith(script) for c in letters)
        assert own >= (0.4 if place == "title" else 0.5) * len(letters) > 0, (id_, place, text)


@every_language
def test_texts_are_nfc_without_stray_spaces(language):
    for id_, place, text in texts(language):
        assert unicodedata.normalize("NFC", text) == text, (id_, place)
        assert " ".join(text.split()) == text, (id_, place)


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "th"])  # Thai has none
def test_questions_end_with_the_question_mark_of_their_language(language):
    for entry in PASSAGES[language]:
        for question in entry["questions"]:
            assert question["text"].rstrip("”»\"").endswith(QUESTION_MARK.get(language, "?")), question


@every_language
def test_no_text_is_repeated_within_a_language(language):
    """Titles apart: they are not searched."""
    counts = Counter(" ".join(text.split()).casefold() for _, place, text in texts(language) if place != "title")
    assert [text for text, count in counts.items() if count > 1] == []


def test_no_text_is_copied_from_another_language():
    """A text of up to three words may be the same in two languages: a name, a number."""
    languages = {}
    for language in LANGUAGES:
        for _, _, text in texts(language):
            if len(text.split()) > 3 or language in ("th", "zh"):
                languages.setdefault(text.casefold(), set()).add(language)
    assert {text: where for text, where in languages.items() if len(where) > 1} == {}


@every_language
def test_no_answer_is_given_away_by_its_length(language):
    longest = shortest = 0
    for entry in REASONING[language]:
        lengths = [len(option) for option in entry["options"]]
        right = lengths.pop(entry["answer"])
        assert 0.65 <= right / (sum(lengths) / 3) <= 1.35, entry["id"]
        assert min(right, *lengths) >= (4 if language == "zh" else 8), entry["id"]
        longest += right > max(lengths)
        shortest += right < min(lengths)
    assert max(longest, shortest) <= 0.36 * len(REASONING[language])  # by chance: a quarter


def test_the_right_option_stands_in_each_place_equally_often():
    counts = Counter(entry["answer"] for entry in REASONING["en"])
    assert set(counts.values()) == {len(REASONING["en"]) / 4}


def test_the_splits_part_the_ids():
    ids = [id_ for split in SPLITS.values() for id_ in split]
    assert set(SPLITS) == {"train", "validation", "test"}
    assert sorted(ids) == sorted(entry["id"] for entry in PASSAGES["en"] + REASONING["en"])


@pytest.mark.parametrize("split", SPLITS)
def test_every_subject_and_family_is_in_each_split(split):
    mine = set(SPLITS[split])
    for entries, field in ((PASSAGES["en"], "subject"), (REASONING["en"], "family")):
        assert {entry[field] for entry in entries if entry["id"] in mine} == {entry[field] for entry in entries}


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("corpus", ["encyclo11", "encyclo11-reasoning"])
@pytest.mark.parametrize("benchmark", ["encyclo11", "encyclo11-reasoning"])
def test_what_is_trained_on_shares_no_text_with_the_test_benchmarks(split, corpus, benchmark):
    assert contamination(load_corpus(corpus, split), load_benchmark(benchmark)).to_dict("records") == []


def test_training_shares_no_text_with_validation():
    for corpus in ("encyclo11", "encyclo11-reasoning"):
        assert len(contamination(load_corpus(corpus), load_benchmark(corpus, split="validation"))) == 0
