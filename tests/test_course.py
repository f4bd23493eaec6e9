"""The course: its solutions check themselves (test_book runs all pages), students' labs stop where they should, its quizzes are right."""

import contextlib
import copy
import html
import io
import re

import jupytext
import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe

from hybrid_batch import book, course, paths

UNITS = course.units()
DOT = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def source(unit, page):
    return paths.COURSE / unit / f"{page}.md"


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run(cell, names):
    """Run a cell's code; what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(cell, "cell", "exec"), names)
    plt.close("all")
    return printed.getvalue()


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    monkeypatch.chdir(paths.ROOT)
    matplotlib.use("Agg")


def masked(text):
    """Without digits: they may differ from processor to processor."""
    return re.sub(r"\d", "#", text)


# Pages


def test_every_unit_is_complete():
    assert UNITS == [f"unit{number}" for number in range(1, 7)]
    contents = (paths.ROOT / "_toc.yml").read_text()
    for unit in UNITS:
        for page in ("index", "lab", "exercises", "quiz", "slides", "instructor"):
            assert source(unit, page).exists(), (unit, page)
            assert page == "slides" or f"course/{unit}/{page}\n" in contents, (unit, page)


@pytest.mark.parametrize("unit", UNITS)
def test_the_minutes_of_a_unit_are_ninety(unit):
    plan = re.search(r"(?s)\| *minutes.*?\n\n", source(unit, "index").read_text())[0]
    assert sum(int(minutes) for minutes in re.findall(r"(?m)^\| *(\d+) *\|", plan)) == 90


@pytest.mark.parametrize("unit", UNITS)
def test_every_solution_with_code_asserts(unit):
    text = source(unit, "exercises").read_text()
    assert text.count("{exercise}") >= 5
    assert re.findall(r"\{exercise\}.*\n:label: (\S+)", text) == re.findall(r"\{solution(?:-start)?\} (\S+)", text)
    solved = re.findall(r"(?s)\{solution-start\} (\S+)(.*?)\{solution-end\}", text)
    assert len(solved) >= 3
    for label, solution in solved:
        assert re.search(r"(?m)^ *assert ", solution), label


# Labs


@pytest.mark.parametrize("unit", UNITS)
def test_a_lab_runs_and_its_student_s_version_stops_only_at_tasks(unit):
    """In place of each task the student's code is tried: whatever comes next must raise NotImplementedError, nothing else. The
    solved lab prints what the committed notebook tells students to expect."""
    cells = code_of(jupytext.read(source(unit, "lab")))
    committed = nbformat.read(course.LABS / f"{unit}.ipynb", as_version=4)
    expected = "".join(html.unescape(cell.source) for cell in committed.cells if course.EXPECTED in cell.source)
    names, tasks = {"__name__": "lab"}, 0
    for number, cell in enumerate(cells):
        if course.SOLUTION.search(cell.source):
            tasks += 1
            tried = copy.copy(names)
            with pytest.raises(NotImplementedError):
                run(course.SOLUTION.sub(course.TO_DO, cell.source), tried)
                for later in cells[number + 1:]:
                    run(later.source, tried)
        printed = run(cell.source, names)
        if tasks and not re.search("training:|step ", printed):
            assert masked(printed.strip()) in masked(expected), "run: python -m hybrid_batch course"
    assert tasks >= 3


@pytest.mark.parametrize("unit", UNITS)
def test_the_committed_student_lab_is_what_is_generated(unit):
    committed = nbformat.read(course.LABS / f"{unit}.ipynb", as_version=4)
    first, *rest = [cell for cell in committed.cells if course.EXPECTED not in cell.source]
    made = course.student_lab(jupytext.read(source(unit, "lab")))
    assert first.source == book.setup_cell()
    assert [(cell.cell_type, cell.source) for cell in rest] == [(cell.cell_type, cell.source) for cell in made.cells]
    assert not any(cell.get("outputs") for cell in rest)


def test_a_student_lab_has_no_solution_and_tells_what_to_expect():
    cell = nbformat.v4.new_code_cell("def f(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION\n\nprint(f('<1>'))")
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="<1>\n")]
    first = nbformat.v4.new_code_cell("print(0)", outputs=[nbformat.v4.new_output("stream", name="stdout", text="0\n")])
    made = course.student_lab(nbformat.v4.new_notebook(cells=[first, cell])).cells
    assert [part.cell_type for part in made] == ["code", "code", "markdown"]
    assert made[1].source == "def f(x):\n    # Your code here\n    raise NotImplementedError\n\nprint(f('<1>'))"
    assert "<pre>&lt;1&gt;</pre>" in made[2].source


def test_the_student_s_book_has_no_solutions(tmp_path, monkeypatch):
    for unit in UNITS:
        for page in ("lab", "exercises"):
            (tmp_path / "executed" / "course" / unit).mkdir(parents=True, exist_ok=True)
            nbformat.write(jupytext.read(source(unit, page)), tmp_path / "executed" / "course" / unit / f"{page}.ipynb")
    monkeypatch.setattr(paths, "BOOK", tmp_path / "executed")
    folder = course.student_book(tmp_path / "student")
    assert (folder / "_config.yml").exists() and (folder / "book" / "method.md").exists()
    assert not list(folder.glob("course/*/instructor.md")) and "instructor" not in (folder / "_toc.yml").read_text()
    for path in [*(folder / "runs").rglob("*.ipynb"), *(folder / "course").rglob("index.md")]:
        text = path.read_text()
        assert "BEGIN SOLUTION" not in text and "{solution" not in text and "instructor.md" not in text, path
        assert path.stem != "lab" or "raise NotImplementedError" in text
        assert path.stem != "exercises" or text.count("{exercise}") >= 5 and "assert " not in text, path


# Quizzes


@pytest.mark.parametrize("unit", UNITS)
def test_a_quiz_has_ten_questions_and_its_checks_tell_right_from_wrong(unit):
    questions = course.read_quiz(unit)
    assert len(questions) == 10
    strict = 0
    for question in (question for question in questions if "check" in question):
        texts = [str(option["text"]) for option in question["options"]]
        right = next(str(option["text"]) for option in question["options"] if option.get("right"))
        assert "assert " in question["check"]
        exec(question["check"], {"np": np, "right": right, "options": texts})
        if not re.search(r"\bright\b", question["check"]):
            continue  # it checks a fact that the answer rests on
        strict += 1
        for text in set(texts) - {right}:
            with pytest.raises(Exception):  # whatever shows that this is not the answer
                exec(question["check"], {"np": np, "right": text, "options": texts})
    assert strict >= 3


@pytest.mark.parametrize("spoil", [
    lambda question: question["options"][0].pop("reason"), lambda question: question["options"][0].update(right=True),
    lambda question: question["options"].clear(), lambda question: question.update(answer=1)])
def test_a_malformed_question_is_named(spoil, tmp_path, monkeypatch):
    question = {"question": "?", "options": [dict(text="a", reason="r"), dict(text="b", reason="r", right=True)]}
    spoil(question)
    (tmp_path / "unit1").mkdir()
    (tmp_path / "unit1" / "quiz.yaml").write_text(yaml.safe_dump([question]))
    monkeypatch.setattr(paths, "COURSE", tmp_path)
    with pytest.raises(ValueError, match="unit1, question 1"):
        course.read_quiz("unit1")


@pytest.fixture(scope="session")
def quiz_page(tmp_path_factory):
    """The quiz of unit 2 on a page of its own."""
    folder = tmp_path_factory.mktemp("quiz")
    shown = course.quiz("unit2").data.replace("../../../../_static/", f"{(paths.CHAPTERS / '_static').as_uri()}/")
    style = (paths.CHAPTERS / "_static" / "course.css").read_text()
    page = folder / "quiz.html"
    page.write_text(f"<!doctype html><html lang='en'><title>Quiz</title><meta charset='utf-8'><style>{style}</style>"
                    f"<main><h1>Quiz</h1>{shown}</main></html>")
    return page.as_uri()


def test_a_quiz_is_answered_by_keyboard_and_scored_by_first_tries(browser, quiz_page):
    page = browser.new_page()
    page.goto(quiz_page, wait_until="domcontentloaded")
    questions = page.locator(".quiz-question")
    assert questions.count() == 10
    for number in range(2):  # the first wrong at first, the second right at once
        question = questions.nth(number)
        right = int(question.get_attribute("data-right"))
        options = question.locator("input")
        if number == 0:
            options.nth((right + 1) % options.count()).focus()
            page.keyboard.press("Space")
            question.locator("button").press("Enter")
            assert question.locator(".quiz-feedback").inner_text().startswith("Not this one.")
        options.nth(right).focus()
        page.keyboard.press("Space")
        question.locator("button").press("Enter")
        assert question.locator(".quiz-feedback").inner_text().startswith("Right.")
    assert page.locator(".quiz-score").inner_text() == "2 of 10 questions answered, 1 right at the first try."
    page.close()


def test_a_quiz_is_accessible_and_works_without_scripts(browser, quiz_page):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(quiz_page, wait_until="domcontentloaded")
    found = Axe().run(page).response["violations"]
    assert not [violation["id"] for violation in found]
    assert page.evaluate("document.documentElement.scrollWidth") <= 391
    page.close()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(quiz_page, wait_until="domcontentloaded")
    question = plain.locator(".quiz-question").first
    question.locator("summary").click()
    assert question.locator("details").inner_text().count("Right:") == 1 and not plain.locator("button").count()
    plain.context.close()


# Slides


@pytest.fixture(scope="session")
def slides(tmp_path_factory):
    """The slides of all units as HTML files; figures of code are left out, those of labs are a dot."""
    folder = tmp_path_factory.mktemp("slides")
    with pytest.MonkeyPatch.context() as patch:
        for unit in UNITS:
            notebook = jupytext.read(source(unit, "slides"))
            figures = len(set(re.findall(rf"{unit}-lab-\d+\.svg", source(unit, "slides").read_text())))
            lab = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data={course.SVG: DOT})] * max(9, figures))
            (folder / "book" / "course" / unit).mkdir(parents=True)
            nbformat.write(notebook, folder / "book" / "course" / unit / "slides.ipynb")
            nbformat.write(nbformat.v4.new_notebook(cells=[lab]), folder / "book" / "course" / unit / "lab.ipynb")
        patch.setattr(paths, "BOOK", folder / "book")
        patch.setattr(paths, "RUNS", folder / "runs")
        return course.build_slides(folder / "html")


@pytest.mark.parametrize("unit", UNITS)
def test_slides_fit_their_screen_have_notes_with_minutes_and_load_nothing_from_elsewhere(unit, slides, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((slides / f"{unit}.html").as_uri(), wait_until="domcontentloaded")
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    count = page.evaluate("Reveal.getTotalSlides()")
    assert 12 <= count <= 20
    for _ in range(count):
        slide = page.evaluate("""() => {
            const slide = Reveal.getCurrentSlide(), seen = [...slide.querySelectorAll("*")].filter(e => !e.closest("aside"));
            return {bottom: Math.max(...seen.map(e => e.getBoundingClientRect().bottom)), name: slide.innerText.slice(0, 40),
                    right: Math.max(...seen.map(e => e.getBoundingClientRect().right)),
                    notes: slide.querySelector("aside.notes")?.textContent ?? ""}}""")
        assert slide["bottom"] <= 720 and slide["right"] <= 1280, slide
        assert re.match(r"\s*(Notes\s*)?\d+ min", slide["notes"]), slide
        page.evaluate("Reveal.next()")
    assert not [url for url in asked if not url.startswith("file:")]
    page.close()
