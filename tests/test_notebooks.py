"""The notebooks: their parameter cells, their runs, and what makes them run again."""

import json
import re
import subprocess
import sys

import jupytext
import papermill
import pytest
import tiny

from hybrid_batch import book, config, kernels, paths
from hybrid_batch.report import tables

NAMES = ["01_data", "02_training", "03_evaluation", "04_bias", "05_reasoning"]
PAIRS = paths.NOTEBOOKS / "ipynb"


def cells(path):
    return [(cell.cell_type, cell.source.strip(), cell.metadata.get("tags", [])) for cell in jupytext.read(path).cells]


def test_the_book_has_its_five_notebooks_in_order():
    assert list(book.sources()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_in_step_with_their_sources_and_hold_no_outputs(name):
    pair = PAIRS / f"{name}.ipynb"
    assert cells(pair) == cells(book.sources()[name]), "run `make pair`"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in json.loads(pair.read_text())["cells"])


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_cell_is_what_config_and_the_quick_profile_make_of_it(name):
    cell = book.CELL.search(book.sources()[name].read_text())[2]
    assert cell == config.cell(book.parameters(name), book.profile("quick")), "run `make pair`"
    assert set(book.parameters(name)) <= set(config.PARAMETERS)


def test_every_experiment_parameter_of_a_notebook_reaches_its_experiments():
    """By config.experiment_values, so a new parameter is shown by adding it to the cell."""
    for name in ("02_training", "05_reasoning"):
        assert "config.experiment_values(globals())" in book.sources()[name].read_text()


@pytest.mark.parametrize("name", sorted(path.stem for path in paths.PROFILES.glob("*.yaml")))
def test_every_profile_is_one(name):
    assert set(book.profile(name)) <= set(config.PARAMETERS)


@pytest.mark.parametrize("values, message", [
    ({"alhpa": 0.7}, r"has no 'alhpa'; did you mean 'alpha'\?"), ({"alpha": "much"}, r"alpha = 'much': .*from 0 to 1 \(share of"),
    ({"alpha": 1.7}, "alpha = 1.7: it must be from 0 to 1"), ({"strategies": '["Hybird"]'}, "strategy 'Hybird' is unknown"),
    ({"freeze_embeddings": "1"}, "true or false"), ({"answers": "shufled"}, "the book has no 'answers'")])
