"""What every distillation loss promises to the loop that calls it."""

from typing import NamedTuple

from torch import Tensor, nn

from losses.batch import Batch, TrainingData
from models.outputs import Outputs


class LossError(ValueError):
    """A loss that cannot be built from these networks or values; one sentence with the remedy."""


class InitialStage(NamedTuple):
    """What a method trains before the student's first epoch, by the student's own SGD."""

    num_epochs: int
    # Of the teacher's outputs, those that `initial_forward` reads.
    needs: tuple[str, ...]
    # Whether the student runs, and learns wherever the stage's terms have a gradient.
    trains_student: bool
    lr: float | None = None  # None: the student's
    lr_decay_epochs: tuple[int, ...] = ()  # after each of them the rate drops to a tenth


class DistillationLoss(nn.Module):
    """Scores how far a student is from its teacher.

    Built as `LOSSES[name](student_shapes, teacher_shapes, **setting)`, of the setting what is
    the method's own; a hyperparameter that does not apply (its condition is off) is None.
    Trainable heads are parameters, memory is in the state dict. What is minimised besides
    these terms, cross-entropy and KD's divergence, is the `Objective`'s.
    """

    # The teacher's outputs that forward reads: "logits", "embedding", "classifier", or
    # "feature_maps.<name>", "pre_activation_maps.<name>", "attention_maps.<name>". Others may
    # be missing, so that no cache has to hold them.
    needs: tuple[str, ...] = ()
    # Whether both networks see each image in four rotations: outputs of [4B, ...], rows 4b to
    # 4b+3 by 0, 90, 180 and 270 degrees. Needs are then written "rotations.<name>".
    rotates: bool = False
    initial_stage: InitialStage | None = None

    def start(self, training: TrainingData) -> None:
        """Called once before anything is trained or loaded: a memory of the images is made here.

        Random numbers come from torch's global generator, which is seeded for it.
        """

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns the scalar terms by name, already weighted.

        Call it outside autocast and with both outputs in float32: correlations and
        similarities lose their meaning in half precision. The teacher needs no gradient.
        """
        raise NotImplementedError

    def initial_forward(
        self, student: Outputs | None, teacher: Outputs, batch: Batch
    ) -> dict[str, Tensor]:
        """As `forward`, for the initial stage, which has no cross-entropy.

        The student is None unless the stage trains it.
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


def require_not_negative(place: str, value: float) -> None:
    """Raises LossError unless `value` is a number of 0 or more."""
    if not value >= 0:
        raise LossError(f"{place} is {value}; give 0 or more")
