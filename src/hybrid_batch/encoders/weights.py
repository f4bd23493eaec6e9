"""What is done to an encoder's weights: copy, mix, freeze, name; and in which precision they may be computed with."""

import hashlib
import types

import numpy as np
import torch
from torch import nn

from hybrid_batch.encoders.muse import UniversalSentenceEncoder

ADAPTER = ".lora_"  # in the names of an adapter's weights
LAYERS = ("encoder.layer", "layers", "transformer.layer")  # in BERT and its kin, ModernBERT, DistilBERT


def has_bf16(device):
    """Whether a device computes in bf16 itself, which is where it is faster than float32."""
    has = {"cuda": torch.cuda.is_bf16_supported, "cpu": torch.cpu._is_avx512_bf16_supported}.get(device.type)
    return has is not None and has()


def precision(wanted, device):
    """The precision to train with: as wanted; "auto" is bf16 on a device that has it, and float32 elsewhere."""
    return wanted if wanted != "auto" else "bf16" if has_bf16(device) else "float32"


def parameters(encoder):
    """All weights of an encoder by name, as CPU copies: {name: tensor}."""
    return {name: value.detach().cpu().clone() for name, value in encoder.state_dict().items()}


def interpolate(encoder, before, after, weight):
    """Set ``encoder``'s weights to (1 - weight) * before + weight * after, both as ``parameters`` returns them: a
    pretrained encoder averaged with its fine-tuned self often keeps what each is good at, at no cost (WiSE-FT, arXiv
    2109.01903). Raises ValueError for a weight outside 0 to 1."""
    if not 0 <= weight <= 1:
        raise ValueError(f"interpolation weight {weight} is outside 0 to 1")
    encoder.load_state_dict({name: torch.lerp(old, after[name], weight) if old.is_floating_point() else old
                             for name, old in before.items()})
    return encoder


def average(encoders):
    """The first of some encoders of one architecture, with the mean of the weights of all (a model soup, arXiv
    2203.05482). Raises ValueError if their weights are not alike in name and shape."""
    weights = [parameters(encoder) for encoder in encoders]
    shapes = [{name: value.shape for name, value in part.items()} for part in weights]
    if any(part != shapes[0] for part in shapes):
        raise ValueError("the encoders to average differ in architecture: name encoders trained from the same one")
    encoders[0].load_state_dict({name: torch.stack([part[name] for part in weights]).mean(0)
                                 if value.is_floating_point() else value for name, value in weights[0].items()})
    return encoders[0]


def freeze(encoder, embeddings=False, layers=0):
    """Leave some weights as they are in later trainings, and let all others be trained.

    embeddings: the word embeddings, in a small multilingual encoder four fifths of the weights and of the optimiser's
        work. layers: all embeddings and so many of the first layers, which are then without dropout, too; of the
        Universal Sentence Encoder 1 is all below the residual network.
    Of an encoder with adapters (LoRA) all but these stay as they are, in any case.
    Raises ValueError if there are not so many layers, or nothing would be left to train.
    """
    blocks = _blocks(encoder[0])
    if not 0 <= layers <= max(len(blocks) - 1, 0):
        raise ValueError(f"frozen_layers = {layers}: this encoder has {max(len(blocks) - 1, 0)}")
    adapted = any(ADAPTER in name for name, _ in encoder.named_parameters())
    for name, value in encoder.named_parameters():
        value.requires_grad_(ADAPTER in name or not adapted)
    for part in encoder.modules():
        vars(part).pop("train", None)
    for block in blocks[:layers + 1 if layers else 0]:
        block.requires_grad_(False)
        block.train = types.MethodType(train, block)
        block.eval()
    if embeddings:
        module = getattr(encoder[0], "model", encoder[0])
        words = module.get_input_embeddings() if hasattr(module, "get_input_embeddings") else module
        words.requires_grad_(False)
    if not any(weights.requires_grad for name, weights in encoder.named_parameters() if "pooler" not in name):
        raise ValueError("freeze_embeddings or frozen_layers: nothing would be left to train; freeze less")
    return encoder


def train(module, mode=True):
    """In the place of ``Module.train`` of what is frozen: it stays in evaluation mode, without dropout."""
    return nn.Module.train(module, False)


def _blocks(module):
    """[embeddings, first layer, ...] of an encoder's first module; [] if that has no layers that are known."""
    if isinstance(module, UniversalSentenceEncoder):
        return [module.embedding, nn.ModuleList(module.below)]
    model = getattr(module, "model", None)
    for path in LAYERS:
        try:
            return [model.embeddings, *model.get_submodule(path)]
        except AttributeError:
            pass
    return []


def fingerprint(encoder):
    """sha256 over what an encoder's vectors depend on: its modules, prompts, longest input and weights."""
    total = hashlib.sha256(f"{encoder} {encoder.prompts} {encoder.max_seq_length}".encode())
    for name, value in encoder.state_dict().items():
        total.update(name.encode())
        total.update(np.ascontiguousarray(value.detach().cpu().float()))
    return total.hexdigest()
