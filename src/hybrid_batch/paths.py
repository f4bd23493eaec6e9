"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "hybrid_batch"
CORPORA, NOTEBOOKS, CHAPTERS = ROOT / "corpora", ROOT / "notebooks", ROOT / "book"
PROFILES, STUDIES, RESULTS = ROOT / "profiles", ROOT / "studies", ROOT / "results"
RUNS = ROOT / "runs"  # made, never committed
CACHE = RUNS / "corpora"
BOOK = RUNS / "book"
