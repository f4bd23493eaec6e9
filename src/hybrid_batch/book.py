"""Running the book's notebooks: profiles, papermill, and what goes into the book.

The sources are MyST texts in notebooks/; each has one cell tagged ``parameters``, generated from config. papermill runs
them into a folder of their own for each profile and set of parameters, so that runs never overwrite each other; the
chapters in book/ that have code show results/ and depend on no parameter. Of what can have changed nothing else is
executed again.
"""

import ast
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import jupytext
import nbformat
import pandas as pd
import papermill
import yaml

from hybrid_batch import config, paths, storage

CELL = re.compile(r"(:tags: \[parameters\]\n\n)(.*?)(\n```)", re.S)  # of a MyST text
AT_ONCE = 2  # chapters
QUICK = "quick"  # the profile whose values the notebooks show


def sources():
    """The notebooks in the order of the book: {name: path}."""
    return {path.stem: path for path in sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.md"))}


def chapters():
    """The chapters of the book that have code, but no parameters: {name: path}."""
    return {path.stem: path for path in sorted(paths.CHAPTERS.glob("*.md")) if "\nkernelspec:" in path.read_text()[:500]}


def parameters(name):
    """Names of the parameters of a notebook."""
    if name not in sources():
        raise ValueError(f"notebook {name!r} is unknown; choose from {', '.join(sources())}")
    cell = CELL.search(sources()[name].read_text(encoding="utf-8"))[2]
    return [node.target.id for node in ast.parse(cell).body]


def generate_cells():
    """Write the parameter cells of the notebooks anew, from config and the quick profile."""
    values = profile(QUICK)
    for name, path in sources().items():
        text = path.read_text(encoding="utf-8")
        cell = config.cell(parameters(name), values)
        storage.write(path, CELL.sub(lambda match: match[1] + cell + match[3], text))


def profile(name):
    """The parameters of a profile, a file in profiles/, checked."""
    path = paths.PROFILES / f"{name}.yaml"
    if not path.exists():
        raise ValueError(f"profile {name!r} is unknown; choose from "
                         f"{', '.join(sorted(p.stem for p in paths.PROFILES.glob('*.yaml')))}")
    return checked(yaml.safe_load(path.read_text(encoding="utf-8")) or {}, config.PARAMETERS, f"profile {name!r}")


def checked(values, known, what):
    """Parameters in their types. Raises ValueError that names one that is unknown or impossible."""
    config.check_names(values, known, what)
    return {name: config.check(name, value) for name, value in values.items()}


def run(profile_name=QUICK, overrides=None, only=None, output=None):
    """Run the notebooks with a profile's parameters, some of them overridden.

    overrides: {parameter: value}, given to every notebook that has the parameter.
    only: names of the notebooks to run; None runs all, in order.
    output: folder of the executed notebooks and tables; None: runs/<profile>, with the overrides in its name.
    Returns the folder. Raises ValueError before anything runs if a parameter is unknown or impossible.
    """
    names = list(only or sources())
    known = {name: parameters(name) for name in names}
    every = dict.fromkeys(parameter for part in known.values() for parameter in part)
    changed = checked(overrides or {}, every, "the book" if not only else ", ".join(names))
    values = profile(profile_name) | changed
    config.Experiment.of(**config.experiment_values(values))  # impossible together, too
    folder = Path(output).resolve() if output else paths.RUNS / folder_name(profile_name, changed)
    inside = folder.is_relative_to(paths.ROOT)  # then no path of this machine stands in the notebook
    values["output"] = str(folder.relative_to(paths.ROOT) if inside else folder)
    with storage.lock(folder.with_name(f".{folder.name}.lock")):  # another process may be at it
        for number, name in enumerate(names, 1):
            chosen = {key: value for key, value in values.items() if key in known[name]}
            print(f"=== [{number}/{len(names)}] {name}", flush=True)
            execute(sources()[name], chosen, folder / f"{name}.ipynb")
    return folder


def folder_name(profile_name, changed):
    """quick, or quick-alpha=0.7; long ones end in a digest."""
    name = "-".join([profile_name, *(f"{key}={value}" for key, value in changed.items())])
    name = re.sub(r"[^\w.=+-]+", "_", name)
    return name if len(name) <= 80 else f"{name[:60]}-{storage.digest(name)}"


def render():
    """Execute the chapters of the book that have code, from what is in results/, and nothing else; returns the folder
    where the book's table of contents looks for them."""
    def made(name, path):
        print(f"=== chapter {name}", flush=True)
        execute(path, {}, paths.BOOK / f"{name}.ipynb")

    with storage.lock(paths.BOOK.with_name(".book.lock")), concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for future in [pool.submit(made, *chapter) for chapter in chapters().items()]:
            future.result()
    return paths.BOOK


def publish(folder):
    """Copy the executed notebooks of a run to where the book's table of contents looks for them."""
    paths.BOOK.mkdir(parents=True, exist_ok=True)
    for source in [*folder.glob("*.ipynb"), *folder.glob("results.*")]:
        target = paths.BOOK / source.name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            with storage.replacing(target) as partial:
                shutil.copyfile(source, partial)
    storage.write(paths.BOOK / "shown.txt", f"{folder.name}\n")
    storage.write(paths.BOOK / "parameters.md", pd.DataFrame(config.table()).to_markdown(index=False) + "\n")


def execute(source, values, path):
    """Execute one notebook source with these parameters into ``path``; skipped if it is there and nothing that it
    depends on changed. A notebook that fails leaves its traceback, not a file."""
    notebook = jupytext.read(source)
    fingerprint = depends_on(notebook, values, path.parent)
    if path.exists() and json.loads(path.read_text(encoding="utf-8"))["metadata"].get("fingerprint") == fingerprint:
        print("    as it was", flush=True)
        return path
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # figures go into the notebooks
    kernel = own_kernel()
    with storage.replacing(path) as partial:
        given = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
        done = papermill.execute_notebook(notebook, str(partial), parameters=given, cwd=str(paths.ROOT),
                                          kernel_name=kernel, progress_bar=False, stdout_file=sys.stdout, stderr_file=sys.stderr,
                                          request_save_on_cell_execute=False, extra_arguments=["--log-level=CRITICAL"])
        done.metadata.pop("papermill", None)  # times and paths of this machine
        for cell in done.cells:
            cell.metadata.pop("papermill", None)
            cell.metadata.pop("execution", None)
        done.metadata["fingerprint"] = depends_on(notebook, values, path.parent)  # it may have made its runs anew
        nbformat.write(done, partial)
    return path


def own_kernel():
    """The name of a kernel of this environment: "python3" may be that of another one on this machine."""
    name = f"hybrid-batch-{storage.digest(sys.executable)}"
    about = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": name,
             "language": "python"}
    storage.write(paths.RUNS / "jupyter" / "kernels" / name / "kernel.json", json.dumps(about))
    others = [part for part in os.environ.get("JUPYTER_PATH", "").split(os.pathsep) if part]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(dict.fromkeys([str(paths.RUNS / "jupyter"), *others]))
    return name


def depends_on(notebook, values, folder):
    """A digest of what the output of a notebook depends on: its text, parameters, the code that it imports, the corpora
    and, where it reads them, committed results and the runs that it finds in its folder."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    modules = sorted(set(storage.imports(ast.parse(re.sub(r"(?m)^[%!].*$", "", code)))))
    files = sorted(paths.CORPORA.rglob("*.json*"))
    files += [path for path in values.values() if isinstance(path, str) and Path(path).is_file()]
    files += [Path(part) for name in values.get("sources", {}).values() for part in name.split("+") if Path(part).is_file()]
    if any(name.startswith("report") or name in ("summary", "rows") or "cards" in name for name in modules):
        files += sorted(path for path in paths.RESULTS.rglob("*") if path.is_file())
    total = hashlib.sha256(repr([[cell.source for cell in notebook.cells], sorted(values.items()),
                                 storage.code_fingerprint(*modules)]).encode())
    total.update(storage.checksum(files).encode())
    for name in sorted(set(re.findall(r"_index\(.*?(\w+\.json)", code))):
        if (index := folder / name).exists():
            total.update(index.read_bytes())
            total.update(repr([(paths.ROOT / made).exists() for made in json.loads(index.read_text())]).encode())
    return total.hexdigest()
