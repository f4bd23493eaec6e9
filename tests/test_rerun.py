"""A row of results/ is what its manifest makes: one is made again, from its manifest alone."""

import random

import pandas as pd
import pytest
import torch

from hybrid_batch import campaign, metrics, study
from hybrid_batch.settings import Settings


def test_a_row_made_again_from_its_manifest_gives_its_figures(data, tmp_path):
    # Of those that saw one benchmark only: what is left out of the training data depends on the benchmarks.
    rows = [row for row in campaign.manifests("cpu-use") if row["steps"] and list(row["benchmarks"]) == ["xquad-r"]]
    assert rows
    row = random.choice(rows)
    said = row["experiment"]
    settings = Settings(**said.pop("settings"))
    lists = {key: tuple(value) for key, value in said.items() if isinstance(value, list)}
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        made = study.run(study.Experiment(**{**said, **lists, "benchmarks": ("xquad-r",), "probes": False, "subset": (),
                                             "means_removed": False, "interpolation": ()},
                                          data=str(data), settings=settings), tmp_path)
    finally:
        torch.set_num_threads(threads)
    figures = pd.read_csv(campaign.RESULTS / "cpu-use" / "figures.csv")
    kept = figures[(figures.key == row["key"]) & (figures.benchmark == "xquad-r") & (figures.system == "plain")].iloc[0]
    macro = metrics.macro(made.scores("xquad-r"))
    print(row["name"], row["key"], macro)
    for setting in metrics.SETTINGS:
        for measure in ("map", "recall@1", "recall@10"):
            assert macro.loc[setting, measure] == pytest.approx(kept[f"{setting} {measure}"], abs=0.003)
