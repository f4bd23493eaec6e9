"""The settings of a training."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Settings:
    """How to train; the defaults are the paper's, where it states them."""

    steps: int = 1000  # most optimiser steps
    batch_size: int = 100  # pairs in a batch
    learning_rate: float = 3e-5
    weight_decay: float = 0.01
    temperature: float = 0.05  # tau of InfoNCE; the scale of the cosines is 1 / tau
    warmup: float = 0.1  # share of the steps over which the learning rate rises; then it falls to 0
    max_length: int = 256  # tokens of a text, the rest is cut
    hard_negatives: bool = True  # use the negatives of a batch that has them
    distillation: float = 0.0  # batches of translations: weight of the pull to the untrained vectors; see trainer
    freeze_embeddings: bool = False  # leave the word embeddings as they are
    frozen_layers: int = 0  # and so many layers above them, whose work on a text is done once; see encoders
    bf16: bool = False  # half precision in training; where a GPU has it, it is always used
    languages: str = "uniform"  # how languages are drawn: uniform, or size
    eval_every: int = 50  # steps between two looks at the validation loss
    eval_batches: int = 10  # batches of a look, the same each time
    patience: int = 5  # looks without improvement before training stops early
    mini_batch: int = 0  # texts encoded at once: 0, all; else gradients are cached (GradCache)
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "batch_size", "max_length", "eval_every", "eval_batches", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be 1 or more")
        if self.distillation < 0:
            raise ValueError(f"distillation = {self.distillation}: it must be 0 or more")
        for name in ("learning_rate", "temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be more than 0")

    @classmethod
    def pick(cls, values):
        """Settings from those entries of a dict that are settings."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})
