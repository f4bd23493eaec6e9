"""One function: encoder + corpus + strategy + training -> trained encoder and its log."""

import shutil
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import torch
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from hybrid_batch.config import Training
from hybrid_batch.encoders.load import limit_length
from hybrid_batch.encoders.weights import freeze, precision
from hybrid_batch.losses import TaskLoss
from hybrid_batch.sampler import HybridBatchSampler, Index
from hybrid_batch.strategies import TASKS, Mixture, mixture


def train(encoder, corpus, strategy, training=Training(), validation=None, folder=None, resume=False):
    """Fine-tune ``encoder`` in place with the batches of a strategy.

    encoder: a SentenceTransformer with the prompts "query" and "passage".
    corpus: a corpora.Corpus; strategy: a Mixture.
    validation: a Corpus whose loss is taken over fixed hybrid batches, the same for every strategy; if the training says
        so, it stops early and the weights of the best evaluation are kept. None: all steps.
    folder: for checkpoints, one an evaluation, the last kept; needed with validation.
    resume: go on from the last checkpoint in ``folder``, if any, to the result of a training never interrupted.
    Returns (log, drawn): a table with step, loss, learning_rate and validation_loss, and the number of batches that
    were drawn of each kind, {text of the kind: batches}.
    Raises ValueError if a corpus has no rows, a kind of batch cannot be drawn, or the loss is not finite.
    """
    if validation is not None and folder is None:
        raise ValueError("early stopping keeps the best weights on disk: give train() a folder")
    for part in filter(None, (corpus, validation)):
        if len(part.rows) == 0:
            raise ValueError(f"the corpus {part.name!r} has no rows")
    encoder.model_card_data.widget = [{}]  # not empty: else the card would show texts of the corpus
    torch.manual_seed(training.seed)  # dropout
    own_length = limit_length(encoder, min(training.max_length, encoder.max_seq_length or training.max_length))
    freeze(encoder, embeddings=training.freeze_embeddings, layers=training.frozen_layers)
    sampler = HybridBatchSampler(corpus.rows, strategy, training.batch_size, training.steps, training.seed,
                                 training.language_sampling, training.schedule)
    checker = validation and validation_sampler(validation.rows, training)
    evaluations = {} if validation is None else dict(
        eval_strategy="steps", eval_steps=training.eval_every, load_best_model_at_end=training.restore_best,
        metric_for_best_model="eval_loss", greater_is_better=False, save_total_limit=1)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder or "runs/none"), max_steps=training.steps,
        per_device_train_batch_size=2 * training.batch_size, per_device_eval_batch_size=2 * training.batch_size,
        learning_rate=training.learning_rate, weight_decay=training.weight_decay, optim="adamw_torch",
        lr_scheduler_type="linear", warmup_steps=training.warmup_ratio,
        bf16=precision(training.precision, encoder.device) == "bf16", seed=training.seed, data_seed=training.seed,
        use_cpu=encoder.device.type == "cpu", save_strategy="no" if folder is None else "steps",
        save_steps=training.eval_every, logging_steps=1, logging_nan_inf_filter=False, report_to="none", disable_tqdm=True,
        dataloader_num_workers=0, accelerator_config={"split_batches": True},  # all ranks get a part of one batch
        **evaluations)
    trainer = PairTrainer(
        model=encoder, args=arguments, loss=TaskLoss(encoder, training, arguments.world_size > 1),
        train_dataset=corpus.rows, eval_dataset=validation.rows if validation else None,
        data_collator=PairCollator(encoder.preprocess, encoder.prompts, training),
        callbacks=[Progress(sampler.strategy)] + [EarlyStoppingCallback(training.patience)] * arguments.load_best_model_at_end)
    trainer.remove_callback(PrinterCallback)
    # The whole training is one epoch of the sampler, so resuming is skipping, on any number of ranks.
    trainer.samplers = {"train": sampler, "validation": checker}
    last = get_last_checkpoint(str(folder)) if resume and folder and Path(folder).is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    if folder is not None:  # the weights wanted are in memory now
        for checkpoint in Path(folder).glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
    for name in ("forward", "_original_forward", "_is_accelerate_prepared"):  # else it would go on computing in bf16
        vars(encoder).pop(name, None)
    limit_length(encoder, own_length)
    card = encoder.model_card_data
    card.widget, card.train_datasets, card.eval_datasets = [], [], []
    encoder.eval()
    log = log_table(trainer.state.log_history)
    drawn = Counter(str(kind) for _, kind in sampler.plan()[:trainer.state.global_step])
    return log, dict(sorted(drawn.items()))


