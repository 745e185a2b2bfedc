"""Checks for methods that compare predictions."""

from losses.loss import LossError
from models.outputs import Shapes


def require_same_classes(method: str, student: Shapes, teacher: Shapes) -> None:
    """Raises LossError unless both networks have the same number of classes."""
    if student.logits != teacher.logits:
        raise LossError(
            f"{method}: the student has {student.logits[0]} classes and the teacher"
            f" {teacher.logits[0]}; choose networks with the same number of classes"
        )
