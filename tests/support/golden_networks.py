"""Reference values of networks, from the CRD framework's own networks: tests/golden/models.

manifest.json holds parameter names and shapes, golden_public.npz numbers. Their weights were
filled by a formula, which `filled_weights` repeats.
"""

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parents[1] / "golden" / "models"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
# Comes from another repository and is in neither paper.
del MANIFEST["mobilenetv2_tinyimagenet"]
AUXILIARY = json.loads((FOLDER / "hsakd_aux_manifest.json").read_text())


@cache
def numbers() -> dict[str, Tensor]:
    """By "<network>/<what>": outputs for the images "input", in float64."""
    with np.load(FOLDER / "golden_public.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def filled_weights(name: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """The state dict that the reference had."""
    shapes, gain = MANIFEST[name]["state_dict"], MANIFEST[name]["weight_gain"]
    weights = {}
    for number, key in enumerate(sorted(shapes)):
        shape = shapes[key]
        layer, _, kind = key.rpartition(".")
        if kind == "num_batches_tracked":
            weights[key] = torch.tensor(0)
            continue
        v = 2 * uniform(number, math.prod(shape)) - 1
        if len(shape) >= 2:
            v *= gain * math.sqrt(6 / math.prod(shape[1:]))
        elif f"{layer}.running_mean" not in shapes:
            v *= 0.1
        elif kind == "weight":
            v = 1 + 0.2 * v
        elif kind == "running_var":
            v = 1 + 0.4 * v
        else:
            v *= 0.2
        weights[key] = torch.from_numpy(v.reshape(shape)).to(dtype)
    return weights


def uniform(tensor_number: int, size: int) -> np.ndarray:
    """The splitmix64 sequence in [0, 1), from a start that belongs to the tensor."""
    x = np.arange(1, size + 1, dtype=np.uint64) + np.uint64(tensor_number << 32)
    x *= np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)) / 2.0**53


def contents(x: Tensor) -> Tensor:
    """Mean, population deviation, norm and a sum that sees the order of the elements, [4]."""
    x = x.flatten()
    cosines = torch.arange(len(x), dtype=x.dtype).cos()
    return torch.stack((x.mean(), x.std(correction=0), x.norm(), x @ cosines))
