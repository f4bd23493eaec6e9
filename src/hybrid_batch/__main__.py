"""python -m hybrid_batch: run a profile, evaluate an encoder, describe parameters."""

import argparse
import json
import logging
import sys


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m hybrid_batch", description="Hybrid batch training for "
                                     "multilingual retrieval: run the notebooks, evaluate encoders.")
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
    measure.add_argument("--encoder", default="offline-e5-small", help="offline-e5-small, a folder or a Hub repository")
    measure.add_argument("--benchmark", default="encyclo11",
                         help="encyclo11, encyclo11-reasoning, xquad-r, mlqa-r or a folder of that form")
    measure.add_argument("--data", help="the folder that holds the benchmark's folder")
    measure.add_argument("--languages", nargs="+", help="only these languages, e.g. en de zh")

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
    from hybrid_batch import study
    result = study.evaluate(choice.encoder, choice.benchmark, choice.data, choice.languages)
    print(json.dumps(result, indent=1, ensure_ascii=False))


def _describe(choice):
    from hybrid_batch import notebooks
    for name in [choice.notebook] if choice.notebook else notebooks.sources():
        print(name)
        for key, entry in notebooks.parameters(name).items():
            print(f"  {key}: {entry['type']} = {entry['default']!r}\n      {entry['help']}")


VERBS = {"run": _run, "evaluate": _evaluate, "describe": _describe}

if __name__ == "__main__":
    main()
