"""The interface of distillation losses."""

from typing import NamedTuple

from torch import Tensor, nn

from losses.batch import Batch, TrainingData
from models.outputs import Outputs


class LossError(ValueError):
    """A loss cannot be built for these networks or values; one sentence with the remedy."""


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
    """Measures how far a student is from its teacher.

    Built as `LOSSES[name](student_shapes, teacher_shapes, **setting)` with the method's own
    hyperparameters; one that does not apply (its condition does not hold) is None. Trainable
    heads are parameters, memory is part of the state dict. The `Objective` adds cross-entropy
    and KD's divergence.
    """

    # The teacher's outputs that forward reads: "logits", "embedding", "classifier", or
    # "feature_maps.<name>", "pre_activation_maps.<name>", "attention_maps.<name>". Others are
    # missing, so that they need not be cached.
    needs: tuple[str, ...] = ()
    # Whether both networks see each image in four rotations: outputs are [4B, ...], where rows
    # 4b to 4b+3 are rotated by 0, 90, 180 and 270 degrees; needs are "rotations.<name>".
    rotates: bool = False
    initial_stage: InitialStage | None = None

    def start(self, training: TrainingData) -> None:
        """Called once before training or loading; creates memories of the training images.

        Random numbers come from torch's global generator, which is seeded before.
        """

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns the scalar terms by name, already weighted.

        Call it outside autocast and with both outputs in float32: correlations and
        similarities are meaningless in half precision. The teacher needs no gradient.
        """
        raise NotImplementedError

    def initial_forward(
        self, student: Outputs | None, teacher: Outputs, batch: Batch
    ) -> dict[str, Tensor]:
        """Returns the scalar terms of the initial stage, which has no cross-entropy.

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
