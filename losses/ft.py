"""Factor transfer (FT): matches the student's translated map to the teacher's paraphrased one.

Source: "Paraphrasing Complex Network: Network Compression via Factor Transfer",
arXiv:1802.04977; form "full" and its weight of 500 are the authors' code,
github.com/Jangho-Kim/Factor-Transfer-pytorch.
Departures, those of the CRD framework (arXiv:1910.10699), for which the weight was published:
form "attention" compares channel means of the factors' powers; the translator has batch norms;
the paraphraser minimises the mean squared error (the authors' code: L1).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.batch import Batch
from losses.loss import (
    DistillationLoss,
    InitialStage,
    LossError,
    require_choice,
    require_positive,
)
from losses.parts.pooling import pool_to_match
from losses.parts.stages import last_stages
from models.outputs import Outputs, Shapes

FORMS = ("attention", "full")
SLOPE = 0.1  # of the leaky ReLUs


class FT(DistillationLoss):
    """Distance of the factors of both networks' deepest maps.

    Heads: the paraphraser, which learns to encode the teacher's map in the initial stage and is
    then frozen, and the translator of the student's map. Terms: "ft"; in the initial stage
    "reconstruction". Factors have `rate` times the teacher's channels. Raises LossError if a
    network has no stages, or `rate` leaves no channel.
    """

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        weight: float,
        rate: float,
        form: str,
        p1: int | None,
        p2: int,
        initial_epochs: int,
        initial_lr: float,
    ) -> None:
        super().__init__()
        require_choice("ft: form", form, FORMS)
        if form == "attention":
            require_positive("ft: p1", p1)
        for name, value in (("weight", weight), ("p2", p2), ("initial_lr", initial_lr)):
            require_positive(f"ft: {name}", value)
        if initial_epochs < 1:
            raise LossError(
                f"ft: initial_epochs is {initial_epochs}, which leaves the paraphraser untrained;"
                " give 1 or more"
            )
        self.student_stage, self.teacher_stage = last_stages("ft", student, teacher)
        teacher_channels = teacher.feature_maps[self.teacher_stage][0]
        channels = int(rate * teacher_channels)
        if channels < 1:
            raise LossError(
                f"ft: rate is {rate}, which leaves no channel of the teacher's"
                f" {teacher_channels}; give {1 / teacher_channels:.3g} or more"
            )
        self.weight = weight
        self.p1 = p1 if form == "attention" else None
        self.p2 = p2
        self.paraphraser = Paraphraser(teacher_channels, channels)
        self.translator = translator(student.feature_maps[self.student_stage][0], channels)
        self.needs = (f"feature_maps.{self.teacher_stage}",)
        self.initial_stage = InitialStage(
            initial_epochs, self.needs, trains_student=False, lr=initial_lr
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"ft": scalar >= 0}, weighted."""
        translated = self.translator(student.feature_maps[self.student_stage])
        with torch.no_grad():
            paraphrased = self.paraphraser.encoder(teacher.feature_maps[self.teacher_stage])
        distance = factor_distance(translated, paraphrased, p1=self.p1, p2=self.p2)
        return {"ft": self.weight * distance}

    def initial_forward(
        self, student: Outputs | None, teacher: Outputs, batch: Batch
    ) -> dict[str, Tensor]:
        """Returns {"reconstruction": scalar >= 0}, the paraphraser's mean squared error."""
        feature_map = teacher.feature_maps[self.teacher_stage]
        return {"reconstruction": F.mse_loss(self.paraphraser(feature_map), feature_map)}


class Paraphraser(nn.Module):
    """Autoencoder of a map [B, C, H, W]; its code, the factor, has `channels` channels."""

    def __init__(self, teacher_channels: int, channels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *_layer(nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1)),
            *_layer(nn.Conv2d(teacher_channels, channels, 3, padding=1)),
            *_layer(nn.Conv2d(channels, channels, 3, padding=1)),
        )
        self.decoder = nn.Sequential(
            *_layer(nn.ConvTranspose2d(channels, channels, 3, padding=1)),
            *_layer(nn.ConvTranspose2d(channels, teacher_channels, 3, padding=1)),
            *_layer(nn.ConvTranspose2d(teacher_channels, teacher_channels, 3, padding=1)),
        )

    def forward(self, feature_map: Tensor) -> Tensor:
        """The reconstruction [B, C, H, W] of a map [B, C, H, W]."""
        reconstruction: Tensor = self.decoder(self.encoder(feature_map))
        return reconstruction


def translator(student_channels: int, channels: int) -> nn.Sequential:
    """Maps a student's map [B, C, H, W] to its factor [B, channels, H, W]."""
    return nn.Sequential(
        *_layer(nn.Conv2d(student_channels, student_channels, 3, padding=1), batch_norm=True),
        *_layer(nn.Conv2d(student_channels, channels, 3, padding=1), batch_norm=True),
        *_layer(nn.Conv2d(channels, channels, 3, padding=1), batch_norm=True),
    )


def factor_distance(student: Tensor, teacher: Tensor, *, p1: int | None, p2: int) -> Tensor:
    """Mean of |difference|**p2 of two factors [B, C, H, W] scaled to length 1; a scalar >= 0.

    The larger factor is pooled first. With `p1` the channel means of their p1-th powers are
    compared instead of the factors themselves.
    """
    student, teacher = (_unit_rows(factor, p1) for factor in pool_to_match(student, teacher))
    return (student - teacher).abs().pow(p2).mean()


def _unit_rows(factor: Tensor, p1: int | None) -> Tensor:
    values = factor if p1 is None else factor.pow(p1).mean(dim=1)
    return F.normalize(values.flatten(1))


def _layer(
    conv: nn.Conv2d | nn.ConvTranspose2d, *, batch_norm: bool = False
) -> tuple[nn.Module, ...]:
    norm = (nn.BatchNorm2d(conv.out_channels),) if batch_norm else ()
    return conv, *norm, nn.LeakyReLU(SLOPE, inplace=True)
