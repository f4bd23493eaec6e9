"""The verbs of the command line. What a parameter is called, means and allows comes from config."""

import argparse
import contextlib
import json
import logging
import shlex
import sys
from collections import Counter

from hybrid_batch import config


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m hybrid_batch", description="Hybrid batch training for "
                                     "multilingual retrieval: run the notebooks, evaluate encoders, prepare corpora.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, function, help, description=None):
        made = verbs.add_parser(name, help=help, description=description or help[0].upper() + help[1:] + ".")
        made.set_defaults(function=function)
        return made

    for name, function, text in (("run", _run, "run the notebooks with a profile"),
                                 ("book", _book, "run the notebooks and the chapters, and put them into the book")):
        made = verb(name, function, text)
        made.add_argument("profile", nargs="?", default="quick", help="a file in profiles/ (default: quick)")
        made.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
                          help="change a parameter, e.g. -p alpha 0.7; may be repeated; the same as --alpha 0.7")
        _add_parameters(made, config.PARAMETERS)
        if name == "run":
            made.add_argument("-n", "--notebook", action="append", help="run only this notebook, e.g. -n 02_training")
            made.add_argument("-o", "--output", help="folder for the executed notebooks and tables")

    beside = verb("compare", _compare, "compare finished runs of the notebooks with the first of them",
                  "Print which settings of finished runs differ and by how much their scores do, with intervals, and write a "
                  "page that shows their figures side by side.")
    beside.add_argument("run", nargs="+", help="folders of runs, or their names under runs/, such as quick quick-alpha=0.7")
    beside.add_argument("-o", "--output", metavar="FILE", help="the page to write (default: in runs/compare)")
    along = verb("sweep", _sweep, "train and measure one experiment with each of several values of one parameter",
                 "Train and measure one experiment with each of several values of one parameter, such as --alpha 0 0.5 1; "
                 "print a table and write a page with the curve. What was trained before is not trained again.")
    along.add_argument("profile", nargs="?", default="quick", help="a file in profiles/ (default: quick)")
    along.add_argument("-o", "--output", metavar="FOLDER", help="folder of the page and the table (default: in runs/sweeps)")
    _add_parameters(along, config.PARAMETERS, nargs="+")

    measure = verb("evaluate", _evaluate, "evaluate an encoder on a benchmark",
                   "Print the figures of an encoder on a benchmark as JSON.")
    for name in ("encoder", "data"):
        about = config.PARAMETERS[name]
        measure.add_argument(f"--{name}", default=about.default, help=about.help)
    measure.add_argument("--benchmark", default="encyclo11",
                         help="encyclo11, encyclo11-reasoning, xquad-r, mlqa-r, xquad, mlqa, belebele, miracl, a .jsonl file "
                              "of rows or a part of it (mine.jsonl:test), a folder in the form of LAReQA, BEIR or mteb, or a "
                              "repository of the Hub as org/name@commit")
    measure.add_argument("--languages", nargs="+", help="only these languages, e.g. en de zh")
    measure.add_argument("--split", help="another split than the benchmark's usual one, e.g. validation")
    measure.add_argument("--shards", metavar="FOLDER", help="where to keep the vectors of miracl and of what is in "
                                                            "the form of BEIR or mteb (default: runs/shards)")
    measure.add_argument("--precision", default="auto", choices=config.PARAMETERS["encoding_precision"].choices,
                         help=config.PARAMETERS["encoding_precision"].help)

    prepare = verb("prepare", _prepare, "load corpora, print a card of each and what of a benchmark is in it")
    translate = verb("translate", _translate, "make a corpus parallel by machine translation",
                     "Write a corpus with its translations as a JSON-lines file to train on. An interrupted translation "
                     "goes on where it stopped.")
    for made, names in ((prepare, dict(nargs="*", metavar="CORPUS")), (translate, dict(metavar="CORPUS"))):
        made.add_argument("corpus", help="encyclo11, a .jsonl file, or a data set of the catalogue; without any, "
                                         "the catalogue is listed", **names)
        made.add_argument("--data", help=config.PARAMETERS["data"].help)
        made.add_argument("--languages", nargs="+", help="only these languages")
        made.add_argument("--split", default="all", help="train, validation or all (default: all)")
        made.add_argument("--limit", type=int, help="most items a language")
        made.add_argument("--keep", default="content", help="all keeps options without content, too")
        made.add_argument("--consent", help=config.PARAMETERS["consent"].help)
    prepare.add_argument("--against", nargs="+", default=[], metavar="BENCHMARK", help="benchmarks to look for in it")
    prepare.add_argument("--write", metavar="FOLDER", help="keep the cards there, e.g. results/data")
    translate.add_argument("--to", nargs="+", required=True, metavar="LANGUAGE", help="languages, e.g. de hi zh")
    translate.add_argument("--model", default="facebook/nllb-200-distilled-600M", help="an NLLB or M2M100 model")
    translate.add_argument("--revision", help="of the model; it must hold safetensors")
    translate.add_argument("-o", "--output", required=True, help="the .jsonl file to write")

    grid = verb("study", _study, "make the runs of a study that have no rows in results/ yet",
                "Make the runs of studies/NAME.yaml that have no rows in results/NAME yet. An interrupted study goes on "
                "where it stopped; several commands may work on one study at once.")
    grid.add_argument("name", help="a file in studies/, e.g. full, cpu-use, smoke")
    grid.add_argument("--data", default="", help=config.PARAMETERS["data"].help)
    grid.add_argument("--workers", type=int, default=1, help="processes at once, one thread each if more than one")
    grid.add_argument("--ray", metavar="ADDRESS", help="make the runs on a Ray cluster instead: its address, or auto")
    grid.add_argument("--again", action="store_true", help="make rows that are there anew")
    grid.add_argument("--plan", action="store_true", help="list the runs and what is done, and make none")

    own = verb("train", _train, "fine-tune an encoder on your own corpus, and save it as a folder with a model card",
               "Fine-tune an encoder on your own corpus, and save it as an ordinary SentenceTransformer folder with a model "
               "card. An interrupted training goes on when the same command is given again.")
    own.add_argument("--corpus", required=True, help="a .jsonl file of rows, of which parts are held out to stop early on "
                                                     "and to measure, or a corpus by name (see prepare)")
    own.add_argument("-o", "--output", required=True, metavar="FOLDER", help="the folder to write")
    own.add_argument("--adapter", nargs="?", type=int, const=8, default=0, metavar="RANK",
                     help="train a LoRA adapter of this rank (8 if none is given), and merge it into the weights at the end")
    _add_parameters(own, config.EXPERIMENT | config.TRAINING)

    keep = verb("save", _save, "save an encoder as a folder",
                "Save an encoder by name as an ordinary SentenceTransformer folder or, with --from, only what distinguishes it "
                "from the encoder that it was trained from. Either folder serves wherever an encoder is asked for.")
    keep.add_argument("encoder", help=config.PARAMETERS["encoder"].help)
    keep.add_argument("folder", help="the folder to write")
    keep.add_argument("--from", dest="base", metavar="ENCODER", help="keep the difference from this encoder, cut to a low rank")
    keep.add_argument("--rank", type=int, default=64, help="of the difference of each matrix of weights (default: 64)")

    find = verb("search", _search, "search your own files, in any mix of languages",
                "Index text, Markdown, HTML, PDF, CSV and JSON-lines files, and answer queries: once, at a prompt, or on a "
                "local page. The index is kept and brought in step with the files by each call.")
    find.add_argument("source", nargs="+", help="files and folders")
    find.add_argument("--query", help="answer this query and end; without it there is a prompt")
    find.add_argument("--top", type=int, default=10, metavar="N", help="most passages to show (default: 10)")
    find.add_argument("--json", action="store_true", help="print a JSON object a query")
    find.add_argument("--encoder", default="offline-hybrid-e5-small",
                      help=f"{config.PARAMETERS['encoder'].help} (default: %(default)s)")
    find.add_argument("--compare", metavar="ENCODER", help="show the results of another encoder, too")
    find.add_argument("--debias", default="none", choices=("none", "centring", "LSAR"),
                      help="lessen the preference for passages in the query's language, without training (default: none)")
    find.add_argument("--serve", action="store_true", help="serve a page to search with, on this machine only")
    find.add_argument("--host", default="127.0.0.1", help="address to serve on (default: 127.0.0.1)")
    find.add_argument("--port", type=int, default=8765, help="port to serve on; 0: any that is free (default: 8765)")
    find.add_argument("--index", metavar="FOLDER", help="where indexes are kept (default: runs/search)")

    ranked = verb("rankings", _rankings, "keep an encoder's ranked lists of encyclo11 in results/rankings",
                  "Rank the test split of encyclo11 and keep the lists in results/rankings, for the book's analysis of errors.")
    ranked.add_argument("name", help="of the file, e.g. untrained")
    ranked.add_argument("--encoder", default=config.PARAMETERS["encoder"].default, help=config.PARAMETERS["encoder"].help)
    ranked.add_argument("--debias", default="", choices=("", *config.PARAMETERS["debias"].choices),
                        help="a method that needs no training")

    verb("chapters", _chapters, "make the chapters that show results/, without computing anything anew")
    taught = verb("course", _course, "execute the pages of the course and write its student labs")
    taught.add_argument("--only", default="", metavar="UNIT",
                        help="only the pages of this unit, e.g. unit2, or one page, e.g. unit2/lab")
    taught.add_argument("--student", action="store_true", help="also prepare runs/student, the book without solutions")
    shown = verb("slides", _slides, "build the slides of the course from its pages as they were executed")
    shown.add_argument("-o", "--output", default="_build/html/slides", help="folder to write (default: _build/html/slides)")
    describe = verb("describe", _describe, "list the parameters: type, default, what is allowed, meaning")
    describe.add_argument("notebook", nargs="?", help="only those of this notebook, e.g. 02_training")
    verb("cells", _cells, "write anew what is generated: cells of the notebooks, figures of the model card")
    choice = parser.parse_args(arguments)
    logging.getLogger("papermill").setLevel(logging.WARNING)
    try:
        choice.function(choice)
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        sys.exit(f"error: {error}")


