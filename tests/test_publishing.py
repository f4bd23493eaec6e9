"""What publishes the project: workflows, the manifest of a site, the citation, and notebooks that set themselves up elsewhere."""

import functools
import http.server
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from hybrid_batch import book, paths

ROOT = paths.ROOT
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def load(path):
    """A script of the project, which is not in the package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def valid(schema, *files):
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", schema, *files]
    return subprocess.run(command, capture_output=True, text=True).returncode == 0


def test_the_workflows_and_the_citation_are_valid(tmp_path):
    assert len(WORKFLOWS) == 3 and valid("vendor.github-workflows", *WORKFLOWS)
    assert valid("vendor.citation-file-format", ROOT / "CITATION.cff")
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs_on:"))
    assert not valid("vendor.github-workflows", wrong)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_only_jobs_that_publish_may_write(path):
    text = path.read_text()
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) and re.fullmatch(r" # v[\d.]+", version)
                        for action, version in used)
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"} and "secrets." not in text
    writing = {name for name, job in workflow["jobs"].items() if "write" in str(job.get("permissions"))}
    assert writing == ({"deploy", "release"} if path.stem == "release" else set())
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:  # text of a pull request reaches no shell
            assert "${{ github.event" not in step.get("run", "") and "${{ github.head_ref" not in step.get("run", "")
            assert "checkout" not in step.get("uses", "") or step["with"]["persist-credentials"] is False


def test_workflows_call_targets_of_make_that_exist():
    targets = set(re.findall(r"(?m)^(\w+):", (ROOT / "Makefile").read_text()))
    called = {target for path in WORKFLOWS for target in re.findall(r"make (\w+)", path.read_text())}
    assert called <= targets and {"check", "book", "test", "pdf"} <= called


def test_every_place_says_the_same_version_address_and_pin():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert citation["version"] == PROJECT["version"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()
    assert citation["repository-code"] == settings["sphinx"]["config"]["html_theme_options"]["repository_url"]
    assert citation["url"] == settings["html"]["baseurl"]
    pin = re.search(r"(?m)^torch==\S+", (ROOT / "requirements.txt").read_text())[0]
    assert pin in (ROOT / "binder" / "postBuild").read_text() and pin in PROJECT["dependencies"]


@pytest.mark.parametrize("path", sorted(paths.NOTEBOOKS.glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_a_notebook_begins_with_the_cell_that_sets_it_up(path):
    text = path.read_text()
    assert [cell[1] for cell in book.SETUP.findall(text)] == [book.setup_cell()], "run `make pair`"
    assert text.index(book.setup_cell()) < text.index(":tags: [parameters]")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The project as a repository with the tag of its release, where git finds it under its address on the web."""
    origin = tmp_path / "origin"
    for name in ("src", "binder", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        origin.mkdir(exist_ok=True)
        copy(ROOT / name, origin / name)
    git = functools.partial(subprocess.run, cwd=origin, check=True, capture_output=True)
    git(["git", "init", "-q"])
    git(["git", "add", "."])
    git(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"])
    git(["git", "tag", f"v{PROJECT['version']}"])
    for key, value in (("COUNT", "1"), ("KEY_0", f"url.{origin.as_uri()}.insteadOf"),
                       ("VALUE_0", re.search(r'"(https://\S+?)"', book.setup_cell())[1])):
        monkeypatch.setenv(f"GIT_CONFIG_{key}", value)
    return origin


def test_a_notebook_downloaded_alone_gets_the_project_and_keeps_torch_and_numpy(published, tmp_path):
    """Here what it needs is installed already, so that pip asks no index; the package itself is hidden from it."""
    alone = tmp_path / "alone"
    alone.mkdir()
    code = "\n".join([
        "import importlib.util, sys", "find = importlib.util.find_spec",
        "importlib.util.find_spec = lambda name: None if name == 'hybrid_batch' else find(name)",
        "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in str(finder).lower()]",
        book.setup_cell(), "import hybrid_batch, os, torch, numpy",
        "print(hybrid_batch.__file__, os.getcwd(), torch.__version__, numpy.__version__)"])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PIP_NO_INDEX": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=alone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    import numpy
    import torch
    folder = alone / "hybrid-batch"
    assert done.stdout.split() == [str(folder / "src" / "hybrid_batch" / "__init__.py"), str(folder), torch.__version__,
                                   numpy.__version__]


def test_what_is_installed_is_what_is_needed_but_for_what_is_kept():
    install = load(ROOT / "binder" / "install.py")
    assert set(install.installed(["torch", "numpy", "no-such-package"])) == {"torch", "numpy"}
    asked = install.requirements(PROJECT, {"torch": "2.9.0+cu126", "numpy": "2.1.0"})
    assert set(PROJECT["dependencies"]) - set(asked) == {"torch==2.13.0", "numpy"}
    assert install.requirements(PROJECT, {}) == PROJECT["dependencies"]  # a bare environment gets them, too


def test_in_the_project_the_setting_up_does_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-c", book.setup_cell() + "\nimport os; print(os.listdir())"], cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.fixture
def served(tmp_path):
    folder = tmp_path / "site"
    (folder / "_static").mkdir(parents=True)
    (folder / "index.html").write_text("<p>book</p>")
    (folder / "_static" / "a b.css").write_text("p{}")
    (folder / ".buildinfo").write_text("not put on the web")
    web = shutil.copytree(folder, tmp_path / "web")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=web)
    handler.log_message = None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, web, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_site_is_compared_with_what_was_built(served, monkeypatch):
    manifest = load(ROOT / ".github" / "manifest.py")
    folder, web, address = served
    monkeypatch.chdir(ROOT)
    made = manifest.write(folder)
    assert set(made["files"]) == {"index.html", "_static/a b.css"} and re.fullmatch("[0-9a-f]{40}", made["commit"])
    with pytest.raises(RuntimeError, match="does not show this build"):
        manifest.compare(folder, address, tries=2, pause=0)
    shutil.copy(folder / "manifest.json", web)
    assert manifest.compare(folder, address, pause=0) == []
    (web / "index.html").write_text("<p>other</p>")
    (web / "_static" / "a b.css").unlink()
    assert manifest.compare(folder, address, pause=0) == ["_static/a b.css", "index.html"]


def test_make_lab_opens_the_notebooks(tmp_path):
    command = ["make", "lab", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/ready",
               "ARGS=--no-browser --allow-root --ServerApp.token=x --ServerApp.port=18789 --ServerApp.open_browser=False"]
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    lab = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           start_new_session=True)
    try:
        line = next(line for line in lab.stdout if "http://" in line and "token" in line)
        address = re.search(r"http://\S+?(?=/lab)", line)[0]
        assert "/lab/tree/notebooks/ipynb" in line
        for attempt in range(60):  # it names its address before it listens there
            try:
                with urllib.request.urlopen(f"{address}/api/contents/notebooks/ipynb?token=x", timeout=60) as answer:
                    names = {entry["name"] for entry in json.load(answer)["content"]}
                break
            except urllib.error.URLError:
                time.sleep(1)
        assert {"01_data.ipynb", "05_reasoning.ipynb"} <= names
    finally:
        os.killpg(lab.pid, 15)
        lab.wait(60)
