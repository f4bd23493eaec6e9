"""A card of a corpus: what it is, how much of it there is, and what of a benchmark is in it. Figures only, no texts,
so that cards of corpora which may not be shown can be."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from hybrid_batch import storage
from hybrid_batch.data import decontamination
from hybrid_batch.data.languages import NAMES
from hybrid_batch.data.table import CHUNK, EMPTY, codes, text_hashes

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def card(corpus, benchmarks=()):
    """A dict for JSON: about the corpus (title, licence, revision ...), languages (rows, items, groups, what was left
    out, repeated texts, lengths in characters at QUANTILES), coverage (items that two languages share) and
    contamination (for each benchmark rows and items, and rows by reason)."""
    language, languages = codes(corpus.rows, "language")
    item, items = codes(corpus.rows, "item")
    group, _ = codes(corpus.rows, "group")
    languages = languages.to_pylist()
    hashes, start = text_hashes(corpus.rows)
    query, passage = hashes[start[:-1]], hashes[start[:-1] + 1]
    frame = pd.DataFrame({"language": language, "item": item, "group": group, "query": query, "passage": passage,
                          "negatives": np.diff(start) - 2} | _lengths(corpus.rows))
    counts = corpus.about.get("counts", {})
    table = {}
    for name in sorted({*languages, *counts}):
        rows = frame[frame.language == (languages.index(name) if name in languages else -1)]
        asked, answered = rows[rows["query"] != EMPTY], rows[rows.passage != EMPTY]
        table[name] = {
            "read": counts.get(name, {}).get("read", len(rows)), "rows": len(rows), "groups": rows.group.nunique(),
            "passages": answered.passage.nunique(), "without query": len(rows) - len(asked),
            "without passage": len(rows) - len(answered), "repeated queries": int(asked["query"].duplicated().sum()),
            "negatives a row": round(float(rows.negatives.mean()), 2) if len(rows) else 0,
            "query characters": _quantiles(asked.query_length),
            "passage characters": _quantiles(answered.passage_length)}
    cells = csr_array((np.ones(len(item), np.int32), (item, language)), shape=(len(items), len(languages)))
    shared = (cells.T @ cells).toarray()
    order = np.argsort(languages)
    reasons = pd.DataFrame(counts).fillna(0).sum(axis=1).astype(int)
    read = sum(part.get("read", 0) for part in counts.values())
    about = {key: value for key, value in corpus.about.items() if key not in ("counts", "contaminated", "parts")}
    return {"name": corpus.name, **about, "sha256": corpus.checksum, "read": read or len(frame), "rows": len(frame),
            "items": len(items), "groups": int(frame.group.nunique()),
            "left out": {why: int(n) for why, n in reasons.items() if "left out" in why and n},
            "held out": int(reasons.get("held out", 0)), "languages": table,
            "coverage": {"languages": [languages[i] for i in order], "items": shared[np.ix_(order, order)].tolist()},
            "contamination": {other.name: _found(decontamination.report(corpus, other)) for other in benchmarks}}


def table(card):
    """The languages of a card as a table to show, without the columns that are 0 in all of them."""
    frame = pd.DataFrame(card["languages"]).T.drop(columns=["query characters", "passage characters"])
    mostly_none = ("without query", "without passage", "repeated queries", "negatives a row")
    frame = frame.drop(columns=[name for name in mostly_none if not frame[name].any()])
    frame.insert(0, "name", [NAMES.get(code, code) for code in frame.index])
    return frame


def _lengths(rows):
    """Characters of query and passage of each row."""
    parts = [[pc.utf8_length(pa.chunked_array(chunk[name])).to_numpy() for name in ("query", "passage")]
             for chunk in rows.select_columns(["query", "passage"]).with_format("arrow").iter(CHUNK)]
    lengths = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0), int)
    return {"query_length": lengths[0], "passage_length": lengths[1]}


def _quantiles(lengths):
    return [int(value) for value in lengths.quantile(QUANTILES)] if len(lengths) else []


def _found(table):
    reasons = table.groupby(["field", "why"]).row.nunique()
    return {"rows": int(table.row.nunique()), "items": int(table["item"].nunique()),
            "by reason": {f"{field}, {why}": int(n) for (field, why), n in reasons.items()}}


def text(card):
    """A card for the terminal."""
    lines = [f"{card['name']}: {card['rows']} rows, {card['items']} items in {card['groups']} groups"]
    keys = ("title", "use", "licence", "repo", "revision", "sha256", "note")
    lines += [f"  {key}: {card[key]}" for key in keys if card.get(key)]
    lines += [f"  {number} {why}" for why, number in card["left out"].items()]
    lines += [f"  {found['rows']} rows ({found['items']} items) stand in {name}; they are not trained on"
              for name, found in card["contamination"].items()]
    table = pd.DataFrame(card["languages"]).T.drop(columns=["query characters", "passage characters"])
    return "\n".join([*lines, table.to_string()])


def write(cards, folder):
    """Keep cards, a JSON file each."""
    for one in cards:
        path = Path(folder) / f"{one['name'].replace('/', '_').replace('+', '_')}.json"
        storage.write(path, json.dumps(one, indent=1, ensure_ascii=False) + "\n")


def read(folder):
    """Cards that were kept: {name: card}."""
    return {one["name"]: one for one in (json.loads(path.read_text(encoding="utf-8"))
                                         for path in sorted(Path(folder).glob("*.json")))}