def _add_parameters(made, parameters, nargs=None):
    """Give a verb a flag for each of some parameters of config."""
    group = made.add_argument_group("parameters")
    for parameter in parameters.values():
        if parameter.name != "output":
            group.add_argument(f"--{parameter.name.replace('_', '-')}", metavar=parameter.type_name.upper(), nargs=nargs,
                               default=argparse.SUPPRESS, help=parameter.help.replace("%", "%%"))


def _overrides(choice):
    flags = {name: value for name, value in vars(choice).items() if name in config.PARAMETERS and name != "output"}
    return dict(choice.parameter) | flags


def _run(choice):
    from hybrid_batch import book
    flags = _overrides(choice)
    folder = book.run(choice.profile, flags, choice.notebook, choice.output)
    if (results := folder / "results.md").exists():
        print(f"\n{results.read_text(encoding='utf-8')}")
    print(f"executed notebooks and tables: {folder}")
    if flags and not choice.output and (folder.parent / choice.profile / "runs.json").exists():
        print(f"to see what changed: python -m hybrid_batch compare {choice.profile} {shlex.quote(folder.name)}")


def _book(choice):
    from hybrid_batch import book
    print(f"the book shows the run {book.make(choice.profile, _overrides(choice)).name}")


def _compare(choice):
    from hybrid_batch import comparison
    text, path = comparison.compare(choice.run, choice.output)
    print(f"{text}\n\nthe page: {path}")


