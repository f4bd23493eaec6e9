"""Fine-tune an encoder on your own corpus: what the command line's ``train`` does, from a file to a folder with a card."""

from pathlib import Path

import torch
import yaml

from hybrid_batch import experiment, paths, statistics, storage
from hybrid_batch.config import EXPERIMENT, TRAINING, Experiment, check_names
from hybrid_batch.data import corpora, io
from hybrid_batch.data.benchmarks import load_benchmark
from hybrid_batch.data.languages import LANGUAGES
from hybrid_batch.encoders import load
from hybrid_batch.encoders.weights import ADAPTER

FOLDER = paths.RUNS / "train"
ON_CPU = dict(steps=100, batch_size=16, max_length=128, learning_rate=5e-5, temperature=0.02, freeze_embeddings=True,
              eval_every=20, eval_batches=5)  # instead of the paper's settings: minutes on two cores
WITH_ADAPTER = dict(learning_rate=5e-4)  # an adapter starts from zero, and needs more


def finetune(corpus, output, adapter=0, **parameters):
    """Fine-tune an encoder, and save it as an ordinary SentenceTransformer folder with a model card. Returns it.

    corpus: a JSON-lines file of rows, of which a tenth of the groups is held out to measure before and after, and another
        to stop early on; or a name that corpora.load_corpus knows, whose own splits serve.
    output: the folder to write. adapter: rank of a LoRA adapter, which is trained in the place of the weights and merged
        into them at the end; 0: none.
    parameters: of config.Experiment and config.Training. On a CPU those of ON_CPU are the defaults, and with an adapter
        those of WITH_ADAPTER.
    An interrupted training goes on when it is asked for again. Raises ValueError or FileNotFoundError that names what is
    wrong and the remedy.
    """
    check_names(parameters, EXPERIMENT | TRAINING, "train")
    values = ({} if torch.cuda.is_available() else ON_CPU) | (WITH_ADAPTER if adapter else {}) | parameters
    start = Experiment.of(**values)
    if not start.strategy:
        raise ValueError("strategy is empty: name one to train with, such as Hybrid")
    values |= dict(sources=start.sources | {"qa": str(corpus)}, keep_encoder=True)
    found = {}
    if str(corpus).endswith(".jsonl"):
        found = _parts(corpus, list(start.languages) or None)
        training = f"{corpus}:train"
        for task in found["tasks"]:
            if start.sources.get(task) == EXPERIMENT["sources"].default.get(task):  # not named by the caller
                values["sources"] |= {task: training}
        values["sources"] |= {"qa": training}
        values["validation"] = start.validation or f"{corpus}:validation"
        if set(found["measured"]) == set(found["languages"]) <= set(LANGUAGES):  # else a benchmark might lack one
            values["languages"] = found["languages"]
        values["benchmarks"] = [*[f"{corpus}:test"] * bool(found["measured"]), *start.benchmarks]
        if "batch_size" not in parameters:
            values["batch_size"] = min(start.training.batch_size, found["groups"]["train"])
    wanted = Experiment.of(**values)
    trained = _with_adapter(wanted.encoder, adapter) if adapter else wanted.encoder
    before = experiment.run(wanted.but(strategy=""), FOLDER)
    after = experiment.run(wanted.but(encoder=str(trained)), FOLDER)
    encoder = load.load(after.folder / "encoder")
    if adapter:
        encoder = _merged(encoder, load.load(wanted.encoder))
    with storage.replacing(output) as partial:
        load.save(encoder, partial)
        storage.write(partial / "README.md", card(Path(output).name, wanted, before, after, str(corpus), adapter, found))
    return load.load(output)


def _parts(file, languages):
    """What a card says of a file: its tasks and languages, those that are measured, and the groups of each part. Translations
    alone make no benchmark."""
    parts = {part: corpora.load_corpus(f"{file}:{part}", languages=languages).rows for part in corpora.PARTS}
    tasks = sorted(parts["train"].unique("task"))
    return dict(groups={part: len(rows.unique("group")) for part, rows in parts.items()},
                tasks=tasks, languages=sorted(parts["train"].unique("language")),
                measured=load_benchmark(f"{file}:test", languages=languages).languages if tasks != ["parallel"] else [])


def _with_adapter(name, rank):
    """The folder of an encoder with a LoRA adapter of that rank on all its linear layers, not yet trained."""
    try:
        from peft import LoraConfig
    except ImportError:
        raise ValueError("an adapter needs peft: run `pip install peft`") from None
    folder = FOLDER / f"lora-{storage.digest(load.identity(name), rank)}"
    with storage.lock(FOLDER / f".{folder.name}.lock"):
        if not folder.exists():
            encoder = load.load(name)
            if not encoder.has_peft_compatible_model():
                raise ValueError(f"encoder {name!r} is no transformer, so it takes no adapter: leave --adapter out")
            load.save(encoder, FOLDER / f"{folder.name}-base")  # where the adapter's checkpoints find it
            encoder = load.load(FOLDER / f"{folder.name}-base")
            torch.manual_seed(0)
            encoder.add_adapter(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))
            load.save(encoder, folder)
    return folder


