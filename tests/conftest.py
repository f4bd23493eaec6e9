"""Fixtures that several test files share, and one profile for hypothesis: the same
examples in every run."""

import os
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may depend on a hub; read when huggingface_hub is imported

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hub import hub  # noqa: F401, a fixture
from hypothesis import HealthCheck, settings

from hybrid_batch.data.benchmarks import Benchmark

settings.register_profile("tests", deadline=None, derandomize=True, max_examples=25, database=None,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
LONGEST = ["test_book.py", "test_readme.py", "test_cards.py", "test_notebooks.py", "test_cli.py", "test_study.py"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The files that take longest first, so that two cores end at about the same time."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def data():
    """The folder of real benchmarks, which is not part of the repository."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "xquad-r").is_dir() or not (folder / "mlqa-r").is_dir():
        pytest.skip("XQuAD-R and MLQA-R are not here: they are looked for in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests: a second Playwright cannot start beside the first."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=[
            "--no-sandbox", "--disable-gpu", "--disable-background-networking"])


@pytest.fixture(scope="session")
def make_benchmark():
    """A function (passage languages, {item: (query languages, relevant passages)}) -> Benchmark."""
    def make(passage_languages, items):
        queries = [(item, number, language, f"q:{item}:{language}")
                   for number, (item, (languages, _)) in enumerate(items.items()) for language in languages]
        relevant = [(item, passage) for item, (_, passages) in items.items() for passage in passages]
        passages = [(language, f"p:{number}:{language}") for number, language in enumerate(passage_languages)]
        return Benchmark("made", pd.DataFrame(queries, columns=["item", "group", "language", "text"]),
                         pd.DataFrame(passages, columns=["language", "text"]),
                         pd.DataFrame(relevant, columns=["item", "passage"]), "")

    return make


@pytest.fixture(scope="session")
def make_ranks():
    """A function (languages, rank of (item, query language, passage language)) -> table of
    ranks of a fully parallel benchmark with two items, as retrieval hands it over."""
    def make(languages, rank, items=("a", "b")):
        rows = [(group, item, x, y, rank(item, x, y)) for group, item in enumerate(items)
                for x in languages for y in languages]
        table = pd.DataFrame(rows, columns=["group", "item", "query_language", "passage_language", "rank"])
        # In the mixed pool each language's passages stand behind those of the language before.
        offset = np.array([100 * languages.index(y) for y in table.passage_language])
        return table.assign(rank=table["rank"].astype(float), rank_mul=table["rank"].astype(float) + offset)

    return make
