"""Activation boundaries (AB): matches which units are active in student and teacher.

Source: "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden
Neurons", arXiv:1811.03233, its piecewise differentiable loss; the stages' weights and the
factor 3/1000 are those of the authors' code.
As in the CRD framework (arXiv:1910.10699) the loss is used in an initial stage only, after
which cross-entropy trains the student; with `weight` > 0 both are used together.
Departures: the initial stage trains everything its loss has a gradient for, with all batch
norms in training mode; the framework excludes WRN's last batch norm and keeps it in eval mode.
The authors run the teacher in training mode and continue with KD (T = 3) alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.batch import Batch
from losses.loss import (
    DistillationLoss,
    InitialStage,
    LossError,
    require_not_negative,
    require_positive,
)
from losses.parts.pre_activation import pre_activation_stages
from losses.parts.regressor import connector
from losses.parts.stages import described
from models.outputs import Outputs, Shape, Shapes

SCALE = 3 / 1000


class AB(DistillationLoss):
    """Hinge loss between each stage's map before its ReLU and the signs of the teacher's.

    Heads: a connector (convolution and batch norm) for each stage whose shapes differ.
    Terms: "ab"; after the initial stage only if `weight` is not 0. Raises LossError if the
    networks' stages do not correspond.
    """

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        weight: float,
        margin: float,
        initial_epochs: int,
    ) -> None:
        super().__init__()
        require_positive("ab: margin", margin)
        require_not_negative("ab: weight", weight)
        require_not_negative("ab: initial_epochs", initial_epochs)
        if not weight and not initial_epochs:
            raise LossError(
                "ab: weight and initial_epochs are both 0, so nothing is distilled;"
                " give initial_epochs of 1 or more, or a weight above 0"
            )
        student_stages = pre_activation_stages("ab", "student", student)
        teacher_stages = pre_activation_stages("ab", "teacher", teacher)
        if len(student_stages) != len(teacher_stages):
            raise LossError(
                f"ab: the student has {len(student_stages)} stages and the teacher"
                f" {len(teacher_stages)} (student: {described(student.pre_activation_maps)};"
                f" teacher: {described(teacher.pre_activation_maps)});"
                " choose networks with the same number of stages"
            )
        self.weight = weight
        self.margin = margin
        self.pairs = tuple(zip(student_stages, teacher_stages, strict=True))
        self.connectors = nn.ModuleList(
            _connector(student.pre_activation_maps[s], teacher.pre_activation_maps[t])
            for s, t in self.pairs
        )
        maps = tuple(f"pre_activation_maps.{t}" for t in teacher_stages)
        self.needs = maps if weight else ()
        if initial_epochs:
            self.initial_stage = InitialStage(initial_epochs, maps, trains_student=True)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"ab": scalar >= 0}, weighted, or {} if the weight is 0."""
        if not self.weight:
            return {}
        return {"ab": self.weight * self.boundary_loss(student, teacher)}

    def initial_forward(
        self, student: Outputs | None, teacher: Outputs, batch: Batch
    ) -> dict[str, Tensor]:
        """Returns {"ab": scalar >= 0}, without the weight, as published."""
        assert student is not None
        return {"ab": self.boundary_loss(student, teacher)}

    def boundary_loss(self, student: Outputs, teacher: Outputs) -> Tensor:
        """A scalar >= 0: the sum over the stages, each weighted half as much as the next deeper."""
        losses = []
        for connect, (s, t) in zip(self.connectors, self.pairs, strict=True):
            connected = connect(student.pre_activation_maps[s])
            losses.append(hinge(connected, teacher.pre_activation_maps[t], self.margin))
        num_shallower = len(losses) - 1
        weighted = [0.5 ** (num_shallower - level) * x for level, x in enumerate(losses)]
        return torch.stack(weighted).sum()


def hinge(student: Tensor, teacher: Tensor, margin: float) -> Tensor:
    """3/1000 of the summed squared errors of maps [B, C, H, W], mean over the batch; >= 0.

    A unit has an error unless it is on the teacher's side of 0 by at least `margin`.
    """
    # Mirrored, so that in both cases the student's unit should be below -margin.
    mirrored = torch.where(teacher > 0, -student, student)
    return SCALE / len(student) * F.relu(mirrored + margin).square().sum()


def _connector(student: Shape, teacher: Shape) -> nn.Module:
    return nn.Identity() if student == teacher else connector("ab", student, teacher, relu=False)
