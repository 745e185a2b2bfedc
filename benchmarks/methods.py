"""The methods that are measured, with their published settings, and what they minimise."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from losses import LOSSES, Batch, DistillationLoss
from losses.kd import kd_divergence
from models import Outputs, Shapes
from search_spaces import SPACES

METHODS = ("plain", "kd", "itrd", "mimkd")
# The CRD framework's weights for KD alone: 0.1 cross-entropy + 0.9 KD at T = 4.
OWN_SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "kd": {"temperature": 4.0, "weight": 0.9, "ce_weight": 0.1},
}


class KD(DistillationLoss):
    """The softened predictions alone. Heads: none. Terms: "kd"."""

    needs = ("logits",)

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        temperature: float,
        weight: float,
        ce_weight: float,
    ) -> None:
        super().__init__()
        self.temperature, self.weight, self.ce_weight = temperature, weight, ce_weight

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"kd": scalar >= 0}, weighted."""
        divergence = kd_divergence(student.logits, teacher.logits, self.temperature)
        return {"kd": self.weight * divergence}


def published(method: str) -> dict[str, Any]:
    """The published setting of a method."""
    return SPACES[method].published() if method in SPACES else OWN_SETTINGS[method]


def build_loss(
    method: str, setting: dict[str, Any], student: Shapes, teacher: Shapes
) -> DistillationLoss:
    """The method's loss; where `losses` has a KD of its own, that one."""
    known: dict[str, type[DistillationLoss]] = {"kd": KD} | LOSSES
    return known[method](student, teacher, **setting)


def objective(
    loss: DistillationLoss, student: Outputs, teacher: Outputs | None, batch: Batch
) -> Tensor:
    """The scalar that is minimised; the teacher may be None for the method "plain"."""
    total = loss.ce_weight * F.cross_entropy(student.logits, batch.labels)
    for term in loss(student, teacher, batch).values():
        total = total + term
    return total
