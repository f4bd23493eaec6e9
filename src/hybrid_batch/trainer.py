"""One function: encoder + corpus + strategy + settings -> trained encoder and its log."""

import copy
import shutil
from pathlib import Path

import pandas as pd
import torch
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from hybrid_batch import encoders
from hybrid_batch.sampler import HybridBatchSampler, Index, Mixture
from hybrid_batch.sampler import strategy as named_strategy
from hybrid_batch.settings import Settings


def train(encoder, corpus, strategy, settings=Settings(), validation=None, folder=None, resume=False):
    """Fine-tune ``encoder`` in place with InfoNCE over the batches of a strategy.

    encoder: a SentenceTransformer with the prompts "query" and "passage".
    corpus: a corpora.Corpus; strategy: a sampler.Mixture.
    validation: a Corpus to stop early on, its loss taken over fixed hybrid batches, the same for every strategy; the
        weights of the best look are kept. None: all steps.
    folder: for checkpoints, one a look, the last kept; needed with validation.
    resume: go on from the last checkpoint in ``folder``, if any, to the result of a training never interrupted.
    Returns the log: a table with step, loss, learning_rate and validation_loss.
    """
    if validation is not None and folder is None:
        raise ValueError("early stopping keeps the best weights on disk: give train() a folder")
    for part in filter(None, (corpus, validation)):
        if len(part.rows) == 0:
            raise ValueError(f"the corpus {part.name!r} has no rows")
    encoder.model_card_data.widget = [{}]  # not empty: else the card would show texts of the corpus
    torch.manual_seed(settings.seed)  # dropout
    own_length = encoder.max_seq_length
    encoder.max_seq_length = min(settings.max_length, own_length or settings.max_length)
    encoders.freeze_embeddings(encoder, settings.freeze_embeddings or bool(settings.frozen_layers))
    encoders.freeze_layers(encoder, settings.frozen_layers)
    cuda = encoder.device.type == "cuda"
    looks = {} if validation is None else dict(
        eval_strategy="steps", eval_steps=settings.eval_every, load_best_model_at_end=True,
        metric_for_best_model="eval_loss", greater_is_better=False, save_total_limit=1)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder or "runs/none"), max_steps=settings.steps,
        per_device_train_batch_size=2 * settings.batch_size, per_device_eval_batch_size=2 * settings.batch_size,
        learning_rate=settings.learning_rate, weight_decay=settings.weight_decay, optim="adamw_torch",
        lr_scheduler_type="linear", warmup_steps=settings.warmup, bf16=settings.bf16 or cuda and torch.cuda.is_bf16_supported(),
        seed=settings.seed, data_seed=settings.seed, use_cpu=encoder.device.type == "cpu",
        save_strategy="no" if folder is None else "steps", save_steps=settings.eval_every,
        logging_steps=1, report_to="none", disable_tqdm=True, dataloader_num_workers=0,
        accelerator_config={"split_batches": True},  # all ranks get a part of one batch, hence of one kind
        **looks)
    form = dict(scale=1 / settings.temperature, gather_across_devices=arguments.world_size > 1)
    loss = (losses.CachedMultipleNegativesRankingLoss(encoder, mini_batch_size=settings.mini_batch, **form)
            if settings.mini_batch else losses.MultipleNegativesRankingLoss(encoder, **form))
    if settings.distillation:
        loss = Distillation(losses.MultipleNegativesRankingLoss(encoder, **form), loss, encoder, settings.distillation)
    trainer = _Trainer(
        model=encoder, args=arguments, loss=loss, train_dataset=corpus.rows,
        eval_dataset=validation.rows if validation else None,
        data_collator=PairCollator(encoder.preprocess, prompts=encoder.prompts,
                                   hard_negatives=settings.hard_negatives,
                                   distil=bool(settings.distillation)),
        callbacks=[_Progress(strategy)] + ([EarlyStoppingCallback(settings.patience)] if validation else []))
    trainer.remove_callback(PrinterCallback)
    # The whole training is one epoch of the sampler, so resuming is skipping, on any number of ranks.
    trainer.samplers = {"train": HybridBatchSampler(corpus.rows, strategy, settings.batch_size, settings.steps,
                                                    settings.seed, settings.languages)}
    if validation is not None:
        trainer.samplers["validation"] = validation_sampler(validation.rows, settings)
    last = get_last_checkpoint(str(folder)) if resume and folder and Path(folder).is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    if folder is not None:  # the weights wanted are in memory now
        for checkpoint in Path(folder).glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
    encoder.max_seq_length = own_length
    card = encoder.model_card_data
    card.widget, card.train_datasets, card.eval_datasets = [], [], []
    encoder.eval()
    return log_table(trainer.state.log_history)


