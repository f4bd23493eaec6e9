"""A row of results/ is what its manifest makes: one is made again, from its manifest alone."""

import random

import pandas as pd
import pytest
import torch

from hybrid_batch import campaign, metrics, study
from hybrid_batch.settings import Settings


def test_a_row_made_again_from_its_manifest_gives_its_figures(data, tmp_path):
    row = random.choice([row for row in campaign.manifests("cpu-use") if row["steps"]])
    said = {key: tuple(value) if isinstance(value, list) else value for key, value in row["experiment"].items()}
    less = dict(probes=False, subset=(), means_removed=False, interpolation=())  # the same training, less to measure
    experiment = study.Experiment(**said | less | dict(data=str(data), settings=Settings(**said["settings"])))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        made = study.run(experiment, tmp_path)
    finally:
        torch.set_num_threads(threads)
    figures = pd.read_csv(campaign.RESULTS / "cpu-use" / "figures.csv", dtype={"key": str})
    for benchmark in experiment.benchmarks:
        kept = figures[(figures.key == row["key"]) & (figures.benchmark == benchmark) & (figures.system == "plain")].iloc[0]
        macro = metrics.macro(made.scores(benchmark))
        print(row["name"], row["key"], benchmark, macro, sep="\n")
        for setting in metrics.SETTINGS:
            for measure in ("map", "recall@1", "recall@10"):
                assert macro.loc[setting, measure] == pytest.approx(kept[f"{setting} {measure}"], abs=0.003)
