"""Formulas of the methods that compare the map after each stage."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from losses import Batch
from losses.ab import AB
from losses.at import AT
from losses.fsp import FSP
from losses.nst import NST
from losses.reviewkd import Fusion, ReviewKD
from losses.vid import VID, GaussianPrediction
from models import Outputs


def pairs_of(student: dict[str, Tensor], teacher: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The maps after each stage, as long as both have one, the larger pooled to the smaller."""
    pairs = []
    for own, wanted in list(zip(student.values(), teacher.values(), strict=False))[1:]:
        pairs.append(pooled(own, wanted))
    return pairs


def pooled(own: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps, the larger one pooled to the size of the smaller one."""
    height, other_height = own.shape[2], wanted.shape[2]
    if height > other_height:
        own = F.adaptive_avg_pool2d(own, other_height)
    elif height < other_height:
        wanted = F.adaptive_avg_pool2d(wanted, height)
    return own, wanted


def at(loss: AT, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """sum_l mean (Q(F_s) - Q(F_t))^2, Q = unit vector of mean_c F_c^p."""

    def attention(feature_map: Tensor) -> Tensor:
        attention = feature_map.pow(loss.p).mean(dim=1)
        return F.normalize(attention.reshape(len(attention), -1))

    total = student.logits.new_zeros(())
    for own, wanted in pairs_of(student.feature_maps, teacher.feature_maps):
        total = total + (attention(own) - attention(wanted)).pow(2).mean()
    return loss.weight * total


def nst(loss: NST, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """sum_l E k(t, t') + E k(s, s') - 2 E k(s, t), k(x, y) = (x . y)^2 of unit channels."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return torch.bmm(x, y.transpose(1, 2)).pow(2).mean()

    total = student.logits.new_zeros(())
    for own, wanted in pairs_of(student.feature_maps, teacher.feature_maps):
        s = F.normalize(own.reshape(*own.shape[:2], -1), dim=2)
        t = F.normalize(wanted.reshape(*wanted.shape[:2], -1), dim=2)
        total = total + kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)
    return loss.weight * total


def fsp_initial(loss: FSP, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """sum_l mean (M_s - M_t)^2, M_cd = 1/HW sum_p F_cp^l F_dp^(l+1), the stem's map first."""

    def flows(maps: dict[str, Tensor]) -> list[Tensor]:
        matrices = []
        for first, second in pairwise(maps.values()):
            a, b = (x.reshape(*x.shape[:2], -1) for x in pooled(first, second))
            matrices.append(torch.bmm(a, b.transpose(1, 2)) / a.shape[2])
        return matrices

    total = student.logits.new_zeros(())
    for own, wanted in zip(flows(student.feature_maps), flows(teacher.feature_maps), strict=True):
        total = total + (own - wanted).pow(2).mean()
    return total


def ab_initial(loss: AB, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """3/(1000 B) sum_l 2^(l-n+1) sum of max(z+m, 0)^2 where t <= 0, of max(m-z, 0)^2 elsewhere."""
    margin, last = loss.margin, len(loss.pairs) - 1
    total = student.logits.new_zeros(())
    for level, (s, t) in enumerate(loss.pairs):
        z = loss.connectors[level](student.pre_activation_maps[s])
        wanted = teacher.pre_activation_maps[t]
        too_high = (z + margin).pow(2) * ((z > -margin) & (wanted <= 0))
        too_low = (z - margin).pow(2) * ((z <= margin) & (wanted > 0))
        total = total + 2.0 ** (level - last) * (too_high + too_low).sum()
    return 3 / (1000 * len(student.logits)) * total


def vid(loss: VID, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """sum_l mean 1/2 [(mu(F_s) - F_t)^2 / v_c + ln v_c], v_c = ln(1 + exp(rho_c)) + 1e-5."""
    total = student.logits.new_zeros(())
    pairs = pairs_of(student.feature_maps, teacher.feature_maps)
    for prediction, (own, wanted) in zip(loss.predictions, pairs, strict=True):
        assert isinstance(prediction, GaussianPrediction)
        variance = (torch.log(1 + torch.exp(prediction.log_scale)) + 1e-5).view(1, -1, 1, 1)
        errors = (prediction.mean(own) - wanted).pow(2)
        total = total + (0.5 * (errors / variance + torch.log(variance))).mean()
    return loss.weight * total


def reviewkd(loss: ReviewKD, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """sum_l sum_k w_k MSE(pool_k ABF_l, pool_k F_t^l) / sum_k w_k, deepest first."""
    own_maps = [student.embedding[:, :, None, None]]
    wanted_maps = [teacher.embedding[:, :, None, None]]
    for s, t in loss.pairs:
        own_maps.append(student.feature_maps[s])
        wanted_maps.append(teacher.pre_activation_maps[t])
    total = student.logits.new_zeros(())
    residual = None
    for fusion, own, wanted in zip(loss.fusions, own_maps, wanted_maps, strict=True):
        assert isinstance(fusion, Fusion)
        prediction, residual = fused(fusion, own, residual, wanted.shape[2:])
        total = total + pyramid_distance(prediction, wanted)
    return loss.weight * min(batch.epoch / loss.warmup_epochs, 1.0) * total


def fused(
    fusion: Fusion, own: Tensor, residual: Tensor | None, size: torch.Size
) -> tuple[Tensor, Tensor]:
    """ABF: x z_0 + y z_1, z = sigmoid(conv [x, y]), y what was fused one level deeper."""
    x = fusion.entry(own)
    if residual is not None:
        assert fusion.attention is not None
        y = F.interpolate(residual, x.shape[2:], mode="nearest")
        z = torch.sigmoid(fusion.attention(torch.cat((x, y), dim=1)))
        x = x * z[:, :1] + y * z[:, 1:]
    if x.shape[2:] != size:
        x = F.interpolate(x, size, mode="nearest")
    return fusion.exit(x), x


def pyramid_distance(own: Tensor, wanted: Tensor) -> Tensor:
    """HCL: mean squares of the maps and of their averages in 4x4, 2x2 and 1x1 regions."""
    total, weight, weights = F.mse_loss(own, wanted), 1.0, 1.0
    for length in (4, 2, 1):
        if length >= own.shape[2]:
            continue
        weight /= 2
        smaller = F.adaptive_avg_pool2d(own, length)
        total = total + weight * F.mse_loss(smaller, F.adaptive_avg_pool2d(wanted, length))
        weights += weight
    return total / weights
