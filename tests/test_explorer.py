"""The results explorer: what goes into the page, and what a reader can do with it in a browser."""

import csv
import functools
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import jupytext
import nbformat
import pandas as pd
import pytest
import yaml

from hybrid_batch import book, config, paths, rows, study, summary
from hybrid_batch.paths import ROOT
from hybrid_batch.report import explorer

HEAD = "part condition benchmark system figure language value low high groups seeds".split()
EVIL = "</script><img src=x onerror=alert(1)>"
MACRO = ["Mo map", "Cr map", "Mul map", "Mul recall@1"]
IGNORED = "THEBE_JS_URL"  # the theme's own, on every page


def lines(part, cells, benchmark, systems, base):
    """Rows of a summary, each value another."""
    number, made = base, []
    for cell in cells:
        for system in systems:
            for figure, language in [*((f, "all") for f in MACRO), ("Mo map", "th"), ("Mo map", "en")]:
                number += 0.00137
                made.append([part, cell, benchmark, system, figure, language, f"{number:.5f}", f"{number - .02:.5f}",
                             f"{number + .03:.5f}", 24.0, 2])
            made.append([part, cell, benchmark, system, "Mul rank_distance", "all", f"{number * 1000:.5f}",
                         f"{number * 900:.5f}", f"{number * 1100:.5f}", 24.0, 2])
            made.append([part, cell, benchmark, system, "gap", "all", f"{number / 9:.5f}", f"{number / 9:.5f}",
                         f"{number / 9:.5f}", "", 2])
            made.append([part, cell, benchmark, system, "peer", "all", "0.98765", "0.98765", "0.98765", "", 2])
    return made


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Summaries of two small studies, one of them with names that must be escaped: {name: table}."""
    folder = tmp_path_factory.mktemp("results")
    systems = ["centring", "plain"]
    made = {"cpu-use": lines("reproduction", ["untrained", "X-X-mono", "X-Y", "Hybrid"], "xquad-r", systems, 0.3)
            + lines("reproduction", ["untrained", "X-X-mono", "X-Y", "Hybrid"], "xquad-r de en", ["plain"], 0.4)
            + lines("alpha", ["0", "0.5", "1"], "xquad-r", systems, 0.5),
            "odd": lines(EVIL, [EVIL, 'more "questions", mono'], f"b{EVIL}", ["plain"], 0.6)}
    tables = {name: pd.DataFrame(rows_, columns=HEAD).replace({"": None}).astype(
        {"value": float, "low": float, "high": float, "groups": float}) for name, rows_ in made.items()}
    for name in tables:
        (folder / name).mkdir()
        (folder / name / "key.parquet").touch()
    planned = {name: [study.Planned(*place, config.Experiment()) for place in table[["part", "condition"]].drop_duplicates().values]
               for name, table in tables.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RESULTS", folder)
        patch.setattr(summary, "summarise", tables.get)
        patch.setattr(study, "plan", planned.get)
        patch.setattr(rows, "manifests", lambda name: {config.Experiment().key: {"device": f"CPU of {name}"}})
        yield tables


def payload(page):
    return json.loads(re.search(r"<script type='application/json' class='explorer-data'>(.*?)</script>", page, re.S)[1])


# What goes into the page


def test_every_number_is_one_of_the_summaries_and_all_of_them_are_there(results):
    found = set()
    for made in payload(explorer.explorer())["studies"]:
        for part, cell, benchmark, system, seeds, _, values in made["series"]:
            columns = made["columns"][benchmark]
            assert len(values) == 3 * len(columns)
            for place, (figure, language, groups) in enumerate(columns):
                found.add((made["name"], part, cell, benchmark, system, figure, language, *values[3 * place:3 * place + 3],
                           groups, seeds))
    expected = set()
    for name, table in results.items():
        for row in table[table.figure.isin(explorer.MEASURES)].to_dict("records"):
            numbers = [round(row[x], 1 if row["figure"] == "Mul rank_distance" else 4) for x in ("value", "low", "high")]
            expected.add((name, *(row[x] for x in HEAD[:6]), *numbers, None if pd.isna(row["groups"]) else int(row["groups"]),
                          int(row["seeds"])))
    assert found == expected and len(found) > 100


def test_names_of_studies_and_conditions_are_escaped(results):
    page = explorer.explorer()
    assert page.count("</script>") == 2 and "<img" not in page
    made = payload(page)["studies"][1]
    assert (made["title"], made["series"][0][1]) == ("odd", EVIL)
    assert "<img" not in explorer.static(made, EVIL, f"b{EVIL}") and "&lt;img" in explorer.static(made, EVIL, f"b{EVIL}")


def test_the_first_view_is_the_reproduction_on_xquad_r_or_what_there_is(results):
    made = payload(explorer.explorer())
    assert made["start"] == {"study": "cpu-use", "part": "reproduction", "benchmark": "xquad-r", "measure": "Mul map",
                             "language": "all", "system": "plain"}
    assert made["studies"][0]["title"] == "Universal Sentence Encoder, CPU"
    order = [names[1:4:2] for names in made["studies"][0]["series"] if names[2] == "xquad-r"]
    assert order[:2] == [["untrained", "plain"], ["untrained", "centring"]]
    assert explorer.start(made["studies"][1:])["part"] == EVIL


def test_names_of_benchmarks():
    assert explorer.label("xquad-r de en") == "XQuAD-R, de, en alone" and explorer.label("other de") == "other de"


def test_without_results_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    assert explorer.explorer() == "<p class='explorer-none'>No study has results yet.</p>"


def test_devices_come_from_the_manifests(results):
    assert {names[5] for names in explorer.compact("cpu-use")["series"]} == {"CPU of cpu-use"}


def test_the_chapter_runs(tmp_path):
    made = book.execute(book.chapters()["explorer"], {}, tmp_path / "explorer.ipynb").read_text()
    assert "explorer-data" in made or "No study has results yet." in made


# In a browser


@pytest.fixture(scope="module")
def address(results, tmp_path_factory):
    """The chapter with these results, in a book of three pages."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "runs" / "book").mkdir(parents=True)
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    settings["sphinx"]["local_extensions"] = {name: str(ROOT / path) for name, path in settings["sphinx"]["local_extensions"].items()}
    (folder / "_config.yml").write_text(yaml.safe_dump(settings))  # the extensions read the project, not this folder
    for part in ("_static", "_templates"):
        shutil.copytree(ROOT / "book" / part, folder / "book" / part)
    shutil.copy(ROOT / "book" / "references.bib", folder / "book")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/introduction\nchapters:\n"
                                     "- file: runs/book/metrics\n- file: runs/book/explorer\n")
    (folder / "book" / "introduction.md").write_text("# Start\n")
    (folder / "runs" / "book" / "metrics.md").write_text("# Measures\n")
    notebook = jupytext.read(ROOT / "book" / "explorer.md")
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/html": explorer.explorer()}, execution_count=1)]
    nbformat.write(notebook, folder / "runs" / "book" / "explorer.ipynb")
    done = subprocess.run([Path(sys.prefix) / "bin" / "jupyter-book", "build", "-q", "-W", "--keep-going", "."],
                          cwd=folder, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder / "_build" / "html")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/runs/book/explorer.html"
        server.shutdown()


