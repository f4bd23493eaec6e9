"""Running the book's notebooks: profiles, typed parameters, papermill.

The sources are MyST texts in notebooks/; each has one cell tagged ``parameters`` whose lines read
``name: type = default  # help``. papermill runs them, and after them those chapters in book/ that have code;
what was executed goes to runs/<profile>/ and, for the book's table of contents, to runs/book/.
"""

import ast
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import jupytext
import papermill
import yaml

from hybrid_batch import study
from hybrid_batch.data.corpora import OWN, ROOT

SOURCES = ROOT / "notebooks"
PROFILES = ROOT / "profiles"
CHAPTERS = ROOT / "book"
BOOK = study.RUNS / "book"
TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list}


def sources():
    """The notebooks in the order of the book: {name: path}."""
    return {path.stem: path for path in sorted(SOURCES.glob("[0-9][0-9]_*.md"))}


def chapters():
    """The chapters of the book that have code, but no parameters: {name: path}."""
    return {path.stem: path for path in sorted(CHAPTERS.glob("*.md")) if "\nkernelspec:" in path.read_text()[:500]}


def parameters(name):
    """Parameters of a notebook: {name: dict(type, default, help)}."""
    path = sources().get(name)
    if path is None:
        raise ValueError(f"notebook {name!r} is unknown; choose from {', '.join(sources())}")
    return {key: dict(type=entry["inferred_type_name"], default=ast.literal_eval(entry["default"]), help=entry["help"])
            for key, entry in papermill.inspect_notebook(jupytext.read(path)).items()}


def check(values, known, what):
    """Values turned into the types that ``known`` asks for. Raises ValueError that names a parameter that is
    unknown or of the wrong type."""
    checked = {}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{what} has no parameter {key!r}; it has {', '.join(sorted(known))}")
        kind = TYPES[known[key]["type"]]
        try:
            if isinstance(value, str) and kind is not str:  # from the command line
                value = ast.literal_eval(value)
            if kind is float and type(value) is int:
                value = float(value)
            if type(value) is not kind:
                raise ValueError
        except (ValueError, SyntaxError):
            raise ValueError(f"parameter {key} must be of type {kind.__name__}, not {value!r} "
                             f"({known[key]['help']})") from None
        checked[key] = value
    return checked


def profile(name):
    """The parameters of a profile, a file in profiles/."""
    path = PROFILES / f"{name}.yaml"
    if not path.exists():
        raise ValueError(f"profile {name!r} is unknown; choose from "
                         f"{', '.join(sorted(p.stem for p in PROFILES.glob('*.yaml')))}")
    return yaml.safe_load(path.read_text()) or {}


def run(profile_name="quick", overrides=None, only=None, output=None):
    """Run the notebooks with a profile's parameters, some of them overridden.

    overrides: {parameter: value}, given to every notebook that has the parameter.
    only: names of the notebooks to run; None runs all, in order.
    output: folder of the executed notebooks and tables; None: runs/<profile>, with the overrides in its name.
        A notebook whose source, parameters, corpus and package are as they were is not run again.
    Returns the folder. Raises ValueError before anything runs if a parameter is unknown or ill-typed.
    """
    names = list(only or sources())
    known = {name: parameters(name) for name in names}
    every = {key: entry for table in known.values() for key, entry in table.items()}
    values = profile(profile_name)
    if only:
        values = {key: value for key, value in values.items() if key in every}
    values = check(values, every, f"profile {profile_name!r}")
    changed = check(overrides or {}, every, "the book" if not only else ", ".join(names))
    if output is None:
        output = study.RUNS / "-".join([profile_name, *(f"{k}={v}" for k, v in changed.items())]).replace("/", "_")
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # figures go into the notebooks
    output = Path(output).resolve()
    output.mkdir(parents=True, exist_ok=True)
    values |= changed
    if "output" in every:
        inside = output.is_relative_to(ROOT)  # then no path of this machine stands in the notebook
        values["output"] = str(output.relative_to(ROOT) if inside else output)
    for number, name in enumerate(names, 1):
        chosen = {key: value for key, value in values.items() if key in known[name]}
        print(f"=== [{number}/{len(names)}] {name}", flush=True)
        execute(sources()[name], chosen, output / f"{name}.ipynb")
    if not only:
        for name, path in chapters().items():
            print(f"=== chapter {name}", flush=True)
            execute(path, {}, output / f"{name}.ipynb")
        publish(output)
    return output


def render():
    """Execute the chapters of the book that have code, from what is in results/, and nothing else; returns the folder
    where the book's table of contents looks for them."""
    for name, path in chapters().items():
        print(f"=== chapter {name}", flush=True)
        execute(path, {}, BOOK / f"{name}.ipynb")
    return BOOK


def execute(source, values, path):
    """Execute one notebook source with these parameters into ``path``; skipped if it is there
    and nothing changed. A notebook that fails leaves its traceback, not a file."""
    digest = hashlib.sha256(source.read_bytes() + json.dumps(values, sort_keys=True).encode())
    index = path.with_name("runs.json")
    reads = [index] if "load_index" in source.read_text() and index.exists() else []
    package = Path(__file__).parent
    for file in [*sorted(package.rglob("*.py")), *sorted(package.rglob("*.yaml")), *sorted(OWN.rglob("*.json*")),
                 *sorted((ROOT / "results").rglob("*.[cj]s*")), *reads]:
        digest.update(file.read_bytes())
    made = json.loads(path.read_text())["metadata"].get("fingerprint") if path.exists() else None
    if made == digest.hexdigest():
        print("    as it was", flush=True)
        return path
    notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        partial = Path(folder) / path.name
        done = papermill.execute_notebook(notebook, str(partial), parameters=values, cwd=str(ROOT), progress_bar=False,
                                          stdout_file=sys.stdout, stderr_file=sys.stderr,
                                          request_save_on_cell_execute=False,
                                          extra_arguments=["--log-level=ERROR"])
        done.metadata.pop("papermill", None)  # times and paths of this machine
        for cell in done.cells:
            cell.metadata.pop("papermill", None)
            cell.metadata.pop("execution", None)
        done.metadata["fingerprint"] = digest.hexdigest()
        partial.write_text(json.dumps(done, indent=1, ensure_ascii=False))
        os.replace(partial, path)
    return path


def publish(output):
    """Copy executed notebooks to where the book's table of contents looks for them."""
    BOOK.mkdir(parents=True, exist_ok=True)
    for source in [*output.glob("*.ipynb"), *output.glob("results.*")]:
        target = BOOK / source.name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)
