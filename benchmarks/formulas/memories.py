"""Formulas of the methods that contrast an image with others, kept in memory banks.

The negatives' numbers are those that ours draws, so that both see the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from losses import Batch
from losses.crcd import CRCD
from losses.crd import CRD
from losses.parts.memory_bank import MemoryBanks
from losses.parts.nce import NCE
from losses.wcord import WCoRD
from models import Outputs

EPS = 1e-7


def crd(loss: CRD, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """-1/B sum_b [ln h_b0 + sum_k ln(1 - h_bk)], both ways; scores e_b . M_(i_bk) / T."""
    own, wanted = loss.student_head(student.embedding), loss.teacher_head(teacher.embedding)
    rows, candidates = candidates_of(loss, batch)
    total = own.new_zeros(())
    for embedding, bank, nce in (
        (own, loss.banks.teacher, loss.student_nce),
        (wanted, loss.banks.student, loss.teacher_nce),
    ):
        others = torch.index_select(bank, 0, candidates.view(-1))
        others = others.view(*candidates.shape, -1)
        scores = torch.bmm(others, embedding[:, :, None]).squeeze(2)
        total = total + contrast(scores, nce, len(bank))
    take_up(loss.banks, rows, own, wanted)
    return loss.weight * total


def crcd(loss: CRCD, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """As CRD with scores r(e_b - a_j) . r(M_i - a_j), and 1 - mean cos(dCE/df_t, dCE/df_s)."""
    own, wanted = loss.student_head(student.embedding), loss.teacher_head(teacher.embedding)
    rows, candidates = candidates_of(loss, batch)
    total = own.new_zeros(())
    for embedding, bank, nce in (
        (own, loss.banks.teacher, loss.student_nce),
        (wanted, loss.banks.student, loss.teacher_nce),
    ):
        anchors = bank[rows]
        to_embedding = F.normalize(embedding[:, None] - anchors[None] + 1e-6, dim=2)
        to_others = bank[candidates][:, None] - anchors[None, :, None] + 1e-6
        to_others = F.normalize(to_others, dim=3)  # [B, anchors, K + 1, width]
        scores = (to_others @ to_embedding[:, :, :, None]).squeeze(3)
        total = total + contrast(scores.flatten(0, 1), nce, len(bank))
    take_up(loss.banks, rows, own, wanted)

    assert student.classifier is not None
    assert teacher.classifier is not None
    ours = embedding_gradient(student.logits, student.classifier, batch.labels)
    theirs = embedding_gradient(teacher.logits, teacher.classifier, batch.labels)
    if loss.gradient_head is not None:
        ours = loss.gradient_head(ours)
    gradient = 1 - F.cosine_similarity(theirs, ours).mean()
    return loss.relation_weight * total + loss.gradient_weight * gradient


def wcord(loss: WCoRD, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
    """-E_+ g + M E_- g, and min_P <P, 1 - cos> with entropy, by Sinkhorn's iterations."""
    own, wanted = loss.student_head(student.embedding), loss.teacher_head(teacher.embedding)
    rows, candidates = candidates_of(loss, batch)
    other_students = loss.banks.student[candidates[:, 1:]]
    other_teachers = loss.banks.teacher[candidates[:, 1:]]
    # The weight of a spectrally normalised layer changes whenever it is read.
    weights = loss.critic.hidden.weight, loss.critic.output.weight

    def critic(t: Tensor, s: Tensor) -> Tensor:
        return F.linear(F.relu(F.linear(torch.cat((t, s), dim=-1), weights[0])), weights[1])

    matching = critic(wanted, own)
    with_students = critic(wanted[:, None].expand_as(other_students), other_students)
    with_teachers = critic(other_teachers, own[:, None].expand_as(other_teachers))
    mismatched = torch.cat((with_students, with_teachers), dim=1)
    take_up(loss.banks, rows, own, wanted)
    gap = loss.negative_weight * mismatched.mean() - matching.mean()

    cost = 1 - wanted @ own.T
    with torch.no_grad():
        kernel, share = torch.exp(-cost / loss.epsilon), 1 / len(cost)
        v = torch.full_like(cost[0], share)
        for _ in range(loss.num_iterations):
            u = share / (kernel @ v)
            v = share / (kernel.T @ u)
        plan = u[:, None] * kernel * v
    return loss.lambda_global * gap + loss.lambda_local * (plan * cost).sum()


def candidates_of(loss: CRD | CRCD | WCoRD, batch: Batch) -> tuple[Tensor, Tensor]:
    """The images' rows [B] in the banks, and before their negatives' rows: [B, 1 + K]."""
    rows = loss.negatives.rows_of(batch.indices)
    negatives = loss.negatives.draw(rows, batch.seed)
    return rows, torch.cat((rows[:, None], negatives), dim=1)


def contrast(scores: Tensor, nce: NCE, num_images: int) -> Tensor:
    """NCE of scores [rows, 1 + K], the matching one first; Z is that of the first batch."""
    exponentials = torch.exp(scores / nce.temperature)
    if not nce.has_z:
        nce.log_z.copy_((num_images * exponentials.detach().mean()).log())
        nce.has_z = True
    o = exponentials / nce.log_z.exp()
    noise = (scores.shape[1] - 1) / num_images
    matching = torch.log(o[:, 0] / (o[:, 0] + noise + EPS)).sum()
    mismatched = torch.log(noise / (o[:, 1:] + noise + EPS)).sum()
    return -(matching + mismatched) / len(scores)


@torch.no_grad()
def take_up(banks: MemoryBanks, rows: Tensor, student: Tensor, teacher: Tensor) -> None:
    """M_i = unit vector of m M_i + (1 - m) e."""
    for bank, embedding in ((banks.student, student), (banks.teacher, teacher)):
        moved = banks.momentum * bank[rows] + (1 - banks.momentum) * embedding
        bank[rows] = moved / moved.norm(dim=1, keepdim=True)


def embedding_gradient(logits: Tensor, classifier: Tensor, labels: Tensor) -> Tensor:
    """dCE/df, [B, D], but for the factor 1/B."""
    return (F.softmax(logits, dim=1) - F.one_hot(labels, logits.shape[1])) @ classifier