@pytest.fixture
def visit(browser, address):
    """A function (hash, width, ...) -> the page; no script may have failed in it."""
    opened, errors = [], []

    def visit(hash="", width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        context.set_default_timeout(10_000)
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: IGNORED in str(error) or errors.append(str(error)))
        page.route("**/*", lambda route: route.continue_() if "127.0.0.1" in route.request.url else route.abort())
        page.goto(address + hash, wait_until="domcontentloaded")
        return page

    yield visit
    for context in opened:
        context.close()
    assert errors == []


def table(page):
    return page.eval_on_selector_all(".explorer-table tbody tr", "rows => rows.map(r => [...r.cells].map(c => c.textContent))")


def drawn(page):
    """(name, number) of the rows of the plot."""
    return list(zip(*(page.eval_on_selector_all(f".explorer-plot .{kind}", "e => e.map(t => t.textContent)")
                      for kind in ("name", "number"))))


def status(page):
    return page.locator(".explorer-status").text_content().strip()


def test_the_first_view(visit):
    page = visit()
    rows = table(page)
    assert [row[0] for row in rows] == ["untrained", "X-X-mono", "X-Y", "Hybrid"]
    assert {row[1] for row in rows} == {"plain"} and rows[0][5:7] == ["24", "2"]
    assert drawn(page) == [(row[0], row[2]) for row in rows]
    assert status(page) == "4 rows shown, of 8." and "#" not in page.url
    assert page.locator(".explorer-static").count() == 0
    assert "Mul mAP: higher is better." in page.locator(".explorer figcaption").text_content()


