"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "hybrid_batch"
CORPORA, NOTEBOOKS, CHAPTERS, COURSE = ROOT / "corpora", ROOT / "notebooks", ROOT / "book", ROOT / "course"
PROFILES, STUDIES, RESULTS = ROOT / "profiles", ROOT / "studies", ROOT / "results"
MODELS = ROOT / "models"  # encoders that the project has trained, each as its difference from another
RUNS = ROOT / "runs"  # made, never committed
CACHE = RUNS / "corpora"
ENCODERS = RUNS / "encoders"  # unpacked from packages
BOOK = RUNS / "book"
