"""Tables as the book shows them."""

import html

import pandas as pd
from IPython.display import HTML

from hybrid_batch import metrics


def plain_table(table, title=None, index=True):
    """A table to show: words left, numbers right, a dash for what is missing, an arrow that says which way is better. Folded
    under a title, if it has one. Names of its lines are kept unless index is False."""
    if index and not isinstance(table.index, pd.RangeIndex):
        table = table.reset_index(names=table.index.name or "")
    cells = table.astype(object).where(table.notna(), "–").astype(str)
    names = [": ".join(filter(None, column)) if isinstance(column, tuple) else str(column) for column in cells]
    numeric = [cells.iloc[:, place].str.match(r"[-+−<]? ?\d|–$").all() for place in range(len(names))]
    sides = ["number" if one else "words" for one in numeric]

    def line(values, tag):
        tags = [tag if value else "td" for value in values]  # a header is not empty
        parts = (f'<{tag} class="{side}">{html.escape(value)}</{tag}>' for tag, side, value in zip(tags, sides, values))
        return f"<tr>{''.join(parts)}</tr>"

    made = (f'<table class="dataframe"><thead>{line([directed(name) for name in names], "th")}</thead>'
            f'<tbody>{"".join(line(row, "td") for row in cells.to_numpy())}</tbody></table>')
    return fold(title, HTML(made)) if title else HTML(made)


def fold(title, *parts):
    """Parts of a page, HTML each, folded under a title."""
    body = "".join(part.data for part in parts)
    return HTML(f"<details class='folded'><summary>{html.escape(title)}</summary>{body}</details>")


def directed(name):
    """A column's name with an arrow, if it ends with a measure that has a better direction: up is higher."""
    arrows = {metrics.figure_label(key): {True: " ↓", False: " ↑", None: ""}[metric.lower_is_better]
              for key, metric in metrics.FIGURES.items()}
    return name + arrows.get(name.rsplit(": ", 1)[-1], "")


def p_value(p):
    """A p-value as the book writes it."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"
