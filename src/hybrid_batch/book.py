"""Running the book's notebooks: profiles, papermill, and what goes into the book.

The sources are MyST texts in notebooks/; each has one cell tagged ``parameters``, generated from config. papermill runs
them into a folder of their own for each profile and set of parameters, so that runs never overwrite each other; the
chapters in book/ that have code show results/ and depend on no parameter. Only what can have changed is executed: a
notebook whose parameters, text, code and data are those of another run is taken over from there.
"""

import ast
import concurrent.futures
import contextlib
import copy
import functools
import html
import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pandas as pd
import yaml

from hybrid_batch import config, kernels, paths, storage
from hybrid_batch.data import io

CELL = re.compile(r"(:tags: \[parameters\]\n\n)(.*?)(\n```)", re.S)  # of a MyST text
SETUP = re.compile(r"(:tags: \[remove-cell, setup\]\n\n)(.*?)(\n```)", re.S)
SETUP_CELL = """\
# Where the package is not installed (in Colab, or with this notebook downloaded alone): get the project and what it needs.
import importlib.util

if not importlib.util.find_spec("hybrid_batch"):
    import os
    import subprocess
    import sys

    if not os.path.exists("{name}"):
        subprocess.run(["git", "clone", "-q", "--depth=1", "--branch=v{version}", "{repository}", "{name}"], check=True)
    os.chdir("{name}")
    subprocess.run([sys.executable, "binder/install.py"], check=True)
    sys.path.insert(0, os.path.abspath("src"))"""
AT_ONCE = 2  # kernels
QUICK = "quick"  # the profile whose values the notebooks show
PARAMETERS, INJECTED = "parameters", "injected-parameters"  # tags of cells, as papermill calls them


