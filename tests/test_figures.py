"""The figures: one look for each condition, words made from their own numbers, letters that a phone can show."""

import re

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.axis import Tick
from matplotlib.text import Text

from hybrid_batch import book
from hybrid_batch.report import figures, study_figures, tables
from hybrid_batch.report import picture as looks

matplotlib.use("agg")
STRATEGIES = ["untrained", "X-X", "X-X-mono", "X-Y", "Hybrid", "En-En"]
TOGETHER = [*STRATEGIES, "untrained, centring", "Hybrid, interpolated 0.5", "centre", "extra QA", "parallel text", "neutral answers",
            "anti-signal"]
CODES = list(looks.LANGUAGES)
PHONE = 358  # pixels that a page of 390 leaves to a figure
LONG = "Hybrid(0.5) + 0.25 reasoning hybrid, neutral"


def scores(figures_shown=("Mo map", "Mul map"), names=(*STRATEGIES, "untrained, centring", LONG)):
    """Made-up values with intervals, .3 for the first system and .05 more for each next."""
    return pd.DataFrame([dict(label=name, figure=key, value=0.3 + place / 20, low=0.28 + place / 20, high=0.32 + place / 20,
                              trained=not name.startswith("untrained"))
                         for key in figures_shown for place, name in enumerate(names)])


def differences():
    return pd.DataFrame([dict(panel=panel, label=f"against {name}", difference=0.01 * place, low=0.01 * place - 0.005,
                              high=0.01 * place + 0.005, significant=place > 1, x=place / 3)
                         for panel in ("Mo mAP ↑", "Cr mAP ↑", "rank distance ↓")
                         for place, name in enumerate(("no reasoning", "extra QA", "neutral answers"))])


def drawn(crosses):
    return pd.DataFrame([dict(batch=batch, slot=slot, kind="qa cross" if crosses else "qa mono", query_language=CODES[slot],
                              passage_language=CODES[slot + crosses]) for batch in range(2) for slot in range(6)])


def square(low, high):
    return pd.DataFrame(np.linspace(low, high, 121).reshape(11, 11), CODES, CODES)


def log(start):
    return pd.DataFrame({"step": range(6), "loss": np.linspace(start, 0.1, 6), "validation_loss": [np.nan, start] * 3})


MADE = {
    "batches": lambda: figures.batches({"X-X-mono": drawn(0), "X-Y": drawn(1)}),
    "intervals": lambda: figures.intervals(scores()),
    "squares": lambda: figures.pairs({"E5-small, all layers": square(-5, 9),
                                       "Universal Sentence Encoder, top fine-tuned": square(-1, 3)}, centre=0),
    "one square": lambda: figures.pairs({"E5-small, all layers": square(-5, 9)}, centre=0),
    "shares": lambda: figures.shares({name: square(0, 0.2) for name in ("untrained", "X-X-mono", "X-Y", "Hybrid")}),
    "curves": lambda: figures.curves({name: log(place + 1) for place, name in enumerate(STRATEGIES[1:])}),
    "dumbbells": lambda: figures.dumbbells({name: pd.DataFrame({"mono": np.linspace(0.5, 0.8, 11), "cross_from": np.linspace(
        0.3, 0.7, 11)}, CODES) for name in ("untrained", "Hybrid(0.5)")}),
    "space": lambda: figures.space({name: (np.random.default_rng(0).normal(size=(110, 4)), np.array(CODES * 10))
                                    for name in ("untrained", "Hybrid(0.5)")}),
    "coverage": lambda: figures.coverage({"coverage": {"languages": CODES, "items": np.full((11, 11), 112).tolist()}}),
    "changes": lambda: study_figures.changes({"Mul mAP ↑": differences().assign(label="E5-small, all layers")}, "α"),
    "forest": lambda: study_figures.forest(differences(), "What reasoning batches change"),
    "rank strips": lambda: figures.rank_strips({"Untrained": dict(zip(CODES, [1, 26, 28, 35, 187, 206, 281, 312, 423, 597, 761]))},
                                               "ar", 4191),
    "tradeoff": lambda: study_figures.tradeoff(scores()),
    "orders": lambda: study_figures.orders(study_figures.order_table(["cpu-e5"])),
    "sizes": lambda: study_figures.sizes(study_figures.sizes_and_scores()),
    "similarity": lambda: figures.similarity({name: (drawn(1)[:6], np.linspace(0.7, 0.9, 36).reshape(6, 6)) for name in STRATEGIES[1:3]}),
    "dual encoder": lambda: figures.dual_encoder("Woraus bestehen die Ringe des Saturn?", "The rings of Saturn are water ice. " * 3,
                                                 np.ones((2, 384)))}


@pytest.fixture(params=MADE)
def picture(request):
    yield MADE[request.param]()
    plt.close("all")


def test_a_figure_has_a_text_with_numbers_and_no_path_for_those_who_do_not_see_it(picture):
    text, words = looks.svg(picture)
    assert len(words["alt"]) > 60 and any(letter.isdigit() for letter in words["alt"])
    assert ".svg" not in words["alt"] and "nan" not in words["alt"] + words["caption"]
    assert "<text" in text and "<image" not in text.split("</metadata>")[0]


def test_nothing_of_a_figure_is_cut_and_its_letters_can_be_read_on_a_phone(picture):
    assert picture.get_figwidth() == looks.WIDTH
    picture.draw_without_rendering()
    ticks = {id(tick.label1) for tick in picture.findobj(Tick)}  # some stand outside the axis, and are not drawn
    shown = [text for text in picture.findobj(Text) if text.get_visible() and text.get_text().strip()
             and not (id(text) in ticks and text.get_text().lstrip("−").replace(".", "").isdigit())]
    assert len(shown) > 2
    page, renderer = picture.bbox.padded(3), picture.canvas.get_renderer()
    for text in shown:
        box = text.get_window_extent(renderer)
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, text.get_text()
        assert text.get_fontsize() * PHONE / (72 * looks.WIDTH) > 8.5, text.get_text()


