"""Correlation congruence (CC): neighbouring images of a batch should have similar errors.

Source: "Correlation Congruence for Knowledge Distillation", arXiv:1904.01802.
Departure: the CRD framework's form, obtained from the paper's authors: products of the errors
of consecutive images instead of kernel matrices of correlations. The weight was published for
this form, which depends on the order of the batch.
"""

from torch import Tensor, nn

from losses.batch import Batch
from losses.loss import DistillationLoss, require_positive
from models.outputs import Outputs, Shapes


class CC(DistillationLoss):
    """Products of the embedding errors of consecutive images.

    Heads: one linear map each for student and teacher, to a common width. Terms: "cc".
    """

    needs = ("embedding",)

    def __init__(self, student: Shapes, teacher: Shapes, *, weight: float, width: int) -> None:
        super().__init__()
        require_positive("cc: weight", weight)
        require_positive("cc: width", width)
        self.weight = weight
        self.student_head = nn.Linear(student.embedding[0], width)
        self.teacher_head = nn.Linear(teacher.embedding[0], width)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"cc": scalar >= 0}, weighted. Raises ValueError for a batch of one."""
        if len(student.embedding) < 2:
            raise ValueError("cc: a batch of 1 has no neighbours; use batch_size >= 2")
        own, wanted = self.student_head(student.embedding), self.teacher_head(teacher.embedding)
        return {"cc": self.weight * congruence(own, wanted)}


def congruence(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over consecutive rows [B, width] of |error| . |next error|; a scalar >= 0."""
    errors = student - teacher
    # |a||b| = |ab|: one absolute value after the product is enough.
    return (errors[:-1] * errors[1:]).abs().sum(dim=1).mean()
