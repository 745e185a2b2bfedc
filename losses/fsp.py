"""Flow of the solution procedure (FSP): matches how each map follows from the previous one.

Source: "A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and
Transfer Learning", CVPR 2017, equations 1 and 2; as in the paper, the student's stages first
learn from this loss alone.
Departure: the CRD framework's form (arXiv:1910.10699): larger maps are average-pooled instead of
max-pooled, and the squared error is a mean. As published the loss is not used after the initial
stage; `weight` > 0 also adds it to the cross-entropy.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss, InitialStage, LossError, require_not_negative
from losses.parts.pooling import pool_to_match
from losses.parts.stages import described
from models.outputs import Outputs, Shapes


class FSP(DistillationLoss):
    """Products of the channels of consecutive maps, starting with the stem's.

    Heads: none. Terms: "fsp", unweighted in the initial stage; after it only if `weight` is
    not 0. Raises LossError if the networks' maps differ in shape.
    """

    def __init__(
        self, student: Shapes, teacher: Shapes, *, weight: float, initial_epochs: int
    ) -> None:
        super().__init__()
        require_not_negative("fsp: weight", weight)
        require_not_negative("fsp: initial_epochs", initial_epochs)
        if not initial_epochs and not weight:
            raise LossError(
                "fsp: initial_epochs and weight are both 0, so nothing is distilled;"
                " set one of them above 0"
            )
        student_maps, teacher_maps = student.feature_maps, teacher.feature_maps
        if list(student_maps.values()) != list(teacher_maps.values()) or len(student_maps) < 2:
            raise LossError(
                "fsp: the networks must have two or more maps of the same channels and sizes"
                f" (student: {described(student_maps)}; teacher: {described(teacher_maps)});"
                " choose two depths of one family and width, such as wrn_40_2 and wrn_16_2,"
                " resnet56 and resnet20, or vgg13 and vgg8"
            )
        self.weight = weight
        self.student_maps, self.teacher_maps = tuple(student_maps), tuple(teacher_maps)
        maps = tuple(f"feature_maps.{name}" for name in teacher_maps)
        self.needs = maps if weight else ()
        if initial_epochs:
            self.initial_stage = InitialStage(initial_epochs, maps, trains_student=True)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"fsp": scalar >= 0}, weighted, or {} if the weight is 0."""
        return {"fsp": self.weight * self.flow_distance(student, teacher)} if self.weight else {}

    def initial_forward(
        self, student: Outputs | None, teacher: Outputs, batch: Batch
    ) -> dict[str, Tensor]:
        """Returns {"fsp": scalar >= 0}, which trains the student's stem and stages."""
        assert student is not None
        return {"fsp": self.flow_distance(student, teacher)}

    def flow_distance(self, student: Outputs, teacher: Outputs) -> Tensor:
        """A scalar >= 0: mean squared differences of the flow matrices, summed over the maps."""
        student_flows = flow_matrices([student.feature_maps[name] for name in self.student_maps])
        teacher_flows = flow_matrices([teacher.feature_maps[name] for name in self.teacher_maps])
        distances = list(map(F.mse_loss, student_flows, teacher_flows))
        return torch.stack(distances).sum()


def flow_matrices(maps: list[Tensor]) -> list[Tensor]:
    """The flow matrix [B, C, D] of each map [B, C, H, W] and the next one [B, D, H', W']."""
    return [flow_matrix(first, second) for first, second in pairwise(maps)]


def flow_matrix(first: Tensor, second: Tensor) -> Tensor:
    """Mean product [B, C, D] over the locations of maps [B, C, H, W] and [B, D, H', W']."""
    first, second = pool_to_match(first, second)
    num_locations = first.shape[2] * first.shape[3]
    return first.flatten(2) @ second.flatten(2).transpose(1, 2) / num_locations
