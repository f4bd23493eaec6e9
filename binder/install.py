"""Install what the notebooks need into an environment that has PyTorch and NumPy, such as Colab's, and keep these two:
another PyTorch might not fit the machine's GPU, and another NumPy would need the kernel to start again."""

import re
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

KEPT = ("torch", "numpy")


def installed(names):
    """{name: version} of those packages that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def requirements(project, kept):
    """What to ask pip for: the project's dependencies without those that are kept."""
    return [line for line in project["dependencies"] if re.match(r"[\w.-]+", line)[0] not in kept]


if __name__ == "__main__":
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    kept = installed(KEPT)
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "kept.txt")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in kept.items()), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints), *requirements(project, kept)]
        sys.exit(subprocess.run([*command, *sys.argv[1:]]).returncode)