def test_choices_change_table_plot_and_address(visit):
    page = visit()
    page.get_by_label("centring", exact=True).check()
    assert len(table(page)) == 8 and page.locator(".explorer-plot rect.removed").count() == 4
    assert drawn(page)[1] == ("untrained, centring", table(page)[1][2])
    page.get_by_label("X-Y", exact=True).uncheck()
    assert [row[0] for row in table(page)[::2]] == ["untrained", "X-X-mono", "Hybrid"] and status(page) == "6 rows shown, of 8."
    page.get_by_label("Measure").select_option("Mul rank_distance")
    assert "lower is better" in page.locator(".explorer figcaption").text_content()
    assert "← better" in page.locator(".explorer-plot").text_content() and re.fullmatch(r"\d+\.\d", table(page)[0][2])
    assert page.get_by_label("Language of the question").is_disabled()
    page.get_by_label("Part").select_option("alpha")
    assert [row[0] for row in table(page)[::2]] == ["alpha 0", "alpha 0.5", "alpha 1"]
    assert "part=alpha" in page.url and "measure=Mul+rank_distance" in page.url
    page.get_by_label("Measure").select_option("Mo map")
    page.get_by_label("Language of the question").select_option(label="Thai (th)")
    assert "language=th" in page.url and len(table(page)) == 6
    page.get_by_role("button", name="None").click()
    assert table(page) == [] and "Nothing to draw" in page.locator(".explorer-plot").text_content()
    page.get_by_role("button", name="Start again").click()
    assert len(table(page)) == 4


def test_the_address_brings_everything_back(visit):
    page = visit()
    page.get_by_label("Measure").select_option("Cr map")
    page.get_by_label("centring", exact=True).check()
    page.get_by_label("untrained").uncheck()
    for _ in range(2):
        page.locator("[data-column=value]").click()
    rows = table(page)
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True) and len(rows) == 6
    again = visit("#" + page.url.split("#")[1])
    assert table(again) == rows and drawn(again) == drawn(page) and again.url == page.url
    assert again.locator("th[aria-sort=descending]").count() == 1 and not again.get_by_label("untrained").is_checked()


def test_an_address_of_what_is_not_there_is_said_and_harmless(visit):
    page = visit("#part=nonsense&measure=%3Cb%3E&sort=nothing&system=plain")
    assert len(table(page)) == 4
    assert "Not in these results: part “nonsense”." in status(page) and "“<b>”" in status(page)
    other = visit("#results-explorer")
    assert len(table(other)) == 4 and other.url.endswith("#results-explorer")


def test_what_is_asked_for_is_looked_for_where_it_is(visit):
    assert table(visit(f"#part={quote(EVIL)}"))[0][0] == EVIL  # in the other study
    page = visit("#system=centring")
    page.get_by_label("Benchmark").select_option("xquad-r de en")  # plain alone
    assert len(table(page)) == 4 and table(page)[0][1] == "plain"


def test_the_three_things_to_try(visit):
    page = visit()
    links = page.locator("article li a")
    for number, (first, count) in enumerate([("untrained", 8), ("alpha 0", 3), ("untrained", 4)]):
        links.nth(number).click()
        page.wait_for_function(f"document.querySelector('.explorer-table tbody th').textContent === '{first}' && "
                               f"document.querySelectorAll('.explorer-table tbody tr').length === {count}")
        assert links.nth(number).get_attribute("id") == links.nth(number).get_attribute("href")[1:]


