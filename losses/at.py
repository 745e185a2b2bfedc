"""Attention transfer (AT): matches where the networks are active.

Source: "Paying More Attention to Attention", arXiv:1612.03928, section 3.1, F_sum^p and
equation 2.
Departure: the mean of the squared differences instead of their L2 norm, as in the authors'
code and the CRD framework (arXiv:1910.10699), for which the weight was published.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss, LossError, require_positive
from losses.parts.pooling import matched_size, pool_to, pool_to_match
from losses.parts.stages import paired_stages
from models.outputs import Outputs, Shapes, attention_map


class AT(DistillationLoss):
    """Distances of the attention maps of each pair of stages. Heads: none. Terms: "at".

    With p = 2 the teacher's `attention_maps` suffice, which have the size of one channel. A
    map that is larger than the student's is pooled before the power, so all of it is needed.
    Raises LossError if a network has no stages.
    """

    def __init__(self, student: Shapes, teacher: Shapes, *, weight: float, p: float) -> None:
        super().__init__()
        require_positive("at: weight", weight)
        if not p >= 1:
            raise LossError(f"at: p is {p}; give a number of 1 or more")
        self.weight = weight
        self.p = p
        # (student's map, teacher's map, whether all channels of the teacher's are needed)
        self.pairs = []
        for s, t in paired_stages("at", student, teacher):
            teacher_shape = teacher.feature_maps[t]
            is_pooled = matched_size(student.feature_maps[s], teacher_shape) != teacher_shape[1:]
            self.pairs.append((s, t, is_pooled or p != 2))
        self.needs = tuple(
            f"feature_maps.{t}" if is_whole else f"attention_maps.{t}"
            for _, t, is_whole in self.pairs
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"at": scalar >= 0}, weighted and summed over the pairs of stages."""
        distances = []
        for s, t, is_whole in self.pairs:
            student_map = student.feature_maps[s]
            if is_whole:
                student_map, teacher_map = pool_to_match(student_map, teacher.feature_maps[t])
                target = attention(teacher_map, self.p)
            else:
                target = teacher.attention_maps[t]
                student_map = pool_to(student_map, target.shape[1:])
            distances.append(attention_distance(attention(student_map, self.p), target))
        return {"at": self.weight * torch.stack(distances).sum()}


def attention(feature_map: Tensor, p: float) -> Tensor:
    """Mean over the channels of |activation|**p, [B, C, H, W] to [B, H, W]."""
    return attention_map(feature_map) if p == 2 else feature_map.abs().pow(p).mean(dim=1)


def attention_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of maps [B, H, W], each scaled to length 1; a scalar >= 0."""
    return F.mse_loss(F.normalize(student.flatten(1)), F.normalize(teacher.flatten(1)))
