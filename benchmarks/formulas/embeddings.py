"""Formulas of the methods that compare embeddings within the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from losses import Batch
from losses.cc import CC
from losses.itrd import ITRD
from losses.pkt import PKT
from losses.rkd import RKD
from models import Outputs


def cc(loss: CC, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """1/(B-1) sum_b d_b . d_(b+1), d = |W_s f_s - W_t f_t|."""
    own = loss.student_head(student.embedding)
    wanted = loss.teacher_head(teacher.embedding)
    errors = (own - wanted).abs()
    return loss.weight * (errors[:-1] * errors[1:]).sum(dim=1).mean()


def pkt(loss: PKT, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """1/B^2 sum_ij p_ij^t ln(p_ij^t / p_ij^s), p the rows of (cos + 1)/2 over their sums."""
    eps = 1e-7

    def probabilities(x: Tensor) -> Tensor:
        x = x / (x.norm(dim=1, keepdim=True) + eps)
        cosines = (x @ x.T + 1) / 2
        return cosines / cosines.sum(dim=1, keepdim=True)

    own, wanted = probabilities(student.embedding), probabilities(teacher.embedding)
    return loss.weight * (wanted * torch.log((wanted + eps) / (own + eps))).mean()


def rkd(loss: RKD, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """25 mean h(d_s - d_t) + 50 mean h(a_s - a_t), h = smooth L1, d relative, a cosines."""

    def distances(x: Tensor) -> Tensor:
        squares = (x * x).sum(dim=1)
        between = squares[:, None] + squares[None, :] - 2 * x @ x.T
        lengths = between.clamp(min=1e-12).sqrt()
        lengths = lengths * (1 - torch.eye(len(x), dtype=x.dtype))
        return lengths / lengths[lengths > 0].mean()

    def angles(x: Tensor) -> Tensor:
        directions = F.normalize(x[None, :] - x[:, None], dim=2)
        return torch.bmm(directions, directions.transpose(1, 2)).view(-1)

    own, wanted = student.embedding, teacher.embedding
    distance = F.smooth_l1_loss(distances(own), distances(wanted))
    angle = F.smooth_l1_loss(angles(own), angles(wanted))
    return loss.distance_weight * distance + loss.angle_weight * angle


def itrd(loss: ITRD, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """log2 sum_k |c_k - 1|^(2 alpha), and ||K_s/tr||^2 - ||K_st/tr||^2 of cosines K."""
    assert loss.embed is not None
    own, wanted = loss.embed(student.embedding), teacher.embedding
    standard_own = (own - own.mean(dim=0)) / own.std(dim=0)
    standard_wanted = (wanted - wanted.mean(dim=0)) / wanted.std(dim=0)
    correlation = (standard_own * standard_wanted).sum(dim=0) / len(own)
    corr = (correlation - 1).abs().pow(2 * loss.alpha).sum().log2()

    rows = F.normalize(own if loss.widths_differ else student.embedding)
    wanted_rows = F.normalize(wanted)
    gram, wanted_gram = rows @ rows.T, wanted_rows @ wanted_rows.T
    joint = gram * wanted_gram
    gram, joint = gram / gram.trace(), joint / joint.trace()
    mi = gram.pow(2).sum() - joint.pow(2).sum()
    return loss.beta_corr * corr + loss.beta_mi * mi
