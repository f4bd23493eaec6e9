"""What a page needs besides the theme, as a Sphinx extension: it opens from disk, without a network, it is light, and it
says what it is and where its code stands.

Each page gets its description, preview image, version, date and source; the notebooks get links that run them. After the
build, the pages lose what only a network or a server would need, and style sheets lose the rules that no page uses.
"""

import datetime
import functools
import html
import itertools
import os
import re
import shutil
import subprocess
import tomllib
from importlib import util
from pathlib import Path

import pydata_sphinx_theme
import tinycss2
from docutils import nodes
from fontTools import subset

ROOT = Path(__file__).resolve().parents[2]
THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
MATHJAX = ["startup.js", "core.js", "input/tex-base.js", "input/tex/extensions/ams.js", "output/chtml.js",
           "output/chtml/fonts/tex.js", "output/chtml/fonts/woff-v2", "a11y/assistive-mml.js"]  # of 15 MB: 1.1 MB
STYLES = ["styles/pydata-sphinx-theme.css", "sphinx-design.min.css", "mystnb.*.css"]  # most of their rules are for other books
UNUSED = ["fontawesome.js", "bootstrap.js", "locales", "vendor", "sphinx-thebe.js", "sphinx-thebe.css", "webpack-macros.html",
          "sbt-webpack-macros.html", "*.map"]  # of the theme and of extensions; icons stand in the pages
CHANGES = [  # what no setting of the theme or of an extension changes: (pattern, replacement)
    (r'<script type="text/x-thebe-config">.*?</script>', ""),  # live code from a server
    (r"<script>kernelName = .*?</script>", ""),
    (r' data-bs-(?:toggle|placement|title)="[^"]*"', ""),  # tooltips by a script; the titles stay
    (r'<div id="pst-primary-sidebar" ', '<div id="pst-primary-sidebar" role="navigation" aria-label="The book" '),
    (r'<summary><span class="toctree-toggle"', '<summary aria-label="Pages of this part"><span class="toctree-toggle"'),
    (r"<th[^>]*>(?:<p></p>)?</th>", "<td></td>"),  # a header cell must have a text
    (r' role="(?:doc-biblioentry|doc-backlink)"', ""),  # deprecated in ARIA 1.3
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
]


def setup(app):
    app.config.mathjax_path = "mathjax/startup.js"
    app.config.mathjax3_config = {
        "loader": {"load": ["core", "input/tex-base", "[tex]/ams", "output/chtml", "a11y/assistive-mml"]},
        "tex": {"packages": ["base", "ams"]}}
    app.connect("config-inited", name_links)
    app.connect("html-page-context", describe, priority=900)  # after the theme
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def name_links(app, config):
    """Links by the path of a file in the repository, at this release: {source}`README.md`, {colab} and {binder}."""
    repository, tag = config.html_theme_options["repository_url"], f"v{version()}"
    owner_and_name = repository.removeprefix("https://github.com/")
    config.extlinks = {"source": (f"{repository}/blob/{tag}/%s", None),
                       "colab": (f"https://colab.research.google.com/github/{owner_and_name}/blob/{tag}/%s", None),
                       "binder": (f"https://mybinder.org/v2/gh/{owner_and_name}/{tag}?urlpath=lab/tree/%s", None)}


