"""The pins: one resolution for every Python and platform that the project names, the same in both files."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hybrid_batch import paths

UV = Path(sys.executable).with_name("uv")
PINS = paths.ROOT / "requirements.txt"


def pins(path):
    """{name: versions} of a file of pins."""
    found = {}
    for name, version in re.findall(r"(?m)^([\w.-]+)==([^\s;\\]+)", path.read_text()):
        found.setdefault(name.lower(), set()).add(version)
    return found


def test_the_lock_has_the_same_versions_with_hashes_and_what_cuda_needs_besides():
    plain, locked = pins(PINS), pins(PINS.with_suffix(".lock"))
    assert {name: locked[name] for name in plain} == plain
    assert all(re.match("nvidia-|cuda-|triton", name) for name in locked.keys() - plain.keys()) and "nvidia-cublas" in locked
    assert PINS.with_suffix(".lock").read_text().count("--hash=sha256:") > len(locked) and "--hash" not in PINS.read_text()


def test_every_dependency_is_pinned_and_torch_at_the_version_that_the_weights_were_made_with():
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    assert {re.match(r"[\w.-]+", one)[0].lower().replace("_", "-") for one in named} <= {n.replace("_", "-") for n in pins(PINS)}
    assert pins(PINS)["torch"] == {"2.13.0"} and project["requires-python"] == ">=3.11,<3.14"


@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "aarch64-apple-darwin"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_pins_resolve_for_each_python_and_platform(python, platform, tmp_path):
    """From the index, without installing; skipped where there is none."""
    command = [str(UV), "pip", "compile", str(PINS), "--python-version", python, "--python-platform", platform, "-q",
               "-o", str(tmp_path / "resolved.txt"), "--no-header", "--no-annotate"]
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}  # faiss-cpu has no wheels for older ones
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    if "error sending request" in done.stderr or "Failed to fetch" in done.stderr and "timed out" in done.stderr:
        pytest.skip("no package index within reach")
    assert done.returncode == 0, done.stderr
    resolved, ours = pins(tmp_path / "resolved.txt"), pins(PINS)
    assert {"torch", "jupyter-book", "transformers"} <= resolved.keys()
    assert all(name not in ours or versions <= ours[name] for name, versions in resolved.items())
    extra = resolved.keys() - ours.keys()
    assert all(re.match("nvidia-|cuda-|triton", name) for name in extra) and (bool(extra) == ("manylinux" in platform))
