"""The figures in the card of the encoder that the project ships, from the rows of the study that made it."""

import re

from hybrid_batch import paths, storage
from hybrid_batch.report import tables

MODEL, STUDY = "offline-hybrid-e5-small", "model"
CARD = paths.MODELS / MODEL / "README.md"
PLACE = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.S)
BENCHMARKS = {"xquad-r": "XQuAD-R (sentences, 11 languages)", "mlqa-r": "MLQA-R (sentences, 7 languages)",
              "encyclo11-passages": "this project's test passages (whole, 11 languages)"}


def compared():
    """Of each benchmark {its name: a table} with a line before and one after training, and the difference with the verdict
    of the test."""
    found = {}
    for benchmark, name in BENCHMARKS.items():
        table = tables.wide(tables.select(STUDY, "measured", benchmark, tables.TABLE1))
        if MODEL in table.index:
            tested = tables.comparisons(STUDY, "model", benchmark)
            change = {row.figure: f"{text}{'*' * row.significant}" for row, text in zip(
                tested.itertuples(), tables.written(tested).difference)}
            table.loc["difference"] = [change.get(figure, "") for figure in tables.TABLE1]
            found[name] = table
    return found


def seeds():
    """Markdown: of how many trainings the figures are, and what the star says."""
    table = tables.select(STUDY, "measured", "xquad-r", tables.TABLE1, conditions=[MODEL])
    count = int(table.seeds.iloc[0]) if len(table) else 0
    return f"Training seeds: {count}. \\* significant after Holm's correction over the measures of a benchmark."


def figures():
    """Markdown: all of it."""
    parts = [table.rename_axis(name).reset_index().to_markdown(index=False) for name, table in compared().items()]
    return "\n\n".join([*parts, seeds()]) + "\n"


def write():
    """Write the figures into the card."""
    storage.write(CARD, PLACE.sub(lambda found: found[1] + figures() + found[2], CARD.read_text(encoding="utf-8")))
