"""DIST: correlates predictions with the teacher's, over classes and over images.

Source: "Knowledge Distillation from A Stronger Teacher", arXiv:2205.10536; the authors' code,
github.com/hunto/image_classification_sota, lib/models/losses/dist_kd.py. Its 1e-8 added to the
product of norms is kept: it suppresses classes that no image of the batch is likely to have.
The temperature and T**2 are the code's; the paper's listing has neither.
Departure: a row or column that is constant up to rounding has correlation 0 and no gradient,
which would be divided by that 1e-8.
"""

import torch
from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss, require_not_negative, require_positive
from losses.parts.logits import require_same_classes
from models.outputs import Outputs, Shapes

EPSILON = 1e-8


class DIST(DistillationLoss):
    """Distances 1 - r of softened predictions, where r is Pearson's correlation.

    Heads: none. Terms: "inter" (over the classes of each image), "intra" (over the images of
    each class). A term of weight 0 is not computed.
    """

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        beta: float,
        gamma: float,
        dist_temperature: float,
    ) -> None:
        super().__init__()
        require_not_negative("dist: beta", beta)
        require_not_negative("dist: gamma", gamma)
        require_positive("dist: dist_temperature", dist_temperature)
        require_same_classes("dist", student, teacher)
        self.beta = beta
        self.gamma = gamma
        self.temperature = dist_temperature
        self.needs = ("logits",) if beta or gamma else ()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"inter": scalar, "intra": scalar}, weighted, from 0 to 2 T**2 * weight."""
        terms: dict[str, Tensor] = {}
        if not self.needs:
            return terms
        own = (student.logits / self.temperature).softmax(dim=1)
        wanted = (teacher.logits / self.temperature).softmax(dim=1)
        scale = self.temperature**2
        if self.beta:
            terms["inter"] = self.beta * scale * (1.0 - correlation(own, wanted, dim=1).mean())
        if self.gamma:
            terms["intra"] = self.gamma * scale * (1.0 - correlation(own, wanted, dim=0).mean())
        return terms


def correlation(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    """Pearson's correlation of matrices [B, classes] along `dim`: [B] or [classes], in [-1, 1]."""
    own, wanted = _centred(student, dim), _centred(teacher, dim)
    norms = torch.linalg.vector_norm(own, dim=dim) * torch.linalg.vector_norm(wanted, dim=dim)
    return (own * wanted).sum(dim=dim) / (norms + EPSILON)


def _centred(values: Tensor, dim: int) -> Tensor:
    """Deviations from the mean along a dimension, or 0 if they are only rounding errors."""
    centred = values - values.mean(dim=dim, keepdim=True)
    rounding = 4 * torch.finfo(values.dtype).eps * values.detach().abs().amax(dim, keepdim=True)
    # False for NaN: a diverged network must not look like a constant one.
    is_constant = centred.detach().abs().amax(dim, keepdim=True) <= rounding
    return centred.masked_fill(is_constant, 0.0)
