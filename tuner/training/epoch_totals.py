"""Totals of one epoch's steps, and the error of an epoch whose loss is not finite."""

from typing import NamedTuple

import torch
from torch import Tensor

from tuner.training.evaluation import Metrics


class DivergedError(RuntimeError):
    """A loss that is not a finite number; the message names term, epoch, step and rate."""


class Step(NamedTuple):
    """The result of one step, on the training's device."""

    terms: dict[str, Tensor]  # weighted scalars by name, the cross-entropy among them
    num_correct: Tensor | None  # scalar, of the batch's images; None if the student did not run
    teacher_seconds: float  # spent reading or computing the teacher's outputs


class EpochTotals:
    """Collects the steps of an epoch; tensors stay on the device until `metrics` reads them."""

    def __init__(self, epoch: int, lr: float) -> None:
        self._epoch, self._lr = epoch, lr
        self._names: tuple[str, ...] = ()
        self._terms: list[Tensor] = []  # [terms] per step
        self._num_correct: Tensor | int = 0
        self.teacher_seconds = 0.0

    def add(self, step: Step) -> None:
        """Adds a step without waiting for the device."""
        self._names = tuple(step.terms)
        self._terms.append(torch.stack(list(step.terms.values())))
        if step.num_correct is not None:
            self._num_correct = self._num_correct + step.num_correct
        self.teacher_seconds += step.teacher_seconds

    @property
    def num_correct(self) -> int:
        """Correctly classified images; 0 if the student did not run."""
        return int(self._num_correct)

    def metrics(self, prefix: str) -> Metrics:
        """Each term's mean over the steps as "<prefix>_<term>", their sum as "<prefix>_loss".

        Raises DivergedError if a term of any step is not finite.
        """
        values = torch.stack(self._terms)  # [steps, terms]
        self._require_finite(values.cpu())
        means = dict(zip(self._names, values.mean(dim=0).tolist(), strict=True))
        named = {f"{prefix}_{name}": mean for name, mean in means.items()}
        return {f"{prefix}_loss": sum(means.values()), **named}

    def _require_finite(self, values: Tensor) -> None:
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            step, term = bad[0].tolist()
            raise DivergedError(
                f"the term {self._names[term]!r} became {values[step, term].item()} "
                f"at epoch {self._epoch}, step {step + 1} (lr {self._lr:g})"
            )
