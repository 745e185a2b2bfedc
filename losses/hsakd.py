"""Hierarchical self-supervised augmented knowledge distillation (HSAKD), with rotated images.

Source: "Hierarchical Self-supervised Augmented Knowledge Distillation", IJCAI 2021,
arXiv:2107.13715; the authors' code, github.com/winycg/HSAKD, for a given teacher, whose branches
learn on its frozen maps ("HSAKD" there; in "HSAKD*" the teacher learns together with them, which
gives another teacher).
Departure: the code pairs the student's branches with the teacher's by position and fails if the
teacher has fewer; here branches without a partner are omitted on either side.
"""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.batch import Batch
from losses.kd import kd_divergence
from losses.loss import (
    DistillationLoss,
    InitialStage,
    LossError,
    require_not_negative,
    require_positive,
)
from losses.parts.logits import require_same_classes
from models import UnknownModel
from models.auxiliary import auxiliary_classifier, branch_points
from models.outputs import NUM_ROTATIONS, Outputs, Shapes


class HSAKD(DistillationLoss):
    """Matches joint predictions of class and rotation at each stage, and the logits.

    Heads: for each pair of stages one auxiliary classifier per network, with 4 * classes
    outputs (`models.auxiliary`). The teacher's classifiers learn in the initial stage and are
    then frozen: no gradient, and batch norms with running statistics. Terms: "branches" (the sum
    over the pairs), "logits"; both are KD's divergence over all four rotations. A term of
    weight 0 is neither built nor computed. Raises LossError for images that are not square and
    for custom networks.
    """

    rotates = True

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        branch_weight: float,
        logit_weight: float,
        hsakd_temperature: float,
        initial_epochs: int,
        initial_lr: float,
    ) -> None:
        super().__init__()
        _, height, width = student.image
        if height != width:
            raise LossError(
                "hsakd rotates images by 90 degrees and needs square ones, but these are"
                f" {height}x{width} (height x width); give square images or choose another method"
            )
        require_not_negative("hsakd: branch_weight", branch_weight)
        require_not_negative("hsakd: logit_weight", logit_weight)
        require_positive("hsakd: hsakd_temperature", hsakd_temperature)
        require_same_classes("hsakd", student, teacher)
        self.branch_weight = branch_weight
        self.logit_weight = logit_weight
        self.temperature = hsakd_temperature

        self.pairs: tuple[tuple[str, str], ...] = ()  # (student's map, teacher's map)
        if branch_weight:
            # Untrained branches would have nothing to teach.
            require_positive("hsakd: initial_epochs", initial_epochs)
            require_positive("hsakd: initial_lr", initial_lr)
            points = _points_of("student", student), _points_of("teacher", teacher)
            self.pairs = tuple(zip(*points, strict=False))
        joint_classes = NUM_ROTATIONS * student.logits[0]
        self.student_branches = nn.ModuleList(
            auxiliary_classifier(student.name, s, joint_classes) for s, _ in self.pairs
        )
        self.teacher_branches = nn.ModuleList(
            auxiliary_classifier(teacher.name, t, joint_classes) for _, t in self.pairs
        ).eval()

        teacher_maps = tuple(f"rotations.feature_maps.{t}" for _, t in self.pairs)
        self.needs = (*teacher_maps, *(("rotations.logits",) if logit_weight else ()))
        if self.pairs:
            self.initial_stage = InitialStage(
                num_epochs=initial_epochs,
                needs=teacher_maps,
                trains_student=False,
                lr=initial_lr,
                lr_decay_epochs=decay_epochs(initial_epochs),
            )

    def train(self, mode: bool = True) -> Self:
        """Sets the mode; the teacher's branches are in training mode in `initial_forward` only."""
        super().train(mode)
        self.teacher_branches.eval()
        return self

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"branches": scalar >= 0, "logits": scalar >= 0}, weighted.

        Both networks' outputs are [4B, ...].
        """
        terms = {}
        if self.pairs:
            answers = self.student_answers(student)
            with torch.no_grad():
                targets = self.teacher_answers(teacher)
            divergences = [
                kd_divergence(answer, target, self.temperature)
                for answer, target in zip(answers, targets, strict=True)
            ]
            terms["branches"] = self.branch_weight * torch.stack(divergences).sum()
        if self.logit_weight:
            divergence = kd_divergence(student.logits, teacher.logits, self.temperature)
            terms["logits"] = self.logit_weight * divergence
        return terms

    def initial_forward(
        self, student: Outputs | None, teacher: Outputs, batch: Batch
    ) -> dict[str, Tensor]:
        """Returns {"branches": scalar >= 0}: the teacher's branches' cross-entropies, summed.

        Their labels are the joint ones of class and rotation; outputs are [4B, ...].
        """
        self.teacher_branches.train(self.training)
        answers = self.teacher_answers(teacher)
        self.teacher_branches.eval()
        labels = joint_labels(batch.labels)
        return {"branches": torch.stack([F.cross_entropy(x, labels) for x in answers]).sum()}

    def student_answers(self, student: Outputs) -> list[Tensor]:
        """The logits [4B, 4 * classes] of the student's branches."""
        maps = (student.feature_maps[s] for s, _ in self.pairs)
        return [branch(x) for branch, x in zip(self.student_branches, maps, strict=True)]

    def teacher_answers(self, teacher: Outputs) -> list[Tensor]:
        """The logits [4B, 4 * classes] of the teacher's branches."""
        maps = (teacher.feature_maps[t] for _, t in self.pairs)
        return [branch(x) for branch, x in zip(self.teacher_branches, maps, strict=True)]


def joint_labels(labels: Tensor) -> Tensor:
    """4 * label + rotation, [B] to [4B], in the order of `models.outputs.rotations`."""
    rotation = torch.arange(NUM_ROTATIONS, device=labels.device)
    return (NUM_ROTATIONS * labels[:, None] + rotation).flatten()


def decay_epochs(num_epochs: int) -> tuple[int, ...]:
    """Epochs after which the rate drops: 30, 60 and 90 of 100 as in the code, or in proportion."""
    drops = (num_epochs * tenths // 10 for tenths in (3, 6, 9))
    return tuple(dict.fromkeys(epoch for epoch in drops if epoch > 0))


def _points_of(whose: str, shapes: Shapes) -> tuple[str, ...]:
    try:
        return branch_points(shapes.name)
    except UnknownModel:
        raise LossError(
            f"hsakd repeats the {whose}'s later stages and needs a built-in network, but"
            f" the {whose} is {shapes.name or 'unnamed'}; choose a network of models/"
        ) from None
