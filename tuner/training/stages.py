"""The stages of a training: the method's initial stage, if it has one, then the training itself."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from losses import Batch, Objective
from tuner.training.schedule import StepSchedule

INITIAL, TRAINING = "initial", "train"
INITIAL_RATE = 0.1  # of an initial stage's drops


class Stage(NamedTuple):
    """Epochs with one schedule and one loss."""

    name: str  # INITIAL or TRAINING; begins the names of its metrics
    schedule: StepSchedule
    needs: tuple[str, ...]  # the teacher's outputs that `terms` reads
    # (student's outputs or None, teacher's or None, batch) -> weighted scalars by name.
    terms: Callable[[Any, Any, Batch], dict[str, Tensor]]
    trains_student: bool  # otherwise the student does not run, and only heads learn


def stages_of(objective: Objective, schedule: StepSchedule) -> tuple[Stage, ...]:
    """The stages of a training with this objective; `schedule` is the student's."""
    training = Stage(TRAINING, schedule, objective.needs, objective, trains_student=True)
    initial = objective.loss.initial_stage
    if initial is None:
        return (training,)
    lr = initial.lr or schedule.lr
    return (
        Stage(
            INITIAL,
            StepSchedule(initial.num_epochs, lr, initial.lr_decay_epochs, INITIAL_RATE),
            initial.needs,
            objective.loss.initial_forward,
            initial.trains_student,
        ),
        training,
    )
