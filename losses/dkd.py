"""Decoupled knowledge distillation (DKD): the label's probability, and the other classes'.

Source: "Decoupled Knowledge Distillation", arXiv:2203.08679; the authors' code,
github.com/megvii-research/mdistiller, whose weights ramp over the first epochs, which the
paper does not mention.
Departure: the code takes the logarithm of probabilities that may have become 0, and hides
the label behind an offset of -1000; here both divergences are computed from log-odds and
from the other classes' logits. The values are equal wherever the code's are finite.
"""

import torch
from torch import Tensor

from losses.batch import Batch, ramp
from losses.kd import kd_divergence
from losses.loss import DistillationLoss, require_not_negative, require_positive
from losses.parts.logits import require_same_classes
from models.outputs import Outputs, Shapes


class DKD(DistillationLoss):
    """Target class (TCKD) and non-target class (NCKD) divergences.

    Heads: none. Terms: "tckd", "nckd". A term of weight 0 is not computed.
    """

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        alpha: float,
        beta: float,
        dkd_temperature: float,
        warmup_epochs: int,
    ) -> None:
        super().__init__()
        require_not_negative("dkd: alpha", alpha)
        require_not_negative("dkd: beta", beta)
        require_not_negative("dkd: warmup_epochs", warmup_epochs)
        require_positive("dkd: dkd_temperature", dkd_temperature)
        require_same_classes("dkd", student, teacher)
        self.alpha = alpha
        self.beta = beta
        self.temperature = dkd_temperature
        self.warmup_epochs = warmup_epochs
        self.needs = ("logits",) if alpha or beta else ()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"tckd": scalar >= 0, "nckd": scalar >= 0}, weighted."""
        scale = ramp(batch.epoch, self.warmup_epochs)
        terms: dict[str, Tensor] = {}
        if not self.needs:
            return terms
        own, own_others = split(student.logits, batch.labels)
        wanted, wanted_others = split(teacher.logits, batch.labels)
        if self.alpha:
            loss = target_divergence(own, own_others, wanted, wanted_others, self.temperature)
            terms["tckd"] = scale * self.alpha * loss
        if self.beta:
            loss = kd_divergence(own_others, wanted_others, self.temperature)
            terms["nckd"] = scale * self.beta * loss
        return terms


def split(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The label's logit [B, 1] and the other classes' [B, classes - 1], in their order."""
    others = torch.arange(logits.shape[1] - 1, device=logits.device)
    others = others + (others >= labels[:, None])
    return logits.gather(1, labels[:, None]), logits.gather(1, others)


def target_divergence(
    student: Tensor,
    student_others: Tensor,
    teacher: Tensor,
    teacher_others: Tensor,
    temperature: float,
) -> Tensor:
    """T**2 * KL(teacher || student) between "the label" and "another class"; a scalar >= 0."""
    own = _two_classes(student, student_others, temperature)
    wanted = _two_classes(teacher, teacher_others, temperature)
    return temperature**2 * kd_divergence(own, wanted, 1.0)


def _two_classes(label: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Logits [B, 2] whose softmax is (p, 1 - p), p the label's softened probability."""
    rest = (others / temperature).logsumexp(dim=1, keepdim=True)
    return torch.cat((label / temperature, rest), dim=1)
