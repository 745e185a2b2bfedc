"""Formulas of the methods that compare predictions."""

import torch
import torch.nn.functional as F
from torch import Tensor

from losses import Batch, Objective
from losses.dist import DIST
from losses.dkd import DKD
from losses.hsakd import HSAKD
from models import Outputs

HIDDEN = 1000.0  # below all other logits: a class without probability


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2/B sum_b KL(p_t || p_s), p = softmax(y/T)."""
    student = F.log_softmax(student / temperature, dim=1)
    teacher = F.softmax(teacher / temperature, dim=1)
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean")


def kd(objective: Objective, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """gamma CE + alpha KD_T."""
    cross_entropy = F.cross_entropy(student.logits, batch.labels)
    softened = divergence(student.logits, teacher.logits, objective.temperature)
    return objective.ce_weight * cross_entropy + objective.kd_weight * softened


def dkd(loss: DKD, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """alpha T^2 KL(b_t || b_s) + beta T^2 KL(p_t' || p_s'), p' over the other classes."""
    temperature = loss.temperature
    is_label = F.one_hot(batch.labels, student.logits.shape[1]).bool()

    def label_or_not(logits: Tensor) -> Tensor:
        probabilities = F.softmax(logits / temperature, dim=1)
        label = (probabilities * is_label).sum(dim=1)
        others = (probabilities * ~is_label).sum(dim=1)
        return torch.stack((label, others), dim=1)

    own, wanted = label_or_not(student.logits), label_or_not(teacher.logits)
    target = temperature**2 * F.kl_div(own.log(), wanted, reduction="batchmean")
    hidden = HIDDEN * temperature * is_label
    others = divergence(student.logits - hidden, teacher.logits - hidden, temperature)
    ramp = min(batch.epoch / loss.warmup_epochs, 1.0)
    return ramp * (loss.alpha * target + loss.beta * others)


def dist(loss: DIST, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """beta T^2 (1 - mean r of the rows) + gamma T^2 (1 - mean r of the columns)."""
    own = F.softmax(student.logits / loss.temperature, dim=1)
    wanted = F.softmax(teacher.logits / loss.temperature, dim=1)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        x = x - x.mean(dim=1, keepdim=True)
        y = y - y.mean(dim=1, keepdim=True)
        return 1 - ((x * y).sum(dim=1) / (x.norm(dim=1) * y.norm(dim=1) + 1e-8)).mean()

    between_classes, between_images = distance(own, wanted), distance(own.T, wanted.T)
    return loss.temperature**2 * (loss.beta * between_classes + loss.gamma * between_images)


def hsakd(loss: HSAKD, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """KD_T of the logits and of each pair of branches, all of four rotations."""
    total = loss.logit_weight * divergence(student.logits, teacher.logits, loss.temperature)
    branches = zip(loss.student_branches, loss.teacher_branches, loss.pairs, strict=True)
    for student_branch, teacher_branch, (s, t) in branches:
        own = student_branch(student.feature_maps[s])
        with torch.no_grad():
            wanted = teacher_branch(teacher.feature_maps[t])
        total = total + loss.branch_weight * divergence(own, wanted, loss.temperature)
    return total


def hsakd_initial(loss: HSAKD, student: None, teacher: Outputs, batch: Batch) -> Tensor:
    """Cross-entropies of the teacher's branches with the labels 4 label + rotation."""
    labels = torch.stack([4 * batch.labels + turn for turn in range(4)], dim=1).view(-1)
    total = torch.zeros(())
    loss.teacher_branches.train()
    for branch, (_, t) in zip(loss.teacher_branches, loss.pairs, strict=True):
        total = total + F.cross_entropy(branch(teacher.feature_maps[t]), labels)
    loss.teacher_branches.eval()
    return total
