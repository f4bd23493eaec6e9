"""The course: quizzes, the students' version of each lab, slides, and the book without solutions.

A lab is written solved: in its code cells the lines between ``### BEGIN SOLUTION`` and ``### END SOLUTION``, nbgrader's
marks, are the solution. What students get is made from the executed lab.
"""

import html
import os
import re
import shutil
import subprocess
import sys

import nbformat
import yaml
from IPython.display import HTML
from markdown_it import MarkdownIt

from hybrid_batch import book, paths, storage

LABS = paths.COURSE / "student"
SOLUTION = re.compile(r"(?ms)^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION$")
EXPECTED = "Expected output"
TO_DO = r"\1# Your code here\n\1raise NotImplementedError"
SOLVED = re.compile(r"(?ms)^(`{3,}|:{3,})\{solution\}.*?^\1[ \t]*$\n?")  # a directive of an exercise page
GATE = re.compile(r"(?ms)^`{3,}\{solution-(start|end)\}.*?^`{3,}[ \t]*$\n?")
FOR_TEACHERS = re.compile(r"(?ms)^% BEGIN INSTRUCTOR\n.*?^% END INSTRUCTOR\n")
SVG = "image/svg+xml"


def units():
    """Names of the units, in order: unit1, unit2 ..."""
    return sorted(path.name for path in paths.COURSE.glob("unit[0-9]"))


# Quizzes


def read_quiz(unit):
    """The questions of a unit's quiz.yaml: dicts with question, options (text, reason and, of one, right: true) and
    perhaps check, code that recomputes the answer. Raises ValueError if a question is not of that form."""
    questions = yaml.safe_load((paths.COURSE / unit / "quiz.yaml").read_text(encoding="utf-8"))
    for number, question in enumerate(questions, 1):
        options = question.get("options", [])
        known = question.keys() <= {"question", "options", "check"} and all(
            {"text", "reason"} <= option.keys() <= {"text", "reason", "right"} for option in options)
        if not known or len(options) < 2 or sum(option.get("right") is True for option in options) != 1:
            raise ValueError(f"{unit}, question {number}: it needs a question and two options or more, each with text and "
                             f"reason, exactly one of them with right: true")
    return questions


def quiz(unit, first=1, last=None):
    """Questions of a unit's quiz as HTML that works without scripts: radio buttons, and the reasons folded. book/_static/
    quiz.js adds a button to check each answer, and the score after the last question. first, last: their numbers."""
    questions = read_quiz(unit)
    last = last or len(questions)
    parts = [_question(unit, number, questions[number - 1]) for number in range(first, last + 1)]
    if last == len(questions):
        parts.append("<p class='quiz-score' role='status' aria-live='polite'></p>"
                     "<script src='../../../../_static/quiz.js' defer></script>")
    return HTML(f"<div class='quiz'>{''.join(parts)}</div>")


def _question(unit, number, question):
    name, options = f"{unit}-{number}", question["options"]
    choices = "".join(f"<label><input type='radio' name='{name}' value='{place}'> <span>{_inline(option['text'])}</span></label>"
                      for place, option in enumerate(options))
    reasons = "".join(f"<li><strong>{'Right' if option.get('right') else 'Wrong'}:</strong> {_inline(option['text'])} "
                      f"<span class='quiz-reason'>{_inline(option['reason'])}</span></li>" for option in options)
    right = next(place for place, option in enumerate(options) if option.get("right"))
    return (f"<fieldset class='quiz-question' data-right='{right}'><legend>{number}. {_inline(question['question'])}</legend>"
            f"{choices}<details><summary>Answer and reasons<span class='visually-hidden'> to question {number}</span></summary>"
            f"<ul>{reasons}</ul></details></fieldset>")


def _inline(text):
    return MarkdownIt().renderInline(str(text).strip())


# Students' labs


def student_lab(solved):
    """The students' version of an executed lab, a notebook: each solution replaced by ``raise NotImplementedError``, no
    outputs, and from the first task on, under each cell, what the solved one printed, folded."""
    cells, begun = [], False
    for cell in solved.cells:
        if cell.cell_type == "markdown":
            cells.append(nbformat.v4.new_markdown_cell(cell.source))
            continue
        begun = begun or bool(SOLUTION.search(cell.source))
        tags = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        cells.append(nbformat.v4.new_code_cell(SOLUTION.sub(TO_DO, cell.source), metadata=tags))
        if begun and (printed := _printed(cell.outputs)):
            cells.append(nbformat.v4.new_markdown_cell(
                f"<details><summary>{EXPECTED}</summary>\n\n<pre>{html.escape(printed)}</pre>\n\n</details>"))
    for number, cell in enumerate(cells):  # the same ids each time
        cell["id"] = f"cell-{number}"
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {
        "name": "python3", "language": "python", "display_name": "Python 3"}, "language_info": {"name": "python"}})