def test_the_csv_file_holds_the_table(visit):
    page = visit("#study=odd")
    page.locator("[data-column=value]").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    lines = list(csv.reader(io.StringIO(open(waiting.value.path(), newline="").read())))
    assert lines[0] == "study part benchmark measure language condition system value low high groups seeds device".split()
    assert [line[5:] for line in lines[1:]] == table(page) and len(lines) == 3
    assert lines[1][:2] == ["odd", EVIL] and waiting.value.suggested_filename.endswith(".csv")


def test_the_link_is_copied(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_function("document.querySelector('.explorer-status').textContent === 'The link was copied.'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url and "#study=cpu-use&part=reproduction" in copied


def test_markup_in_names_stays_text(visit):
    page = visit("#study=odd")
    assert table(page)[0][0] == EVIL and page.locator(".explorer img").count() == 0


def test_the_keyboard_alone_is_enough(visit):
    page = visit()
    page.locator("#explorer-part").focus()
    page.keyboard.press("ArrowDown")
    assert table(page)[0][0] == "alpha 0"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "checkbox":
            break
    page.keyboard.press("Space")
    assert len(table(page)) == 2 and page.evaluate("document.activeElement.type") == "checkbox"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.column") == "value":
            break
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort=ascending]").text_content().startswith("Value")
    assert page.evaluate("document.activeElement.dataset.column") == "value"


def test_everything_has_a_name(visit):
    page = visit()
    assert page.evaluate("""[...document.querySelectorAll('.explorer :is(select, input)')].every(
        e => e.labels.length === 1 && e.labels[0].textContent.trim())""")
    assert page.locator(".explorer fieldset > legend").count() == 2
    assert page.locator(".explorer-status[role=status][aria-live=polite]").count() == 1
    assert page.locator(".explorer-plot svg[role=img]").get_attribute("aria-label").startswith("Dot plot of 4 rows")
    assert page.locator(".explorer-scroll[role=region][tabindex='0']").get_attribute("aria-label")


@pytest.mark.parametrize("width", [360, 1366, 1920])
def test_it_fits_and_can_be_touched(visit, width):
    for view in ("", "#system=plain&system=centring", "#study=odd"):
        page = visit(view, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        small = page.eval_on_selector_all(".explorer :is(select, button, input)", """all => all.map(
            e => e.getBoundingClientRect()).filter(r => r.width < 24 || r.height < 24).length""")
        assert small == 0
        box = page.locator(".explorer-plot").bounding_box()
        ends = page.eval_on_selector_all(".explorer-plot :is(text, circle, rect, path)", """all => all.map(
            e => e.getBoundingClientRect()).map(r => [r.left, r.right])""")
        assert min(left for left, _ in ends) >= box["x"] - 1 and max(right for _, right in ends) <= box["x"] + box["width"] + 1


def test_a_narrower_window_draws_anew(visit):
    page = visit()
    before = page.locator(".explorer-plot svg").get_attribute("width")
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function(f"document.querySelector('.explorer-plot svg').getAttribute('width') < {before}")


def test_dark_mode_has_a_dark_ground(visit):
    page = visit()
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert page.evaluate("getComputedStyle(document.querySelector('.text_html:has(.explorer)')).backgroundColor") == "rgba(0, 0, 0, 0)"
    assert min(map(int, re.findall(r"\d+", page.evaluate(
        "getComputedStyle(document.querySelector('.explorer-plot .name')).fill"))[:3])) > 150


def test_without_javascript_there_is_a_table(visit):
    page = visit(width=360, java_script_enabled=False)
    text = page.locator(".explorer-static").text_content()
    assert "Universal Sentence Encoder, CPU: reproduction, XQuAD-R." in text
    rows = page.locator(".explorer-static tbody tr")
    assert rows.count() == 8 and rows.nth(0).locator("th").text_content() == "untrained"
    assert re.fullmatch(r"0\.\d{4} \[0\.\d{4}, 0\.\d{4}\]", rows.nth(0).locator("td").nth(0).text_content())
    assert page.locator(".explorer-form").count() == 0
