"""How every figure of the book looks, and the words that it brings.

LOOKS and LANGUAGES say how a condition and a language look wherever they appear: a colour that colour-blind readers tell
from the others, and a mark and a line style that a greyscale print keeps. A figure is as wide as a phone shows it without
making its letters too small (WIDTH).
"""

import io
import textwrap
import zlib

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython import get_ipython
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

WIDTH = 5.2  # inches, 374 points: letters of 10 points are 9.5 pixels high where a phone leaves 358 pixels
GREY = "#555555"
DASHED, DOTTED, DASH_DOT, LONG = "--", ":", "-.", (0, (7, 2))
LOOKS = {  # of the first key that the name of a condition contains: colour, mark, line style
    "XLM-R": (GREY, "H", DASHED), "LaBSE": (GREY, "8", DOTTED),
    "merged": ("#999933", "h", DASHED), "no reasoning": ("#0072B2", "o", "-"), "neutral": ("#7570B3", "d", DOTTED),
    "anti-signal": ("#882255", "*", DASH_DOT), "extra": ("#8C510A", "X", DASHED), "parallel": ("#44AA99", "p", LONG),
    "centre": ("#009E73", "D", "-"), "reasoning": ("#009E73", "D", "-"), "X-X-mono": ("#56B4E9", "^", DASHED),
    "X-X": ("#E69F00", "s", DOTTED), "X-Y": ("#D55E00", "v", DASH_DOT), "Hybrid": ("#0072B2", "o", "-"),
    "hybrid": ("#0072B2", "o", "-"), "En-En": ("#CC79A7", "P", LONG), "untrained": ("#000000", "o", DOTTED),
    "elsewhere": ("#000000", "X", DOTTED), "centring": ("#000000", "s", DOTTED), "LIR": ("#000000", "<", DOTTED),
    "LSAR": ("#000000", ">", DOTTED), "SHIFT": ("#000000", "^", DOTTED), "CSLS": ("#000000", "*", DOTTED),
    "all layers": ("#0072B2", "o", "-"), "last layer": ("#D55E00", "v", DASH_DOT), "USE": ("#CC79A7", "P", DASHED)}
OTHERS = [("#332288", "<", "-"), ("#AA4499", ">", DASHED), ("#117733", "H", DASH_DOT), ("#CC6677", "8", LONG)]
LANGUAGES = {  # colour, mark; the code of the language stands beside them
    "ar": ("#882255", "o"), "de": ("#117733", "s"), "el": ("#44AA99", "^"), "en": ("#332288", "v"), "es": ("#DDCC77", "D"),
    "hi": ("#CC6677", "P"), "ru": ("#AA4499", "X"), "th": ("#999933", "*"), "tr": ("#661100", "<"), "vi": ("#88CCEE", ">"),
    "zh": ("#6699CC", "h")}


def set_style():
    """Let figures look like those of the book, whatever was set before."""
    plt.rcdefaults()
    sns.set_theme(style="whitegrid", rc={
        "axes.titleweight": "bold", "axes.titlesize": 10.5, "axes.titlelocation": "left", "axes.labelsize": 10, "font.size": 10,
        "xtick.labelsize": 10, "ytick.labelsize": 10, "legend.fontsize": 10, "legend.frameon": False, "legend.handlelength": 2.5,
        "axes.spines.top": False, "axes.spines.right": False, "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
        "svg.fonttype": "none", "svg.hashsalt": "hybrid-batch"})  # letters, not paths, and the same file each time


set_style()


class Picture(Figure):
    """A figure with words: alt, what it shows to those who do not see it, and caption, what it says. Notebooks show it as
    SVG with these as the output's metadata, and the book sets them (see book.describe)."""

    alt, caption = "", ""

    def told(self, alt, caption=""):
        self.alt, self.caption = " ".join(alt.split()), caption
        return self


