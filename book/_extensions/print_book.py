"""Print a built book into one PDF file: python print_book.py _build/html book.pdf

Chromium prints each page with the book's style sheet for paper; the pages follow each other as in the table of contents.
"""

import html
import io
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter


def pages(root):
    """The pages of a built book in its order: the path of each, and its title."""
    start = re.search(r'url=([^"]+)"', (root / "index.html").read_text(encoding="utf-8"))[1]
    sidebar = (root / start).read_text(encoding="utf-8").split('class="bd-links', 1)[1].split("</nav>")[0]
    links = re.findall(r'<a class="(?:current )?reference internal" href="([^"#]+)"', sidebar)
    paths = list(dict.fromkeys([(root / start).resolve(), *((root / start).parent.joinpath(link).resolve() for link in links)]))
    titles = [re.search(r"<title>(.*?)(?: &#8212;.*?)?</title>", path.read_text(encoding="utf-8"), re.S)[1] for path in paths]
    return [(path, html.unescape(title)) for path, title in zip(paths, titles)]


def print_pages(chosen, target, browser):
    """Print pages, each a path and a title, into one file with a bookmark for each."""
    book, page = PdfWriter(), browser.new_page()
    for path, title in chosen:
        page.goto(path.as_uri(), wait_until="load")
        page.evaluate("window.MathJax?.startup?.promise")  # formulas are set
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")  # what is folded opens
        first = len(book.pages)
        book.append(PdfReader(io.BytesIO(page.pdf(format="A4", print_background=True))), import_outline=False)
        book.add_outline_item(title, first)
    page.close()
    book.write(target)


if __name__ == "__main__":
    found = shutil.which("chromium") or shutil.which("chromium-browser")  # none: the one of `playwright install chromium`
    with sync_playwright() as playwright:
        print_pages(pages(Path(sys.argv[1]).resolve()), sys.argv[2],
                    playwright.chromium.launch(executable_path=found, args=["--no-sandbox"]))
