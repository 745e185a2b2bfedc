"""Probabilistic knowledge transfer (PKT): matches the probabilities of being neighbours.

Source: "Learning Deep Representations with Probabilistic Knowledge Transfer",
arXiv:1803.10837, with its cosine kernel.
The form is the CRD framework's, for which the weight was published: the mean over all B * B
pairs instead of their sum, each image a neighbour of itself, and 1e-7 added to each probability
and each length.
Departure: an embedding of zeros, which has no direction, gets no gradient (the framework's is
NaN).
"""

import torch
from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss, require_positive
from models.outputs import Outputs, Shapes

EPSILON = 1e-7


class PKT(DistillationLoss):
    """Divergence of the neighbour probabilities within the batch. Heads: none. Terms: "pkt"."""

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
    """Cosine similarities, scaled to [0, 1], of rows [B, D]; [B, B] with rows that sum to 1.

    Row i holds the probabilities of the images to be the neighbour of image i.
    """
    is_zero = (embedding == 0).all(dim=1, keepdim=True)
    # Changes no value but blocks the gradient, which would be divided by EPSILON.
    embedding = embedding.masked_fill(is_zero, 0.0)
    unit = embedding / (torch.linalg.vector_norm(embedding, dim=1, keepdim=True) + EPSILON)
    similarity = (unit @ unit.T + 1.0) / 2.0
    return similarity / similarity.sum(dim=1, keepdim=True)