def _sweep(choice):
    from hybrid_batch import book, comparison, paths
    given = {name: value for name, value in vars(choice).items() if name in config.PARAMETERS and name != "output"}
    several = [name for name, value in given.items() if len(value) > 1]
    if len(several) != 1:
        raise ValueError(f"give one parameter several values, as in --alpha 0 0.5 1, not {', '.join(several) or 'none'}")
    name, settings = several[0], [config.check(several[0], one) for one in given.pop(several[0])]
    fixed = {other: config.check(other, value) for other, (value,) in given.items()}
    folder = choice.output or paths.RUNS / "sweeps" / book.folder_name(f"{choice.profile}-{name}", fixed)
    values = book.profile(book.QUICK) | book.profile(choice.profile) | fixed  # as the notebooks have them
    text, path = comparison.sweep(values, name, settings, folder)
    print(f"\n{text}\n\nthe page: {path}")


def _evaluate(choice):
    from hybrid_batch import evaluation
    result = evaluation.evaluate(choice.encoder, choice.benchmark, choice.data or None, choice.languages, choice.split,
                                 choice.shards, choice.precision)
    print(json.dumps(result, indent=1, ensure_ascii=False))


def _corpus(choice, name):
    from hybrid_batch.data import corpora
    return corpora.load_corpus(name, choice.split, choice.languages, choice.data, choice.limit, choice.keep,
                               choice.consent)


