"""What every distillation loss promises to the loop that calls it."""

from torch import Tensor, nn

from losses.batch import Batch
from models.outputs import Outputs


class LossError(ValueError):
    """A loss that cannot be built from these networks or values; one sentence with the remedy."""


class DistillationLoss(nn.Module):
    """Scores how far a student is from its teacher.

    Built as `LOSSES[name](student_shapes, teacher_shapes, **setting)`; a hyperparameter
    that does not apply (its condition is off) is None. Trainable heads are parameters,
    memory is in the state dict. What is minimised is
    `ce_weight` * cross-entropy + the sum of the terms.
    """

    # The teacher's outputs that forward reads: "logits", "embedding" or
    # "feature_maps.<name>". Others may be missing, so that no cache has to hold them.
    needs: tuple[str, ...] = ()
    ce_weight: float = 1.0

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns the scalar terms by name, already weighted.

        Call it outside autocast and with both outputs in float32: correlations and
        similarities lose their meaning in half precision. The teacher needs no gradient.
        """
        raise NotImplementedError


def require_choice(place: str, value: str | None, options: tuple[str, ...]) -> None:
    """Raises LossError unless `value` is one of `options`; `place` is "method: hyperparameter"."""
    if value not in options:
        raise LossError(f"{place} is {value!r}; use one of {', '.join(options)}")


def require_positive(place: str, value: float | None) -> None:
    """Raises LossError unless `value` is a number above 0."""
    if value is None or not value > 0:
        raise LossError(f"{place} is {value}; give a number above 0")
