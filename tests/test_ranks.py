"""The rank explorer: what goes into the page, and what a reader can do with it in a browser."""

import json
import re
import shutil

import pytest

from hybrid_batch import paths, rankings
from hybrid_batch.report import errors, figures, ranks


@pytest.fixture(scope="module")
def page():
    return ranks.explorer()


@pytest.fixture(scope="module")
def data(page):
    return json.loads(re.search(r"<script type='application/json' class='ranks-data'>(.*?)</script>", page, re.S)[1])


@pytest.fixture
def site(page, tmp_path):
    """The address of the page on disk, two folders below its script."""
    (tmp_path / "_static").mkdir()
    shutil.copy(paths.CHAPTERS / "_static" / "ranks.js", tmp_path / "_static")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "ranks.html").write_text(f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Ranks</title>"
                                                     f"<main>{page}</main></html>", encoding="utf-8")
    return (tmp_path / "a" / "b" / "ranks.html").as_uri()


def test_the_lists_are_those_that_were_measured(data):
    for number, (name, _) in enumerate(data["encoders"]):
        table = rankings.read(name)[1].set_index(["item", "language"])
        for item, places in zip(data["questions"], data["lists"][number]):
            for (code, *_), found in zip(data["languages"], places):
                row = table.loc[(item[0], code)]
                assert found == [*row.top[:10], *row.ranks]
    assert len(data["questions"]) == 24 and [name for name, _ in data["encoders"]] == errors.shown()


def test_each_passage_that_is_shown_has_its_text_and_its_language(data):
    texts = rankings.passages()
    each = data["pool"] // len(data["languages"])
    for place, text in data["texts"].items():
        row = texts.loc[int(place)]
        assert (row.text, row.language) == (text, data["languages"][int(place) // each][0])
    assert all(str(place) in data["texts"] for item in data["relevant"] for place in item)


def test_page_and_script_are_small(page):
    assert len(page.encode()) < 1_000_000 and (paths.CHAPTERS / "_static" / "ranks.js").stat().st_size < 50_000


def test_without_lists_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr(errors, "shown", list)
    assert ranks.explorer().startswith("<p>No ranked lists yet")


def test_a_reader_chooses_and_the_address_says_what_is_seen(site, data, browser):
    page = browser.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(error))
    page.goto(site)
    first = page.inner_text(".ranks-status")
    page.select_option(".ranks-encoder select", "Hybrid")
    page.select_option(".ranks-language select", "ar")
    page.select_option(".ranks-question select", data["questions"][3][0])
    assert page.inner_text(".ranks-status") != first and not faults
    arabic = [code for code, *_ in data["languages"]].index("ar")
    hybrid = [name for name, _ in data["encoders"]].index("Hybrid")
    places = data["lists"][hybrid][3][arabic]
    distance = max(places[10:]) - min(places[10:])
    assert page.inner_text(".ranks-status").startswith(f"Rank distance {distance:,}: the 11 answers are at ranks ")
    assert page.get_attribute(".ranks-asked q", "dir") == "rtl"
    shown = page.eval_on_selector_all(".ranks-list >> nth=0 >> li p", "all => all.map(p => [p.textContent, p.lang, p.dir])")
    each = data["pool"] // 11
    assert [text for text, *_ in shown] == [data["texts"][str(place)] for place in places[:10]]
    assert [lang for _, lang, _ in shown] == [data["languages"][place // each][0] for place in places[:10]]
    assert all((lang == "ar") == (direction == "rtl") for _, lang, direction in shown)
    right = page.locator(".ranks-right").count()
    assert right == 11, "all eleven answers are marked, those further down too"
    again = browser.new_page()
    again.goto(page.url)
    assert again.inner_text(".ranks-status") == page.inner_text(".ranks-status")
    again.goto(f"{site}#language=xx&encoder=Hybrid")
    assert again.input_value(".ranks-language select") == "th" and again.input_value(".ranks-encoder select") == "Hybrid"
    again.close()
    page.close()


def test_without_scripts_there_is_the_first_list(site, data, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site)
    assert page.locator("table tbody tr").count() >= 11 and page.locator("td[lang='th']").count() > 0
    assert page.locator("td:has-text('✓ answer')").count() == 11
    context.close()


def test_languages_have_the_colours_of_all_figures(data):
    assert all(colour == figures.language_look(code)[0] for code, _, _, colour in data["languages"])
