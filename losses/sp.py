"""Similarity preserving (SP): matches which images of a batch are similar.

Source: "Similarity-Preserving Knowledge Distillation", arXiv:1907.09682, section 3.1,
on the last map, as in the CRD framework (arXiv:1910.10699).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss, require_positive
from losses.parts.stages import last_stages
from models.outputs import Outputs, Shapes


class SP(DistillationLoss):
    """Differences of the batch's similarities in the last map. Heads: none. Terms: "sp".

    Raises LossError if a network has no stages.
    """

    def __init__(self, student: Shapes, teacher: Shapes, *, weight: float) -> None:
        super().__init__()
        require_positive("sp: weight", weight)
        self.weight = weight
        self.student_map, self.teacher_map = last_stages("sp", student, teacher)
        self.needs = (f"feature_maps.{self.teacher_map}",)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"sp": scalar >= 0}, weighted."""
        loss = similarity_distance(
            student.feature_maps[self.student_map], teacher.feature_maps[self.teacher_map]
        )
        return {"sp": self.weight * loss}


def similarity_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """||G_s - G_t||_F^2 / B^2 of maps [B, C, H, W], whose C, H and W may differ; a scalar >= 0."""
    return F.mse_loss(similarities(student), similarities(teacher))


def similarities(feature_map: Tensor) -> Tensor:
    """G: the inner products [B, B] of the images' maps [B, C, H, W], rows scaled to length 1."""
    # In the map's order in memory, as the products do not depend on the order.
    is_channels_last = feature_map.is_contiguous(memory_format=torch.channels_last)
    rows = (feature_map.permute(0, 2, 3, 1) if is_channels_last else feature_map).flatten(1)
    products = rows @ rows.T
    # A map of zeros gives a row of zeros. Masking blocks its gradient, which would be divided by
    # 1e-12, the smallest length in F.normalize.
    products = products.masked_fill((products.diagonal() == 0)[:, None], 0.0)
    return F.normalize(products, dim=1)
