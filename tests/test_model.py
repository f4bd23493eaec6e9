"""The encoder that the project ships: what is in models/ is what the rows and the card speak of."""

import numpy as np
import pandas as pd
import pytest

from hybrid_batch import paths, rows, study
from hybrid_batch.encoders import load, low_rank
from hybrid_batch.report import card, tables

FOLDER = paths.MODELS / card.MODEL


def test_it_is_small_and_differs_from_the_offline_encoder():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3e6
    base, identity, difference = low_rank.read(FOLDER)
    assert base == "offline-e5-small" and identity == load.identity(base) and len(difference) > 100


def test_it_is_loaded_by_name_and_finds_a_passage_in_another_language_first():
    encoder, before = load.load(card.MODEL, "cpu"), load.load("offline-e5-small", "cpu")
    question, texts = "Wie entstehen die Gezeiten?", [
        "The tides are caused by the pull of the Moon and the Sun.", "Der Mond ist von der Erde 384400 km entfernt.",
        "The Romans built roads.", "Die Römer bauten Straßen."]

    def scores(encoder):
        return encoder.encode([question], prompt_name="query")[0] @ encoder.encode(texts, prompt_name="passage").T

    assert np.argmax(scores(encoder)) == 0
    assert scores(encoder)[0] - scores(encoder)[1] > scores(before)[0] - scores(before)[1]


def test_the_figures_of_its_card_are_those_of_the_rows():
    text = card.CARD.read_text(encoding="utf-8")
    assert card.PLACE.sub(lambda found: found[1] + card.figures() + found[2], text) == text, "run `make pair`"
    assert all(name in text for name in card.BENCHMARKS.values())


def test_the_cut_to_its_rank_costs_little():
    made = rows.manifests(card.STUDY)
    cut = {item.condition: item.key for item in study.plan(card.STUDY) if item.part == "cut"}
    assert made[cut["rank 84"]]["encoder"] == load.identity(card.MODEL)
    figures = {name: rows.read(card.STUDY, [key]) for name, key in cut.items()}
    means = {name: table[table.group.isna() & (table.query_language == "all") & (table.system == "plain")].set_index(
        ["benchmark", "figure"]).value for name, table in figures.items()}
    sets = list(tables.VALIDATION | tables.FOURTH)
    for figure in ("Mo map", "Cr map", "Mul map"):
        lost = [means["whole difference"][benchmark, figure] - means["rank 84"][benchmark, figure] for benchmark in sets]
        assert np.mean(lost) < 0.001 and max(lost) < 0.003


@pytest.mark.parametrize("part", ["longer trainings", "settings of longer trainings", "measured", "cut", "measured first", "measured second"])
def test_all_runs_that_the_card_speaks_of_are_there(part):
    made = rows.manifests(card.STUDY)
    assert all(item.key in made for item in study.plan(card.STUDY) if item.part == part)


def test_no_other_average_was_better_on_the_validation_data_as_the_chapter_says():
    averages = pd.read_csv(paths.RESULTS / "model-averages.csv").groupby("average")["Mul map"].agg(["mean", "size"])
    key = next(item.key for item in study.plan(card.STUDY) if item.condition == "4000 steps")  # seed 0
    table = rows.read(card.STUDY, [key]).query("figure == 'Mul map' and system == 'interpolated 0.75' and query_language == 'all'")
    chosen = table[table.group.isna()].value
    assert len(chosen) == 4 and (averages["size"] == 4).all() and averages["mean"].max() < chosen.mean()
