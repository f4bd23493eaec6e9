"""What stands where the parallel answers should: tables from the ranked lists of results/rankings."""

import numpy as np
import pandas as pd

from hybrid_batch import rankings

ORDER = ("untrained", "untrained-centring", "X-X-mono", "X-Y", "Hybrid", "offline-hybrid-e5-small")


def shown():
    """Ranked lists that there are, in the order of the book."""
    return [name for name in ORDER if name in rankings.names()]


def intruders(made, texts):
    """What takes the first 20 places, in per cent, a line an encoder. made: {name: table as rankings.read gives it}; texts: of
    rankings.passages."""
    language, entry = texts.language.to_numpy(), texts["id"].to_numpy()
    lines = []
    for name, table in made.items():
        counts = np.zeros(4)
        for row in table.itertuples():
            top, answers = np.asarray(row.top), set(row.relevant)
            wrong = top[[passage not in answers for passage in top]]
            own = language[wrong] == row.language
            near = np.isin(entry[wrong], entry[row.relevant])
            counts += [len(top) - len(wrong), (own & ~near).sum(), (~own & ~near).sum(), near.sum()]
        share = 100 * counts / counts.sum()
        lines.append({"": name, "answers": f"{share[0]:.0f} %", "other passages in the question's language": f"{share[1]:.0f} %",
                      "other passages in other languages": f"{share[2]:.0f} %",
                      "other sentences of the answer's passage, in any language": f"{share[3]:.0f} %",
                      "median rank distance": f"{table.distance.median():.0f}", "mean": f"{table.distance.mean():.0f}"})
    return pd.DataFrame(lines)


def by_pair(table, texts):
    """Median rank of the answer in the language of the column, for questions in that of the row."""
    language = texts.language.to_numpy()
    long = table[["language", "relevant", "ranks"]].explode(["relevant", "ranks"])
    long = long.assign(answer=language[long.relevant.astype(int)], ranks=long.ranks.astype(float))
    return long.pivot_table(index="language", columns="answer", values="ranks", aggfunc="median")


def worst(table, number):
    """[(item, language)]: the question with the largest rank distance of each language, of the languages where it is largest;
    each item once."""
    table = table.sort_values("distance", ascending=False).drop_duplicates("item").drop_duplicates("language")
    return list(table[["item", "language"]].head(number).itertuples(index=False, name=None))


def typical(before, after, language):
    """The question in a language whose rank distances before and after are the nearest to the medians over all questions, in
    logarithms: one that was not chosen by hand."""
    both = before.merge(after, on=["item", "language"], suffixes=("_before", "_after"))
    apart = sum(np.log(both[column] / both[column].median()).abs() for column in ("distance_before", "distance_after"))
    here = both.language == language
    return both.loc[apart[here].idxmin(), "item"]


def places(table, texts, item, language):
    """{language: rank in the mixed pool} of the parallel answers of one question."""
    row = _row(table, item, language)
    return dict(zip(texts.language[row.relevant], map(int, row.ranks)))


def _row(table, item, language):
    return table[(table["item"] == item) & (table.language == language)].iloc[0]


def distance(table, item, language):
    """The rank distance of one question."""
    return float(_row(table, item, language).distance)


def listed(table, texts, item, language, most=8):
    """Rows (language, text, rank, mark) to show: the first places of a question's list, and the answer placed last."""
    row = _row(table, item, language)
    places = [(rank, passage) for rank, passage in enumerate(row.top[:most], 1)]
    last = int(np.argmax(row.ranks))
    if row.ranks[last] > most:
        places.append((int(row.ranks[last]), row.relevant[last]))
    return [(texts.language[passage], texts.text[passage], rank, "✓" if passage in set(row.relevant) else "")
            for rank, passage in places]


def summary(made, texts):
    """The finding in words, of the first and the last of some ranked lists."""
    if not made:
        return "*No ranked lists yet: `python -m hybrid_batch rankings untrained`.*"
    table = intruders(made, texts).set_index("")
    first, last = list(made)[0], list(made)[-1]
    own = "other passages in the question's language"
    said = (f"**{first.capitalize()}, {table.loc[first, own]} of the first twenty places go to passages that are only in the "
            f"question's language**, {table.loc[first, 'answers']} to answers")
    if last != first:
        distances = table["median rank distance"]
        said += (f"; with {last.replace('-', ', ', 1) if last.startswith('untrained') else last} these are "
                 f"{table.loc[last, own]} and {table.loc[last, 'answers']}, and the median rank distance is {distances[last]} "
                 f"instead of {distances[first]}")
    return f"{said} ({len(next(iter(made.values())))} questions; one encoder each, no test)."
