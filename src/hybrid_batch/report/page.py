"""A report as one HTML file that needs nothing else: tables, pictures and text, everything escaped."""

import base64
import html

import matplotlib.pyplot as plt

from hybrid_batch.report.picture import svg

STYLE = """
:root { color-scheme: light dark; --line: #8886 }
body { font: 1rem/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem }
h1 { font-size: 1.6rem; line-height: 1.2 } h2 { font-size: 1.2rem; margin-top: 2.5rem }
.scroll { overflow-x: auto } .scroll:focus-visible { outline: 3px solid Highlight }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0 }
caption { text-align: start; padding-bottom: .5rem }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .75rem; text-align: end; white-space: nowrap }
th[scope=row], th:first-child, .text { text-align: start } td.text { min-width: 9rem; white-space: normal }
figure { margin: 1rem 0 } img { max-width: 100%; background: #fff }
.pair { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)) }
"""


def page(title, *parts):
    """A page: its title, and parts that the functions below make."""
    title = html.escape(title)
    return (f"<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><title>{title}</title>"
            f'<meta name=viewport content="width=device-width, initial-scale=1"><link rel=icon href="data:,">'
            f"<style>{STYLE}</style></head>\n<body><main><h1>{title}</h1>\n" + "\n".join(parts) + "\n</main></body></html>\n")


def heading(text):
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text):
    return f"<p>{html.escape(text)}</p>"


def table(frame, caption, text=()):
    """A data frame as a table; its first column names the rows. text: columns to set from the left."""
    first, *columns = frame.columns
    head = "".join(f"<th scope=col{' class=text' * (name in text)}>{html.escape(str(name))}</th>" for name in frame.columns)
    body = ""
    for values in frame.itertuples(index=False):
        cells = "".join(f"<td{' class=text' * (name in text)}>{html.escape(str(value))}</td>"
                        for name, value in zip(columns, values[1:]))
        body += f"<tr><th scope=row>{html.escape(str(values[0]))}</th>{cells}</tr>"
    label = html.escape(caption)
    return (f'<div class=scroll role=region tabindex=0 aria-label="{label}"><table><caption>{label}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")


def figure(drawn):
    """A Picture of report.figures with its words; it is closed."""
    data, words = svg(drawn)
    plt.close(drawn)
    return picture("image/svg+xml", data.encode(), words["alt"], words["caption"])


def picture(kind, data, alt, caption=""):
    """A picture in the page itself. kind: its media type; data: bytes; alt: what it shows, in words."""
    below = f"<figcaption>{html.escape(caption)}</figcaption>" * bool(caption)
    source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return f'<figure><img src="{source}" alt="{html.escape(alt)}">{below}</figure>'


def side_by_side(pictures):
    """Pictures beside each other, on a phone under one another."""
    return f"<div class=pair>{''.join(pictures)}</div>"
