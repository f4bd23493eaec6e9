"""What programs can check of our own corpus: that its languages say the same things in the
same places, each in its own words, and that nothing gives an answer away."""

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import datasets
import pytest

from hybrid_batch import paths
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
    return (entry["id"], entry["subject"], entry["cluster"], len(entry["sentences"]),
            [(question["id"], question["answer"]) for question in entry["questions"]])


def test_there_is_a_file_for_each_language_and_no_other():
    for kind in ("passages", "reasoning"):
        assert sorted(path.stem for path in (FOLDER / kind).iterdir()) == LANGUAGES


def test_there_are_as_many_passages_questions_and_items_as_the_readme_says():
    assert len(PASSAGES["en"]) == 288 and len(REASONING["en"]) == 180
    assert len({entry["subject"] for entry in PASSAGES["en"]}) >= 24
    assert set(Counter(entry["cluster"] for entry in PASSAGES["en"]).values()) == {4}
    assert set(Counter(entry["family"] for entry in REASONING["en"]).values()) == {36}


@every_language
def test_ids_order_and_indices_are_those_of_english(language):
    for entries in (PASSAGES, REASONING):
        assert [skeleton(entry) for entry in entries[language]] == [skeleton(entry) for entry in entries["en"]]


def test_the_readme_says_how_hard_the_test_split_is_as_it_was_measured_on_this_edition():
    measured = json.loads((paths.RESULTS / "untrained" / "encyclo11.json").read_text())
    benchmark = load_benchmark("encyclo11")
    assert measured["benchmark_sha256"] == benchmark.checksum, "measure again: python -m hybrid_batch evaluate --benchmark encyclo11"
    row = next(line for line in (FOLDER / "README.md").read_text("utf-8").splitlines() if line.startswith("| test split, "))
    about, *figures = [cell.strip() for cell in row.strip("|").split("|")]
    assert about == (f"test split, {measured['queries']} questions in {len(measured['candidates'])} languages, "
                     f"{measured['groups']} passages, {sum(measured['candidates'].values()):,} sentences")
    macro = measured["macro"]
    shown = [(macro[setting], "map", ".3f") for setting in ("Mo", "Cr", "Mul")] + [(macro["Mul"], "rank_distance", ".0f")]
    assert figures == [f"{m[name]:{form}} [{m[f'{name}_low']:{form}}, {m[f'{name}_high']:{form}}]" for m, name, form in shown]


def test_ids_are_unique():
    ids = [entry["id"] for entry in PASSAGES["en"] + REASONING["en"]]
    assert len(set(ids)) == len(ids)


@every_language
def test_passages_have_their_fields_and_two_questions_about_different_sentences(language):
    for entry in PASSAGES[language]:
        assert set(entry) == {"id", "subject", "cluster", "title", "sentences", "questions"}
        assert 2 <= len(entry["sentences"]) <= 4
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


def test_the_splits_part_the_ids_and_keep_clusters_whole():
    parts = {name: ids for name, ids in SPLITS.items() if name != "quick"}
    assert set(parts) == {"train", "validation", "test"} and set(SPLITS["quick"]) < set(parts["test"])
    assert sorted(id_ for ids in parts.values() for id_ in ids) == sorted(e["id"] for e in PASSAGES["en"] + REASONING["en"])
    for ids in SPLITS.values():
        counts = Counter(entry["cluster"] for entry in PASSAGES["en"] if entry["id"] in set(ids))
        assert set(counts.values()) == {4}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_family_is_in_each_split(split):
    mine = set(SPLITS[split])
    assert {e["family"] for e in REASONING["en"] if e["id"] in mine} == {e["family"] for e in REASONING["en"]}


# Numbers, lengths


MONTH = re.compile("January|February|March|April|May|June|July|August|September|October|November|December")


def numbers(text):
    """Numbers of a text in digits, native ones read, separators of thousands left out."""
    text = "".join(str(unicodedata.digit(c)) if unicodedata.category(c) == "Nd" else c for c in text)
    text = re.sub(r"(?<=\d)[.,\u00a0\u202f ٬](?=\d{3}(?!\d))", "", text)
    return Counter(re.findall(r"\d+", text))


