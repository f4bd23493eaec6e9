"""Reasoning items to measure with: held out, complete in all their languages, the right option among its own."""

import pytest

from hybrid_batch.data import catalogue, corpora, encyclo11
from hybrid_batch.data.choices import load_choices

REASONING = ("okapi-mmlu", "okapi-arc", "xnli", "msvamp")


def test_our_own_items_are_those_of_the_test_split_as_written():
    choices = load_choices("encyclo11-reasoning", languages=["de", "hi"], limit=1000)
    written = {entry["id"]: entry for entry in encyclo11.read_encyclo11("reasoning", "hi", "test")}
    assert set(choices.stems["item"]) == set(written) and choices.languages == ["de", "hi"]
    assert choices.chance == 0.25
    for item, part in choices.options[choices.options.language == "hi"].groupby("item"):
        assert set(part.text) == set(written[item]["options"])
        assert part.text[part.right].tolist() == [written[item]["options"][written[item]["answer"]]]


def test_the_limit_takes_the_same_items_whatever_the_languages():
    few, more = (load_choices("encyclo11-reasoning", languages=languages, limit=7) for languages in (["de"], ["de", "zh"]))
    assert set(few.stems["item"]) == set(more.stems["item"]) and few.stems["item"].nunique() == 7
    assert few.checksum == more.checksum


@pytest.mark.parametrize("name", REASONING)
def test_items_are_never_among_those_that_are_trained_on(data, name):
    choices = load_choices(name, str(data), ["de", "en"], limit=1000)
    trained = corpora.load_corpus(name, "train", ["de", "en"], str(data)).rows
    assert not set(choices.stems["item"]) & set(trained["item"])
    assert not set(choices.stems.text) & set(trained["query"])
    assert choices.stems["item"].nunique() >= 25 and 0.2 < choices.chance <= 0.5
    assert (choices.options.groupby(["item", "language"]).right.sum() == 1).all()
    per_item = choices.stems.groupby("item").language.agg(set)
    assert (per_item == {"de", "en"}).all()


def test_data_with_a_canary_are_measured_with_though_they_may_not_be_trained_on(data):
    assert catalogue.catalogue()["bbh"]["canary"]
    assert load_choices("bbh", str(data), ["de"], limit=20).stems.language.tolist() == ["en"] * 20  # it has no other
    several = load_choices("bigbench-multilingual", str(data), ["de", "es", "ru", "zh"])
    assert several.languages == ["de", "es", "ru"] and len(several.stems) == several.stems["item"].nunique() == 100
    with pytest.raises(ValueError, match="canary"):
        corpora.load_corpus("bbh", "all", ["en"], str(data))


@pytest.mark.parametrize("name, languages, named", [
    ("mlqa", None, "'mlqa' is no reasoning data set; choose from encyclo11-reasoning, .*okapi-arc"),
    ("nothing", None, "'nothing' is no reasoning data set"),
    ("encyclo11-reasoning", ["de", "xx"], "no language 'xx'")])
def test_what_cannot_be_had_is_named(name, languages, named):
    with pytest.raises(ValueError, match=named):
        load_choices(name, languages=languages)
