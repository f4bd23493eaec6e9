"""Files written whole or not at all, checksums of files and of code, and who made a result."""

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import tempfile
import threading
from pathlib import Path

from filelock import FileLock

from hybrid_batch.paths import PACKAGE, ROOT

LIBRARIES = ("torch", "transformers", "sentence-transformers", "datasets", "faiss-cpu", "numpy")
PARSING = threading.Lock()


@contextlib.contextmanager
def replacing(path):
    """Yield a path at which to write a file or a folder; it takes the place of ``path`` when the block ends, and
    leaves nothing behind if the block raises. Any number of processes may do so at once: the last one wins."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-", ignore_cleanup_errors=True) as folder:
        partial = Path(folder) / path.name
        yield partial
        if path.is_dir():  # a folder that is not empty cannot be replaced
            os.replace(path, Path(folder) / "old")
        os.replace(partial, path)


@contextlib.contextmanager
def resumable(folder):
    """Yield a folder to work in that becomes ``folder`` when the block ends. If the block raises, or the process dies,
    what is there is found again by the next one. One process at a time, see lock."""
    partial = Path(folder).with_name(f".{Path(folder).name}")
    partial.mkdir(parents=True, exist_ok=True)
    yield partial
    os.replace(partial, folder)


def write(path, text):
    """Write a text, or a stream of its parts, to a file."""
    with replacing(path) as partial, open(partial, "w", encoding="utf-8") as stream:
        stream.writelines([text] if isinstance(text, str) else text)


def lock(path, wait=True):
    """A lock between processes, as a context manager; it ends with the process that holds it. ``wait=False`` raises
    filelock.Timeout if another process holds it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=-1 if wait else 0)


def checksum(files):
    """sha256 over the contents of files; of those read over the network, over their addresses, which name the
    revision."""
    total = hashlib.sha256()
    for file in sorted(map(str, files)):
        if file.startswith("hf://"):
            total.update(file.encode())
        else:
            with open(file.removeprefix("file://"), "rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def digest(*parts):
    """12 hexadecimal digits of the sha256 of some values."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


@functools.cache
def code_fingerprint(*modules):
    """Names what some modules of the package do: a digest of their code, of all that they import of the package, and
    of its data files. Comments and layout do not count, so editing those makes nothing anew."""
    found, waiting = {}, [name.removeprefix("hybrid_batch.") for name in modules]
    while waiting:
        name = waiting.pop()
        path = PACKAGE / name.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name not in found and path.exists():
            found[name], imported = _code(path.read_text(encoding="utf-8"))
            waiting += imported
    data = [path.read_text(encoding="utf-8") for kind in ("*.yaml", "*.tsv") for path in sorted(PACKAGE.rglob(kind))]
    return digest(sorted(found.items()), data)


@functools.cache
def _code(text):
    """(digest of what a module does, names of the modules that it imports)."""
    tree = syntax_tree(text)
    return digest(ast.dump(tree)), tuple(imports(tree))


def syntax_tree(code):
    """The syntax tree of Python code, in threads too, where ast.parse of Python 3.11 raises SystemError now and then."""
    with PARSING:
        return ast.parse(code)


def imports(tree):
    """Names of the package's modules that a syntax tree imports, without "hybrid_batch."."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name.removeprefix("hybrid_batch.") for name in names if name.startswith("hybrid_batch.")]


@functools.cache
def commit():
    """The project's git commit; None without git, or where the project is no repository of its own."""
    try:
        found = subprocess.run(["git", "rev-parse", "--show-toplevel", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return None
    lines = found.stdout.split("\n")
    return lines[1] if found.returncode == 0 and Path(lines[0]).resolve() == ROOT else None


def provenance():
    """What a manifest says of the software that made a result."""
    return {"commit": commit(), "python": platform.python_version(),
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES}}
