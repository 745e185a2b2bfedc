"""Divergence of softened predictions.

Source: "Distilling the Knowledge in a Neural Network", arXiv:1503.02531, section 2.
"""

import torch.nn.functional as F
from torch import Tensor


def kd_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T**2 * KL(teacher || student) of the softened classes, in nats; a scalar >= 0.

    Both logits are [B, classes]; the mean is over the batch.
    """
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    # T**2 keeps the gradient's size independent of T (arXiv:1503.02531, section 2).
    return temperature**2 * divergence
