"""What the book's Sphinx extensions make of pages: they work from disk without a network, are light and can be used by all.

A book of a few pages stands for the whole one: formulas and figures (the method), a script (the explorer), a notebook that
is not executed, and prose. test_book does the same for every page in fewer ways.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import web
import yaml
from pypdf import PdfReader

from hybrid_batch import book, paths, storage

sys.path.append(str(paths.CHAPTERS / "_extensions"))
import book_pages  # noqa: E402
import package_reference  # noqa: E402
import print_book  # noqa: E402

EXECUTED, NOTEBOOK = ["method", "explorer"], "runs/book/01_data"
PROSE = ["book/running", "book/glossary", "book/bibliography", "book/differences", "book/reference"]
PAGES = [f"runs/book/{name}" for name in EXECUTED] + [NOTEBOOK] + PROSE
ALL = [*PAGES, "search", "genindex"]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the HTML. What is executed already is taken as it is, if nothing that it depends on has changed."""
    folder = tmp_path_factory.mktemp("site")
    made = folder / "runs" / "book"
    made.mkdir(parents=True)
    shutil.copytree(paths.CHAPTERS, folder / "book")
    (folder / "results").symlink_to(paths.RESULTS)
    for name in EXECUTED:
        with_outputs = paths.BOOK / f"{name}.ipynb"
        if with_outputs.exists():
            shutil.copyfile(with_outputs, made / with_outputs.name)
        book.execute(book.chapters()[name], {}, made / f"{name}.ipynb")
    shutil.copyfile(paths.NOTEBOOKS / "ipynb" / "01_data.ipynb", made / "01_data.ipynb")
    (made / "parameters.md").write_text("| name | default |\n| --- | --- |\n| alpha | 0.5 |\n")
    settings = yaml.safe_load((paths.ROOT / "_config.yml").read_text())
    extensions = {name: str(paths.ROOT / path) for name, path in settings["sphinx"]["local_extensions"].items()}
    settings["sphinx"]["local_extensions"] = extensions  # they read the project, not this folder
    (folder / "_config.yml").write_text(yaml.safe_dump(settings))
    first, *others = PAGES
    (folder / "_toc.yml").write_text(yaml.safe_dump(
        {"format": "jb-book", "root": first, "chapters": [{"file": name} for name in others]}))
    command = [Path(sys.executable).with_name("jupyter-book"), "build", "-q", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "_build" / "html"


@pytest.mark.parametrize("name", ALL)
def test_a_page_asks_for_nothing_but_files_and_its_console_is_silent(name, site, browser):
    with web.visit(browser, (site / f"{name}.html").as_uri()) as (page, asked, complaints):
        assert [address for address in asked if not address.startswith(("file:", "data:"))] == []
        assert complaints == []
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_formulas_are_set_where_there_are_any_and_only_there(site, browser):
    for name, formulas in (("runs/book/method", True), ("book/glossary", False)):
        with web.visit(browser, (site / f"{name}.html").as_uri()) as (page, asked, _):
            page.evaluate("document.fonts.ready")
            assert any("mathjax" in address for address in asked) == formulas
            assert (page.locator("mjx-container").count() > 10) == formulas
            assert page.locator("mjx-merror").count() == 0
            assert page.locator(".math:not(:has(mjx-container))").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*(name for name in PAGES if name != "book/reference"), "search"])  # long, and like others
def test_axe_finds_no_violation_on_a_phone_and_on_a_desktop(name, scheme, site, browser):
    with web.visit(browser, (site / f"{name}.html").as_uri(), 390, scheme) as (page, _, _):
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert web.violations(page) == []
        page.set_viewport_size({"width": 1440, "height": 900})
        assert web.violations(page) == []


def test_axe_would_find_one(site, browser):
    with web.visit(browser, (site / "book/glossary.html").as_uri()) as (page, _, _):
        page.evaluate("document.querySelector('article').insertAdjacentHTML('beforeend', '<img src=\"x.png\">')")
        assert [text.split(":")[0] for text in web.violations(page)] == ["image-alt"]


@pytest.mark.parametrize("width", [390, 1440])
def test_the_search_stands_once_and_finds_a_page_by_its_title(width, site, browser):
    with web.visit(browser, (site / "runs/book/method.html").as_uri(), width) as (page, _, complaints):
        boxes = [box for box in page.locator("input[type=search], .search-link").all() if box.is_visible()]
        assert len(boxes) == 1
        if width == 390:  # a link to the page of the search
            boxes[0].click()
            boxes = [page.locator("input[type=search]:visible")]
        boxes[0].fill("running")
        boxes[0].press("Enter")
        page.locator("#search-results a", has_text="Running it").first.click()
        assert page.url.split("?")[0].endswith("book/running.html") and complaints == []


def test_the_page_of_the_search_has_one_box(site, browser):
    with web.visit(browser, (site / "search.html").as_uri()) as (page, _, _):
        assert page.locator("input[type=search]:visible").count() == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_it_is_and_where_it_comes_from(name, site):
    page = (site / f"{name}.html").read_text()
    described = re.search(r'<meta name="description" content="([^"]+)"', page)[1]
    assert len(described) > 40 and "$" not in described
    assert '<meta property="og:image" content="https://hybrid-batch.github.io/hybrid-batch/_static/preview.png"' in page
    assert (site / "_static" / "preview.png").read_bytes()[:4] == b"\x89PNG" and 'rel="icon"' in page
    footer = page.split('class="extra_footer"')[1]
    assert re.search(rf"Version {re.escape(book_pages.version())}</a>, 20\d\d-\d\d-\d\d", footer)
    source = re.search(r'/blob/v[\d.]+/([^"]+)">source of this page', footer)[1]
    assert (paths.ROOT / source).exists() and Path(source).stem == Path(name).stem
    assert 'href="https://github.com/hybrid-batch/hybrid-batch"' in page