def test_a_wrong_parameter_is_refused_before_anything_runs(values, message, tmp_path, monkeypatch):
    monkeypatch.setattr(book, "execute", lambda *_: pytest.fail("runs"))
    with pytest.raises(ValueError, match=message):
        book.run("smoke", values, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_profile_or_notebook_is_named():
    with pytest.raises(ValueError, match="profile 'fast' is unknown; choose from .*quick"):
        book.run("fast")
    with pytest.raises(ValueError, match="notebook '06_x' is unknown; choose from 01_data"):
        book.parameters("06_x")


@pytest.mark.parametrize("changed, name", [({}, "quick"), ({"alpha": 0.7}, "quick-alpha=0.7"),
                                           ({"data": "/a/b"}, "quick-data=_a_b")])
def test_a_run_has_a_folder_of_its_own(changed, name):
    assert book.folder_name("quick", changed) == name


def test_kernels_that_start_at_once_cannot_choose_the_same_port(tmp_path):
    source = tmp_path / "asks.md"
    source.write_text("---\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n\n```{code-cell}\n"
                      "from ipykernel import get_connection_info\nprint(get_connection_info(unpack=True)['transport'])\n```\n")
    path = book.execute(source, {}, tmp_path / "asks.ipynb")
    assert json.loads(path.read_text())["cells"][-1]["outputs"][0]["text"] == ["ipc\n"]


def test_long_parameters_make_no_long_folder_names():
    first, second = (book.folder_name("quick", {"strategies": ("X-X",) * n}) for n in (100, 101))
    assert len(first) <= 80 and first != second


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """What makes any notebook quick: an encoder small enough for a test. test_book runs them with the real one."""
    folder = tmp_path_factory.mktemp("encoder")
    tiny.encoder(folder)
    return {"encoder": str(folder / "tiny-e5")}


@pytest.fixture(scope="session")
def smoke(small, tmp_path_factory):
    """Every notebook, executed with the smoke profile by the command line."""
    folder = tmp_path_factory.mktemp("smoke")
    done = subprocess.run([sys.executable, "-m", "hybrid_batch", "run", "smoke", "--encoder", small["encoder"], "-o", str(folder)],
                          cwd=paths.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done


@pytest.mark.parametrize("name", NAMES)
def test_the_smoke_profile_executes_every_notebook_cleanly(name, smoke):
    notebook = json.loads((smoke[0] / f"{name}.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert any({"image/png", "image/svg+xml"} & set(output.get("data", {})) for output in outputs)
    assert str(paths.ROOT) not in json.dumps(notebook["metadata"])


def test_a_run_shows_its_progress_and_its_results_and_no_error(smoke):
    folder, done = smoke
    assert "[2/5] 02_training" in done.stdout and "step 2/2: validation loss" in done.stdout and "Hybrid(0.5)" in done.stdout
    assert not re.search("ERROR|KeyboardInterrupt|Traceback", done.stdout + done.stderr)
    table = (folder / "results.md").read_text()
    assert all(name in table for name in ("untrained", "untrained, centring", "X-X-mono", "Hybrid(0.5), interpolated 0.5"))
    assert (folder / "results.csv").read_text().startswith("system,figure,value,low,high,se,df,groups,seeds")


def test_a_second_run_executes_nothing_again(smoke, small, capfd):
    before = {path: path.stat().st_mtime_ns for path in smoke[0].glob("*.ipynb")}
    book.run("smoke", small, output=smoke[0])
    assert capfd.readouterr().out.count("as it was") == 5
    assert before == {path: path.stat().st_mtime_ns for path in smoke[0].glob("*.ipynb")}


def test_a_run_takes_over_what_its_parameters_cannot_have_changed_and_executes_the_rest(smoke, small, capfd, monkeypatch):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("executed"))
    folder = smoke[0].with_name("smoke-again")
    book.run("smoke", small, only=NAMES[:4], output=folder)
    assert capfd.readouterr().out.count(f"as in {smoke[0].name}") == 4
    for name in ("runs.json", "results.csv", "results.md"):
        assert (folder / name).read_bytes() == (smoke[0] / name).read_bytes()
    assert 'output: str = "' + str(folder) in injected(folder / "02_training.ipynb")
    with pytest.raises(pytest.fail.Exception, match="executed"):
        book.run("smoke", small | {"draws": 60}, output=smoke[0].with_name("smoke-draws"))
    printed = capfd.readouterr().out
    assert printed.count("as in ") == 2 and printed.rstrip().endswith("[3/5] 03_evaluation")  # the first that has draws


def test_a_notebook_keeps_what_it_wrote_and_not_what_another_wrote_beside_it(tmp_path, monkeypatch):
    def executed(notebook, *_):
        for name in ("runs.json", "reasoning.json"):  # the first is of 02_training
            (tmp_path / name).write_text("{}")
        return notebook

    monkeypatch.setattr(kernels, "execute", executed)
    done = book.execute(book.sources()["05_reasoning"], {}, tmp_path / "05_reasoning.ipynb")
    assert jupytext.read(done).metadata["files"] == ["reasoning.json"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_shows_its_code_and_all_its_parameters_in_a_folded_table(name, smoke):
    hidden = [tags for _, _, tags in cells(book.sources()[name]) if "hide-input" in tags]
    text = (smoke[0] / f"{name}.ipynb").read_text()
    assert len(hidden) <= 3 and "<summary>All parameters of this notebook</summary>" in text


def test_the_table_of_parameters_has_the_values_at_hand_escaped():
    shown = tables.parameters({"alpha": 0.7, "languages": ["<x>"], "other": 1}).data
    assert "share of monolingual batches in Hybrid" in shown and ">0.7<" in shown and "&lt;x&gt;" in shown and "other" not in shown


def injected(path):
    """The cell of an executed notebook that sets its parameters, "" without one."""
    return "\n".join(cell.source for cell in jupytext.read(path).cells if "injected-parameters" in cell.metadata.get("tags", ()))


def test_an_executed_notebook_sets_only_what_differs_from_its_own_cell(smoke):
    cell = injected(smoke[0] / "02_training.ipynb")
    changed = {line.split(":")[0] for line in cell.splitlines()}
    assert {"steps", "strategies", "output"} <= changed and not {"alpha", "benchmark", "patience"} & changed
    assert "steps: int = 2  # optimiser steps at most" in cell
    kept = json.loads((smoke[0] / "parameters.json").read_text())  # for compare: those of the cells, too
    assert (kept["steps"], kept["patience"], kept["alpha"], kept["output"]) == (2, 5, 0.5, str(smoke[0]))


def digest(name, folder, **values):
    return book.depends_on(jupytext.read(book.sources()[name]), values, folder)


def test_a_notebook_depends_on_its_parameters_its_runs_and_the_files_that_it_reads(smoke, tmp_path):
    (tmp_path / "runs.json").write_text((smoke[0] / "runs.json").read_text())
    first = digest("03_evaluation", tmp_path)
    assert digest("03_evaluation", tmp_path) == first != digest("03_evaluation", tmp_path, draws=7)
    (tmp_path / "runs.json").write_text("{}")
    assert digest("03_evaluation", tmp_path) != first
    mine = tmp_path / "mine.jsonl"
    mine.write_text("{}")
    before = digest("02_training", tmp_path, sources={"qa": str(mine)})
    mine.write_text("{} ")
    assert digest("02_training", tmp_path, sources={"qa": str(mine)}) != before  # one's own corpus was edited


def test_training_is_done_again_when_its_runs_are_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "runs.json").write_text('{"run": "X-X"}')
    before = digest("02_training", tmp_path)
    (tmp_path / "run").rmdir()
    assert digest("02_training", tmp_path) != before


def test_chapters_do_not_depend_on_the_parameters_of_a_run(tmp_path):
    chapter = jupytext.read(book.chapters()["study"])
    (tmp_path / "runs.json").write_text("{}")
    assert book.depends_on(chapter, {}, tmp_path) == book.depends_on(chapter, {}, tmp_path / "elsewhere")


def test_new_rows_in_results_make_chapters_anew_and_no_notebook(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    chapter = jupytext.read(book.chapters()["study"])
    before = digest("03_evaluation", tmp_path), book.depends_on(chapter, {}, tmp_path)
    (tmp_path / "rows.parquet").write_text("new")
    assert digest("03_evaluation", tmp_path) == before[0] and book.depends_on(chapter, {}, tmp_path) != before[1]


def test_plain_papermill_runs_a_pair_with_a_parameter_changed(smoke, small, tmp_path):
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in book.profile("smoke").items()
              if key in book.parameters("02_training")}
    done = papermill.execute_notebook(str(PAIRS / "02_training.ipynb"), str(tmp_path / "out.ipynb"), progress_bar=False,
                                      parameters={**values, **small, "alpha": 0.7, "output": str(tmp_path)}, cwd=str(paths.ROOT),
                                      kernel_name="python3")
    assert "Hybrid(0.7)" in json.dumps(done)


def test_a_mixture_of_one_s_own_is_trained_and_measured_like_any_other(smoke, small, tmp_path):
    values = {key: value for key, value in book.profile("smoke").items() if key in book.parameters("02_training")}
    path = book.execute(book.sources()["02_training"], values | small | dict(
        strategies=[{"qa mono": 1, "qa mixed": 3}], output=str(tmp_path)), tmp_path / "02_training.ipynb")
    assert "0.75 qa mixed + 0.25 qa mono" in path.read_text() or "0.25 qa mono + 0.75 qa mixed" in path.read_text()


@pytest.mark.parametrize("name", ["03_evaluation", "04_bias"])
def test_an_analysis_notebook_is_useful_alone(name, smoke, small, tmp_path):
    """Without any runs it measures the untrained encoder (here: finds that measured already)."""
    path = book.execute(book.sources()[name], small | dict(output=str(tmp_path), languages=["ar", "en", "zh"], draws=50),
                        tmp_path / f"{name}.ipynb")
    assert "run 02_training to add trained ones" in path.read_text() and "untrained" in path.read_text()


def test_a_failing_notebook_leaves_no_file(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match="no-such-benchmark"):
        book.execute(book.sources()["01_data"], dict(benchmark="no-such-benchmark"), tmp_path / "01_data.ipynb")
    assert not list(tmp_path.iterdir())


def test_a_foreign_kernel_on_the_jupyter_path_is_not_taken(tmp_path, monkeypatch):
    """A kernel called python3 of another environment: the one of this environment is used."""
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps({"argv": ["/no/such/python", "-f", "{connection_file}"],
                                                    "display_name": "foreign", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    source = tmp_path / "small.md"
    source.write_text(book.sources()["01_data"].read_text().split("# 1. Data")[0] + "# Small\n\n```{code-cell}\nprint(6 * 7)\n```\n")
    path = book.execute(source, {}, tmp_path / "out" / "small.ipynb")
    assert "42" in json.dumps(json.loads(path.read_text())["cells"])


def test_no_source_shows_sentences_of_a_corpus_that_is_not_ours():
    for name, path in book.sources().items():
        assert not re.search(r"(queries|passages)\.text\b", path.read_text()), name