def _prepare(choice):
    from hybrid_batch.data import benchmarks, cards, catalogue
    if not choice.corpus:
        for name, entry in catalogue.catalogue().items():
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
    from hybrid_batch import paths, storage
    from hybrid_batch.integrations import translation
    corpus, counts = _corpus(choice, choice.corpus), Counter()
    if len(found := sorted(corpus.rows.unique("language"))) > 1:
        raise ValueError(f"corpus {choice.corpus!r} has {len(found)} languages, and each would be translated into the "
                         f"others' places: choose one with --languages, e.g. {found[0]}")
    translator = translation.Translator(choice.model, paths.CACHE / "translations", choice.revision)
    rows = translation.parallel(corpus.rows.remove_columns("hashes"), translator, choice.to, counts)
    storage.write(choice.output, (json.dumps({key: value for key, value in row.items() if value or key == "negatives"},
                                             ensure_ascii=False) + "\n" for row in rows))
    for (language, what), number in sorted(counts.items()):
        print(f"{language}: {number} {what}")


def _study(choice):
    from hybrid_batch import rows, study
    planned = study.plan(choice.name, choice.data)
    if choice.plan:
        done = rows.manifests(choice.name)
        for item in planned:
            print(f"{'done' if item.key in done else '    '}  {item.key}  {item}")
        return
    from hybrid_batch import runner  # slow to import: it trains
    number = runner.run(choice.name, choice.data, choice.workers, choice.ray, choice.again)
    print(f"{number} runs made; rows: results/{choice.name}")


def _train(choice):
    from hybrid_batch import finetune
    given = {name: value for name, value in vars(choice).items() if name in config.EXPERIMENT | config.TRAINING}
    finetune.finetune(choice.corpus, choice.output, choice.adapter, **given)
    print(f"the encoder and its model card: {choice.output}")


def _save(choice):
    from hybrid_batch.encoders import load
    if choice.rank < 1:
        raise ValueError(f"rank = {choice.rank}: it must be 1 or more")
    encoder = load.load(choice.encoder, "cpu")
    if choice.base:
        load.save_difference(encoder, choice.base, choice.folder, choice.rank)
    else:
        load.save(encoder, choice.folder)
    print(f"the encoder: {choice.folder}")


def _search(choice):
    from tqdm import tqdm

    from hybrid_batch import search, webpage
    told = set()

    def tell(text):  # once, though each encoder has an index of its own
        if text not in told:
            told.add(text)
            tqdm.write(text, file=sys.stderr)

    indexes = [search.open_index(choice.source, name, choice.debias, choice.index or search.FOLDER, tell)
               for name in filter(None, (choice.encoder, choice.compare))]
    if choice.serve:
        server = webpage.server(indexes, choice.host, choice.port, choice.top)
        print(f"http://{choice.host}:{server.server_port} (to end: Ctrl-C)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
        return
    for query in [choice.query] if choice.query is not None else search.prompt():
        results = [{"encoder": index.title, "results": index.search(query, choice.top)} for index in indexes]
        if choice.json:
            print(json.dumps({"query": query, "encoders": results}, ensure_ascii=False), flush=True)
            continue
        for part in results:
            print(f"{part['encoder']}\n" * (len(results) > 1) + search.as_text(part["results"]), flush=True)


def _rankings(choice):
    from hybrid_batch import evaluation, rankings
    rankings.write(choice.name, *evaluation.ranked_lists(choice.encoder, choice.debias))
    print(f"ranked lists: results/rankings/{choice.name}.parquet")


def _chapters(_):
    from hybrid_batch import book
    print(f"executed chapters: {book.render()}")


def _course(choice):
    from hybrid_batch import book, course
    book.render(f"course/{choice.only}")
    course.write_labs(choice.only.split("/")[0])
    if choice.student:
        print(f"the book without solutions, to be built: {course.student_book()}")


def _slides(choice):
    from hybrid_batch import course
    print(f"slides: {course.build_slides(choice.output)}")


def _describe(choice):
    names = config.PARAMETERS
    if choice.notebook:
        from hybrid_batch import book
        names = book.parameters(choice.notebook)
    for parameter in map(config.PARAMETERS.get, names):
        allowed = f" ({parameter.allowed})" if parameter.allowed else ""
        print(f"{parameter.name}: {parameter.type_name} = {parameter.default!r}{allowed}\n    {parameter.help}"
              f"{f' [{parameter.unit}]' * bool(parameter.unit)}")


def _cells(_):
    from hybrid_batch import book
    from hybrid_batch.report import card
    book.generate_cells()
    card.write()
