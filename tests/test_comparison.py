"""Two runs compared and a parameter swept, with an encoder and a corpus small enough for a test."""

import base64
import html.parser
import json
import re

import pytest
import tiny

from hybrid_batch import cli, comparison, config, experiment, paths, statistics, trainer
from hybrid_batch.data import corpora

SMALL = dict(steps=4, batch_size=4, learning_rate=5e-3, eval_every=2, eval_batches=1, max_length=16)


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """Parameters of the notebooks for a small encoder and a file of 40 groups in three languages, in a folder of its own."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RUNS", folder)
        patch.setattr(corpora, "CACHE", folder / "corpora")
        tiny.encoder(folder)
        fields = ("item", "group", "language", "query", "passage")
        (folder / "mine.jsonl").write_text("".join(json.dumps({name: row[name] for name in fields}) + "\n"
                                                   for row in tiny.corpus(40).rows))
        yield SMALL | dict(encoder=str(folder / "tiny-e5"), sources={"qa": f"{folder / 'mine.jsonl'}:train"},
                           benchmark=f"{folder / 'mine.jsonl'}:test")


def picture(text, shade):
    data = base64.b64encode(f"<svg>{shade}</svg>".encode()).decode()
    return [{"cell_type": "markdown", "source": f"## {text}"},
            {"cell_type": "code", "outputs": [{"data": {"image/png": data}, "metadata": {}}]}]


@pytest.fixture(scope="module")
def runs(values):
    """Two runs as the notebooks leave them: one with alpha 0.5, one called <0.9> with alpha 0.9."""
    for name, alpha in (("plain", 0.5), ("<0.9>", 0.9)):
        base = config.Experiment.of(**config.experiment_values(values), benchmarks=[values["benchmark"]], alpha=alpha)
        made = experiment.run_all([base.but(strategy=strategy) for strategy in ("", "X-Y", "Hybrid")])
        folder = paths.RUNS / name
        experiment.save_index(made, folder / "runs.json")
        (folder / "parameters.json").write_text(json.dumps(values | dict(alpha=alpha, output=str(folder))))
        cells = [*picture("The same", "grey"), *picture("All <strategies>", alpha)]
        (folder / "03_evaluation.ipynb").write_text(json.dumps({"cells": cells}))
    return ["plain", "<0.9>"]


def test_two_runs_differ_by_what_the_inference_engine_says_of_them(runs, values):
    text, path = comparison.compare(runs)
    sides = [comparison.read(name) for name in runs]
    assert [side.value("alpha") for side in sides] == [0.5, 0.9]
    old, new = ([made.scores(values["benchmark"]) for made in side.experiments["Hybrid",]] for side in sides)
    rows = statistics.family(statistics.compare(old, new, comparison.FIGURES))
    found, _ = comparison._differences(sides)
    assert found.figure.tolist() == list(comparison.FIGURES) and found.difference.tolist() == rows.difference.tolist()
    assert found.p_holm.tolist() == rows.p_holm.tolist() and set(found.label) == {"Hybrid(0.9) − Hybrid(0.5)"}
    assert re.search(r"\| alpha +\| 0\.5 +\| 0\.9 +\|", text) and "output" not in text
    assert re.search(r"\| X-Y +\| all ", text) and re.search(r"\| Hybrid\(0.9\) \| <0.9> ", text)
    assert path.read_text().count("<table>") == 3


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_a_comparison_is_one_page_that_needs_nothing_else_escaped_and_with_words_for_every_picture(runs):
    text = comparison.compare(runs)[1].read_text()
    tags = Page(text).tags
    images = [attributes for tag, attributes in tags if tag == "img"]
    assert len(images) == 3 and all(len(image["alt"]) > 20 and image["src"].startswith("data:image/") for image in images)
    assert not [attributes for _, attributes in tags if "href" in attributes and attributes["href"] != "data:,"]
    assert "<0.9>" not in text and "&lt;0.9&gt;" in text and "All &lt;strategies&gt;" in text and "The same" not in text
    assert all("scope" in attributes for tag, attributes in tags if tag == "th") and ("html", {"lang": "en"}) in tags


@pytest.mark.parametrize("names, message", [
    (["plain"], "name two runs or more"), (["plain", "plain"], "each once"), (["plain", "gone"], "'gone' is no folder .* plain")])
def test_runs_that_cannot_be_compared_are_refused(names, message, runs):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        comparison.compare(names)


def test_runs_on_different_benchmarks_are_shown_but_not_paired(runs, values):
    other = paths.RUNS / "whole"
    whole = values["benchmark"].removesuffix(":test")
    made = experiment.run(config.Experiment.of(encoder=values["encoder"], strategy="", benchmarks=[whole]))
    experiment.save_index([made], other / "runs.json")
    (other / "parameters.json").write_text(json.dumps(dict(benchmark=whole, encoder=values["encoder"])))
    text, _ = comparison.compare(["plain", "whole"])
    assert text.startswith(comparison.UNPAIRED) and re.search(r"\| untrained +\| whole ", text)


def test_a_sweep_has_a_line_a_value_and_trains_nothing_twice(values, monkeypatch, capsys):
    monkeypatch.setattr("hybrid_batch.book.profile", lambda name: values)
    cli.main(["sweep", "quick", "--alpha", "0", "0.5", "1", "--patience", "9"])
    printed = capsys.readouterr().out
    folder = paths.RUNS / "sweeps" / "quick-alpha-patience=9"
    table = comparison.pd.read_csv(folder / "results.csv")
    trained = table[table.label == "Hybrid"]
    assert trained.groupby("alpha").figure.apply(list).map(len).to_dict() == {0: 4, 0.5: 4, 1: 4}
    assert re.search(r"\| untrained +\|", printed) and "alpha = 1 − alpha = 0" in printed
    assert "data:image/svg+xml" in (folder / "index.html").read_text() and f"the page: {folder / 'index.html'}" in printed
    monkeypatch.setattr(trainer, "train", lambda *_, **__: pytest.fail("trained again"))
    cli.main(["sweep", "quick", "--alpha", "0", "0.5", "1", "--patience", "9"])


def test_a_sweep_over_names_is_drawn_too(values):
    text, path = comparison.sweep(values, "strategy", ["X-Y", "X-X"], paths.RUNS / "sweeps" / "strategy")
    assert "strategy = X-X − strategy = X-Y" in text and path.exists()


@pytest.mark.parametrize("arguments, message", [
    (["--alpha", "0.5"], "several values, as in --alpha 0 0.5 1, not none"), (["--alpha", "0", "1", "--rho", "0", "1"], "not alpha, rho"),
    (["--alpha", "0", "1", "--strategy", "X-Y"], "do not give different experiments with the strategy X-Y"),
    (["--alpha", "0", "2"], "alpha = '2': it must be from 0 to 1"), (["--draws", "20", "30"], "draws is no parameter to sweep")])
def test_a_sweep_that_makes_no_sense_is_refused(arguments, message, values, monkeypatch):
    monkeypatch.setattr("hybrid_batch.book.profile", lambda name: values)
    monkeypatch.setattr(trainer, "train", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(SystemExit, match=message):
        cli.main(["sweep", "quick", *arguments])
