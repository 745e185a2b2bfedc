"""Formulas of the methods that compare one map."""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.formulas.stages import pooled
from losses import Batch
from losses.fitnet import FitNet
from losses.ft import FT
from losses.sp import SP
from models import Outputs


def fitnet(loss: FitNet, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """mean (r(F_s) - F_t)^2, r a trained convolution with batch norm and ReLU."""
    regressed = loss.regressor(student.feature_maps[loss.layer])
    return loss.weight * (regressed - teacher.feature_maps[loss.layer]).pow(2).mean()


def sp(loss: SP, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """||G_s - G_t||_F^2 / B^2, G = F F^T with rows of length 1."""

    def similarities(feature_map: Tensor) -> Tensor:
        rows = feature_map.reshape(len(feature_map), -1)
        return F.normalize(rows @ rows.T, dim=1)

    own = similarities(student.feature_maps[loss.student_map])
    wanted = similarities(teacher.feature_maps[loss.teacher_map])
    return loss.weight * (own - wanted).pow(2).sum() / len(own) ** 2


def ft(loss: FT, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """mean |q(translated F_s) - q(paraphrased F_t)|, q = unit vector of mean_c F_c^2."""
    own = loss.translator(student.feature_maps[loss.student_stage])
    with torch.no_grad():
        wanted = loss.paraphraser.encoder(teacher.feature_maps[loss.teacher_stage])
    own, wanted = pooled(own, wanted)

    def factor(feature_map: Tensor) -> Tensor:
        return F.normalize(feature_map.pow(2).mean(dim=1).view(len(feature_map), -1))

    return loss.weight * (factor(own) - factor(wanted)).abs().mean()


def ft_initial(loss: FT, student: None, teacher: Outputs, batch: Batch) -> Tensor:
    """mean (decoded - F_t)^2 of the paraphraser."""
    wanted = teacher.feature_maps[loss.teacher_stage]
    return (loss.paraphraser(wanted) - wanted).pow(2).mean()
