"""python -m hybrid_batch: run a profile, evaluate an encoder, prepare or translate a corpus, run a study, describe
parameters."""

import argparse
import json
import logging
import sys


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m hybrid_batch", description="Hybrid batch training for "
                                     "multilingual retrieval: run the notebooks, evaluate encoders, prepare corpora.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    run = verbs.add_parser("run", help="run the notebooks with a profile",
                           description="Run the notebooks with the parameters of a profile.")
    run.add_argument("profile", nargs="?", default="quick", help="a file in profiles/ (default: quick)")
    run.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
                     help="change a parameter, e.g. -p alpha 0.7; may be repeated")
    run.add_argument("-n", "--notebook", action="append", help="run only this notebook, e.g. -n 02_training")
    run.add_argument("-o", "--output", help="folder for the executed notebooks and tables")

    measure = verbs.add_parser("evaluate", help="evaluate an encoder on a benchmark",
                               description="Print the figures of an encoder on a benchmark as JSON.")
    measure.add_argument("--encoder", default="offline-e5-small",
                         help="offline-e5-small, offline-use-multilingual, a folder or a Hub repository")
    measure.add_argument("--benchmark", default="encyclo11",
                         help="encyclo11, encyclo11-reasoning, xquad-r, mlqa-r, xquad, mlqa, belebele, miracl, a "
                              "folder in the form of LAReQA, BEIR or mteb, or a repository of the Hub as "
                              "org/name@commit")
    measure.add_argument("--data", help="the folder that holds the benchmark's folder")
    measure.add_argument("--languages", nargs="+", help="only these languages, e.g. en de zh")
    measure.add_argument("--split", help="another split than the benchmark's usual one, e.g. validation")
    measure.add_argument("--shards", metavar="FOLDER", help="where to keep the vectors of miracl and of what is in "
                                                            "the form of BEIR or mteb (default: runs/shards)")

    prepare = verbs.add_parser("prepare", help="load a corpus, say what is in it and what of a benchmark",
                               description="Load corpora to train on, print a card of each and what of a benchmark is "
                                           "in it.")
    translate = verbs.add_parser("translate", help="make a corpus parallel by machine translation",
                                 description="Write a corpus with its translations as a JSON-lines file to train on. An "
                                             "interrupted translation goes on where it stopped.")
    for verb, names in ((prepare, dict(nargs="*", metavar="CORPUS")), (translate, dict(metavar="CORPUS"))):
        verb.add_argument("corpus", help="encyclo11, a .jsonl file, or a data set of the catalogue; without any, "
                                         "the catalogue is listed", **names)
        verb.add_argument("--data", help="the folder that holds the data set's folder")
        verb.add_argument("--languages", nargs="+", help="only these languages")
        verb.add_argument("--split", default="all", help="train, validation or all (default: all)")
        verb.add_argument("--limit", type=int, help="most items a language")
        verb.add_argument("--keep", default="content", help="all keeps options without content, too")
        verb.add_argument("--consent", help="needed for data that asks not to be trained on")
    prepare.add_argument("--against", nargs="+", default=[], metavar="BENCHMARK", help="benchmarks to look for in it")
    prepare.add_argument("--write", metavar="FOLDER", help="keep the cards there, e.g. results/data")
    translate.add_argument("--to", nargs="+", required=True, metavar="LANGUAGE", help="languages, e.g. de hi zh")
    translate.add_argument("--model", default="facebook/nllb-200-distilled-600M", help="an NLLB or M2M100 model")
    translate.add_argument("--revision", help="of the model; it must hold safetensors")
    translate.add_argument("-o", "--output", required=True, help="the .jsonl file to write")

    grid = verbs.add_parser("study", help="make the runs of a study and collect its results",
                            description="Make the runs of studies/NAME.yaml that have no row in results/NAME yet. An "
                                        "interrupted study goes on where it stopped.")
    grid.add_argument("name", help="a file in studies/, e.g. gpu, cpu-use, cpu-e5, smoke")
    grid.add_argument("--data", help="the folder that holds the folders of data sets and benchmarks")
    grid.add_argument("--shard", default="1/1", metavar="I/N", help="only each N-th run from the I-th: for several "
                                                                   "processes at once")
    grid.add_argument("--again", action="store_true", help="make rows that are there anew")

    verbs.add_parser("chapters", help="make the chapters of the study from results/",
                     description="Execute the chapters of the book that show what is in results/; minutes, no training.")

    describe = verbs.add_parser("describe", help="list the parameters of the notebooks",
                                description="List parameters with type, default and help.")
    describe.add_argument("notebook", nargs="?", help="only this one, e.g. 02_training")
    choice = parser.parse_args(arguments)
    try:
        VERBS[choice.verb](choice)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


