"""Every figure of the book, in one look.

Colours are told apart by colour-blind readers, and every difference that matters is
carried by a marker, a number or a label as well, so that a greyscale print tells as much.
Each function returns the matplotlib figure and takes tables that other modules return.
"""

import html

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import HTML

from hybrid_batch.data.languages import RIGHT_TO_LEFT
from hybrid_batch.metrics import FIGURES, SETTINGS, figure_label

MARKERS = "osD^vP*Xhd<>"
sns.set_theme(style="whitegrid", context="notebook", palette="colorblind", rc={
    "figure.dpi": 110, "savefig.bbox": "tight", "axes.titleweight": "bold", "axes.titlesize": 12,
    "axes.spines.top": False, "axes.spines.right": False, "font.size": 11})


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
    """What a strategy draws, as sampler.explain returns it: a row a batch, a cell a pair, "query → passage" in it,
    in the shades of its two languages, with a bold frame when they differ."""
    count, slots = drawn.batch.nunique(), drawn.slot.max() + 1
    languages = languages or sorted({*drawn.query_language, *drawn.passage_language})
    shade = dict(zip(languages, sns.color_palette("pastel", len(languages)) if len(languages) <= 10
                     else sns.husl_palette(len(languages), l=0.85, s=0.6)))
    figure, axis = plt.subplots(figsize=(1.0 * slots + 2.6, 0.52 * count + 0.9))
    for pair in drawn.itertuples():
        crosses = pair.query_language != pair.passage_language
        for half, language in ((0, pair.query_language), (0.5, pair.passage_language)):
            axis.add_patch(plt.Rectangle((pair.slot + half, pair.batch), 0.5, 0.92, color=shade[language], lw=0))
        axis.text(pair.slot + 0.5, pair.batch + 0.46, f"{pair.query_language} → {pair.passage_language}", fontsize=9.5,
                  ha="center", va="center", color="black", fontweight="bold" if crosses else "normal")
        axis.add_patch(plt.Rectangle((pair.slot + 0.02, pair.batch + 0.02), 0.96, 0.88, fill=False,
                                     lw=1.4 if crosses else 0.4, edgecolor="black"))
    axis.set(xlim=(0, slots), ylim=(count, 0), xticks=np.arange(slots) + 0.5, xticklabels=np.arange(slots) + 1,
             xlabel="pair in the batch", yticks=np.arange(count) + 0.46,
             yticklabels=drawn.groupby("batch").kind.first())
    axis.set_title(title or "", loc="left")
    axis.grid(False)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


def intervals(table, metric="map", label="label", title=None):
    """Dots with 95 % intervals: a panel a setting, a line a system. table: columns figure, value, low, high, and one to
    name the lines by."""
    table = table[table.figure.isin([f"{setting} {metric}" for setting in SETTINGS])]
    figures, names = [f for f in FIGURES if f in set(table.figure)], list(dict.fromkeys(table[label]))
    figure, axes = plt.subplots(1, len(figures), figsize=(2.3 * len(figures) + 2.2, 0.46 * len(names) + 1.5),
                                sharey=True, squeeze=False)
    for axis, shown in zip(axes[0], figures):
        part = table[table.figure == shown].set_index(label).reindex(names)
        for place, row in enumerate(part.itertuples()):
            axis.errorbar(row.value, place, xerr=[[row.value - row.low], [row.high - row.value]], capsize=3,
                          marker=MARKERS[place % len(MARKERS)], color=sns.color_palette()[place % 10], ms=8)
            axis.annotate(FIGURES[shown].format(row.value), (row.value, place), xytext=(0, 7), textcoords="offset points",
                          ha="center", fontsize=8.5)
        axis.set(title=SETTINGS[shown.split(" ")[0]], yticks=range(len(names)), yticklabels=names,
                 xlabel=FIGURES[shown].label, ylim=(len(names) - 0.5, -0.7))
        axis.margins(x=0.18)
    if title:
        figure.suptitle(title, x=0.02, ha="left", fontweight="bold")
    figure.tight_layout()
    return figure


