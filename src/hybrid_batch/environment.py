"""The machine and the program that made a figure, for manifests; and quiet for the terminal."""

import hashlib
import importlib.metadata
import platform
import subprocess
import warnings
from pathlib import Path

from hybrid_batch.data import corpora

LIBRARIES = ("torch", "transformers", "sentence-transformers", "datasets", "faiss-cpu", "numpy")


def quiet():
    """Leave the terminal and the notebooks to our own progress and results."""
    import datasets
    import transformers
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def environment():
    """What a manifest says of the machine's software."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=corpora.ROOT, capture_output=True, text=True)
    return {"commit": git.stdout.strip() or None, "code": code_checksum(), "python": platform.python_version(),
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES}}


def code_checksum():
    """sha256 of the modules that a run's ranks depend on: runs made by other code are not reused."""
    here = Path(__file__).parent
    names = ("encoders", "retrieval", "sampler", "settings", "trainer", "use_multilingual", "data/answers",
             "data/benchmarks", "data/corpora", "data/files", "data/hygiene", "data/readers", "data/sources")
    sources = b"".join((here / f"{name}.py").read_bytes() for name in names)
    return hashlib.sha256(sources).hexdigest()[:16]


def device_name(device):
    import torch
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
