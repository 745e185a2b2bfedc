"""The training objective: cross-entropy, KD's divergence, and the terms of the method.

    ce_weight * CE + kd_weight * KD_T + sum of the method's terms

Source: the CRD framework (arXiv:1910.10699), which calls the weights gamma, alpha and beta; every
method can be combined with KD's term, as in CRD+KD.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from losses.batch import Batch, TrainingData
from losses.kd import kd_divergence
from losses.loss import DistillationLoss, LossError, require_not_negative, require_positive
from losses.parts.logits import require_same_classes
from models.outputs import NUM_ROTATIONS, Outputs, Shapes

# Hyperparameters that every method has besides its own.
COMMON = ("ce_weight", "kd_weight", "temperature")


class Objective(nn.Module):
    """A method's loss plus cross-entropy and KD. Terms: "ce", "kd", and the method's."""

    def __init__(
        self,
        loss: DistillationLoss,
        *,
        ce_weight: float = 1.0,
        kd_weight: float = 0.0,
        temperature: float = 4.0,
    ) -> None:
        """The defaults mean plain training. Raises LossError for weights below 0."""
        super().__init__()
        require_not_negative("ce_weight", ce_weight)
        require_not_negative("kd_weight", kd_weight)
        if kd_weight:
            require_positive("temperature", temperature)
        self.loss = loss
        self.ce_weight, self.kd_weight, self.temperature = ce_weight, kd_weight, temperature
        logits = "rotations.logits" if loss.rotates else "logits"
        extra = (logits,) if kd_weight and logits not in loss.needs else ()
        self.needs = (*loss.needs, *extra)

    def start(self, training: TrainingData) -> None:
        """See `DistillationLoss.start`."""
        self.loss.start(training)

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> dict[str, Tensor]:
        """Returns the weighted scalar terms by name, whose sum is minimised.

        The teacher may be None if the method is "plain".
        """
        student_logits = self._upright(student.logits)
        terms = {"ce": self.ce_weight * F.cross_entropy(student_logits, batch.labels)}
        if teacher is None:
            return terms
        if self.kd_weight:
            divergence = kd_divergence(
                student_logits, self._upright(teacher.logits), self.temperature
            )
            terms["kd"] = self.kd_weight * divergence
        return terms | self.loss(student, teacher, batch)

    def _upright(self, logits: Tensor) -> Tensor:
        return logits[::NUM_ROTATIONS] if self.loss.rotates else logits


def build_objective(
    method: type[DistillationLoss], student: Shapes, teacher: Shapes, setting: dict[str, Any]
) -> Objective:
    """The objective for a setting, which holds the method's own and the common hyperparameters.

    Raises LossError if the method does not fit the networks or the values.
    """
    common = {name: setting[name] for name in COMMON if name in setting}
    own = {name: value for name, value in setting.items() if name not in COMMON}
    try:
        objective = Objective(method(student, teacher, **own), **common)
    except LossError:
        raise
    # A value of the wrong type, or a mistake in the user's own method.
    except Exception as error:
        chosen = ", ".join(f"{name} {value!r}" for name, value in setting.items())
        raise LossError(
            f"{method.__name__} cannot be built with {chosen or 'no hyperparameters'} "
            f"({type(error).__name__}: {error}); correct the values, or the method if it is yours"
        ) from error
    if objective.kd_weight:
        require_same_classes("kd_weight", student, teacher)
    return objective