def _merged(adapted, plain):
    """``plain``, the encoder without adapter, with the adapter's differences added to its weights."""
    for module in adapted.modules():
        if hasattr(module, "merge") and hasattr(module, "base_layer"):
            module.merge()
    plain.load_state_dict({name.replace("base_layer.", ""): value for name, value in adapted.state_dict().items()
                           if ADAPTER not in name})
    return plain


CARD = """---
{head}---
# {name}

A multilingual sentence encoder for search: {base}, fine-tuned with hybrid_batch.

```python
from sentence_transformers import SentenceTransformer

encoder = SentenceTransformer("{name}")
encoder.encode(["a question"], prompt_name="query") @ encoder.encode(["a text"], prompt_name="passage").T
```

## Data

- Corpus: {corpus}, {rows} rows trained on, in {languages}.
{data}
## Training

- Mixture: {mixture}; batches drawn: {drawn}.
- Trained: {how}.
- {steps} steps of {batch_size} pairs, learning rate {learning_rate:g}, temperature {temperature:g}, texts cut at {max_length}
  tokens, seed {seed}; {device}, {precision}, {seconds:.0f} s.
- Commit {commit}; {libraries}.

## Figures before and after

{figures}
## Limits

- One training: the intervals (95 %) count questions as a source of error, not the chance of another training.
- A pool of candidates is as small as the tables say; in a larger collection every figure is lower.
- What lies outside the corpus (languages, subjects, longer texts) was measured only where a table says so.
- The licences of the corpus and of the base encoder hold for this encoder, too.
"""


def card(name, wanted, before, after, corpus, adapter, found):
    """The model card, a text: data, mixture, figures before and after, limits. No text of the corpus is in it.

    wanted: the Experiment; before, after: the Runs; found: see _parts, {} for a corpus by name."""
    training, manifest, about = wanted.training, after.manifest, after.manifest["corpus"]
    languages = found.get("languages") or list(wanted.languages) or sorted(about["counts"])
    base = Path(wanted.encoder).name if Path(wanted.encoder).is_dir() else wanted.encoder
    head = dict(library_name="sentence-transformers", pipeline_tag="sentence-similarity", base_model=base, language=languages,
                tags=["sentence-transformers", "feature-extraction", "multilingual"])
    how = "all weights" + " but the word embeddings" * training.freeze_embeddings
    how = f"a LoRA adapter of rank {adapter}, then merged into the weights" if adapter else how
    how = f"the layers from {training.frozen_layers + 1} on" if training.frozen_layers and not adapter else how
    data = ""
    if found:
        parts = found["groups"]
        data = (f"- Groups of rows that share no passage: {parts['train']} trained on, {parts['validation']} to stop early on, "
                f"{parts['test']} held out{' to measure' * bool(found['measured'])}.\n")
    for benchmark, number in about.get("contaminated", {}).items():
        data += f"- Left out, since they stand in the benchmark {_name(benchmark)}: {number} rows.\n" * bool(number)
    return CARD.format(
        head=yaml.safe_dump(head, sort_keys=False), name=name, base=base, corpus=Path(corpus).name, rows=about["rows"],
        languages=", ".join(languages), data=data, mixture=after.name, how=how, figures="\n".join(_figures(before, after)),
        drawn=", ".join(f"{number} {kind}" for kind, number in manifest["drawn"].items()), **vars(training) | dict(
            steps=manifest["steps"], precision=manifest["precision"]["training"]), device=manifest["device"],
        seconds=manifest["seconds"]["training"], commit=manifest["commit"],
        libraries=", ".join(f"{library} {version}" for library, version in manifest["libraries"].items()))


def _name(benchmark):
    file, part = io.file_and_part(benchmark)
    return "of what was held out" if part else Path(file).name if file.endswith(".jsonl") else benchmark


def _figures(before, after):
    """Lines of a table for each benchmark."""
    for benchmark, about in after.manifest["benchmarks"].items():
        old, new = before.scores(benchmark), after.scores(benchmark)
        figures = [figure for figure in experiment.TABLE if figure.split(" ")[0] in set(new.setting)]
        rows = zip(figures, statistics.estimates({"": [old]}, figures, lambda _: False).to_dict("records"),
                   statistics.estimates({"": [new]}, figures).to_dict("records"),
                   statistics.compare([old], [new], figures, (False, True)))
        yield (f"Benchmark {_name(benchmark)}: {about['queries']} questions in {new.group.nunique()} groups, {about['passages']} "
               f"passages.\n\n| | before | after | after − before |\n| --- | --- | --- | --- |")
        for figure, first, second, change in rows:
            cells = [_cell(part, 0 if "distance" in figure else 3) for part in (first, second, change)]
            yield f"| {figure} | {' | '.join(cells)} |"
        yield ""


def _cell(part, digits):
    value = part["difference"] if "difference" in part else part["value"]
    return f"{value:.{digits}f} [{part['low']:.{digits}f}, {part['high']:.{digits}f}]"
