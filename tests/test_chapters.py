"""The chapters of the study: executed from results/ alone; every number that they show stands there."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from hybrid_batch import campaign, notebooks, results
from hybrid_batch.data.corpora import ROOT

STUDY = [name for name in notebooks.chapters() if name.startswith("study")]
NUMBER = re.compile(r"(?<![\w.#/])[+−-]?(?:\d{1,3}(?:,\d{3})+|\d*\.\d+|\d+)(?:e-?\d+)?(?![\w.]*\w)")


@pytest.fixture(scope="module")
def chapters(tmp_path_factory):
    """{name: executed notebook as a dict}"""
    folder = tmp_path_factory.mktemp("chapters")
    return {name: json.loads(notebooks.execute(notebooks.chapters()[name], {}, folder / f"{name}.ipynb").read_text())
            for name in STUDY}


def shown(notebook):
    """Every number in the texts that a chapter's cells put out."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for kind in ("text/html", "text/markdown"):
                text = "".join(output.get("data", {}).get(kind, ""))
                text = re.sub(r"<style.*?</style>|<[^>]*>", " ", text, flags=re.S)  # tags, ids and styles
                yield from NUMBER.findall(text)


def known():
    """Every number of the files under results/, in each of the ways in which a chapter may write it."""
    values = set()
    for file in sorted((ROOT / "results").rglob("*")):
        if file.suffix == ".csv":
            table = pd.read_csv(file)
            values |= {float(v) for c in table.select_dtypes("number") for v in table[c].dropna()}
            values |= {float(n) for c in table.select_dtypes("object") for v in table[c].dropna().unique()
                       for n in re.findall(r"\d*\.?\d+", str(v))}
        elif file.name == "manifests.jsonl":
            for line in file.read_text().splitlines():
                values |= set(_numbers(json.loads(line)))
    forms = set()
    for value in values:
        for digits in range(6):
            forms |= {f"{abs(value):.{digits}f}", f"{abs(value):,.{digits}f}"}
        forms |= {f"{abs(value):g}", f"{abs(100 * value):.0f}"}
    return forms


def _numbers(content):
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list):
        return [n for part in content for n in _numbers(part)]
    return [float(content)] if isinstance(content, (int, float)) and not isinstance(content, bool) else []


def differences():
    """Of two of the paper's strategies, as the pattern of table 1 shows them."""
    table = results.paper()
    for _, part in table.groupby(["model", "benchmark", "setting", "metric", "language"]):
        for a in part.value:
            for b in part.value:
                yield from (f"{abs(a - b):.3f}", f"{abs(a - b):.0f}")


def totals():
    """Hours and energy by study and device."""
    for file in (ROOT / "results").glob("*/manifests.jsonl"):
        rows = pd.DataFrame([dict(device=row["device"], **row["seconds"])
                             for row in map(json.loads, file.read_text().splitlines())])
        for part in (rows, *(part for _, part in rows.groupby("device"))):
            hours = part[["training", "evaluation"]].sum() / 3600
            for value in (*hours, hours.sum()):
                yield from (f"{value:.1f}", f"{value:.2f}")
            for watts in results.WATTS.values():
                yield from (f"{hours.sum() * watts / 1000:.2f}", f"{watts}")
            yield f"{len(part)}"


SAID = {"95", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", ".8", ".005", ".25", ".5", ".4", ".6", ".1", "118",
        "42", "110", "0.5", "05", "278", "471"}  # of the method, in prose and in names


@pytest.mark.parametrize("name", STUDY)
def test_every_number_that_a_chapter_puts_out_is_in_the_results(chapters, name):
    allowed = known() | set(differences()) | set(totals()) | SAID
    assert list(shown(chapters[name])) or "Not measured yet" in json.dumps(chapters[name])
    missing = [number for number in shown(chapters[name]) if number.lstrip("+−-") not in allowed]
    assert not missing, missing[:20]


def test_a_number_that_is_not_in_the_results_would_be_found():
    assert "0.123456" not in known() and NUMBER.findall("0.123456 [0.1,\N{NO-BREAK SPACE}+0.2] p −12 1,234 mlqa-r xquad2") == [
        "0.123456", "0.1", "+0.2", "−12", "1,234"]


@pytest.mark.parametrize("name", STUDY)
def test_the_prose_of_a_chapter_holds_no_figure_that_is_not_in_the_results(name):
    text = notebooks.chapters()[name].read_text()
    prose = re.sub(r"```\{code-cell\}.*?```|^---.*?^---|\]\([^)]*\)|`[^`]*`", " ", text, flags=re.S | re.M)
    missing = [n for n in NUMBER.findall(prose) if n.lstrip("+−-") not in known() | SAID]
    assert not missing, missing


def test_results_are_small_and_hold_no_text_of_a_corpus():
    files = [file for file in (ROOT / "results").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 10e6
    assert {file.suffix for file in files} <= {".csv", ".json", ".jsonl", ".parquet", ".npz"}
    for file in files:
        if file.suffix == ".parquet":
            table = pd.read_parquet(file)
            assert all(table[c].astype(str).str.len().max() < 60 for c in table.select_dtypes(["object", "category"]))


def test_each_row_says_how_it_was_made():
    for name in results.studies():
        rows, figures = campaign.manifests(name), pd.read_csv(campaign.RESULTS / name / "figures.csv")
        assert {row["key"] for row in rows} == set(figures.key)
        for row in rows:
            assert row["commit"] and row["code"] and row["device"] and row["libraries"]["torch"]
            assert row["experiment"]["strategy"] is None or row["corpus"]["checksum"] and row["shares"]


def test_the_headline_of_the_readme_is_what_was_measured():
    readme = (ROOT / "README.md").read_text()
    table = results.summary("best")
    ours = table[(table.part == "final") & (table.cell == "chosen, average of second, fifth and sixth")
                 & (table.benchmark == "xquad-r") & (table.system == "plain") & (table.language == "all")].set_index("figure").value
    line = next(line for line in readme.splitlines() if line.startswith("| ours, chosen on other data"))
    assert [part.strip(" *") for part in line.split("|")[2:-1]] == [
        "118M", *(f"{ours[f]:.3f}"[1:] for f in ("Mo map", "Cr map", "Mul map")), f"{ours['Mul rank_distance']:.0f}"]
    for model, name in (("xlm-r", "paper, XLM-R, hybrid"), ("labse", "paper, LaBSE, hybrid")):
        theirs = results.published(model, "xquad-r")
        theirs = theirs[theirs.strategy == "hybrid"].set_index("figure").value
        line = next(line for line in readme.splitlines() if line.startswith(f"| {name} |") and "M |" in line)
        assert [cell.strip() for cell in line.split("|")[3:-1]] == [
            *(f"{theirs[f]:.3f}"[1:] for f in ("Mo map", "Cr map", "Mul map")), f"{theirs['Mul rank_distance']:.0f}"]