def test_conditions_differ_in_colour_and_without_colour():
    marks = {name: looks.look(name) for name in TOGETHER}
    assert len({(look["marker"], look["markerfacecolor"], look["fillstyle"]) for look in marks.values()}) == len(TOGETHER)
    plain = [marks[name] for name in TOGETHER if name != "untrained, centring" and "interpolated" not in name]
    assert len({look["color"] for look in plain}) == len(plain)
    without_colour = {(look["marker"], look["markerfacecolor"] == "white", look["fillstyle"]) for look in marks.values()}
    assert len(without_colour) == len(TOGETHER)
    assert len(set(looks.LANGUAGES.values())) == len({mark for _, mark in looks.LANGUAGES.values()}) == 11


def test_a_condition_looks_the_same_under_all_its_names_and_what_changes_it_shows():
    for same in (("Hybrid", "Hybrid(0.5)", "no reasoning", "no reasoning, 50"), ("centre", "Hybrid(0.5) + 0.25 reasoning hybrid"),
                 ("neutral answers", LONG), ("mine", "mine")):
        assert all(looks.look(name) == looks.look(same[0]) for name in same), same
    plain, centred = looks.look("Hybrid"), looks.look("Hybrid, centring")
    assert plain["color"] == centred["color"] and plain["fillstyle"] != centred["fillstyle"]
    assert looks.look("untrained, LSAR")["markerfacecolor"] == "white"


def test_the_words_name_what_is_highest_and_what_is_significant():
    assert "Mul mAP ↑: untrained, centring 0.600" in figures.intervals(scores(names=(*STRATEGIES, "untrained, centring"))).alt
    found = study_figures.forest(differences())
    assert "3 of 9 differences are significant" in found.caption and "against neutral answers +0.020 [+0.015, +0.025]" in found.alt
    assert "Every pair of the 11 languages shares the same 112 items" in MADE["coverage"]().caption


def test_a_figure_is_the_same_file_each_time():
    assert looks.svg(MADE["forest"]())[0] == looks.svg(MADE["forest"]())[0]


def test_the_book_takes_the_words_over_and_escapes_them():
    words = {"alt": "Dots: Hybrid 0.5.", "caption": "Hybrid < X-Y."}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("a", outputs=[nbformat.v4.new_output(
        "display_data", {"image/svg+xml": "<svg/>"}, metadata={"image/svg+xml": words})]), nbformat.v4.new_code_cell("b")])
    book.describe(notebook)
    cell, other = notebook.cells
    assert cell.metadata["mystnb"] == {"image": {"alt": words["alt"]}} and "mystnb" not in other.metadata
    assert [output["data"].get("text/html") for output in cell.outputs] == [None, '<p class="caption">Hybrid &lt; X-Y.</p>']


def test_a_table_sets_words_left_and_numbers_right_and_says_what_is_better():
    frame = pd.DataFrame({"strategy": ["<b>", "X-Y"], "Mul mAP": ["0.512 [0.500, 0.520]", None], "Mul rank distance": ["306", "–"]})
    shown = tables.plain_table(frame).data
    assert '<td class="words">&lt;b&gt;</td><td class="number">0.512 [0.500, 0.520]</td>' in shown and "nan" not in shown.lower()
    assert '<th class="number">Mul mAP ↑</th><th class="number">Mul rank distance ↓</th>' in shown
    folded = tables.plain_table(frame.set_index("strategy"), "XQuAD-R").data
    assert folded.startswith("<details class='folded'><summary>XQuAD-R</summary>") and '<th class="words">strategy</th>' in folded
    assert tables.p_value(0.0004) == "< 0.001" and tables.p_value(0.0414) == "0.041"


def test_a_plain_figure_is_described_by_its_titles_lines_and_bars():
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([0, 3, 12], [0.5, 0.7, 0.9], label="masked")
    left.plot([0, 12], [0.5, 0.25])
    left.set(title="In the batch", xlabel="step", ylabel="cosine")
    right.barh(["de", "th"], [0.25, 0.75])
    assert looks.described(figure) == ("In the batch: cosine against step: masked from (0, 0.5) to (12, 0.9); from (0, 0.5) to "
                                       "(12, 0.25). bars of 0.25, 0.75.")
    assert looks.svg(figure)[1]["alt"] == looks.described(figure)
    plt.close(figure)


def test_a_figure_without_a_layout_is_as_large_as_its_labels_need():
    figure, axis = plt.subplots(figsize=(3, 2))
    axis.barh(["a label that is far too long for the space at the left of the axis"], [1])
    axis.set_xlabel("below")
    fitted, _ = looks.panels(1, 2)
    wide, as_asked = (float(re.search(r'width="([\d.]+)pt"', looks.svg(drawn)[0])[1]) for drawn in (figure, fitted))
    assert wide > 3 * 72 + 100 and as_asked == pytest.approx(looks.WIDTH * 72)
    plt.close("all")


def test_a_similarity_matrix_is_read_row_by_row():
    drawn = figures.similarities(np.array([[0.8, 0.2], [0.3, 0.6]]))
    assert drawn.alt.endswith("and 2 rows, the questions. q1 0.8, 0.2; q2 0.3, 0.6.")
    plt.close(drawn)