def sources():
    """The notebooks in the order of the book: {name: path}."""
    return {path.stem: path for path in sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.md"))}


def chapters():
    """The chapters of the book, and the pages of its course, that have code but no parameters: {name: path}. The name of
    a page of the course is its path in the project, such as course/unit1/lab."""
    pages = {path.stem: path for path in sorted(paths.CHAPTERS.glob("*.md"))}
    pages |= {path.relative_to(paths.ROOT).with_suffix("").as_posix(): path for path in sorted(paths.COURSE.rglob("*.md"))}
    return {name: path for name, path in pages.items() if "\nkernelspec:" in path.read_text(encoding="utf-8")[:500]}


def parameters(name):
    """Names of the parameters of a notebook."""
    if name not in sources():
        raise ValueError(f"notebook {name!r} is unknown; choose from {', '.join(sources())}")
    return list(_own_values(jupytext.read(sources()[name])))


def _own_values(notebook):
    """What a notebook's parameter cell sets: {name: value}; {} without such a cell."""
    cell = "\n".join(cell.source for cell in notebook.cells if PARAMETERS in cell.metadata.get("tags", ()))
    return {node.target.id: config.check(node.target.id, ast.literal_eval(node.value)) for node in storage.syntax_tree(cell).body}


def generate_cells():
    """Write the generated cells of the notebooks anew: the parameters, from config and the quick profile, and what sets a
    notebook up that runs elsewhere."""
    values, setup = profile(QUICK), setup_cell()
    for name, path in sources().items():
        text = path.read_text(encoding="utf-8")
        cell = config.cell(parameters(name), values)
        text = CELL.sub(lambda match: match[1] + cell + match[3], text)
        storage.write(path, SETUP.sub(lambda match: match[1] + setup + match[3], text))


def setup_cell():
    """The text of the cell that sets up a notebook outside the project: with the repository and the release of this tree."""
    settings = yaml.safe_load((paths.ROOT / "_config.yml").read_text(encoding="utf-8"))
    repository = settings["sphinx"]["config"]["html_theme_options"]["repository_url"]
    release = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return SETUP_CELL.format(repository=repository, name=repository.rpartition("/")[2], version=release)


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


def make(profile_name=QUICK, overrides=None):
    """Run the notebooks and, beside them, execute the chapters and the pages of the course, and leave all where the book's
    table of contents looks for it. Returns the folder of the run; raises as run does."""
    folder, values, chosen = _asked(profile_name, overrides)
    *others, last = chosen  # those after the second read its runs, but the last one trains its own
    with _opened(folder, values):
        _render(beside=[functools.partial(_work, folder, chosen, names) for names in (others, [last])])
    publish(folder)
    return folder


def run(profile_name=QUICK, overrides=None, only=None, output=None):
    """Run the notebooks with a profile's parameters, some of them overridden.

    overrides: {parameter: value}, given to every notebook that has the parameter.
    only: names of the notebooks to run; None runs all, in order.
    output: folder of the executed notebooks and tables; None: runs/<profile>, with the overrides in its name.
    Returns the folder. Raises ValueError before anything runs if a parameter is unknown or impossible.
    """
    folder, values, chosen = _asked(profile_name, overrides, only, output)
    with _opened(folder, values):
        _work(folder, chosen, list(chosen))
    return folder


def _asked(profile_name, overrides=None, only=None, output=None):
    """(folder of a run, values of all parameters, {notebook: its own}), checked."""
    names = list(only or sources())
    known = {name: parameters(name) for name in names}
    every = dict.fromkeys(parameter for part in known.values() for parameter in part)
    changed = checked(overrides or {}, every, "the book" if not only else ", ".join(names))
    values = profile(profile_name) | changed
    config.Experiment.of(**config.experiment_values(values))  # impossible together, too
    folder = Path(output).resolve() if output else paths.RUNS / folder_name(profile_name, changed)
    inside = folder.is_relative_to(paths.ROOT)  # then no path of this machine stands in the notebook
    values["output"] = str(folder.relative_to(paths.ROOT) if inside else folder)
    return folder, values, {name: {key: value for key, value in values.items() if key in known[name]} for name in names}


@contextlib.contextmanager
def _opened(folder, values):
    """The folder of a run, with its parameters, for this process alone."""
    with storage.lock(folder.with_name(f".{folder.name}.lock")):
        own = {key: value for path in sources().values() for key, value in _own_values(jupytext.read(path)).items()}
        storage.write(folder / "parameters.json", json.dumps(own | values, indent=1, ensure_ascii=False))
        yield


def _work(folder, chosen, names):
    """Execute these of the chosen notebooks, one after another."""
    for name in names:
        print(f"=== [{list(chosen).index(name) + 1}/{len(chosen)}] {name}", flush=True)
        execute(sources()[name], chosen[name], folder / f"{name}.ipynb")


def folder_name(profile_name, changed):
    """quick, or quick-alpha=0.7; long ones end in a digest."""
    name = "-".join([profile_name, *(f"{key}={value}" for key, value in changed.items())])
    name = re.sub(r"[^\w.=+-]+", "_", name)
    return name if len(name) <= 80 else f"{name[:60]}-{storage.digest(name)}"


def render(under=""):
    """Execute the chapters and the pages of the course that have code, and nothing else; returns the folder where the
    book's table of contents looks for them. under: only those whose name begins so, such as course/unit2."""
    _render(under)
    return paths.BOOK


def _render(under="", beside=()):
    """Execute pages, AT_ONCE at a time, after other functions, as many. After one has failed no further page is started."""
    # Two kernels with a thread for every core each would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // AT_ONCE)))
    pages = [page for page in chapters().items() if page[0].startswith(under)]
    waiting = iter(pages)  # one for all workers

    def work(first=None):
        if first:
            first()
        with contextlib.ExitStack() as stack:
            kernel = functools.cache(lambda: stack.enter_context(kernels.shared()))  # started when it is first needed
            for name, path in waiting:
                print(f"=== chapter {name}", flush=True)
                execute(path, {}, paths.BOOK / f"{name}.ipynb", kernel)

    with storage.lock(paths.BOOK.with_name(".book.lock")), concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            workers = [pool.submit(work, first) for first in (*beside, *[None] * (AT_ONCE - len(beside)))]
            for worker in concurrent.futures.as_completed(workers):
                worker.result()
        except BaseException:
            pages.clear()
            raise


def publish(folder):
    """Copy the executed notebooks of a run to where the book's table of contents looks for them."""
    paths.BOOK.mkdir(parents=True, exist_ok=True)
    contents = {source.name: source.read_bytes() for source in [*folder.glob("*.ipynb"), *folder.glob("results.*")]}
    contents["shown.txt"] = f"{folder.name}\n".encode()
    contents["parameters.md"] = (pd.DataFrame(config.table()).to_markdown(index=False) + "\n").encode()
    for name, content in contents.items():
        target = paths.BOOK / name
        if not target.exists() or target.read_bytes() != content:  # else make would build the book again
            with storage.replacing(target) as partial:
                partial.write_bytes(content)


def execute(source, values, path, kernel=None):
    """Execute one notebook source with these parameters into ``path``; skipped if it is there, or in the folder of another
    run, and nothing that it depends on changed. A cell after its own parameters sets those that differ. A notebook that fails
    leaves its traceback, not a file. kernel: a function that gives a kernels.shared; None: one of its own."""
    notebook = jupytext.read(source)
    own = _own_values(notebook)
    given = {name: value for name, value in ((name, config.check(name, value)) for name, value in values.items())
             if name not in own or value != own[name]}
    if found := _made_before(notebook, given, path):
        print("    as it was" if found == path else f"    as in {found.parent.name}", flush=True)
        if found != path:
            _take_over(found, given, path)
        return path
    asked = copy.deepcopy(notebook)
    _set(asked, given)
    asked.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    before = _times(path.parent)
    with storage.replacing(path) as partial:
        done = kernels.execute(asked, partial, kernel)
        describe(done)
        done.metadata["fingerprint"] = depends_on(notebook, given, path.parent)  # it may have made its runs anew
        done.metadata["files"] = sorted(name for name, time in _times(path.parent).items() if before.get(name) != time
                                        and name in _code(notebook))  # others may be of a notebook that runs beside it
        nbformat.write(done, partial)
    return path


def describe(notebook):
    """Give the figures of an executed notebook their words, which report.picture left in the metadata of the outputs: the alt
    text goes where MyST-NB looks for it, in the cell's metadata, and the caption becomes an output below the figure."""
    for cell in notebook.cells:
        outputs, alt = [], []
        for output in cell.get("outputs", []):
            outputs.append(output)
            words = output.get("metadata", {}).get("image/svg+xml", {})
            alt += [words["alt"]] if words.get("alt") else []
            if caption := words.get("caption"):
                outputs.append(nbformat.v4.new_output("display_data", {
                    "text/html": f'<p class="caption">{html.escape(caption)}</p>', "text/plain": caption}))
        if alt:
            cell.outputs = outputs
            cell.metadata["mystnb"] = {"image": {"alt": " ".join(alt)}}


def _set(notebook, given):
    """Make the cell after a notebook's own parameters set ``given``; without any there is no such cell."""
    cells = [cell for cell in notebook.cells if INJECTED not in cell.metadata.get("tags", ())]
    if given:
        place = next((n + 1 for n, cell in enumerate(cells) if PARAMETERS in cell.metadata.get("tags", ())), 0)
        cells.insert(place, nbformat.v4.new_code_cell(config.cell(given, given), metadata={"tags": [INJECTED]}))
    notebook.cells = cells


def _times(folder):
    """When the tables beside executed notebooks were written: {name: time}."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.*") if path.suffix in (".json", ".csv", ".md")}


def _made_before(notebook, given, path):
    """Where a notebook lies executed as it would be now, with the files that it left: at ``path``, in the folder of another
    run, or (None) nowhere."""
    content = _content(notebook, given)
    for place in [path, *sorted(path.parent.parent.glob(f"*/{path.name}"))]:
        about = json.loads(place.read_text(encoding="utf-8"))["metadata"] if place.exists() else {}
        if (about.get("fingerprint") == storage.digest(content, _indexes(notebook, path.parent, place.parent))
                and all((place.parent / name).exists() for name in about.get("files", ()))):
            return place
    return None


def _take_over(found, given, path):
    """Copy an executed notebook and the files that it left from the folder of another run; its parameters are set anew."""
    done = nbformat.read(found, nbformat.NO_CONVERT)
    for name in done.metadata["files"]:
        with storage.replacing(path.parent / name) as partial:
            shutil.copyfile(found.parent / name, partial)
    _set(done, given)
    storage.write(path, nbformat.writes(done))


def depends_on(notebook, given, folder):
    """A digest of what the output of a notebook depends on: its text, the parameters given, the code that it imports, the
    corpora, in a chapter that reads them the committed results, and the runs that it finds in its folder. Where its output goes
    does not count."""
    return storage.digest(_content(notebook, given), _indexes(notebook, folder, folder))


def _content(notebook, given):
    """Of what the output depends on, all but the runs in folders."""
    modules = sorted(set(storage.imports(storage.syntax_tree(re.sub(r"(?m)^[%!].*$", "", _code(notebook))))))
    given = {name: value for name, value in sorted(given.items()) if name != "output"}
    files = sorted(paths.CORPORA.rglob("*.json*")) + _own_files(given)
    reads = any(name.startswith("report") or name in ("summary", "rows") or "cards" in name for name in modules)
    if reads and not _own_values(notebook):  # chapters; notebooks with parameters show their own run only
        files += sorted(path for path in paths.RESULTS.rglob("*") if path.is_file())
    if "course" in modules:
        files += sorted(paths.COURSE.glob("*/quiz.yaml"))
    return [[cell.source for cell in notebook.cells], given, storage.code_fingerprint(*modules), storage.checksum(files)]


def _indexes(notebook, folder, made_in):
    """The runs that a notebook reads in a folder, and those that it made in the folder that it was executed in, which must
    still be there."""
    found = []
    for verb, name in sorted(set(re.findall(r"(load|save)_index\(.*?(\w+\.json)", _code(notebook)))):
        index = (made_in if verb == "save" else folder) / name
        if index.exists():
            made = json.loads(index.read_text(encoding="utf-8"))
            found.append((made, [(paths.ROOT / run).exists() for run in made]))
    return found


def _code(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def _own_files(values):
    """Files of one's own that parameters name, as a corpus or a benchmark."""
    texts = [value for value in values.values() if isinstance(value, str)]
    texts += [*values.get("sources", {}).values(), *values.get("against", ())]
    named = {io.file_and_part(name)[0] for text in texts for name in text.split("+")}
    return sorted(path for path in map(Path, named) if path.is_file())
