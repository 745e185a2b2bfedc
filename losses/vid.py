"""Variational information distillation (VID): predicts the teacher's maps from the student's.

Source: "Variational Information Distillation for Knowledge Transfer", arXiv:1904.05835,
section 2.1, between the maps of each pair of stages.
Departure: the CRD framework's form (arXiv:1910.10699), for which the weight was published: three
1x1 convolutions without batch norm, and a mean over all elements.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.batch import Batch
from losses.loss import DistillationLoss, LossError, require_positive
from losses.parts.pooling import pool_to_match
from losses.parts.stages import paired_stages
from models.outputs import Outputs, Shapes

EPSILON = 1e-5  # the smallest variance


class VID(DistillationLoss):
    """Negative log-likelihood of the teacher's maps given the student's.

    Heads: one `GaussianPrediction` per pair of stages. Terms: "vid". Raises LossError if a
    network has no stages.
    """

    def __init__(
        self, student: Shapes, teacher: Shapes, *, weight: float, initial_variance: float
    ) -> None:
        super().__init__()
        require_positive("vid: weight", weight)
        if not initial_variance > EPSILON:
            raise LossError(
                f"vid: initial_variance is {initial_variance}; give a number above {EPSILON}"
            )
        self.weight = weight
        self.pairs = paired_stages("vid", student, teacher)
        self.predictions = nn.ModuleList(
            GaussianPrediction(
                student.feature_maps[s][0], teacher.feature_maps[t][0], initial_variance
            )
            for s, t in self.pairs
        )
        self.needs = tuple(f"feature_maps.{t}" for _, t in self.pairs)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"vid": scalar}, weighted and summed over the pairs of stages.

        Negative if the predicted variances are small and correct.
        """
        losses = [
            prediction(*pool_to_match(student.feature_maps[s], teacher.feature_maps[t]))
            for prediction, (s, t) in zip(self.predictions, self.pairs, strict=True)
        ]
        return {"vid": self.weight * torch.stack(losses).sum()}


class GaussianPrediction(nn.Module):
    """Predicts a teacher's map: a Gaussian with mean from the student's, a variance per channel."""

    def __init__(
        self, student_channels: int, teacher_channels: int, initial_variance: float
    ) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(student_channels, teacher_channels, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
        )
        # The inverse of softplus in a form that does not overflow.
        variance = initial_variance - EPSILON
        scale = variance + math.log(-math.expm1(-variance))
        self.log_scale = nn.Parameter(torch.full((teacher_channels,), scale))

    def variance(self) -> Tensor:
        """The predicted variance of each of the teacher's channels, [C], > 0."""
        return F.softplus(self.log_scale) + EPSILON

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Mean negative log-likelihood of two maps [B, C, H, W], up to a constant; a scalar."""
        # Each channel has one variance, so its elements are averaged first.
        errors = (self.mean(student) - teacher).square().mean(dim=(0, 2, 3))
        variance = self.variance()
        return 0.5 * (errors / variance + variance.log()).mean()
