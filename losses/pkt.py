"""Probabilistic knowledge transfer (PKT): equal probabilities of being neighbours.

Source: "Learning Deep Representations with Probabilistic Knowledge Transfer",
arXiv:1803.10837, with its cosine kernel.
The form is the CRD framework's: the mean over all B * B pairs instead of their sum, which the
published weight belongs to, each image a neighbour of itself, and 1e-7 beside each
probability and each length.
Departure: an embedding of zeros, which has no direction, gets no gradient (the framework's
is NaN).
"""

import torch
from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss, require_positive
from models.outputs import Outputs, Shapes

EPSILON = 1e-7


class PKT(DistillationLoss):
    """Divergence of the batch's neighbour probabilities. Heads: none. Terms: "pkt"."""

    needs = ("embedding",)

    def __init__(self, student: Shapes, teacher: Shapes, *, weight: float) -> None:
        super().__init__()
        require_positive("pkt: weight", weight)
        self.weight = weight

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"pkt": scalar}, weighted; 0 for a batch of one."""
        own = neighbour_probabilities(student.embedding)
        wanted = neighbour_probabilities(teacher.embedding)
        log_ratio = ((wanted + EPSILON) / (own + EPSILON)).log()
        return {"pkt": self.weight * (wanted * log_ratio).mean()}


def neighbour_probabilities(embedding: Tensor) -> Tensor:
    """Cosine similarities from 0 to 1 of the rows [B, D], each row's divided by their sum; [B, B].

    Row i holds the probabilities that each image is the neighbour of image i.
    """
    is_zero = (embedding == 0).all(dim=1, keepdim=True)
    # Changes no value but stops the gradient, which would be divided by EPSILON.
    embedding = embedding.masked_fill(is_zero, 0.0)
    unit = embedding / (torch.linalg.vector_norm(embedding, dim=1, keepdim=True) + EPSILON)
    similarity = (unit @ unit.T + 1.0) / 2.0
    return similarity / similarity.sum(dim=1, keepdim=True)
