"""Relational knowledge distillation (RKD): matches distances and angles between images.

Source: "Relational Knowledge Distillation", arXiv:1904.05068, section 3.2; the authors' code,
github.com/lenscloth/RKD. As there, means are over all pairs and all triples of the batch,
including those that contain an image twice.
Departure: images that coincide up to rounding have no direction to each other and no gradient
through it (the code's is as large as 1e12). The code normalises and multiplies all differences;
here the law of cosines gives the same angles from distances.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss, require_not_negative
from models.outputs import Outputs, Shapes

# Images closer than this, or than this fraction of their distances to the batch's mean, coincide;
# in relative distances theirs counts as this.
SMALLEST_DISTANCE = 1e-6


class RKD(DistillationLoss):
    """Smooth L1 errors of relative distances and of cosines of angles.

    Heads: none. Terms: "distance", "angle". A term of weight 0 is not computed.
    """

    def __init__(
        self, student: Shapes, teacher: Shapes, *, distance_weight: float, angle_weight: float
    ) -> None:
        super().__init__()
        require_not_negative("rkd: distance_weight", distance_weight)
        require_not_negative("rkd: angle_weight", angle_weight)
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight
        self.needs = ("embedding",) if distance_weight or angle_weight else ()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"distance": scalar >= 0, "angle": scalar >= 0}, weighted.

        Raises ValueError for a batch of one.
        """
        if len(student.embedding) < 2:
            raise ValueError("rkd: a batch of 1 has no distances; use batch_size >= 2")
        terms: dict[str, Tensor] = {}
        if not self.needs:
            return terms
        own, wanted = distances(student.embedding), distances(teacher.embedding)
        if self.distance_weight:
            loss = F.smooth_l1_loss(relative(own), relative(wanted))
            terms["distance"] = self.distance_weight * loss
        if self.angle_weight:
            loss = F.smooth_l1_loss(cosines(own), cosines(wanted))
            terms["angle"] = self.angle_weight * loss
        return terms


def distances(embedding: Tensor) -> Tensor:
    """Euclidean distances [B, B] between rows [B, D]; 0 without a gradient if they coincide."""
    # Distances do not depend on the mean; float64, or the subtraction would lose small ones.
    rows = embedding.double()
    rows = rows - rows.mean(dim=0)
    products = rows @ rows.T
    norms = products.diagonal()[:, None] + products.diagonal()[None, :]
    squares = norms - 2.0 * products
    # False for NaN: a diverged network must not look like a collapsed one.
    is_same_place = squares <= SMALLEST_DISTANCE**2 * (1.0 + norms)
    # Masked before the root, whose gradient at 0 is infinite.
    roots = squares.masked_fill(is_same_place, 1.0).sqrt()
    return roots.masked_fill(is_same_place, 0.0).to(embedding.dtype)


def relative(distances: Tensor) -> Tensor:
    """Distances [B, B] divided by their mean over all pairs of different images."""
    num_images = len(distances)
    is_self = torch.eye(num_images, dtype=torch.bool, device=distances.device)
    # Never 0 between different images, so that the mean is not 0.
    positive = distances.clamp_min(SMALLEST_DISTANCE).masked_fill(is_self, 0.0)
    return positive / (positive.sum() / (num_images * (num_images - 1)))


def cosines(distances: Tensor) -> Tensor:
    """Cosines [B, B, B] of the angle at image i between the directions to j and k.

    Computed from distances [B, B]; 0 if i coincides with j or k.
    """
    is_same_place = distances == 0
    inverse = (1.0 / distances.masked_fill(is_same_place, 1.0)).masked_fill(is_same_place, 0.0)
    squares = distances.square()
    products = (squares[:, :, None] + squares[:, None, :] - squares) * 0.5
    return products * inverse[:, :, None] * inverse[:, None, :]