def _run(choice):
    from hybrid_batch import notebooks
    logging.getLogger("papermill").setLevel(logging.WARNING)
    folder = notebooks.run(choice.profile, dict(choice.parameter), choice.notebook, choice.output)
    if (results := folder / "results.md").exists():
        print(f"\n{results.read_text()}")
    print(f"executed notebooks and tables: {folder}")


def _evaluate(choice):
    from hybrid_batch import evaluation
    result = evaluation.evaluate(choice.encoder, choice.benchmark, choice.data, choice.languages, choice.split,
                                 choice.shards)
    print(json.dumps(result, indent=1, ensure_ascii=False))


def _corpus(choice, name):
    from hybrid_batch.data import corpora
    return corpora.load_corpus(name, choice.split, choice.languages, choice.data, choice.limit, choice.keep,
                               choice.consent)


def _prepare(choice):
    from hybrid_batch.data import benchmarks, cards, sources
    if not choice.corpus:
        for name, entry in sources.catalogue().items():
            print(f"{name:42}{entry['use']:12}{len(entry['languages']):3} languages  {entry['title']}")
        return
    tests = [benchmarks.load_benchmark(name, choice.data) for name in choice.against]
    made = []
    for name in choice.corpus:
        made.append(cards.card(_corpus(choice, name), tests))
        print(cards.text(made[-1]), flush=True)
    if choice.write:
        cards.write(made, choice.write)


def _translate(choice):
    from collections import Counter

    from hybrid_batch.data import files, translation
    from hybrid_batch.data.corpora import CACHE
    corpus, counts = _corpus(choice, choice.corpus), Counter()
    if len(found := sorted(corpus.rows.unique("language"))) > 1:
        raise ValueError(f"corpus {choice.corpus!r} has {len(found)} languages, and each would be translated into the "
                         f"others' places: choose one with --languages, e.g. {found[0]}")
    translator = translation.Translator(choice.model, CACHE / "translations", choice.revision)
    rows = translation.parallel(corpus.rows.remove_columns("hashes"), translator, choice.to, counts)
    files.write(choice.output, (json.dumps({key: value for key, value in row.items() if value or key == "negatives"},
                                           ensure_ascii=False) + "\n" for row in rows))
    for (language, what), number in sorted(counts.items()):
        print(f"{language}: {number} {what}")


def _study(choice):
    from hybrid_batch import campaign
    try:
        first, number = map(int, choice.shard.split("/"))
        if not 1 <= first <= number:
            raise ValueError
    except ValueError:
        raise ValueError(f"--shard {choice.shard}: name it as I/N, from 1/N to N/N") from None
    print(f"results: {campaign.run(choice.name, choice.data, (first - 1, number), choice.again)}")


def _chapters(choice):
    from hybrid_batch import notebooks
    print(f"executed chapters: {notebooks.render()}")


def _describe(choice):
    from hybrid_batch import notebooks
    for name in [choice.notebook] if choice.notebook else notebooks.sources():
        print(name)
        for key, entry in notebooks.parameters(name).items():
            print(f"  {key}: {entry['type']} = {entry['default']!r}\n      {entry['help']}")


VERBS = {"run": _run, "evaluate": _evaluate, "prepare": _prepare, "translate": _translate, "study": _study,
         "chapters": _chapters, "describe": _describe}

if __name__ == "__main__":
    main()
