import json
import re
import subprocess
import sys

import jupytext
import papermill
import pytest

from hybrid_batch import notebooks
from hybrid_batch.data import corpora

NAMES = ["01_data", "02_training", "03_evaluation", "04_bias", "05_reasoning"]
PAIRS = notebooks.SOURCES / "ipynb"


def cells(path):
    return [(cell.cell_type, cell.source.strip(), cell.metadata.get("tags", [])) for cell in jupytext.read(path).cells]


def test_the_book_has_its_five_notebooks_in_order():
    assert list(notebooks.sources()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_in_step_with_their_sources_and_hold_no_outputs(name):
    pair = PAIRS / f"{name}.ipynb"
    assert cells(pair) == cells(notebooks.sources()[name]), "run `make pair`"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in json.loads(pair.read_text())["cells"])


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_type_a_default_of_that_type_and_help(name):
    for key, entry in notebooks.parameters(name).items():
        assert entry["type"] in notebooks.TYPES, key
        assert type(entry["default"]) is notebooks.TYPES[entry["type"]], key
        assert len(entry["help"]) > 10, key


def test_parameters_of_one_name_mean_the_same_in_all_notebooks():
    seen = {}
    for name in NAMES:
        for key, entry in notebooks.parameters(name).items():
            assert seen.setdefault(key, (entry["type"], entry["default"]))[0] == entry["type"], key


@pytest.mark.parametrize("name", sorted(path.stem for path in notebooks.PROFILES.glob("*.yaml")))
def test_every_profile_sets_only_parameters_that_exist(name):
    every = {key: entry for source in NAMES for key, entry in notebooks.parameters(source).items()}
    assert notebooks.check(notebooks.profile(name), every, name)


def test_the_quick_profile_is_what_a_notebook_does_by_itself():
    for key, value in notebooks.profile("quick").items():
        for name in NAMES:
            assert notebooks.parameters(name).get(key, dict(default=value))["default"] == value, (name, key)


@pytest.mark.parametrize("values, message", [
    ({"alhpa": 0.7}, r"no parameter 'alhpa'; it has .*alpha"),
    ({"alpha": "much"}, r"alpha must be of type float, not 'much' \(share of"),
    ({"seeds": 3}, "seeds must be of type list, not 3"),
    ({"freeze_embeddings": "1"}, "freeze_embeddings must be of type bool"),
])
def test_a_wrong_parameter_is_refused_before_anything_runs(values, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        notebooks.run("smoke", values, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_values_from_the_command_line_get_their_types():
    known = notebooks.parameters("02_training")
    assert notebooks.check({"alpha": "1", "seeds": "[1, 2]", "encoder": "x", "freeze_embeddings": "False"}, known, "") == {
        "alpha": 1.0, "seeds": [1, 2], "encoder": "x", "freeze_embeddings": False}


def test_an_unknown_profile_or_notebook_is_named():
    with pytest.raises(ValueError, match="profile 'fast' is unknown; choose from .*quick"):
        notebooks.run("fast")
    with pytest.raises(ValueError, match="notebook '06_x' is unknown; choose from 01_data"):
        notebooks.parameters("06_x")


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """Every notebook, executed with the smoke profile by the command line."""
    folder = tmp_path_factory.mktemp("smoke")
    command = [sys.executable, "-m", "hybrid_batch", "run", "smoke", "-o", str(folder)]
    for name in NAMES:
        command += ["-n", name]
    done = subprocess.run(command, cwd=corpora.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_smoke_profile_executes_every_notebook_cleanly(name, smoke):
    notebook = json.loads((smoke[0] / f"{name}.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 1
    assert str(corpora.ROOT) not in json.dumps(notebook["metadata"])


def test_a_run_shows_its_progress_and_its_results(smoke):
    folder, printed = smoke
    assert "[2/5] 02_training" in printed and "step 2/2: validation loss" in printed and "Hybrid(0.5)" in printed
    table = (folder / "results.md").read_text()
    assert all(name in table for name in ("untrained", "untrained, means removed", "X-X-mono", "Hybrid(0.5), interpolated 0.5"))
    assert (folder / "results.csv").read_text().startswith("strategy,system,setting,measure,value,low,high,groups,seeds")


def test_a_second_run_executes_nothing_again(smoke, capfd):
    before = {path: path.stat().st_mtime_ns for path in smoke[0].glob("*.ipynb")}
    notebooks.run("smoke", only=NAMES, output=smoke[0])
    assert capfd.readouterr().out.count("as it was") == 5
    assert before == {path: path.stat().st_mtime_ns for path in smoke[0].glob("*.ipynb")}


def test_analysis_is_done_again_when_other_runs_are_there(smoke, tmp_path, capfd):
    path = tmp_path / "03_evaluation.ipynb"
    values = dict(output=str(tmp_path), benchmark="encyclo11", languages=["ar", "en", "zh"], draws=50)
    (tmp_path / "runs.json").write_text((smoke[0] / "runs.json").read_text())
    notebooks.execute(notebooks.sources()["03_evaluation"], values, path)
    notebooks.execute(notebooks.sources()["03_evaluation"], values, path)
    assert capfd.readouterr().out.count("as it was") == 1
    (tmp_path / "runs.json").write_text(json.dumps(json.loads((smoke[0] / "runs.json").read_text())[:1]))
    notebooks.execute(notebooks.sources()["03_evaluation"], values, path)
    assert "as it was" not in capfd.readouterr().out


def test_plain_papermill_runs_a_pair_with_a_parameter_changed(smoke, tmp_path):
    values = {key: value for key, value in notebooks.profile("smoke").items() if key in notebooks.parameters("02_training")}
    done = papermill.execute_notebook(str(PAIRS / "02_training.ipynb"), str(tmp_path / "out.ipynb"), progress_bar=False,
                                      parameters={**values, "alpha": 0.7, "output": str(tmp_path)}, cwd=str(corpora.ROOT),
                                      kernel_name="python3")
    assert "Hybrid(0.7)" in json.dumps(done)


@pytest.mark.parametrize("name", ["03_evaluation", "04_bias"])
def test_an_analysis_notebook_is_useful_alone(name, smoke, tmp_path):
    """Without any runs it measures the untrained encoder (here: finds that measured already)."""
    path = notebooks.execute(notebooks.sources()[name], dict(output=str(tmp_path), languages=["ar", "en", "zh"], draws=50),
                             tmp_path / f"{name}.ipynb")
    assert "run 02_training to add trained ones" in path.read_text() and "untrained" in path.read_text()


def test_a_failing_notebook_leaves_no_file(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match="no-such-benchmark"):
        notebooks.execute(notebooks.sources()["01_data"], dict(benchmark="no-such-benchmark"), tmp_path / "01_data.ipynb")
    assert not list(tmp_path.iterdir())


def test_no_source_shows_sentences_of_a_corpus_that_is_not_ours():
    for name, path in notebooks.sources().items():
        assert not re.search(r"(queries|passages)\.text\b", path.read_text()), name
