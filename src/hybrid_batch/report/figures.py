"""The figures of the notebooks and of the chapters on method and errors. Each function takes tables that other modules return,
and returns a Picture."""

import html
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.colors import to_rgb

from hybrid_batch.data.languages import NAMES, RIGHT_TO_LEFT
from hybrid_batch.metrics import FIGURES, SETTINGS, figure_label
from hybrid_batch.report.picture import GREY, LOOKS, WIDTH, Picture, dots, language_look, legend, look, panels, ranked, wrap


def texts(rows, header=("language", "text")):
    """Texts of several languages as an HTML table, each set in its own direction:
    rows are tuples that begin with a language code; everything is escaped."""
    def cell(language, text):
        direction, align = ("rtl", "right") if language in RIGHT_TO_LEFT else ("ltr", "left")
        return f'<td lang="{language}" dir="{direction}" style="text-align:{align}">{html.escape(str(text))}</td>'

    body = "".join(f"<tr><th scope='row'>{html.escape(language)}</th>{''.join(cell(language, t) for t in rest)}</tr>"
                   for language, *rest in rows)
    head = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in header)
    return HTML(f'<div class="parallel-texts"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def batches(drawn, languages=None, title=None):
    """What strategies draw: tables as sampler.explain returns them, {title: table} or one. A row a batch, a cell a pair,
    "query → passage" in it, in the shades of its two languages, with a bold frame when they differ."""
    parts = drawn if isinstance(drawn, dict) else {title or "": drawn}
    counts = [part.batch.nunique() for part in parts.values()]
    slots = max(part.slot.max() for part in parts.values()) + 1
    figure, axes = plt.subplots(len(parts), 1, figsize=(WIDTH, 0.3 * sum(counts) + 0.42 * len(parts) + 0.25), squeeze=False,
                                layout="constrained", FigureClass=Picture, gridspec_kw={"height_ratios": counts})
    for axis, (name, part) in zip(axes[:, 0], parts.items()):
        for pair in part.itertuples():
            crosses = pair.query_language != pair.passage_language
            for half, language in ((0, pair.query_language), (0.5, pair.passage_language)):
                shade = 0.35 * np.array(to_rgb(language_look(language)[0])) + 0.65
                axis.add_patch(plt.Rectangle((pair.slot + half, pair.batch), 0.5, 0.9, color=shade, lw=0))
            axis.text(pair.slot + 0.5, pair.batch + 0.45, f"{pair.query_language} → {pair.passage_language}", ha="center",
                      va="center", color="black", fontsize=10, fontweight="bold" if crosses else "normal")
            axis.add_patch(plt.Rectangle((pair.slot + 0.02, pair.batch + 0.02), 0.96, 0.86, fill=False,
                                         lw=1.6 if crosses else 0.4, edgecolor="black"))
        count = part.batch.nunique()
        axis.set(xlim=(0, slots), ylim=(count, 0), xticks=[], yticks=np.arange(count) + 0.45,
                 yticklabels=part.groupby("batch").kind.first(), title=wrap(name))
        axis.grid(False)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    axes[-1, 0].set_xlabel(f"{slots} pairs of a batch, query → passage")
    said = "; ".join(f"{name}: " * bool(name) + ", ".join(
        f"{number} {'batch' if number == 1 else 'batches'} of kind {kind}"
        for kind, number in part.groupby("batch").kind.first().value_counts().items())
        + f"; {(part.query_language != part.passage_language).sum()} of {len(part)} pairs cross languages"
        for name, part in parts.items())
    return figure.told(f"Batches as rows of pairs, each with the languages of its query and passage. {said}.")


def similarities(matrix, names=("q", "p"), right=True, form=".1f", title=None):
    """The similarity matrix of a small batch, questions in rows and passages in columns, (pairs, pairs); the right passages, on
    the diagonal, in bold and framed."""
    matrix = np.asarray(matrix)
    figure, axis = plt.subplots(figsize=(1.1 * matrix.shape[1] + 0.9, 0.9 * len(matrix) + 0.6), FigureClass=Picture)
    limit = np.abs(matrix).max()
    axis.imshow(matrix, cmap="Blues" if matrix.min() >= 0 else "RdBu_r", vmin=0 if matrix.min() >= 0 else -1.6 * limit,
                vmax=1.6 * limit, aspect="auto")
    for (row, column), value in np.ndenumerate(matrix):
        axis.text(column, row, f"{value:{form}}", ha="center", va="center", fontsize=15,
                  fontweight="bold" if right and row == column else "normal")
        if right and row == column:
            axis.add_patch(plt.Rectangle((column - 0.47, row - 0.46), 0.94, 0.92, fill=False, lw=2.2, edgecolor="black"))
    axis.set(xticks=range(matrix.shape[1]), yticks=range(len(matrix)), title=title or "",
             xticklabels=[f"{names[1]}{number + 1}" for number in range(matrix.shape[1])],
             yticklabels=[f"{names[0]}{number + 1}" for number in range(len(matrix))])
    axis.tick_params(length=0, labelsize=13)
    axis.grid(False)
    axis.spines[:].set_visible(False)
    lines = "; ".join(f"{names[0]}{number} {', '.join(f'{value:{form}}' for value in row)}"
                      for number, row in enumerate(matrix, 1))
    return figure.told(f"A square of {matrix.shape[1]} columns, the passages, and {len(matrix)} rows, the questions. {lines}.")


def curve(tables, xlabel):
    """Scores along a quantity, with 95 % intervals: {figure: table} with the columns x, label, value, low, high; a panel a
    figure, a line a label."""
    labels = list(dict.fromkeys(label for table in tables.values() for label in table.label))
    figure, axes = panels(len(tables), 2.3, more=0.25 * len(labels))
    said = []
    for axis, (key, table) in zip(axes, tables.items()):
        for label in reversed(labels):  # the first is drawn last, above the others
            part = table[table.label == label].sort_values("x")
            axis.errorbar(part.x, part.value, yerr=[part.value - part.low, part.high - part.value], capsize=2, elinewidth=1,
                          label=label, **look(label))
            said.append(f"{figure_label(key)}, {label}: " + ", ".join(
                f"{FIGURES[key].format(row.value)} at {row.x:g}" for row in part.itertuples()))
        axis.set(title=wrap(figure_label(key), 2), xlabel=xlabel)
    legend(figure, axes)
    return figure.told(f"Scores with 95 % intervals along {xlabel}. {'; '.join(said)}.")


def intervals(table, metric="map", label="label", title=None):
    """Dots with 95 % intervals: a panel a setting, a line a system. table: columns figure, value, low, high, one to name the
    lines by, and panel if there are several for a setting."""
    table = table[table.figure.isin([f"{setting} {metric}" for setting in SETTINGS])]
    parts = table.panel if "panel" in table else pd.Series("", table.index)
    arrows = {key: {True: " ↓", False: " ↑"}.get(FIGURES[key].lower_is_better, "") for key in set(table.figure)}
    table = table.assign(label=table[label], mark=table[label], panel=[
        f"{part}: {figure_label(key)}{arrows[key]}".removeprefix(": ") for part, key in zip(parts, table.figure)])
    table = table.sort_values("figure", key=lambda column: column.map(list(FIGURES).index), kind="stable")
    figure, _ = dots(table, title, 30, 1, numbers=lambda row: FIGURES[row.figure].format(row.value))
    said = [f"{panel}: {ranked(part.set_index('label').value.to_dict(), FIGURES[part.figure.iloc[0]].format)}"
            for panel, part in table.groupby("panel", sort=False)]
    return figure.told(f"{title or ''} Dots with 95 % intervals. {'. '.join(said)}.", f"{said[-1]}.")


def squares(tables, unit, form="{:.0f}".format, centre=None, by=("query language", "passage language"), caption=""):
    """Heatmaps, two in a row: {title: square table}, rows and columns named by. One alone has its numbers in it; of several
    a bar says what a shade is. centre: the value that is white; what is below it has a minus in it, for greyscale."""
    low = min(np.nanmin(table.to_numpy(float)) for table in tables.values())
    high = max(np.nanmax(table.to_numpy(float)) for table in tables.values())
    if centre is not None:
        reach = max(abs(low - centre), abs(high - centre))
        low, high = centre - reach, centre + reach
    columns = min(2, len(tables))
    titles = {title: wrap(title, columns) for title in tables}
    height = (5.2 if columns == 1 else 2.8) + 0.2 * any("\n" in title for title in titles.values())
    figure, axes = panels(len(tables), height, more=0.85)
    said = []
    for axis, (title, table) in zip(axes, tables.items()):
        values = table.to_numpy(float)
        if len(tables) == 1:
            numbers = table.map(lambda value: "" if np.isnan(value) else form(value))
        else:
            numbers = (table < (-np.inf if centre is None else centre)).replace({True: "–", False: ""})
        sns.heatmap(table, ax=axis, annot=numbers, fmt="", cmap="Blues" if centre is None else "PuOr", vmin=low, vmax=high,
                    square=True, cbar=False, linewidths=0.5, annot_kws={"fontsize": 9.5}, xticklabels=True, yticklabels=True)
        axis.set(xlabel="", ylabel="", title=titles[title])
        axis.tick_params(axis="both", rotation=0, length=0, pad=2, labelsize=10 if len(table) < 12 and columns == 1 else 9)
        same = np.eye(len(table), dtype=bool) if list(table.index) == list(table.columns) else np.zeros(table.shape, bool)
        diagonal = f"diagonal {form(np.nanmean(values[same]))}, " if same.any() else ""
        said.append(f"{title}: mean {diagonal}elsewhere {form(np.nanmean(values[~same]))}, "
                    f"from {form(np.nanmin(values))} to {form(np.nanmax(values))}")
    bar = figure.colorbar(axes[0].collections[0], ax=axes, orientation="horizontal", shrink=0.6, aspect=40,
                          label=f"{unit}\nrows: {by[0]}, columns: {by[1]}")
    bar.outline.set_visible(False)
    return figure.told(f"Squares of {by[0]} (rows) by {by[1]} (columns), {unit}. {'; '.join(said)}.", caption)


def shares(tables):
    """Squares of language_shares, {title: table}: a strong diagonal is same-language preference."""
    own = {title: 100 * np.mean(np.diag(table)) for title, table in tables.items()}
    said = "; ".join(f"{title} {value:.0f} %" for title, value in own.items())
    return squares({title: 100 * table for title, table in tables.items()}, "share of the ten best passages, in per cent",
                   caption=f"Share of the question's own language among the ten best: {said}. Without preference it would be "
                           f"{100 / len(next(iter(tables.values()))):.0f} %.")


def curves(logs):
    """Training and validation loss of several runs: {name: log}."""
    figure, (above, below) = panels(2, 2.4, columns=1, more=0.25 * -(-len(logs) // 3))
    last = {}
    for name, log in logs.items():
        loss, seen = log.dropna(subset="loss"), log.dropna(subset="validation_loss")
        style = look(name) | dict(markersize=5, label=name)
        above.plot(loss.step, loss.loss.rolling(5, min_periods=1, center=True).mean(), markevery=5, **style)
        below.plot(seen.step, seen.validation_loss, **style)
        last[name] = seen.validation_loss.iloc[-1] if len(seen) else np.nan
    above.set(title="Training loss, mean of 5 steps", ylabel="InfoNCE")
    below.set(title="Validation loss, the same batches for all", xlabel="step", ylabel="InfoNCE")
    legend(figure, [below], 3)
    said = f"Validation loss at the end: {ranked(last, '{:.3f}'.format, most=6)}."
    return figure.told(f"Curves of training and validation loss over steps. {said}", said)


def dumbbells(parts, title=None):
    """Monolingual against cross-lingual mAP by language: {title: table as metrics.transfer returns it}, or one."""
    parts = parts if isinstance(parts, dict) else {title or "": parts}
    rows = max(map(len, parts.values()))
    figure, axes = panels(len(parts), 0.24 * rows + 0.8, more=0.35, sharex=True)
    said = []
    for axis, (name, table) in zip(axes, parts.items()):
        table = table.sort_values("mono")
        axis.hlines(table.index, table.cross_from, table.mono, color="0.6", lw=2, zorder=1)
        axis.plot(table.mono, table.index, "o", color="black", label="monolingual")
        axis.plot(table.cross_from, table.index, "D", color="black", mfc="white", label="cross-lingual, mean of the others")
        axis.set(xlabel="mAP", title=wrap(name, len(parts)))
        gaps = (table.mono - table.cross_from).sort_values()
        said.append(f"{name}: ".lstrip(": ") + f"the gap is largest in {NAMES.get(gaps.index[-1], gaps.index[-1])} "
                    f"({gaps.iloc[-1]:.2f} mAP) and smallest in {NAMES.get(gaps.index[0], gaps.index[0])} ({gaps.iloc[0]:.2f})")
    axes[0].set_ylabel("query language")
    legend(figure, axes)
    return figure.told(f"Monolingual and cross-lingual mAP of each query language. {'; '.join(said)}.", f"{'; '.join(said)}.")


def space(parts):
    """Passage vectors in two dimensions (PCA): {title: (vectors, languages)}. Lumps by language are language bias."""
    codes = sorted(set().union(*(languages for _, languages in parts.values())))
    figure, axes = panels(len(parts), 2.7, more=0.22 * -(-len(codes) // 6) + 0.1)
    said = []
    for axis, (title, (vectors, languages)) in zip(axes, parts.items()):
        centred = vectors - vectors.mean(axis=0)
        _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
        flat = centred @ directions[:2].T                              # (passages, 2)
        for code in codes:
            colour, marker = language_look(code)
            axis.plot(*flat[languages == code].T, marker, color=colour, ms=4, alpha=0.6, mew=0, label=code)
        seen = 100 * (sizes[:2] ** 2).sum() / (sizes ** 2).sum()
        axis.set(title=wrap(title, 2), xlabel=f"two axes: {seen:.0f} % of the variance", xticks=[], yticks=[])
        said.append(f"{title}: the two axes hold {seen:.0f} % of the variance")
    legend(figure, axes, 6, handlelength=1, columnspacing=1.2, markerscale=1.6)
    return figure.told(f"Passages of {len(codes)} languages as points in a plane, a mark a language. {'; '.join(said)}.")


def lengths(card):
    """Boxes of text lengths in characters, the whiskers from 5 to 95 %; card: see cards.card."""
    figure, axes = panels(2, 2.2, columns=1)
    said = []
    for axis, field in zip(axes, ("query", "passage")):
        parts = {code: part[f"{field} characters"] for code, part in card["languages"].items()}
        boxes = [dict(zip(("whislo", "q1", "med", "q3", "whishi"), values), label=code)
                 for code, values in parts.items() if values]
        if boxes:
            axis.bxp(boxes, showfliers=False, patch_artist=True, boxprops=dict(facecolor="0.85"),
                     medianprops=dict(color="black"))
            said.append(f"Median length of a {field}: {ranked({box['label']: box['med'] for box in boxes}, '{:.0f}'.format)}")
        axis.set(title=f"{field}, characters", ylim=(0, None))
        axis.tick_params(axis="x", rotation=90 if len(boxes) > 16 else 0)
        axis.grid(axis="x", visible=False)
    return figure.told(f"Boxes of text lengths by language. {'. '.join(said)}.", f"{'. '.join(said)}." if said else "")


def coverage(card):
    """How many items each pair of languages shares; card: see cards.card. One number, where all pairs share as many."""
    languages, items = card["coverage"]["languages"], np.array(card["coverage"]["items"])
    pairs = items[~np.eye(len(items), dtype=bool)]
    same = len(set(items.flat)) == 1
    figure, (axis,) = panels(1, (0.2 if same else 0.3) * len(languages) + 0.9)
    sns.heatmap(items, ax=axis, cmap="Blues", vmin=0, vmax=2 * items.max(initial=1), square=True, cbar=False, linewidths=0.5,
                annot=not same and len(languages) < 12, fmt="d",
                annot_kws={"fontsize": 9 if items.max(initial=1) < 1000 else 7}, xticklabels=languages, yticklabels=languages)
    said = (f"Every pair of the {len(languages)} languages shares the same {items.flat[0]} items." if same else
            f"Two of the {len(languages)} languages share {pairs.min()} to {pairs.max()} items.")
    if same:
        axis.text(len(items) / 2, len(items) / 2, f"{items.flat[0]} items\nin every pair", ha="center", va="center", fontsize=14)
    axis.set_title("Items that two languages share")
    axis.tick_params(rotation=0, length=0)
    return figure.told(f"A square of languages by languages. {said}", said)


def rank_strips(strips, own, last):
    """Where the parallel answers of one question land in the mixed pool: a strip an encoder, the rank along it on a logarithmic
    scale. strips: {name: {language: rank}}; own: the language of the question, set in bold; last: the size of the pool."""
    figure, axes = panels(len(strips), 1.3, columns=1, more=0.25, sharex=True)
    said = []
    for axis, (name, ranks) in zip(axes, strips.items()):
        axis.hlines(0, 1, last, color="0.75", lw=6, zorder=0)
        axis.axvspan(0.85, 10.5, color=LOOKS["Hybrid"][0], alpha=0.12, lw=0)
        for place, (language, rank) in enumerate(sorted(ranks.items(), key=lambda pair: pair[1])):
            height = (0.42, -0.42, 0.85, -0.85)[place % 4]  # so that labels of neighbours do not meet
            axis.plot([rank, rank], [0, height * 0.7], color="0.4", lw=0.8, zorder=1)
            axis.plot(rank, 0, "o" if rank <= 10 else "D", color=LOOKS["Hybrid" if rank <= 10 else "X-Y"][0], ms=7, zorder=2)
            axis.text(rank, height, language, ha="center", va="center", fontweight="bold" if language == own else "normal")
        axis.set(ylim=(-1.2, 1.2), yticks=[], xscale="log", xlim=(0.85, last))
        found, worst = sum(rank <= 10 for rank in ranks.values()), max(ranks.values())
        axis.set_title(wrap(f"{name}: {found} of {len(ranks)} answers in the first ten, the last at rank {worst:,}"))
        axis.grid(False)
        axis.spines["left"].set_visible(False)
        said.append(f"{name}: " + ", ".join(f"{NAMES.get(code, code)} {rank}" for code, rank in sorted(
            ranks.items(), key=lambda pair: pair[1])))
    ticks = [tick for tick in (1, 10, 100, 1000, 10_000) if tick <= last]
    axes[-1].set(xticks=ticks, xticklabels=[f"{tick:,}" for tick in ticks], xlabel="rank among the sentences of all languages")
    axes[-1].minorticks_off()
    return figure.told(f"Ranks of the parallel answers of one question in {NAMES.get(own, own)} among {last:,} sentences. "
                       f"{'; '.join(said)}.")


def pairs(tables, unit="mAP, hundredths", centre=None, form=lambda value: f"{round(value):+d}", caption=""):
    """Squares by query language (rows) and passage language (columns): {title: square table}, shown as unit."""
    return squares(tables, unit, form, centre, caption=caption)


def similarity(parts):
    """Batches with their similarity matrices: {title: (drawn, scores)}; drawn: one batch of sampler.explain with n pairs; scores:
    (n, n) cosines of queries (rows) and passages (columns). The framed diagonal holds the right pairs, all else is negative."""
    said = []
    figure, axes = panels(len(parts), 2.9 if len(parts) > 1 else 4.2)
    low, high = (end(np.min(s) if end is min else np.max(s) for _, s in parts.values()) for end in (min, max))
    for axis, (title, (drawn, scores)) in zip(axes, parts.items()):
        sns.heatmap(scores, ax=axis, annot=True, fmt=".2f", cmap="Blues", vmin=low - (high - low) / 4, vmax=high, square=True,
                    cbar=False, linewidths=0.5, annot_kws={"fontsize": 9}, xticklabels=list(drawn.passage_language),
                    yticklabels=list(drawn.query_language))
        for place in range(len(scores)):
            axis.add_patch(plt.Rectangle((place + 0.04, place + 0.04), 0.92, 0.92, fill=False, lw=2.2, edgecolor="black"))
        axis.set(title=wrap(title, len(parts)), xlabel="passage", ylabel="query")
        axis.tick_params(rotation=0, length=0)
        own = np.eye(len(scores), dtype=bool)
        said.append(f"{title}: right pairs {scores[own].mean():.2f} in the mean, negatives {scores[~own].mean():.2f}")
    return figure.told(f"Squares of cosines, a row a query and a column a passage, the right pair framed on the diagonal. "
                       f"{'; '.join(said)}.", f"Mean cosine. {'; '.join(said)}.")


def dual_encoder(query, passage, vectors):
    """How a dual encoder works: one network reads a query and a passage; the score is the cosine of the two vectors. query,
    passage: texts; vectors: (2, dimensions), of which the first coordinates are drawn."""
    vectors = np.asarray(vectors)
    figure, (axis,) = panels(1, 4)
    score = float(vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1]))
    box = dict(boxstyle="round,pad=0.5", fc="#f2f2f2", ec=GREY)
    arrow = dict(arrowprops=dict(arrowstyle="-|>", color="black"), ha="center")
    for x, what, text, vector in ((0.25, "query", query, vectors[0]), (0.75, "passage", passage, vectors[1])):
        axis.text(x, 0.97, what, ha="center", va="bottom", fontweight="bold")
        axis.text(x, 0.94, textwrap.fill(text, 26), ha="center", va="top", bbox=box)
        for start, end in ((0.68, 0.60), (0.48, 0.38), (0.22, 0.12)):
            axis.annotate("", (x if end > 0.2 else 0.5 + 0.16 * np.sign(x - 0.5), end), (x, start), **arrow)
        cells = vector[:12] / np.abs(vector[:12]).max()
        axis.imshow(cells[None], cmap="PuOr", vmin=-1, vmax=1, extent=(x - 0.18, x + 0.18, 0.27, 0.36), aspect="auto")
        axis.text(x, 0.255, f"{len(vector)} numbers", ha="center", va="top")
    axis.text(0.5, 0.54, "one encoder E, the same for both", ha="center", va="center",
              bbox=dict(boxstyle="round,pad=0.6", fc="#cfe3f1", ec=LOOKS["Hybrid"][0], lw=1.5))
    axis.text(0.5, 0.08, f"score: cosine = {score:.2f}", ha="center", va="center", fontweight="bold", bbox=box)
    axis.set(xlim=(0, 1), ylim=(0, 1.05))
    axis.axis("off")
    said = f"One encoder turns a query and a passage into vectors; their cosine, here {score:.2f}, is the score."
    return figure.told(f"Diagram of a dual encoder: query and passage go through the same network, each becomes a vector of "
                       f"{vectors.shape[1]} numbers. {said}", said)
