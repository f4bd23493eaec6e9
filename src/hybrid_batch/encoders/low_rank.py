"""A trained encoder as its difference from the one that it was trained from.

What training adds to a matrix of weights is nearly of low rank (LoRA, arXiv 2106.09685, trains only such differences).
Here it is cut after training: of each matrix the largest singular values are kept, with their vectors in 4 bits, compressed
to some 3, for most of them are small; of everything else all, in half precision.
"""

import zlib
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional

from hybrid_batch import storage

FILE, CHECKSUM = "difference.safetensors", "difference.sha256"
LEFT, RIGHT, SCALE = ".left", ".right", ".scale"
STEPS = 7  # of a number between 0 and 1, and as many below 0: 15 values in 4 bits


def is_difference(folder):
    """Whether a folder holds the difference of an encoder."""
    return (Path(folder) / FILE).exists()


def write(folder, before, after, base, rank=64):
    """Write the difference of two sets of weights, {name: tensor} as weights.parameters returns them, and its checksum.

    base: name and identity of the encoder that ``before`` are the weights of, see load.identity.
    rank: singular values kept of a matrix.
    Raises ValueError if the two differ in names or shapes.
    """
    shapes = [{name: value.shape for name, value in weights.items()} for weights in (before, after)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the encoder differs in architecture from {base[0]}: name one that was trained from it")
    kept = {}
    for name, old in before.items():
        change = (after[name] - old).float()
        if not old.is_floating_point() or not change.any():
            continue
        if change.ndim == 2 and min(change.shape) > rank:
            left, sizes, right = torch.linalg.svd(change, full_matrices=False)
            left, right = left[:, :rank], right[:rank]
            largest = left.abs().amax(0), right.abs().amax(1)  # of each singular vector, (rank,)
            kept |= {name + LEFT: packed(left / largest[0]), name + RIGHT: packed(right.T / largest[1]),
                     name + SCALE: sizes[:rank] * largest[0] * largest[1] / STEPS ** 2}
        else:
            kept[name] = change.half()
    with storage.replacing(Path(folder) / FILE) as partial:
        save_file({name: value.contiguous() for name, value in kept.items()}, partial,
                  {"base": base[0], "identity": base[1], "rank": str(rank)})
    storage.write(Path(folder) / CHECKSUM, f"{storage.checksum([Path(folder) / FILE])}\n")


def packed(vectors):
    """Vectors as columns, (n, rank) numbers between -1 and 1, two in a byte: compressed bytes, (size,)."""
    codes = functional.pad((vectors * STEPS).round() + STEPS, (0, vectors.shape[1] % 2)).to(torch.uint8)
    codes = codes[:, ::2] * 16 + codes[:, 1::2]
    return torch.frombuffer(bytearray(zlib.compress(codes.contiguous().numpy().tobytes(), 9)), dtype=torch.uint8)


def unpacked(data, rank):
    """The vectors again, (n, rank), in whole steps."""
    codes = torch.frombuffer(bytearray(zlib.decompress(data.numpy().tobytes())), dtype=torch.uint8).view(-1, (rank + 1) // 2)
    return torch.stack([codes // 16, codes % 16], dim=2).flatten(1)[:, :rank].float() - STEPS


def read(folder):
    """(name of the encoder that the difference is from, its identity, {name of a tensor: difference, float32}). Raises
    ValueError if the file is not the one of the checksum beside it."""
    path, expected = Path(folder) / FILE, (Path(folder) / CHECKSUM).read_text().strip()
    if (found := storage.checksum([path])) != expected:
        raise ValueError(f"{path} is not the file that {CHECKSUM} vouches for (sha256 {found[:12]}…, expected {expected[:12]}…): "
                         f"get it again")
    with safe_open(path, "pt") as file:
        about, kept = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    whole = {name: value.float() for name, value in kept.items() if not name.endswith((LEFT, RIGHT, SCALE))}
    for name in (name.removesuffix(SCALE) for name in kept if name.endswith(SCALE)):
        scale = kept[name + SCALE]
        left, right = (unpacked(kept[name + side], len(scale)) for side in (LEFT, RIGHT))
        whole[name] = left * scale @ right.T
    return about["base"], about["identity"], whole


def add(encoder, difference):
    """Add a difference to an encoder's weights; returns the encoder."""
    with torch.no_grad():
        for name, value in encoder.state_dict().items():
            if name in difference:
                value += difference[name].to(value.device)
    return encoder
