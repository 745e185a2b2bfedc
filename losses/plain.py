"""No distillation: cross-entropy alone, the baseline of all methods."""

from torch import Tensor

from losses.batch import Batch
from losses.loss import DistillationLoss
from models.outputs import Outputs, Shapes


class Plain(DistillationLoss):
    """Trains a student, or a teacher, on the labels only. Heads: none. Terms: none."""

    def __init__(self, student: Shapes, teacher: Shapes | None = None) -> None:
        super().__init__()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {}: there are no scalar terms besides the cross-entropy."""
        return {}
