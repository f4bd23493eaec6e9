"""A page to search with, served on this machine: plain HTML that needs no script and nothing from elsewhere."""

import html
import http.server
import threading
import urllib.parse

from hybrid_batch import documents
from hybrid_batch.data.languages import NAMES

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
POLICY = ("default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; "
          "frame-ancestors 'none'")
STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: color-mix(in srgb, currentColor 70%, transparent); }
* { box-sizing: border-box }
body { font: 1rem/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 44rem; padding: 1.5rem 1rem 4rem; }
body.pair { max-width: 80rem }
h1 { font-size: 1.25rem; margin: 0 0 .75rem } h2 { font-size: 1rem; margin: 1.5rem 0 0; overflow-wrap: anywhere }
form { display: flex; gap: .5rem }
input, button { font: inherit; padding: .5rem .75rem; border: 1px solid; border-radius: .5rem }
input { flex: 1; min-width: 0 } button { cursor: pointer }
:focus-visible { outline: 3px solid Highlight; outline-offset: 2px }
.columns { display: grid; gap: 0 2.5rem }
.pair .columns { grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)) }
ol { list-style: none; margin: 0; padding: 0 } li { border-bottom: 1px solid var(--line); padding: .9rem 0 }
.about { display: flex; flex-wrap: wrap; gap: 0 .75rem; align-items: baseline; color: var(--soft); font-size: .875rem }
.about .file { color: CanvasText; font-weight: 600; overflow-wrap: anywhere }
.score { margin-inline-start: auto; font-variant-numeric: tabular-nums }
.language { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .6rem; white-space: nowrap }
li p { margin: .35rem 0 0; overflow-wrap: anywhere; text-align: start }
.note { color: var(--soft) }
"""


def language_name(code, certainty=1.0):
    """How a language is named to a reader: "German", "German, 62 % sure", "fr", "language unclear"."""
    if not code:
        return "language unclear"
    return NAMES.get(code, code) + (f", {certainty:.0%} sure".replace("%", " %") if certainty < 0.9 else "")


def page(indexes, query="", top=10):
    """The page as a text: a form and, for a query, the results of each index side by side. All that comes from the query
    or from a file is escaped, set in the direction of its script and marked with its language."""
    escaped, body = html.escape(query), ""
    if query.strip():
        code, certainty = documents.detect_language(query)
        body = f"<p class=note role=status>Query: {html.escape(language_name(code, certainty))}</p><div class=columns>"
        body += "".join(_results(index, query, top) for index in indexes) + "</div>"
    else:
        body = f"<p class=note>{len(indexes[0])} passages. Ask in any language; the answer may be in another.</p>"
    title = f"{escaped} – search" if query.strip() else "Search"
    pair = " class=pair" * (len(indexes) > 1)
    return f"""<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>{title}</title>
<meta name=viewport content="width=device-width, initial-scale=1"><link rel=icon href="data:,"><style>{STYLE}</style></head>
<body{pair}><main><h1>Search your files</h1><form role=search><input name=q type=search dir=auto value="{escaped}"
aria-label="Query in any language" placeholder="A question in any language" autofocus required><button>Search</button></form>
{body}</main></body></html>"""


def _results(index, query, top):
    items = ""
    for hit in index.search(query, top):
        label = language_name(hit["language"], hit["certainty"])
        items += (f"<li><div class=about><span class=file dir=ltr>{html.escape(hit['file'])}</span>"
                  f"<span>{html.escape(hit['place'])}</span><span class=language>{html.escape(label)}</span>"
                  f"<span class=score title='cosine of query and passage'>{hit['score']:.3f}</span></div>"
                  f"<p dir=auto lang=\"{html.escape(hit['language'] or 'und')}\">{html.escape(hit['text'])}</p></li>")
    name = html.escape(index.title)
    return f"<section aria-label=\"{name}\"><h2>{name}</h2><ol>{items}</ol></section>"


def server(indexes, host="127.0.0.1", port=0, top=10):
    """An http.server that answers with ``page``; call its serve_forever. On a loopback address, requests that name another
    host are refused, so that no website can read the files through the reader's browser."""
    turn = threading.Lock()  # one query at a time: an encoder uses all cores

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            place = urllib.parse.urlsplit(self.path)
            named = self.headers.get("Host", "").rsplit(":", 1)[0]
            if host in LOOPBACK and named not in LOOPBACK:
                return self.send_error(403, "Open this page as http://127.0.0.1")
            if place.path != "/":
                return self.send_error(404)
            query = urllib.parse.parse_qs(place.query).get("q", [""])[0][:2000]
            with turn:
                answer = page(indexes, query, top).encode("utf-8", "replace")
            self.send_response(200)
            for name, value in (("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(answer))),
                                ("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff"),
                                ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store")):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    return http.server.ThreadingHTTPServer((host, port), Handler)