def _printed(outputs):
    """What a cell printed, as text; of a figure a note."""
    parts = []
    for output in outputs:
        data = output.get("data", {})
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)
        elif any(kind.startswith("image/") for kind in data):
            parts.append("(a figure: see the page of this lab in the book)")
        elif "text/plain" in data and not data["text/plain"].startswith("<"):
            parts.append(data["text/plain"])
    return "\n".join(part.strip("\n") for part in parts)


def write_labs(under=""):
    """Write course/student/unitN.ipynb from the executed labs of all units, or of those whose name begins so."""
    for unit in units():
        executed = paths.BOOK / "course" / unit / "lab.ipynb"
        if unit.startswith(under) and executed.exists():
            lab = student_lab(nbformat.read(executed, as_version=4))
            lab.cells.insert(0, nbformat.v4.new_code_cell(book.setup_cell(), id="set-up"))
            storage.write(LABS / f"{unit}.ipynb", nbformat.writes(lab) + "\n")


# Slides


def build_slides(output):
    """Build the slides of all units with sphinx-revealjs into a folder: unit1.html ... Raises RuntimeError with what Sphinx
    said if there is a warning."""
    source = paths.RUNS / "slides"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    found = []
    for unit in units():
        executed, plain = paths.BOOK / "course" / unit / "slides.ipynb", paths.COURSE / unit / "slides.md"
        if (slides := executed if executed.exists() else plain).exists():
            shutil.copyfile(slides, source / f"{unit}{slides.suffix}")
            found.append(unit)
            _save_figures(paths.BOOK / "course" / unit / "lab.ipynb", source / f"{unit}-lab")
    contents = "\n".join(found)
    storage.write(source / "index.md", f"# Slides\n\n```{{toctree}}\n{contents}\n```\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "revealjs", "-c", str(paths.COURSE / "slides"),
               "-d", str(paths.RUNS / "slides.doctrees"), str(source), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    if done.returncode:
        raise RuntimeError(f"the slides could not be built: {done.stderr or done.stdout}")
    return output


def _save_figures(notebook, stem):
    """The figures of an executed notebook as stem-1.svg, stem-2.svg ... for the slides."""
    cells = nbformat.read(notebook, as_version=4).cells if notebook.exists() else []
    outputs = [output for cell in cells for output in cell.get("outputs", []) if SVG in output.get("data", {})]
    for number, output in enumerate(outputs, 1):
        storage.write(stem.with_name(f"{stem.name}-{number}.svg"), output["data"][SVG])


# The book without solutions


def student_book(folder=None):
    """Make a folder to build from (None: runs/student) that holds what the project's does, by links, and copies of the
    course: the labs as students get them, the exercises without their solutions, no instructor's pages. Returns the folder."""
    folder = folder or paths.RUNS / "student"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in paths.ROOT.iterdir():
        if not path.name.startswith((".", "_build", "_toc", "course", "runs")):
            (folder / path.name).symlink_to(path)
    shutil.copytree(paths.COURSE, folder / "course", ignore=shutil.ignore_patterns("instructor.md", "slides"))
    shutil.copytree(paths.BOOK, folder / "runs" / "book", ignore=shutil.ignore_patterns(".*"))
    contents = (paths.ROOT / "_toc.yml").read_text(encoding="utf-8")
    storage.write(folder / "_toc.yml", re.sub(r"(?m)^.*/instructor\n", "", contents))
    for path in (folder / "course").rglob("*.md"):
        storage.write(path, SOLVED.sub("", FOR_TEACHERS.sub("", path.read_text(encoding="utf-8"))))
    for path in sorted((folder / "runs" / "book" / "course").rglob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        nbformat.write(student_lab(notebook) if path.stem == "lab" else without_solutions(notebook), path)
    return folder


def without_solutions(notebook):
    """A notebook of exercises without what ``{solution}`` directives, or the gates ``{solution-start}`` and
    ``{solution-end}``, hold."""
    cells, inside = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            kept = []
            for part in GATE.split(SOLVED.sub("", cell.source)):  # text, "start", text, "end", text ...
                if part in ("start", "end"):
                    inside = part == "start"
                elif not inside:
                    kept.append(part)
            cell.source = "\n".join(kept).strip()
            if cell.source:
                cells.append(cell)
        elif not inside:
            cells.append(cell)
    notebook.cells = cells
    return notebook
