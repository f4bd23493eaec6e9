"""The figures of the paper that the page on related work quotes are those in results/paper."""

import re

import pandas as pd

from hybrid_batch import paths

PAGE = (paths.ROOT / "book" / "related.md").read_text()
PAPER = pd.read_csv(paths.RESULTS / "paper" / "figures.csv")
MEANS = PAPER[(PAPER.table == 1) & (PAPER.metric == "map")].set_index(["model", "benchmark", "setting", "strategy"]).value


def short(value):
    return f"{value:.3f}"[1:]


def test_the_multilingual_map_of_hybrid_batches_is_that_of_the_paper():
    quoted = [short(MEANS[model, benchmark, "multilingual", "hybrid"])
              for benchmark in ("xquad-r", "mlqa-r") for model in ("xlm-r", "labse")]
    assert f"XLM-R {quoted[0]}, LaBSE {quoted[1]}" in PAGE
    assert f"the hybrid encoders have {quoted[2]} and {quoted[3]}" in PAGE


def test_the_gain_of_hybrid_batches_over_x_y_is_that_of_the_paper():
    strategies = MEANS.unstack()
    gain = (strategies["hybrid"] - strategies["x-y"]).groupby("setting").agg(["min", "max"])
    said = re.search(r"monolingual retrieval \((.*?) to (.*?) mAP.*?multilingual retrieval \((.*?) to (.*?)\)", PAGE, re.S)
    assert [*said.groups()] == [short(gain.loc[setting, end]) for setting in ("monolingual", "multilingual") for end in ("min", "max")]
