"""The rank explorer: ranked lists of our own corpus as compact JSON for book/_static/ranks.js, and a plain list for readers
without JavaScript."""

import html
import json

from hybrid_batch import rankings
from hybrid_batch.data import encyclo11
from hybrid_batch.data.languages import LANGUAGES, NAMES, RIGHT_TO_LEFT
from hybrid_batch.report import errors, figures

TITLES = {"untrained": "untrained", "untrained-centring": "untrained, centring", "X-X-mono": "monolingual batches (X-X-mono)",
          "X-Y": "cross-lingual batches (X-Y)", "Hybrid": "hybrid batches",
          "offline-hybrid-e5-small": "offline-hybrid-e5-small, the encoder to use"}
SHOWN = 10  # places of a list
START = {"language": "th", "encoder": "untrained"}


def questions():
    """One question of each cluster of the test split, {item: (subject, {language: text})}."""
    chosen = {}
    for entry in encyclo11.read_encyclo11("passages", "en", "test"):
        chosen.setdefault(entry["cluster"], entry["questions"][0]["id"])
    texts = {}
    for code in LANGUAGES:
        for entry in encyclo11.read_encyclo11("passages", code, "test"):
            for question in entry["questions"]:
                if question["id"] in chosen.values():
                    texts.setdefault(question["id"], (entry["subject"], {}))[1][code] = question["text"]
    return texts


def compact():
    """What the page holds; passages are named by their row in rankings.passages, where all languages have as many."""
    passages, asked = rankings.passages(), questions()
    tables = {name: rankings.read(name)[1].set_index(["item", "language"]) for name in errors.shown()}
    lists = [[[[*map(int, table.loc[(item, code), "top"][:SHOWN]), *map(int, table.loc[(item, code), "ranks"])]
               for code in LANGUAGES] for item in asked] for table in tables.values()]
    relevant = [list(map(int, next(iter(tables.values())).loc[(item, "en"), "relevant"])) for item in asked]
    used = sorted({*(p for table in lists for item in table for places in item for p in places[:SHOWN]), *sum(relevant, [])})
    return {"start": START, "pool": len(passages), "shown": SHOWN,
            "languages": [[code, NAMES[code], "rtl" if code in RIGHT_TO_LEFT else "ltr", figures.language_look(code)[0]]
                          for code in LANGUAGES],
            "encoders": [[name, TITLES.get(name, name)] for name in tables],
            "questions": [[item, subject, [texts[code] for code in LANGUAGES]] for item, (subject, texts) in asked.items()],
            "relevant": relevant, "lists": lists, "texts": {place: passages.text[place] for place in used}}


def static(data):
    """The list that the page begins with, as plain HTML."""
    language = [code for code, *_ in data["languages"]].index(data["start"]["language"])
    item, _, texts = data["questions"][0]
    places = data["lists"][0][0][language]
    each = data["pool"] // len(data["languages"])
    shown = [(rank, passage) for rank, passage in enumerate(places[:SHOWN], 1)]
    shown += sorted((rank, passage) for rank, passage in zip(places[SHOWN:], data["relevant"][0]) if rank > SHOWN)
    lines = []
    for rank, passage in shown:
        code, name, direction, _ = data["languages"][passage // each]
        mark = " ✓ answer" if passage in data["relevant"][0] else ""
        lines.append(f"<tr><td>{rank:,}</td><td>{name}{mark}</td><td lang='{code}' dir='{direction}'>"
                     f"{html.escape(data['texts'][passage])}</td></tr>")
    code, name, direction, _ = data["languages"][language]
    return (f"<p>{name} question, {data['encoders'][0][1]} encoder: <q lang='{code}' dir='{direction}'>"
            f"{html.escape(texts[language])}</q></p><table><thead><tr><th scope='col'>rank</th><th scope='col'>language</th>"
            f"<th scope='col'>passage</th></tr></thead><tbody>{''.join(lines)}</tbody></table>")


def explorer():
    """The rank explorer as HTML, for a page two folders below the book's root; a sentence if there are no ranked lists."""
    if not errors.shown():
        return "<p>No ranked lists yet: <code>python -m hybrid_batch rankings untrained</code>.</p>"
    data = compact()
    written = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return (f"<div class='ranks'><div class='ranks-static'><p>Choosing needs JavaScript. This is the list that the page begins "
            f"with.</p>{static(data)}</div><script type='application/json' class='ranks-data'>{written}</script>"
            f"<script src='../../_static/ranks.js' defer></script></div>")
