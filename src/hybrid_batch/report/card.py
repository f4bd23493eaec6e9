"""The figures in the card of the encoder that the project ships, from the rows of the study that made it."""

import re

from hybrid_batch import paths, storage
from hybrid_batch.report import tables

MODEL, STUDY = "offline-hybrid-e5-small", "model"
CARD = paths.MODELS / MODEL / "README.md"
PLACE = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.S)
BENCHMARKS = {"xquad-r": "XQuAD-R (sentences, 11 languages)",
              "encyclo11-passages": "this project's test passages (whole, 11 languages)"}


def figures():
    """Markdown: for each benchmark a line before and one after training, and the difference with the verdict of the test."""
    parts = []
    for benchmark, name in BENCHMARKS.items():
        table = tables.wide(tables.select(STUDY, "measured", benchmark, tables.TABLE1))
        if MODEL in table.index:
            compared = tables.comparisons(STUDY, "model", benchmark)
            change = {row.figure: f"{text}{'*' * row.significant}" for row, text in zip(
                compared.itertuples(), tables.written(compared).difference)}
            table.loc["difference"] = [change.get(figure, "") for figure in tables.TABLE1]
            parts.append(table.rename_axis(name).reset_index().to_markdown(index=False))
    seeds = tables.select(STUDY, "measured", "xquad-r", tables.TABLE1, conditions=[MODEL]).seeds
    count = int(seeds.iloc[0]) if len(seeds) else 0
    said = f"Training seeds: {count}. \\* significant after Holm's correction over the measures of a benchmark."
    return "\n\n".join([*parts, said]) + "\n"


def write():
    """Write the figures into the card."""
    storage.write(CARD, PLACE.sub(lambda found: found[1] + figures() + found[2], CARD.read_text(encoding="utf-8")))