def shares(tables):
    """Heatmaps of language_shares, two in a row: {title: table}. Rows are query languages,
    numbers are per cent; a strong diagonal is same-language preference."""
    top = max(table.to_numpy().max() for table in tables.values())
    columns, lines = min(2, len(tables)), -(-len(tables) // 2)
    figure, axes = plt.subplots(lines, columns, figsize=(4.9 * columns, 4.7 * lines), squeeze=False)
    for axis in axes.flat[len(tables):]:
        axis.remove()
    for axis, (title, table) in zip(axes.flat, tables.items()):
        sns.heatmap(100 * table, ax=axis, annot=True, fmt=".0f", cmap="Blues", vmin=0, vmax=100 * top, square=True,
                    cbar=False, linewidths=0.5, annot_kws={"fontsize": 9})
        axis.set(title=title, xlabel="passage language", ylabel="query language")
        axis.tick_params(axis="y", rotation=0)
    figure.tight_layout()
    return figure


def curves(logs):
    """Training and validation loss of several runs: {name: log}."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
    styles = ["-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1))]
    for number, (name, log) in enumerate(logs.items()):
        style = dict(color=sns.color_palette()[number % 10], marker=MARKERS[number % len(MARKERS)], ms=5)
        loss = log.dropna(subset="loss")
        smooth = loss.loss.rolling(5, min_periods=1, center=True).mean()
        axes[0].plot(loss.step, smooth, ls=styles[number % len(styles)], label=name, markevery=5, **style)
        seen = log.dropna(subset="validation_loss")
        axes[1].plot(seen.step, seen.validation_loss, ls=styles[number % len(styles)], label=name, **style)
    axes[0].set(title="Training loss (mean of 5 steps)", xlabel="step", ylabel="InfoNCE")
    axes[1].set(title="Validation loss (same batches for all)", xlabel="step", ylabel="InfoNCE")
    axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.tight_layout()
    return figure


def dumbbells(table, title=None):
    """Monolingual against cross-lingual mAP by language; table: as metrics.transfer returns it."""
    table = table.sort_values("mono")
    figure, axis = plt.subplots(figsize=(6.4, 0.36 * len(table) + 1.4))
    axis.hlines(table.index, table.cross_from, table.mono, color="0.6", lw=2, zorder=1)
    axis.scatter(table.mono, table.index, marker="o", s=60, label="monolingual", zorder=2)
    axis.scatter(table.cross_from, table.index, marker="D", s=50, label="cross-lingual, mean of the others", zorder=2)
    axis.set(xlabel="mAP", ylabel="query language", title=title or "")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16 - 0.3 / len(table)), ncol=2, frameon=False)
    return figure


def space(parts, labels=True):
    """Passage vectors in two dimensions (PCA): {title: (vectors, languages)}. A language's
    code stands at the mean of its vectors; lumps by language are language bias."""
    figure, axes = plt.subplots(1, len(parts), figsize=(5.2 * len(parts), 4.6), squeeze=False)
    for axis, (title, (vectors, languages)) in zip(axes[0], parts.items()):
        centred = vectors - vectors.mean(axis=0)
        _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
        flat = centred @ directions[:2].T                              # (passages, 2)
        for number, language in enumerate(sorted(set(languages))):
            here = flat[languages == language]
            colour = sns.husl_palette(len(set(languages)), l=0.5)[number]
            axis.scatter(*here.T, s=12, alpha=0.45, color=colour, marker=MARKERS[number % len(MARKERS)], lw=0)
            if labels:
                axis.text(*here.mean(axis=0), language, fontweight="bold", ha="center", va="center",
                          bbox=dict(boxstyle="round,pad=0.2", fc="white", ec=colour, alpha=0.85))
        seen = 100 * (sizes[:2] ** 2).sum() / (sizes ** 2).sum()
        axis.set(title=f"{title}\n(two axes hold {seen:.0f} % of the variance)", xticks=[], yticks=[])
    figure.tight_layout()
    return figure


def lengths(card):
    """Boxes of text lengths in characters, the whiskers from 5 to 95 %; card: see cards.card."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4))
    for axis, field in zip(axes, ("query", "passage")):
        parts = {code: part[f"{field} characters"] for code, part in card["languages"].items()}
        boxes = [dict(zip(("whislo", "q1", "med", "q3", "whishi"), values), label=code)
                 for code, values in parts.items() if values]
        if boxes:
            axis.bxp(boxes, showfliers=False, patch_artist=True, boxprops=dict(facecolor="0.85"),
                     medianprops=dict(color="black"))
        axis.set(title=field, ylabel="characters", ylim=(0, None))
        axis.tick_params(axis="x", rotation=90 if len(boxes) > 16 else 0)
        axis.grid(axis="x", visible=False)
    figure.tight_layout()
    return figure


def coverage(card):
    """How many items each pair of languages shares; card: see cards.card."""
    languages, items = card["coverage"]["languages"], np.array(card["coverage"]["items"])
    size = 2 + 0.34 * len(languages)
    figure, axis = plt.subplots(figsize=(size + 0.8, size))
    sns.heatmap(items, ax=axis, annot=True, fmt="d", cmap="Blues", vmin=0, vmax=2 * items.max(initial=1), square=True,
                cbar=False, linewidths=0.5, annot_kws={"fontsize": 9 if items.max(initial=1) < 1000 else 6},
                xticklabels=languages, yticklabels=languages)
    axis.set(xlabel="", ylabel="", title="Items that two languages share")
    axis.tick_params(axis="y", rotation=0)
    return figure


def line(tables, xlabel):
    """Figures along a quantity, with 95 % intervals: {title: table} with the columns x, label, value, low, high; a
    panel a title, a line a label."""
    columns = min(2, len(tables))
    lines = -(-len(tables) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(5 * columns, 3.4 * lines), squeeze=False)
    for axis in axes.flat[len(tables):]:
        axis.remove()
    for axis, (title, table) in zip(axes.flat, tables.items()):
        for number, (name, part) in enumerate(table.groupby("label", sort=False)):
            part = part.sort_values("x")
            axis.errorbar(part.x + 0.006 * number, part.value, yerr=[part.value - part.low, part.high - part.value],
                          marker=MARKERS[number], ls=["-", "--", "-.", ":"][number % 4], capsize=3, label=name,
                          color=sns.color_palette()[number % 10])
        axis.set(title=title, xlabel=xlabel)
    axes[0][0].legend(frameon=False, fontsize=9)
    figure.tight_layout()
    return figure


def forest(table, title=None):
    """Differences with 95 % intervals, a line each; filled: significant after Holm's correction. table: label, difference, low,
    high, significant, and panel."""
    panels, names = list(dict.fromkeys(table.panel)), list(dict.fromkeys(table.label))
    figure, axes = plt.subplots(1, len(panels), figsize=(2.4 * len(panels) + 2.6, 0.36 * len(names) + 1.4), sharey=True,
                                squeeze=False)
    for axis, panel in zip(axes[0], panels):
        axis.axvline(0, color="0.4", lw=1)
        part = table[table.panel == panel].set_index("label").reindex(names)
        for place, row in enumerate(part.itertuples()):
            axis.errorbar(row.difference, place, xerr=[[row.difference - row.low], [row.high - row.difference]],
                          marker="o" if row.significant is True else "D", capsize=3,
                          mfc=None if row.significant is True else "white",
                          color=sns.color_palette()[0] if row.significant is True else "0.35")
        axis.set(title=panel, yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
        axis.tick_params(axis="x", rotation=45)
    if title:
        figure.suptitle(title, x=0.02, ha="left", fontweight="bold")
    figure.tight_layout()
    return figure


def rank_strips(strips, own, last):
    """Where the parallel answers of one question land in the mixed pool: a strip an encoder, the rank along it on a logarithmic
    scale. strips: {name: {language: rank}}; own: the language of the question, set in bold; last: the size of the pool."""
    figure, axes = plt.subplots(len(strips), 1, figsize=(7.2, 1.25 * len(strips) + 0.6), sharex=True, squeeze=False)
    for axis, (name, ranks) in zip(axes[:, 0], strips.items()):
        axis.hlines(0, 1, last, color="0.75", lw=6, zorder=0)
        axis.axvspan(0.85, 10.5, color=sns.color_palette()[0], alpha=0.12, lw=0)
        for place, (language, rank) in enumerate(sorted(ranks.items(), key=lambda pair: pair[1])):
            height = (0.42, -0.42, 0.8, -0.8)[place % 4]  # so that labels of neighbours do not meet
            axis.plot([rank, rank], [0, height * 0.7], color="0.4", lw=0.8, zorder=1)
            axis.plot(rank, 0, "o" if rank <= 10 else "D", color=sns.color_palette()[0 if rank <= 10 else 1], ms=7, zorder=2)
            axis.text(rank, height, language, ha="center", va="center", fontsize=10,
                      fontweight="bold" if language == own else "normal")
        axis.set(ylim=(-1.15, 1.15), yticks=[], xscale="log", xlim=(0.85, last))
        first, worst = min(ranks.values()), max(ranks.values())
        axis.set_title(f"{name}: the answers are at ranks {first} to {worst}", loc="left", fontsize=11)
        axis.grid(False)
        axis.spines["left"].set_visible(False)
    ticks = [tick for tick in (1, 10, 100, 1000, 10_000) if tick <= last]
    axes[-1, 0].set(xticks=ticks, xticklabels=[f"{tick:,}" for tick in ticks], xlabel="rank in the pool of all languages")
    axes[-1, 0].minorticks_off()
    figure.tight_layout()
    return figure


def pairs(tables, form=".2f", centre=None):
    """Heatmaps by query language (rows) and passage language (columns): {title: square table}. centre: a value that
    is white, for differences."""
    columns, lines = min(2, len(tables)), -(-len(tables) // 2)
    figure, axes = plt.subplots(lines, columns, figsize=(5.4 * columns, 4.9 * lines), squeeze=False)
    for axis in axes.flat[len(tables):]:
        axis.remove()
    low = min(table.min().min() for table in tables.values())
    high = max(table.max().max() for table in tables.values())
    if centre is not None:
        high = max(abs(low - centre), abs(high - centre))
        low, high = centre - high, centre + high
    for axis, (title, table) in zip(axes.flat, tables.items()):
        sns.heatmap(table, ax=axis, annot=True, fmt=form, cmap="Blues" if centre is None else "PuOr", vmin=low, vmax=high,
                    square=True, cbar=False, linewidths=0.5, annot_kws={"fontsize": 7.5})
        axis.set(title=title, xlabel="passage language", ylabel="query language")
        axis.tick_params(axis="y", rotation=0)
    figure.tight_layout()
    return figure


def tradeoff(table, title=None):
    """Systems by two figures, with 95 % intervals in both: a point a system, a marker and a colour each; what is not trained is
    hollow. table: columns label, figure (two of them, the first along x), value, low, high, trained."""
    across, up = list(dict.fromkeys(table.figure))
    figure, axis = plt.subplots(figsize=(6.6, 5))
    for place, (name, part) in enumerate(table.groupby("label", sort=False)):
        x, y = (part[part.figure == shown].iloc[0] for shown in (across, up))
        colour = sns.color_palette()[place % 10]
        axis.errorbar(x.value, y.value, xerr=[[x.value - x.low], [x.high - x.value]],
                      yerr=[[y.value - y.low], [y.high - y.value]], marker=MARKERS[place % len(MARKERS)], ms=9, color=colour,
                      mfc=colour if x.trained else "white", mew=1.6, elinewidth=0.8, ls="", label=name)
    axis.set(xlabel=figure_label(across), ylabel=figure_label(up), title=title or "")
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=9)
    figure.tight_layout()
    return figure
