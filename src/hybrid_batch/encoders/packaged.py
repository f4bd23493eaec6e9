"""Data files of PyPI packages, from which encoders are rebuilt where no Hub can be reached."""

import hashlib
import importlib.util
from pathlib import Path


def data_files(package, module, checksums, folder=None):
    """Paths of data files, in the order of ``checksums``, {file: sha256}, in the installed package ``module``, which is
    found but not imported, or in ``folder``. package: its name and version on PyPI. Raises FileNotFoundError without
    the package, ValueError if a file is another."""
    if folder is None:
        spec = importlib.util.find_spec(module)
        folder = spec.submodule_search_locations[0] if spec else "nowhere"
    paths = [Path(folder) / name for name in checksums]
    if not all(path.exists() for path in paths):
        raise FileNotFoundError(f"an encoder needs the data files of {package}: run `pip install {package}`")
    for path, expected in zip(paths, checksums.values()):
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected:
            raise ValueError(f"{path} is not the file this project knows (sha256 {found[:12]}…, expected "
                             f"{expected[:12]}…): run `pip install --force-reinstall {package}`")
    return paths
