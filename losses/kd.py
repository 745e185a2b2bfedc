"""Knowledge distillation (KD): the divergence of softened predictions.

Source: "Distilling the Knowledge in a Neural Network", arXiv:1503.02531, section 2.
"""

import torch.nn.functional as F
from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss
from models.outputs import Outputs, Shapes


class KD(DistillationLoss):
    """KD alone: its term is the one that the `Objective` adds to every method. Heads: none."""

    def __init__(self, student: Shapes, teacher: Shapes) -> None:
        super().__init__()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {}: KD's scalar term is the `Objective`'s."""
        return {}


def kd_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T**2 * KL(teacher || student) of the softened predictions, in nats; a scalar >= 0.

    Logits are [B, classes]; the mean is over the batch.
    """
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    # T**2 keeps the gradient's size independent of T (arXiv:1503.02531, section 2).
    return temperature**2 * divergence