def describe(app, name, template, context, doctree):
    """Give a page its scripts, its metadata, its footer and, if it is a notebook, links to run it."""
    body = context.get("body", "")
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context[kind] if needed(file, body)]
    theme, site = app.config.html_theme_options, app.config.html_baseurl
    title = html.escape(html.unescape(re.sub(r"<[^>]+>", "", context.get("title") or app.config.html_title)))
    summary = f"{title}: {html.escape(first_paragraph(doctree)) or f'a page of the book {app.config.html_title}'}"
    context["metatags"] = context.get("metatags", "") + "\n".join([
        f'<meta name="description" content="{summary}">', f'<meta property="og:title" content="{title}">',
        f'<meta property="og:description" content="{summary}">', '<meta property="og:type" content="article">',
        f'<meta property="og:url" content="{site}{name}.html">',
        f'<meta property="og:image" content="{site}_static/preview.png">',
        '<meta name="twitter:card" content="summary_large_image">'])
    repository, tag = theme["repository_url"], f"v{version()}"
    source = source_of(name)
    parts = [f'<a href="{repository}/releases/tag/{tag}">Version {version()}</a>, {last_change()}']
    parts += [f'<a href="{repository}/blob/{tag}/{source}">source of this page</a>'] * bool(source)
    context["theme_extra_footer"] = f'{" · ".join([*parts, theme["extra_footer"]])}'
    if source.startswith("notebooks/"):
        pair = f"notebooks/ipynb/{Path(source).stem}.ipynb"
        context["body"] = body.replace("</h1>", "</h1>" + launch_links(repository, tag, pair, context["pathto"](pair, 1)), 1)


def needed(file, body):
    """Whether a page needs a script or a style sheet that an extension put there."""
    text = f"{getattr(file, 'filename', '') or file} {getattr(file, 'attributes', {}).get('body', '')}"
    if "thebe" in text.lower():
        return False
    return "mathjax" not in text.lower() or 'class="math' in body


def launch_links(repository, tag, pair, download):
    owner_and_name = repository.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{owner_and_name}/blob/{tag}/{pair}"
    binder = f"https://mybinder.org/v2/gh/{owner_and_name}/{tag}?urlpath=lab/tree/{pair}"
    return (f'<p class="launch">Run this notebook: <a href="{colab}">Colab</a>, <a href="{binder}">Binder</a>, or '
            f'<a href="{download}" download>download it</a>.</p>')


def source_of(name):
    """The path in the repository of what a page is made from; empty for the index and the search."""
    places = [Path(folder, f"{name.removeprefix('runs/book/')}.md") for folder in ("", "notebooks", "book")]
    return next((str(place) for place in places if (ROOT / place).exists()), "")


def first_paragraph(doctree, length=200):
    """The first paragraph of a page in plain text, cut at a word."""
    for paragraph in doctree.findall(nodes.paragraph) if doctree else []:
        text = re.sub(r"\s?\[\d+(?:, ?\d+)*\]", "", " ".join(paragraph.astext().split()))  # without references
        if isinstance(paragraph.parent, nodes.section) and len(text) > 40:
            return text if len(text) <= length else text[:length].rpartition(" ")[0] + " …"
    return ""


@functools.cache
def version():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


@functools.cache
def last_change():
    """The day of the last commit, so that one commit makes one book; without git, today."""
    with_git = subprocess.run(["git", "log", "-1", "--format=%cs"], cwd=ROOT, capture_output=True, text=True)
    if with_git.returncode == 0 and (ROOT / ".git").exists():
        return with_git.stdout.strip()
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return str(datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).date() if epoch else datetime.date.today())


def finish(app, exception):
    """Bring the built pages and their assets into their final form."""
    if exception or app.builder.format != "html":
        return
    out, static = Path(app.outdir), Path(app.outdir) / "_static"
    pages = finish_pages([path for path in out.rglob("*.html") if static not in path.parents])
    words = names(pages, [path for path in static.rglob("*.js") if "mathjax" not in path.parts and path.name not in UNUSED])
    for path in (path for pattern in STYLES for path in static.glob(pattern)):
        path.write_text(used_rules(path.read_text(encoding="utf-8"), words), encoding="utf-8")
    subset_icons(static)
    if any("mathjax/startup.js" in page for page in pages):
        copy_mathjax(static / "mathjax")
    for path in [path for name in UNUSED for path in static.rglob(name)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    pairs = Path("notebooks", "ipynb")
    shutil.copytree(ROOT / pairs, out / pairs, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))


