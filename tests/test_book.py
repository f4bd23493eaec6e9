"""The book as a reader gets it: built by the README's command in a copy of the project, looked at in a browser."""

import functools
import html
import html.parser
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from urllib.parse import unquote, urldefrag

import pytest
import web

from hybrid_batch.book import chapters, sources
from hybrid_batch.data import cards, catalogue
from hybrid_batch.paths import ROOT

PAGES = ["runs/book/introduction", "runs/book/use", "book/howto", "book/running", "book/preregistration", "book/related",
         "book/glossary", "book/bibliography", "book/differences", "book/reference",
         *(f"runs/book/{name}" for name in (
    "method", "metrics", "data", "01_data", "02_training", "03_evaluation", "04_bias", "05_reasoning", "study", "answer",
    "study_languages", "study_alpha", "study_reasoning", "study_bias", "study_errors", "study_best", "study_claims", "explorer", "ranks")),
         *re.findall(r"- file: (\S*course/\S+)", (ROOT / "_toc.yml").read_text())]


MADE = shutil.ignore_patterns(".git", ".venv", "runs", "_build", ".pytest_cache", ".hypothesis", "__pycache__", "*.egg-info")


def make(folder):
    """`make book` with this environment in the place of one made anew."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    return subprocess.run(["make", "book", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/ready"], cwd=folder,
                          env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    folder = shutil.copytree(ROOT, tmp_path_factory.mktemp("project") / "copy", ignore=MADE)
    done = make(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done.stdout


@pytest.fixture(scope="session")
def pages(book):
    return {name: (book[0] / "_build" / "html" / f"{name}.html").read_text() for name in PAGES}


def test_make_book_prints_where_the_book_is_and_the_table_of_results(book):
    folder, printed = book
    assert f"the book: {folder}/_build/html/index.html" in printed
    assert "url=runs/book/introduction.html" in (folder / "_build" / "html" / "index.html").read_text()
    for name in ("untrained", "untrained, centring", "X-X", "X-X-mono", "X-Y", "Hybrid(0.5)", "En-En",
                 "Hybrid(0.5), interpolated 0.5"):
        assert re.search(rf"\| {re.escape(name)} +\|( +0\.\d\d\d \[0\.\d\d\d,\s0\.\d\d\d\] +\|){{3}} +\d+ \[\d+,\s\d+\]", printed), name


def test_a_second_make_book_runs_and_builds_nothing_again(book):
    done = make(book[0])
    executed = len(sources()) + len(chapters())
    assert done.returncode == 0 and done.stdout.count("as it was") == executed
    assert "training:" not in done.stdout and "=== building the book" not in done.stdout


def test_the_evaluation_page_shows_every_system_with_intervals(pages):
    page = pages["runs/book/03_evaluation"]
    for name in ("untrained, centring", "X-X", "X-X-mono", "X-Y", "Hybrid(0.5)", "En-En", "interpolated 0.5"):
        assert name in page
    assert len(re.findall(r"0\.\d{3} \[0\.\d{3},\s0\.\d{3}\]", page)) >= 24
    assert re.search(r"\d+ groups of queries", page) and "1 training seed(s)" in page


def test_no_page_shows_an_error_a_stray_stream_the_source_of_a_table_or_a_path_of_this_machine(book, pages):
    for name, page in pages.items():
        assert "<p>|" not in page, name
        assert "Traceback" not in page and 'class="output stderr' not in page, name
        assert str(book[0]) not in page, name


def test_every_figure_of_every_notebook_is_there(pages):
    least = {"method": 8, "01_data": 3, "02_training": 2, "03_evaluation": 2, "04_bias": 3, "05_reasoning": 2, "answer": 4, "study": 2,
             "study_languages": 1, "study_alpha": 1, "study_reasoning": 3, "study_bias": 3, "study_errors": 1, "study_best": 2}
    for name, count in least.items():
        assert pages[f"runs/book/{name}"].count("<img") >= count, name


def test_every_picture_says_in_words_what_it_shows_and_is_shown_once(pages):
    for name, page in pages.items():
        images = [image for image in Links(page).pictures if "_images" in image.get("src", "")]
        for image in images:
            alt = image.get("alt", "")
            assert len(alt) > 60 and any(letter.isdigit() for letter in alt), (name, alt)
            assert "_images" not in alt and ".svg" not in alt and ".png" not in alt, (name, alt)
        assert len({image["src"] for image in images}) == len({image["alt"] for image in images}) == len(images), name


class Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.images, self.pictures = [], set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if values.get("id"):
            self.ids.add(values["id"])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "img":
            self.images.append(values.get("src", ""))
            self.pictures.append(values)


def test_the_chapter_on_data_sets_has_a_card_for_each_and_names_all_of_the_catalogue(pages):
    text = html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", pages["runs/book/data"])))
    for name in (*catalogue.catalogue(), "encyclo11"):
        assert name in text, name
    for name, card in cards.read(ROOT / "results" / "data").items():
        assert f"{name}: {card['title']}; {card['rows']:,} rows" in text, name
        for benchmark, found in card["contamination"].items():
            assert not found["rows"] or f"{found['rows']} rows ({found['items']} items)" in text


def test_every_local_link_and_image_leads_somewhere(book, pages):
    root = book[0] / "_build" / "html"
    parsed = {(root / f"{name}.html").resolve(): Links(page) for name, page in pages.items()}
    for path, page in parsed.items():
        for link in page.links + page.images:
            target, fragment = urldefrag(unquote(link))
            if re.match(r"[a-z]+:", target):
                continue
            file = (path.parent / target).resolve() if target else path
            assert file.exists(), f"{path.name}: {link}"
            if fragment and file in parsed:
                assert fragment in parsed[file].ids or fragment == "", f"{path.name}: {link}"


def test_right_to_left_texts_are_set_so_and_texts_are_escaped(pages):
    assert re.search(r'<td lang="ar" dir="rtl" style="text-align:right">[\u0600-\u06ff]', pages["runs/book/01_data"])
    assert '<td lang="el" dir="ltr"' in pages["runs/book/01_data"]


@pytest.fixture(scope="session")
def address(book):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=book[0] / "_build" / "html")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_page_fits_a_phone_and_a_laptop(browser, address):
    page = browser.new_page()
    page.route("**/*", lambda route: route.continue_() if "127.0.0.1" in route.request.url else route.abort())
    for name in PAGES:
        page.goto(f"{address}/{name}.html", wait_until="domcontentloaded")
        page.wait_for_function("Array.from(document.images).every(i => i.complete)")
        assert page.evaluate("Array.from(document.images).every(i => i.naturalWidth > 0)"), name
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width + 1, (name, width)
        assert page.evaluate("document.querySelectorAll('h1').length") >= 1, name
    page.close()


def test_html_of_our_own_has_no_light_ground_in_the_dark(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    for name in ("runs/book/ranks", "runs/book/explorer", "runs/book/01_data", "runs/book/course/unit2/quiz"):
        page.goto(f"{address}/{name}.html", wait_until="domcontentloaded")
        grounds = page.evaluate("Array.from(document.querySelectorAll('.cell_output .text_html'), e => getComputedStyle(e).backgroundColor)")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark", name
        assert set(grounds) == {"rgba(0, 0, 0, 0)"}, name
    page.close()


def test_folded_code_opens_on_a_click(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.route("**/*", lambda route: route.continue_() if "127.0.0.1" in route.request.url else route.abort())
    page.goto(f"{address}/runs/book/03_evaluation.html", wait_until="domcontentloaded")
    block = page.locator(".cell details").first
    assert not block.evaluate("e => e.open")
    block.locator("summary").click()
    assert block.evaluate("e => e.open")
    page.close()


def test_another_alpha_executes_only_what_depends_on_it_and_keeps_the_old_run(book):
    folder = book[0]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "TOKENIZERS_PARALLELISM": "false"}
    before = {path.name: path.read_bytes() for path in (folder / "runs" / "quick").glob("*.ipynb")}
    done = subprocess.run([sys.executable, "-m", "hybrid_batch", "run", "quick", "--alpha", "0.7", "-n", "01_data"], cwd=folder,
                          env=environment, capture_output=True, text=True)
    assert done.returncode != 0 and "01_data has no 'alpha'" in done.stderr
    done = subprocess.run([sys.executable, "-m", "hybrid_batch", "chapters"], cwd=folder, env=environment, capture_output=True,
                          text=True)
    assert done.stdout.count("as it was") == done.stdout.count("=== chapter") > 5
    assert {path.name: path.read_bytes() for path in (folder / "runs" / "quick").glob("*.ipynb")} == before
    assert (folder / "runs" / "book" / "shown.txt").read_text() == "quick\n"


def test_the_table_of_parameters_is_in_the_book(pages):
    assert "share of monolingual batches in Hybrid" in pages["book/running"] and "learning_rate" in pages["book/running"]


def test_every_page_says_what_it_is_and_loads_nothing_from_elsewhere(pages):
    described = {}
    for name, page in pages.items():
        described[name] = re.search(r'<meta name="description" content="([^"]{40,})"', page)[1]
        assert 'property="og:image"' in page and 'rel="icon"' in page and "source of this page" in page, name
        loaded = re.findall(r'<(?:script|img|iframe|link(?! rel="canonical"))\b[^>]*?(?:src|href)="([^"]+)"', page)
        assert not [address for address in loaded if "//" in address], name
    assert len(set(described.values())) == len(described)


def test_exercises_are_numbered_from_one_on_each_page(pages):
    for name in (name for name in PAGES if name.endswith("/exercises")):
        numbers = re.findall(r'caption-number">Exercise (\d+)', pages[name])
        assert numbers == [str(number) for number in range(1, len(numbers) + 1)] and len(numbers) >= 5, name


@pytest.mark.parametrize("names, width, scheme", [(PAGES[::2], 390, "dark"), (PAGES[1::2], 1440, "light")], ids=["phone", "desktop"])
def test_axe_finds_no_violation_on_any_page_and_no_request_leaves(book, browser, names, width, scheme):
    """Each page in one way; test_pages: in all four ways, on fewer pages."""
    for name in names:
        with web.visit(browser, (book[0] / "_build" / "html" / f"{name}.html").as_uri(), width, scheme) as (page, asked, complaints):
            assert web.violations(page) == [], name
            assert complaints == [] and all(address.startswith(("file:", "data:")) for address in asked), name


def test_the_book_is_light(book, browser):
    root = book[0] / "_build" / "html"
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) < 25e6
    with web.visit(browser, (root / "runs/book/introduction.html").as_uri()) as (_, asked, _):
        assert web.weight(asked) < 600_000
