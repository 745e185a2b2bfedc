"""Similarity preserving (SP): images alike to the teacher should be alike to the student.

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
    """Differences of the batch's similarities in the last map. Heads: none. Terms: "sp"."""

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
    """||G_s - G_t||_F^2 / B^2 of maps [B, C, H, W] of any two shapes; a scalar >= 0."""
    return F.mse_loss(similarities(student), similarities(teacher))


def similarities(feature_map: Tensor) -> Tensor:
    """G: the inner products [B, B] of the images' maps, in rows of length 1."""
    # In the order that the map has in memory, whichever that is: products do not depend on it.
    is_channels_last = feature_map.is_contiguous(memory_format=torch.channels_last)
    rows = (feature_map.permute(0, 2, 3, 1) if is_channels_last else feature_map).flatten(1)
    products = rows @ rows.T
    # An image whose map is all zeros has a row of zeros. Masked, that row has no gradient; it
    # would be divided by 1e-12, to which its length is clamped.
    products = products.masked_fill((products.diagonal() == 0)[:, None], 0.0)
    return F.normalize(products, dim=1)