def finish_pages(paths):
    """Bring pages into their final form; returns their texts."""
    library, texts = (THEME / "scripts" / "fontawesome.js").read_text(encoding="utf-8"), []
    for path in paths:
        before = path.read_text(encoding="utf-8")
        texts.append(with_icons(before, library))
        for pattern, replacement in CHANGES:
            texts[-1] = re.sub(pattern, replacement, texts[-1], flags=re.S)
        texts[-1] = numbered_by_page(texts[-1])
        if texts[-1] != before:
            path.write_text(texts[-1], encoding="utf-8")
    return texts


def numbered_by_page(page):
    """A page whose exercises are numbered from 1; sphinx-exercise counts them through the whole book."""
    number = itertools.count(1)
    return re.sub(r'(<span class="caption-number">Exercise )\d+', lambda match: f"{match[1]}{next(number)}", page)


def names(pages, scripts):
    """All that may be the name of a class: of the elements of pages, and any word of scripts, which may give it to one."""
    given = [name for page in pages for name in re.findall(r'class="([^"]*)"', page)]
    return set(re.findall(r"[\w-]+", " ".join([*given, *(path.read_text(encoding="utf-8") for path in scripts)])))


def with_icons(page, library):
    """The page with the theme's icons as pictures in it, instead of a script of 1.5 MB that would put them there."""
    def picture(found):
        name = next(word for word in re.findall(r"fa-([\w-]+)", found[2]) if word not in ("solid", "brands", "regular", "lg"))
        width, height, path = re.findall(rf'[{{,]"?{re.escape(name)}"?:\[(\d+),(\d+),\[[^\]]*\],"\w+","([^"]+)"', library)[-1]
        attributes = re.sub(r'title="[^"]*"', "", found[3])
        return (f'<svg class="svg-inline--fa {found[2]}"{attributes} viewBox="0 0 {width} {height}" aria-hidden="true">'
                f'<path fill="currentColor" d="{path}"/></svg>')

    return re.sub(r'<(i|span) class="([^"]*\bfa-[^"]*)"([^>]*)></\1>', picture, page)


def used_rules(css, words):
    """A style sheet without the rules whose classes no page and no script names."""
    kept = []
    for rule in tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True):
        if rule.type == "qualified-rule":
            selectors = [list(part) for comma, part in itertools.groupby(rule.prelude, lambda token: token == ",") if not comma]
            used = [tinycss2.serialize(selector) for selector in selectors if classes(selector) <= words]
            kept += [f"{','.join(used)}{{{tinycss2.serialize(rule.content)}}}"] * bool(used)
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            if inner := used_rules(tinycss2.serialize(rule.content), words):
                kept.append(f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{inner}}}")
        else:
            kept.append(rule.serialize())
    return "".join(kept)


def classes(selector):
    """Names of the classes that an element, and what it stands in, must have."""
    return {name.value for dot, name in itertools.pairwise(selector) if dot == "." and name.type == "ident"}


def subset_icons(static):
    """The icons that style sheets name (in admonitions, at links) as a font of some 3 kB, instead of one of 150 kB."""
    sheet = static / STYLES[0]
    css = sheet.read_text(encoding="utf-8")
    options = subset.Options(flavor="woff")
    font = subset.load_font(THEME / "vendor" / "fontawesome" / "webfonts" / "fa-solid-900.ttf", options)
    letters = subset.Subsetter(options)
    letters.populate(unicodes=[ord(sign) for sign in css if "\ue000" <= sign <= "\uf8ff"])
    letters.subset(font)
    subset.save_font(font, static / "styles" / "icons.woff", options)
    css = re.sub(r"@font-face\{[^}]*fa-(?:brands|regular)[^}]*\}", "", css)
    sheet.write_text(re.sub(r"src:url\([^)]*fa-solid[^}]*", 'src:url(icons.woff) format("woff")', css), encoding="utf-8")


def copy_mathjax(folder):
    """The parts of MathJax that the book's formulas need, from the package that carries it."""
    [package] = util.find_spec("sphinx-mathjax-offline").submodule_search_locations
    for part in MATHJAX:
        source, target = Path(package) / "static" / "mathjax" / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copyfile(source, target)
