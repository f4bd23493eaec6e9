"""The analysis of errors, on two questions worked by hand."""

import pandas as pd
import pytest

from hybrid_batch import rankings
from hybrid_batch.report import errors

# Passages 0 to 5: the answer of question a (entry p) in de and en, another sentence of p in de, entry q in de, de and en.
TEXTS = pd.DataFrame({"id": ["p", "p", "p", "q", "q", "q"], "sentence": [0, 0, 1, 0, 1, 0],
                      "language": ["de", "en", "de", "de", "de", "en"], "text": list("ABCDEF")})


def table(top, ranks):
    """Question a in German, whose answers are passages 0 and 1."""
    made = pd.DataFrame([dict(item="a", language="de", top=top, relevant=[0, 1], ranks=ranks)])
    return made.assign(distance=[max(part) - min(part) for part in made.ranks])


BEFORE, AFTER = table([0, 3, 4, 2], [1, 6]), table([0, 1, 5, 3], [1, 2])


def test_places_are_counted_by_what_takes_them():
    found = errors.intruders({"before": BEFORE, "after": AFTER}, TEXTS).set_index("")
    assert found.loc["before"].tolist() == ["25 %", "50 %", "0 %", "25 %", "5", "5"]
    assert found.loc["after"].tolist() == ["50 %", "25 %", "25 %", "0 %", "1", "1"]


def test_ranks_are_those_of_the_answers_languages():
    square = errors.by_pair(BEFORE, TEXTS)
    assert square.loc["de", "de"] == 1 and square.loc["de", "en"] == 6


def test_a_list_shows_its_first_places_and_the_answer_placed_last():
    assert errors.listed(BEFORE, TEXTS, "a", "de", most=2) == [("de", "A", 1, "✓"), ("de", "D", 2, ""), ("en", "B", 6, "✓")]
    assert errors.listed(AFTER, TEXTS, "a", "de", most=2) == [("de", "A", 1, "✓"), ("en", "B", 2, "✓")]
    assert errors.distance(BEFORE, "a", "de") == 5


def test_the_worst_questions_are_of_different_languages_and_items():
    rows = [("a", "de", 9), ("a", "en", 8), ("b", "de", 7), ("c", "hi", 1), ("b", "en", 5)]
    made = pd.DataFrame(rows, columns=["item", "language", "distance"])
    assert errors.worst(made, 3) == [("a", "de"), ("c", "hi")]  # of b the German one is the worst, and German is there


def test_the_finding_names_both_ends(monkeypatch):
    said = errors.summary({"untrained": BEFORE, "Hybrid": AFTER}, TEXTS)
    assert "50 % of the first twenty places" in said and "with Hybrid these are 25 % and 50 %" in said and "1 instead of 5" in said
    assert "No ranked lists yet" in errors.summary({}, TEXTS)


@pytest.mark.parametrize("name", errors.shown())
def test_committed_lists_can_be_shown(name):
    made, texts = rankings.read(name)[1], rankings.passages()
    assert len(errors.worst(made, 3)) == 3 and errors.by_pair(made, texts).shape == (11, 11)


def test_the_typical_question_is_the_one_nearest_to_both_medians():
    def distances(*values):
        return pd.DataFrame([("a", "th", values[0]), ("b", "th", values[1]), ("c", "th", values[2]), ("d", "de", values[3]),
                             ("e", "de", values[4])], columns=["item", "language", "distance"])
    # medians 100 and 10: b is near to both, a to the first alone; d is nearer than all, but in German
    assert errors.typical(distances(100, 90, 700, 100, 900), distances(1, 9, 12, 10, 80), "th") == "b"


def test_places_of_the_answers_by_language():
    assert errors.places(BEFORE, TEXTS, "a", "de") == {"de": 1, "en": 6}