@every_language
def test_numbers_are_those_of_english(language):
    """But that a decade may be written in words, a month as a number, and a number up to a hundred either way."""
    english = {(id_, place, n): text for n, (id_, place, text) in enumerate(texts("en"))}
    for (key, text), (id_, place, other) in zip(english.items(), texts(language)):
        decades = set(re.findall(r"\b(\d{3}0)s\b", text))
        small = {str(n) for n in range(101)}
        ours = {n: c for n, c in numbers(other).items() if n not in decades | small}
        theirs = {n: c for n, c in numbers(text).items() if n not in decades | small}
        assert ours == theirs, (id_, place, text, other)
        months = {str(n) for n in range(1, 13)} if MONTH.search(text) else set()
        assert set(numbers(other)) - set(numbers(text)) - months - decades <= small, (id_, place, text, other)


RATIO = {"zh": (0.1, 0.75), "th": (0.45, 1.7), "ar": (0.45, 1.6)}


@every_language
def test_texts_are_about_as_long_as_in_english(language):
    """A text that is half as long has lost something; in characters, so bounds differ by script."""
    low, high = RATIO.get(language, (0.5, 2.0))
    for (_, place, text), (id_, _, other) in zip(texts("en"), texts(language)):
        if place != "title" and len(text) > 40:
            assert low <= len(other) / len(text) <= high, (id_, place, text, other)


# Answers


def words(text):
    return set(re.findall(r"\w{4,}", text.casefold()))


@every_language
def test_the_marked_sentence_is_there_once_and_only_once(language):
    pool = Counter(sentence for entry in PASSAGES[language] for sentence in entry["sentences"])
    for entry in PASSAGES[language]:
        for question in entry["questions"]:
            assert pool[entry["sentences"][question["answer"]]] == 1


@pytest.mark.parametrize("language", ["en", "de", "es", "el", "ru", "tr", "vi"])
def test_no_right_option_is_found_by_the_words_that_it_shares_with_the_stem(language):
    found = 0
    for entry in REASONING[language]:
        shared = [len(words(option) & words(entry["stem"])) for option in entry["options"]]
        found += sum(s < shared[entry["answer"]] for s in shared) == 3
    assert found <= 0.35 * len(REASONING[language])  # by chance: at most a quarter


@pytest.mark.parametrize("language", ["en", "ru", "tr"])
def test_no_passage_comes_twice_in_other_words(language):
    """Sentences of two passages share few of their words."""
    sentences = [(entry["id"], words(text)) for entry in PASSAGES[language] for text in entry["sentences"]]
    for place, (first, mine) in enumerate(sentences):
        for second, other in sentences[place + 1:]:
            if first != second and len(mine) > 4 and len(other) > 4:
                assert len(mine & other) / min(len(mine), len(other)) < 0.7, (first, second, mine & other)


@pytest.mark.parametrize("benchmark", ["xquad-r", "mlqa-r"])
def test_nothing_is_shared_with_the_benchmarks_of_others(data, benchmark):
    tested = load_benchmark(benchmark, str(data))
    for name in ("encyclo11", "encyclo11-reasoning"):
        assert len(contamination(load_corpus(name, "all"), tested)) == 0


@pytest.mark.parametrize("name", ["mlqa", "xnli-sentences", "okapi-arc"])
def test_nothing_is_shared_with_corpora_of_others(data, name):
    for own in ("encyclo11", "encyclo11-reasoning"):
        assert len(contamination(load_corpus(name, "all", data=str(data), limit=2000), load_benchmark(own, split="all"))) == 0


# As a data set of the field


@pytest.mark.parametrize("kind, rows", [("passages", 288), ("reasoning", 180)])
def test_the_folder_is_a_repository_that_datasets_opens_by_path(kind, rows, tmp_path):
    loaded = datasets.load_dataset(str(FOLDER), f"{kind}-tr", cache_dir=str(tmp_path))
    assert sum(len(part) for part in loaded.values()) == rows
    assert set(datasets.get_dataset_config_names(str(FOLDER))) == {f"{k}-{code}" for k in ("passages", "reasoning")
                                                                    for code in LANGUAGES}


# Training


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("corpus", ["encyclo11", "encyclo11-reasoning"])
@pytest.mark.parametrize("benchmark", ["encyclo11", "encyclo11-reasoning"])
def test_what_is_trained_on_shares_no_text_with_the_test_benchmarks(split, corpus, benchmark):
    assert contamination(load_corpus(corpus, split), load_benchmark(benchmark)).to_dict("records") == []


def test_training_shares_no_text_with_validation():
    for corpus in ("encyclo11", "encyclo11-reasoning"):
        assert len(contamination(load_corpus(corpus), load_benchmark(corpus, split="validation"))) == 0