def test_a_notebook_has_links_that_run_it_and_a_copy_that_runs_alone(site):
    page = (site / f"{NOTEBOOK}.html").read_text()
    tag = f"v{book_pages.version()}"
    launch = re.search(r'<p class="launch">.*?</p>', page)[0]
    colab, binder, download = re.findall(r'href="([^"]+)"', launch)
    assert colab == f"https://colab.research.google.com/github/hybrid-batch/hybrid-batch/blob/{tag}/notebooks/ipynb/01_data.ipynb"
    assert binder == f"https://mybinder.org/v2/gh/hybrid-batch/hybrid-batch/{tag}?urlpath=lab/tree/notebooks/ipynb/01_data.ipynb"
    loaded = (site / f"{NOTEBOOK}.html").parent.joinpath(download).resolve()
    cells = json.loads(loaded.read_text())["cells"]
    first = next(cell for cell in cells if cell["cell_type"] == "code")
    assert "".join(first["source"]) == book.setup_cell()
    assert "install.py" not in page and 'class="launch"' not in (site / "runs/book/method.html").read_text()


def test_pages_are_light(site, browser):
    """As a server sends them; formulas from disk are more, for MathJax is 0.8 MB there."""
    for name in PAGES:
        with web.visit(browser, (site / f"{name}.html").as_uri()) as (_, asked, _):
            assert web.weight(asked, pictures=False, compressed=True) < 450_000, name
            assert web.weight(asked, pictures=False) < 1_250_000, name
            if not any("mathjax" in address for address in asked) and "explorer" not in name:
                assert web.weight(asked, pictures=False) < 600_000, name
    assert not [path.name for path in site.rglob("*") if re.search(r"fontawesome\.js$|thebe|\.map$|woff2$", path.name)]


def test_on_paper_nothing_is_cut_and_everything_is_open(site, browser):
    cut = """() => [...document.querySelectorAll("article pre, article table, article img, article svg, article mjx-container")]
        .filter(part => part.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .map(part => part.outerHTML.slice(0, 80))"""
    with web.visit(browser, (site / "runs/book/method.html").as_uri(), 680) as (page, _, _):
        page.evaluate("""document.querySelector("article").insertAdjacentHTML("beforeend",
            "<pre>" + "long ".repeat(80) + "</pre><table><tr>" + "<td>12345</td>".repeat(30) + "</tr></table>")""")
        assert len(page.evaluate(cut)) > 0  # on a screen they scroll
        page.emulate_media(media="print")
        assert page.locator("details:not([open])").count() > 0
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        assert page.evaluate(cut) == []
        assert not page.locator(".bd-sidebar-primary, .launch, .prev-next-footer").locator("visible=true").count()
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.locator("details:not([open])").count() > 0


def test_the_book_is_printed_into_one_file_in_its_order(site, tmp_path, browser):
    chosen = print_book.pages(site)
    assert [path.relative_to(site).with_suffix("").as_posix() for path, _ in chosen] == PAGES
    short = [page for page in chosen if page[0].stem in ("glossary", "differences")]
    print_book.print_pages(short, tmp_path / "book.pdf", browser=browser)
    printed = PdfReader(tmp_path / "book.pdf")
    assert [mark.title for mark in printed.outline] == [title for _, title in short]
    assert "sentence-transformers" in "".join(page.extract_text() for page in printed.pages)


def test_the_reference_has_every_public_function_of_every_module(site):
    page = (site / "book/reference.html").read_text()
    for path in paths.PACKAGE.rglob("*.py"):
        for name in re.findall(r"(?m)^def ([a-z]\w*)\(.*\n(?: .*\n)*?    \"\"\"", path.read_text()):
            assert f"<span class=\"pre\">{name}(" in page, f"{path.name}: {name}"
    assert page.count("<h2>hybrid_batch") == len([path for path in package_reference.modules() if path.stat().st_size])


@pytest.mark.parametrize("css, kept", [
    (".a{x:1}.b{x:2}", ".a{x:1}"), (".a,.b .a,.a.b{x:1}", ".a{x:1}"), ("p:not(.b){x:1}", "p:not(.b){x:1}"),
    ("@media print{.b{x:1}}", ""), ("@media print{.a{x:1}.b{x:1}}", "@media print{.a{x:1}}"), ("@font-face{y:1}", "@font-face{y:1}")])
def test_style_sheets_lose_the_rules_that_no_page_uses(css, kept):
    assert book_pages.used_rules(css, {"a"}) == kept


def test_a_theme_icon_becomes_a_picture():
    library = '{"bars":[448,512,["navicon"],"f0c9","M0 96z"],sun:[10,20,[],"f185","M1 1z"]}'
    made = book_pages.with_icons('<span class="fa-solid fa-bars"></span><i class="x fas fa-sun fa-lg" title="Light"></i>', library)
    assert made.count("<svg") == 2 and 'viewBox="0 0 448 512"' in made and 'd="M1 1z"' in made and "title" not in made


def test_the_date_is_that_of_the_last_commit_or_given(tmp_path, monkeypatch):
    monkeypatch.setattr(book_pages, "ROOT", tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert book_pages.last_change.__wrapped__() == "1970-01-02"


def test_nothing_of_this_machine_stands_in_a_page(site):
    for path in site.rglob("*.html"):
        assert str(paths.ROOT) not in path.read_text() and str(site) not in path.read_text(), path.name
    assert storage.checksum([site / "_static" / "pages.js"]) == storage.checksum([paths.CHAPTERS / "_static" / "pages.js"])
