"""Reference values of losses, computed elsewhere: one file per case in tests/golden/losses.

A file holds inputs, head weights, the loss, and its gradients (`grad_<name>`); index.json says
which implementation produced them. s0, s1, ... and t0, t1, ... are the maps of student and
teacher, f_s and f_t their embeddings, y_s and y_t their logits.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parents[1] / "golden" / "losses"
# The tolerance in float32; an element near zero beside large ones carries their rounding error.
RELATIVE, ABSOLUTE = 1e-4, 1e-6


@cache
def index() -> dict[str, Any]:
    return json.loads((FOLDER / "index.json").read_text())


def all_cases() -> list[tuple[str, str]]:
    """Method and name of every case."""
    return [(method, case["case"]) for method, cases in index()["losses"].items() for case in cases]


def layer(ours: str, field: str) -> dict[str, str]:
    """Our names of a layer's weight and bias, with the fields that hold them."""
    return {f"{ours}.weight": f"w_{field}", f"{ours}.bias": f"b_{field}"}


class Case:
    """One reference case: `case["f_s"]` is a tensor, `case.hyperparameters` a dict."""

    def __init__(self, method: str, name: str, dtype: torch.dtype = torch.float64) -> None:
        entry = next(case for case in index()["losses"][method] if case["case"] == name)
        self.method, self.name, self.dtype = method, name, dtype
        self.hyperparameters: dict[str, Any] = entry["hyperparameters"]
        with np.load(FOLDER / f"{method}__{name}.npz") as arrays:
            self.fields = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
        self.gradients = {field for field in self.fields if field.startswith("grad_")}
        self._compared: set[str] = set()

    def __contains__(self, field: str) -> bool:
        return field in self.fields

    def __getitem__(self, field: str) -> Tensor:
        tensor = self.fields[field]
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def get(self, field: str) -> Tensor | None:
        """The field, or None where the case has none of that name."""
        return self[field] if field in self.fields else None

    def leaf(self, field: str) -> Tensor:
        """The field as a tensor that collects a gradient."""
        return self[field].clone().requires_grad_()

    def maps(self, whose: str) -> list[Tensor]:
        """The maps of the student ("s"), as leaves, or the teacher ("t")."""
        names = [name for name in self.fields if name[0] == whose and name[1:].isdigit()]
        return [self.leaf(name) if whose == "s" else self[name] for name in sorted(names)]

    def compare(self, field: str, actual: Tensor) -> None:
        """Fails unless a tensor equals the field within the tolerance of its type."""
        expected = self[field]
        if self.dtype == torch.float64:
            tolerance = index()["tolerance"]["float64"]
        else:
            largest = self._largest(field)
            if field in self.gradients and largest < 1e-12:
                # It cancels; what is left are rounding errors of the other gradients' size.
                largest = max(map(self._largest, self.gradients))
            tolerance = {"rtol": RELATIVE, "atol": ABSOLUTE + RELATIVE * largest}
        torch.testing.assert_close(
            actual.reshape(expected.shape),
            expected,
            **tolerance,
            msg=lambda text: f"{field}: {text}",
        )
        self._compared.add(field)

    def compare_gradients(self, value: Tensor, leaves: Mapping[str, Tensor]) -> None:
        """Compares the gradient of a scalar for each leaf with the field `grad_<name>`."""
        gradients = torch.autograd.grad(
            value, list(leaves.values()), retain_graph=True, materialize_grads=True
        )
        for name, gradient in zip(leaves, gradients, strict=True):
            self.compare(f"grad_{name}", gradient)

    def gradients_left(self) -> set[str]:
        """The fields with gradients that were not compared, but for those that are zero."""
        return {field for field in self.gradients - self._compared if self._largest(field)}

    def _largest(self, field: str) -> float:
        return self.fields[field].abs().max().item()
