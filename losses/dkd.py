"""Decoupled knowledge distillation (DKD): matches target and non-target classes separately.

Source: "Decoupled Knowledge Distillation", arXiv:2203.08679; the authors' code,
github.com/megvii-research/mdistiller, which ramps the weights up over the first epochs; the
paper does not mention that.
Departure: the code takes logarithms of probabilities that may be 0, and masks the label with
an offset of -1000; here both divergences are computed from log-odds and from the other
classes' logits. The values are equal wherever the code's are finite.
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
        """Returns {"tckd": scalar >= 0, "nckd": scalar >= 0}, weighted and ramped up."""
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
    """Splits logits [B, classes] into the labels', [B, 1], and the others', [B, classes - 1].

    Labels are [B]; the other classes keep their order.
    """
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
    """T**2 * KL(teacher || student) of the label against all other classes; a scalar >= 0.

    Logits as `split` returns them: [B, 1] of the labels, [B, classes - 1] of the others.
    """
    own = _two_classes(student, student_others, temperature)
    wanted = _two_classes(teacher, teacher_others, temperature)
    return temperature**2 * kd_divergence(own, wanted, 1.0)


def _two_classes(label: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Logits [B, 2] whose softmax is (p, 1 - p), where p is the label's softened probability."""
    rest = (others / temperature).logsumexp(dim=1, keepdim=True)
    return torch.cat((label / temperature, rest), dim=1)