def validation_sampler(rows, settings):
    """Fixed hybrid batches of the validation set, or monolingual ones if it is not parallel, the same whatever is
    trained."""
    index = Index(rows)
    pools = {kind: index.pool(kind) for kind in named_strategy("Hybrid")}
    strategy = Mixture({kind: bool(pool) for kind, pool in pools.items()})
    groups = [len(set(index.group[rows])) for pool in pools.values() for rows in pool.values()]
    size = min([settings.batch_size, *groups])
    return HybridBatchSampler(index, strategy, size, batches=settings.eval_batches, seed=0)


class PairCollator(SentenceTransformerDataCollator):
    """Turns rows (query row, passage row, ...) into anchor, positive, negative_1 ... Anchors get the query prompt,
    the others the passage prompt. Negatives come from the passage row, so they have the passage's language; a batch
    uses as many a pair as its poorest pair has.
    distil: batches of translations, texts that are their own passages, get the label 1, others 0; and one prompt, of a
    query or a passage, for all their texts."""

    def __init__(self, preprocess, prompts, hard_negatives=True, distil=False):
        super().__init__(preprocess_fn=preprocess)
        self.passage_prompt, self.query_prompt = prompts["passage"], prompts["query"]
        self.hard_negatives, self.distil = hard_negatives, distil

    def columns(self, rows):
        """{"anchor": texts, "positive": texts, "negative_1": ...}, each (pairs,) long."""
        queries, passages = rows[::2], rows[1::2]
        depth = min(len(row["negatives"]) for row in passages) if self.hard_negatives else 0
        columns = {"anchor": [row["query"] for row in queries], "positive": [row["passage"] for row in passages]}
        return columns | {f"negative_{i + 1}": [row["negatives"][i] for row in passages] for i in range(depth)}

    def __call__(self, rows):
        columns = self.columns(rows)
        self.prompts = {name: self.query_prompt if name == "anchor" else self.passage_prompt for name in columns}
        if self.distil:
            translations = all(row["query"] == row["passage"] for row in rows)
            if translations and rows[0]["hashes"][0] % 2:  # by chance, but the same when a training is resumed
                self.prompts["anchor"] = self.passage_prompt
            elif translations:
                self.prompts["positive"] = self.query_prompt
            columns["label"] = [int(translations)] * len(columns["anchor"])
        return super().__call__([dict(zip(columns, texts)) for texts in zip(*columns.values())])


class Distillation(torch.nn.Module):
    """The loss of each kind of batch. Of translations (label 1) each text is drawn towards what the encoder made of its
    translation before training: by InfoNCE among those vectors, and by ``weight`` times 1 - cosine, which goes on when
    all others are far away. After Reimers and Gurevych, https://arxiv.org/abs/2004.09813, where the translation is into
    English. Other batches: ``loss``."""

    def __init__(self, infonce, loss, encoder, weight):
        super().__init__()
        self.infonce, self.loss, self.model, self.weight = infonce, loss, encoder, weight
        teacher = copy.deepcopy(encoder).eval().requires_grad_(False)
        self.teacher = (teacher,)  # hidden from the trainer, which would put the encoder in its place

    def forward(self, features, labels):
        features = list(features)
        if not labels.all():
            return self.loss(features, labels)
        with torch.no_grad():
            targets = self.teacher[0](features[1])["sentence_embedding"]
        vectors = self.model(features[0])["sentence_embedding"]
        pull = 1 - torch.nn.functional.cosine_similarity(vectors, targets).mean()
        return self.infonce.compute_loss_from_embeddings([vectors, targets], labels) + self.weight * pull


class _Trainer(SentenceTransformerTrainer):
    """The stock trainer, with our samplers where it asks for one."""

    def get_batch_sampler(self, dataset, **_):
        return self.samplers["validation" if dataset is self.eval_dataset else "train"]


class _Progress(TrainerCallback):
    """A line now and then, for a terminal, a log or a notebook alike."""

    def __init__(self, strategy):
        self.name = " + ".join(f"{share:.0%} {kind}" for kind, share in strategy.items())

    def on_train_begin(self, args, state, control, **_):
        print(f"training: {self.name}; {state.max_steps} steps from step {state.global_step}", flush=True)

    def on_log(self, args, state, control, logs=None, **_):
        if "eval_loss" in logs:
            print(f"  step {state.global_step}/{state.max_steps}: validation loss {logs['eval_loss']:.4f}", flush=True)
        elif "loss" in logs and state.global_step % max(1, state.max_steps // 5) == 0:
            print(f"  step {state.global_step}/{state.max_steps}: loss {float(logs['loss']):.4f}", flush=True)


def log_table(history):
    """The trainer's history as a table with a row a step."""
    names = {"step": "step", "loss": "loss", "learning_rate": "learning_rate", "eval_loss": "validation_loss"}
    table = pd.DataFrame(history).reindex(columns=list(names)).rename(columns=names).astype(float)
    return table.groupby("step", as_index=False).first().astype({"step": int})
