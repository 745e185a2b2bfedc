"""Inputs for the tests of losses: reference values computed elsewhere, and random outputs.

tests/golden/losses holds one file per case: inputs, head weights, the loss, and its
gradients. tests/golden/losses/index.json says which implementation produced them.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import models
from losses.batch import Batch
from models.outputs import Outputs, Shapes, shapes_of

FOLDER = Path(__file__).parents[1] / "golden" / "losses"


@cache
def index() -> dict[str, Any]:
    return json.loads((FOLDER / "index.json").read_text())


def case_names(method: str, containing: str = "") -> list[str]:
    return [c["case"] for c in index()["losses"][method] if containing in c["case"]]


class Case:
    """One reference case: `case["f_s"]` is a tensor, `case.hyperparameters` a dict."""

    def __init__(self, method: str, name: str, dtype: torch.dtype = torch.float64) -> None:
        entry = next(c for c in index()["losses"][method] if c["case"] == name)
        self.hyperparameters: dict[str, Any] = entry["hyperparameters"]
        self.dtype = dtype
        with np.load(FOLDER / f"{method}__{name}.npz") as arrays:
            self.fields = {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    def __contains__(self, field: str) -> bool:
        return field in self.fields

    def __getitem__(self, field: str) -> Tensor:
        tensor = self.fields[field]
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def leaf(self, field: str) -> Tensor:
        """The field as a tensor that collects a gradient."""
        return self[field].clone().requires_grad_()

    def assert_close(self, actual: Tensor, field: str) -> None:
        """Compares with a field under the tolerance that index.json gives for the type."""
        if self.dtype == torch.float64:
            tolerance = index()["tolerance"]["float64"]
        else:
            tolerance = {"rtol": 1e-4, "atol": 1e-6}
        expected = self[field]
        # An element near zero beside large ones carries their rounding error.
        atol = tolerance["atol"] + tolerance["rtol"] * (
            0.0 if self.dtype == torch.float64 else expected.abs().max().item()
        )
        torch.testing.assert_close(
            actual.reshape(expected.shape), expected, rtol=tolerance["rtol"], atol=atol
        )

    def assert_gradients(self, tensors: dict[str, Tensor]) -> None:
        """Compares the gradient of each tensor with the field `grad_<name>`."""
        for field, tensor in tensors.items():
            gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
            self.assert_close(gradient, f"grad_{field}")


def load_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Overwrites every parameter of a module, whatever its type was."""
    module.to(next(iter(weights.values())).dtype)
    module.load_state_dict(weights)


def shapes(
    embedding: int, *, classes: int = 10, name: str = "", **feature_maps: tuple[int, ...]
) -> Shapes:
    maps = dict(feature_maps)
    return Shapes((classes,), (embedding,), maps, dict(maps), name)


def network_shapes(name: str, size: int = 8) -> Shapes:
    """A real network's, for images of size x size in 10 classes."""
    return shapes_of(models.build_untrained(name, 10), (size, size), name)


def random_outputs(shapes: Shapes, num_images: int, seed: int, *, train: bool) -> Outputs:
    """Normal numbers in the given shapes; `train` asks for leaves that collect gradients."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(num_images, *shape, generator=generator).requires_grad_(train)

    return Outputs(
        draw(shapes.logits),
        draw(shapes.embedding),
        {name: draw(shape) for name, shape in shapes.feature_maps.items()},
        {name: draw(shape) for name, shape in shapes.pre_activation_maps.items()},
        classifier=torch.randn(
            *shapes.logits, *shapes.embedding, generator=generator
        ).requires_grad_(train),
    )


def make_batch(num_images: int, seed: int = 0) -> Batch:
    indices = torch.arange(num_images)
    return Batch(torch.zeros(num_images, 3, 8, 8), indices % 10, indices, seed)
