"""Formula of MIMKD: critics see every pair, matching or not, as a concatenation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses import Batch
from losses.mimkd import MIMKD, shifted
from losses.parts.critics import Convolve
from models import Outputs


def mimkd(loss: MIMKD, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """-lambda_g I(f_t; f_s) - lambda_l I(f_t; F_s) - lambda_f sum_k I(F_t^k; F_s^k)."""
    negatives = shifted(len(student.embedding), batch.seed)
    own, wanted = (x.embedding[:, :, None, None] for x in (student, teacher))
    total = -loss.lambda_g * bound(loss.global_critic, wanted, own, negatives)
    last_map = student.feature_maps[loss.last_map]
    repeated = wanted.expand(-1, -1, *last_map.shape[2:])
    total = total - loss.lambda_l * bound(loss.local_critic, repeated, last_map, negatives)
    for critic, (s, t) in zip(loss.feature_critics, loss.pairs, strict=True):
        between = bound(critic, teacher.feature_maps[t], student.feature_maps[s], negatives)
        total = total - loss.lambda_f * between
    return total


def bound(critic: nn.Module, teacher: Tensor, student: Tensor, negatives: Tensor) -> Tensor:
    """E_+ [-softplus(-T)] - E_- [softplus(T)] over the images and locations of two maps."""
    matching = scores(critic, teacher, student)
    mismatched = scores(critic, teacher, student[negatives])
    return (-F.softplus(-matching)).mean() - F.softplus(mismatched).mean()


def scores(critic: nn.Module, teacher: Tensor, student: Tensor) -> Tensor:
    """Three 1x1 convolutions of [teacher, student], with ReLU after the first two."""
    assert isinstance(critic, Convolve)
    x = torch.cat((teacher, student), dim=1)
    x = F.relu(_convolved(critic.first, x))
    x = F.relu(_convolved(critic.second, x))
    return _convolved(critic.third, x)


def _convolved(layer: nn.Linear, x: Tensor) -> Tensor:
    return F.conv2d(x, layer.weight[:, :, None, None], layer.bias)
