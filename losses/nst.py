"""Neuron selectivity transfer (NST): matches the distribution of the channels' responses.

Source: "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer",
arXiv:1707.01219, section 4, with the polynomial kernel of degree 2 and offset 0.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss, require_positive
from losses.parts.pooling import pool_to_match
from losses.parts.stages import paired_stages
from models.outputs import Outputs, Shapes


class NST(DistillationLoss):
    """Squared maximum mean discrepancy of the channels' maps. Heads: none. Terms: "nst".

    Raises LossError if a network has no stages.
    """

    def __init__(self, student: Shapes, teacher: Shapes, *, weight: float) -> None:
        super().__init__()
        require_positive("nst: weight", weight)
        self.weight = weight
        self.pairs = paired_stages("nst", student, teacher)
        self.needs = tuple(f"feature_maps.{t}" for _, t in self.pairs)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"nst": scalar >= 0}, weighted and summed over the pairs of stages."""
        discrepancies = [
            channel_discrepancy(*pool_to_match(student.feature_maps[s], teacher.feature_maps[t]))
            for s, t in self.pairs
        ]
        return {"nst": self.weight * torch.stack(discrepancies).sum()}


def channel_discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    """E k(t, t') + E k(s, s') - 2 E k(s, t), k(x, y) = (x . y)**2, of maps [B, C, H, W]; a scalar.

    Expectations are over all pairs of channels of an image, each channel scaled to length 1;
    the mean is over the batch. The numbers of channels may differ.
    """
    student, teacher = student.flatten(2), teacher.flatten(2)
    num_student, num_teacher, num_locations = student.shape[1], teacher.shape[1], student.shape[2]
    # sum_cd (x_c . y_d)**2 = <X^T X, Y^T Y>, so the discrepancy is the squared distance of
    # [H*W, H*W] matrices, which is much cheaper for small maps with many channels.
    by_location = num_locations * (num_student + num_teacher)
    by_channel = num_student**2 + num_teacher**2 + num_student * num_teacher
    if by_location < by_channel:
        difference = _second_moment(student) - _second_moment(teacher)
        return difference.square().sum(dim=(1, 2)).mean()
    # The products are scaled instead of the maps, which are larger.
    student_products, teacher_products = student @ student.mT, teacher @ teacher.mT
    student_scale, teacher_scale = _scale(student_products), _scale(teacher_products)
    return (
        _mean_kernel(teacher_products, teacher_scale, teacher_scale)
        + _mean_kernel(student_products, student_scale, student_scale)
        - 2 * _mean_kernel(student @ teacher.mT, student_scale, teacher_scale)
    )


def _second_moment(maps: Tensor) -> Tensor:
    """Mean of x x^T over the scaled channels of maps [B, C, H*W], [B, H*W, H*W]."""
    rows = F.normalize(maps, dim=2)
    return rows.mT @ rows / rows.shape[1]


def _scale(products: Tensor) -> Tensor:
    """1 / length of each channel, [B, C], from the products [B, C, C] of all channels."""
    # As in F.normalize, lengths are at least 1e-12.
    return products.diagonal(dim1=1, dim2=2).clamp_min(1e-24).rsqrt()


def _mean_kernel(products: Tensor, scale: Tensor, other_scale: Tensor) -> Tensor:
    """Mean of the kernel over images and pairs of channels, from their products [B, C, D]."""
    return (products * scale[:, :, None] * other_scale[:, None, :]).square().mean()
