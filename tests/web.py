"""A page as a reader without a network sees it, and what axe says of it."""

import contextlib
import gzip
from pathlib import Path
from urllib.parse import unquote, urlparse

import axe_playwright_python

AXE = next(Path(axe_playwright_python.__file__).parent.glob("axe*.js"))
PICTURES = {".png", ".svg", ".jpg", ".gif", ".webp"}


@contextlib.contextmanager
def visit(browser, address, width=1440, scheme="light"):
    """Open an address; yields the page, all addresses that it asks for, and what its console complains of. Whatever is not
    on this disk is refused, as without a network."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(300_000)  # this machine may be busy
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    page.goto(address, wait_until="load")
    page.evaluate("window.MathJax?.startup?.promise")  # formulas are set
    try:
        yield page, asked, complaints
    finally:
        page.close()


def violations(page):
    """What axe finds: a text for each element."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 350)))")  # it is laid out; scripts took note
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")["violations"]
    return [f"{rule['id']}: {node['target'][0]}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]


def weight(asked, pictures=True, compressed=False):
    """Bytes of the files among some addresses, as they are on disk or as a server sends them."""
    files = {Path(unquote(urlparse(address).path)) for address in asked if address.startswith("file:")}
    contents = [file.read_bytes() for file in files if pictures or file.suffix not in PICTURES]
    return sum(len(gzip.compress(content, 6)) if compressed else len(content) for content in contents)
