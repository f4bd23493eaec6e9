"""The reference of the package, made from its docstrings whenever the book is built: a Sphinx extension.

The page book/reference.md says where with a line ``<!-- reference -->``. The code is read, not imported, so that a build
needs no PyTorch.
"""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE, PLACE = "book/reference", "<!-- reference -->"


def setup(app):
    app.connect("source-read", fill)
    app.connect("env-before-read-docs", read_again)
    return {"parallel_read_safe": True}


def fill(app, name, source):
    if name == PAGE:
        source[0] = source[0].replace(PLACE, reference())


def read_again(app, env, names):
    """The page is read anew if a module is younger than what was read of it."""
    newest = max(path.stat().st_mtime for path in (ROOT / "src").rglob("*.py"))
    if PAGE in env.found_docs and PAGE not in names and newest * 1e6 > env.all_docs.get(PAGE, 0):
        names.append(PAGE)


def modules():
    """Paths of the package's modules, in the order of its layers: what nothing else needs comes last."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]
    names = [name.strip() for layer in reversed(contract["layers"]) for name in layer.split("|")]
    paths = []
    for name in names:
        path = ROOT / "src" / Path(*name.split("."))
        paths += sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return [path for path in paths if path.name != "__main__.py"]


def reference():
    """The text of the page in MyST: a section a module, an entry a public class or function with a docstring."""
    sections = []
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        about, entries = ast.get_docstring(tree), "\n".join(entry(node) for node in documented(tree.body))
        if about or entries:
            name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
            sections.append(f"## {name}\n\n{as_text(about or '')}\n\n{entries}")
    return "\n\n".join(sections)


def documented(body):
    """Public classes and functions with a docstring."""
    return [node for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_")
            and ast.get_docstring(node)]


def entry(node, owner=""):
    """An entry of a definition list: the call, and what the docstring says of it. A class is followed by its methods."""
    if isinstance(node, ast.FunctionDef):
        call = f"{owner}{node.name}({arguments(node)})"
    else:
        start = next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None)
        call = f"class {node.name}" + (f"({arguments(start)})" if start else "")
    lines = as_text(ast.get_docstring(node)).splitlines()
    text = f"`{call}`\n: " + "\n".join([lines[0], *(f"  {line}".rstrip() for line in lines[1:])]) + "\n"
    methods = documented(node.body) if isinstance(node, ast.ClassDef) else []
    return "\n".join([text, *(entry(method, f"{node.name}.") for method in methods if isinstance(method, ast.FunctionDef))])


def arguments(node):
    return re.sub(r"^(?:self|cls)(?:, )?", "", ast.unparse(node.args))


def as_text(docstring):
    """A docstring as Markdown: code stays code, and no other sign has a meaning."""
    parts = re.split(r"(`+[^`]+`+)", docstring)
    return "".join(part if number % 2 else re.sub(r"([\\_$<>\[\]{}|#~])", r"\\\1", part) for number, part in enumerate(parts))