def validation_sampler(rows, training):
    """Fixed hybrid batches of the validation set, monolingual ones if it is not parallel, or its translations if it has no
    questions, the same whatever is trained."""
    index = Index(rows)
    pools = {kind: index.pool(kind) for kind in mixture("Hybrid" if "qa" in rows.unique("task") else {"parallel cross": 1})}
    strategy = Mixture({kind: float(bool(pool)) for kind, pool in pools.items()})
    groups = [len(set(index.group[rows])) for pool in pools.values() for rows in pool.values()]
    size = min([training.batch_size, *groups])
    return HybridBatchSampler(index, strategy, size, batches=training.eval_batches, seed=0)


class PairCollator(SentenceTransformerDataCollator):
    """Turns rows (query row, passage row, ...) into anchor, positive, negative_1 ... and the number of the batch's task
    as label. Anchors get the query prompt, the others the passage prompt. Negatives come from the passage row, so they
    have the passage's language; a batch uses as many a pair as its poorest pair has. With distillation all texts of a
    parallel batch get one prompt, of a query or a passage."""

    def __init__(self, preprocess, prompts, training=Training()):
        super().__init__(preprocess_fn=preprocess)
        self.passage_prompt, self.query_prompt = prompts["passage"], prompts["query"]
        self.hard_negatives, self.distil = training.hard_negatives, training.distillation > 0

    def columns(self, rows):
        """{"anchor": texts, "positive": texts, "negative_1": ...}, each (pairs,) long."""
        queries, passages = rows[::2], rows[1::2]
        depth = min(len(row["negatives"]) for row in passages) if self.hard_negatives else 0
        columns = {"anchor": [row["query"] for row in queries], "positive": [row["passage"] for row in passages]}
        return columns | {f"negative_{i + 1}": [row["negatives"][i] for row in passages] for i in range(depth)}

    def __call__(self, rows):
        columns = self.columns(rows)
        self.prompts = {name: self.query_prompt if name == "anchor" else self.passage_prompt for name in columns}
        if self.distil and rows[0]["task"] == "parallel":
            as_queries = rows[0]["hashes"][0] % 2 == 0  # by chance, but the same when a training is resumed
            self.prompts = dict.fromkeys(columns, self.query_prompt if as_queries else self.passage_prompt)
        columns["label"] = [TASKS.index(rows[0]["task"])] * len(columns["anchor"])
        return super().__call__([dict(zip(columns, texts)) for texts in zip(*columns.values())])


class PairTrainer(SentenceTransformerTrainer):
    """The stock trainer, with our samplers where it asks for one."""

    def get_batch_sampler(self, dataset, **_):
        return self.samplers["validation" if dataset is self.eval_dataset else "train"]


class Progress(TrainerCallback):
    """A line now and then, for a terminal, a log or a notebook alike."""

    def __init__(self, strategy):
        self.strategy = strategy

    def on_train_begin(self, args, state, control, **_):
        self.start, self.first = time.monotonic(), state.global_step
        print(f"training: {self.strategy}; {state.max_steps} steps from step {state.global_step}", flush=True)

    def on_log(self, args, state, control, logs=None, **_):
        step, steps = state.global_step, state.max_steps
        if "eval_loss" in logs:
            print(f"  step {step}/{steps}: validation loss {logs['eval_loss']:.4f}", flush=True)
        elif "loss" in logs and step % max(1, steps // 5) == 0:
            left = (time.monotonic() - self.start) / max(1, step - self.first) * (steps - step)
            print(f"  step {step}/{steps}: loss {float(logs['loss']):.4f}; {left:.0f} s left", flush=True)


def log_table(history):
    """The trainer's history as a table with a row a step."""
    names = {"step": "step", "loss": "loss", "learning_rate": "learning_rate", "eval_loss": "validation_loss"}
    table = pd.DataFrame(history).reindex(columns=list(names)).rename(columns=names).astype(float)
    return table.groupby("step", as_index=False).first().astype({"step": int})