def svg(figure):
    """(SVG, metadata) of a figure, as IPython's formatters have them. A figure whose layout nothing has fitted to its size
    becomes as large as its labels need."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, bbox_inches=None if figure.get_layout_engine() else "tight")
    return file.getvalue(), {"alt": getattr(figure, "alt", "") or described(figure), "caption": getattr(figure, "caption", "")}


def described(figure):
    """What a figure that has no words of its own shows: its titles, and where each line begins and ends, or its bars."""
    said = []
    for axis in figure.axes:
        lines = [(line.get_label(), line.get_xdata(), line.get_ydata()) for line in axis.lines if len(line.get_xdata())]
        values = [f"{'' if name.startswith('_') else name + ' '}from ({x[0]:.3g}, {y[0]:.3g}) to ({x[-1]:.3g}, {y[-1]:.3g})"
                  for name, x, y in lines if all(isinstance(end, (int, float, np.number)) for end in (x[0], y[0]))]
        values += [f"bars of {', '.join(f'{value:.3g}' for value in bars.datavalues)}"
                   for bars in axis.containers if isinstance(bars, BarContainer)]
        title = axis.get_title() or axis.get_title("left")
        about = " against ".join(filter(None, (axis.get_ylabel(), axis.get_xlabel())))
        said.append(": ".join(filter(None, (title, about, "; ".join(values[:12])))))
    return " ".join(". ".join(filter(None, said)).split()) + "."


if shell := get_ipython():
    from matplotlib_inline import backend_inline, config
    backend_inline.configure_inline_support(shell, "module://matplotlib_inline.backend_inline")  # now, not after the cell
    config.InlineBackend.instance(parent=shell).figure_formats = {"svg"}
    shell.display_formatter.formatters["image/svg+xml"].for_type(Figure, svg)


def look(name):
    """How a condition is drawn, as options of plot: hollow what is not trained, half filled what is changed after training."""
    untrained = name.startswith("untrained")
    known = name.removeprefix("untrained").strip(",; ") or "untrained"
    colour, marker, line = next((LOOKS[key] for key in LOOKS if key in known),
                                OTHERS[zlib.crc32(known.encode()) % len(OTHERS)])
    changed = not untrained and any(system in name for system in ("centring", "interpolated", "LSAR"))
    return dict(color=colour, marker=marker, linestyle=line, markersize=7, markeredgecolor=colour, markeredgewidth=1.4,
                markerfacecolor="white" if untrained else colour, markerfacecoloralt="white",
                fillstyle="left" if changed else "full")


def language_look(code):
    """(colour, mark) of a language; of one that the table does not have, one of the table's."""
    return LANGUAGES.get(code) or list(LANGUAGES.values())[zlib.crc32(code.encode()) % len(LANGUAGES)]


def panels(count, height, columns=2, more=0.0, **options):
    """(Picture, axes): panels of a height in inches, at most two in a row, and more inches for a legend."""
    columns = min(columns, count)
    lines = -(-count // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(WIDTH, height * lines + more), squeeze=False, layout="constrained",
                                FigureClass=Picture, **options)
    for axis in axes.flat[count:]:
        axis.remove()
    return figure, list(axes.flat[:count])


def wrap(text, columns=1):
    return textwrap.fill(str(text), 56 if columns == 1 else 24)


def legend(figure, axes, columns=2, **options):
    """One legend below all panels, without repetitions."""
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(handles.values(), handles, loc="outside lower left", ncols=columns, **options)


def arms(value, row):
    """The error bars of a value with low and high, as errorbar has them; None without."""
    return [[value - row.low], [row.high - value]] if np.isfinite(row.low) else None


def ranked(values, form, most=4):
    """In words, the highest of some values, {name: value}, and the lowest."""
    order = sorted(values.items(), key=lambda pair: -pair[1])
    shown = order if len(order) <= most else [*order[:most - 1], order[-1]]
    return ", ".join(f"{name} {form(value)}" for name, value in shown) + f" (lowest of {len(order)})" * (len(order) > most)


def dots(table, title=None, wrapped=22, columns=2, zero=False, style=look, numbers=False, more=0.0):
    """(Picture, axes): dots with intervals, a panel for each value of panel, a line for each label. table: label, panel, value,
    low, high, and mark, the name whose look a dot has. zero: draw a line there; numbers: a function of a row, what stands beside
    its dot."""
    shown, names = list(dict.fromkeys(table.panel)), list(dict.fromkeys(table.label))
    lines = [textwrap.fill(name, wrapped) for name in names]
    height = len(lines) * (0.25 + 0.15 * max(line.count("\n") for line in lines)) + 0.65
    figure, axes = panels(len(shown), height, columns, more + 0.3 * bool(title), sharey=True)
    for axis, panel in zip(axes, shown):
        if zero:
            axis.axvline(0, color=GREY, lw=1)
        part = table[(table.panel == panel) & table.value.notna()]
        beside = part.groupby("label").cumcount() - 0.5 * (part.groupby("label").label.transform("size") - 1)
        for row, shift in zip(part.itertuples(), beside):
            place = names.index(row.label) + 0.28 * shift
            axis.errorbar(row.value, place, xerr=arms(row.value, row), capsize=3, label=row.mark,
                          **style(row.mark) | dict(linestyle=""))
            if numbers:
                axis.text(1.02, place, numbers(row), transform=axis.get_yaxis_transform(), va="center")
        axis.set(title=wrap(panel, min(columns, len(shown))), yticks=range(len(names)), yticklabels=lines,
                 ylim=(len(names) - 0.5, -0.5))
        axis.locator_params(axis="x", nbins=4, steps=[1, 2, 5, 10])  # else 0.025 and its like run into one another
    if title:
        figure.suptitle(wrap(title), x=0.01, ha="left", fontweight="bold", fontsize=10.5)
    return figure, axes
