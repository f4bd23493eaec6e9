"""Our benchmarks as tasks of mteb (arXiv 2502.13595), and our encoders as its models.

Only this module needs mteb: ``pip install mteb``. Data come from memory: nothing is fetched, and no results are kept.
"""

import os
import tempfile
import warnings

from datasets import Dataset
from sentence_transformers import SentenceTransformer

from hybrid_batch.data.streaming import Collection

os.environ.setdefault("MTEB_CACHE", f"{tempfile.gettempdir()}/mteb")  # importing it makes that folder, else one at home

import mteb  # noqa: E402
from mteb.abstasks import AbsTaskRetrieval  # noqa: E402
from mteb.abstasks.task_metadata import TaskMetadata  # noqa: E402
from mteb.models import SentenceTransformerEncoderWrapper  # noqa: E402


def task(benchmark, query_language=None, passage_language=None):
    """A retrieval task of mteb.

    benchmark: a Collection whose passages fit into memory; or a Benchmark, of which one setting is taken: queries in
        one language, and passages in the same (Mo), in another (Cr) or, for None, in all languages (Mul).
    """
    if isinstance(benchmark, Collection):
        passages, queries, qrels = dict(benchmark.passages()), benchmark.queries, benchmark.qrels
    else:
        chosen = benchmark.passages.language.isin([passage_language] if passage_language else benchmark.languages)
        passages = {str(number): text for number, text in benchmark.passages.text[chosen].items()}
        queries = benchmark.queries[benchmark.queries.language == query_language].rename(columns={"item": "id"})
        qrels = benchmark.relevant[benchmark.relevant.passage.isin(chosen.index[chosen])].assign(grade=1)
        qrels = qrels.rename(columns={"item": "query"}).astype({"passage": str})
    relevant = qrels.groupby("query").grade.max()  # mteb counts a query without relevant passages as 0; we leave it out
    queries = queries[queries.id.isin(relevant.index[relevant > 0])]
    grades = {query: dict(zip(part.passage, part.grade.tolist()))
              for query, part in qrels[qrels["query"].isin(queries.id)].groupby("query")}
    metadata = TaskMetadata(
        name="".join(c if c.isalnum() else "-" for c in benchmark.name), description=benchmark.name, type="Retrieval",
        dataset={"path": benchmark.name, "revision": benchmark.checksum}, eval_splits=["test"], eval_langs=["mul"],
        main_score="ndcg_at_10")
    made = type("Task", (AbsTaskRetrieval,), {"metadata": metadata})()
    made.dataset = {"default": {"test": {
        "corpus": Dataset.from_dict({"id": list(passages), "text": list(passages.values())}),
        "queries": Dataset.from_dict({"id": queries.id.tolist(), "text": queries.text.tolist()}),
        "relevant_docs": grades, "top_ranked": None}}}
    made.data_loaded = True
    return made


def model(encoder):
    """The encoder as mteb takes it, with its own prompts "query" and "document". Shares its weights."""
    with warnings.catch_warnings(action="ignore"):  # of "passage", which mteb calls "document"
        return SentenceTransformerEncoderWrapper(encoder)


def scores(encoder, task, batch_size=16):
    """What mteb measures, by its names, such as ndcg_at_10, map_at_1000, recall_at_100. encoder: of ours, or a model of
    mteb."""
    encoder = model(encoder) if isinstance(encoder, SentenceTransformer) else encoder
    result = mteb.evaluate(encoder, task, cache=None, co2_tracker=False, show_progress_bar=False,
                           encode_kwargs={"batch_size": batch_size, "show_progress_bar": False})
    return result.task_results[0].scores["test"][0]
