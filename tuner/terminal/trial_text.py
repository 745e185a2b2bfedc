"""How a trial reads in the live view: its epochs, its setting, the teacher's training."""

from collections.abc import Sequence

from tuner.results.trial import RUNNING, Trial
from tuner.text.formatting import value_text
from tuner.text.time_left import left_text, seconds_left


def epoch_text(trial: Trial) -> str:
    """Such as "3/10", or "init 2" during an initial stage."""
    if trial.initial_epochs and not trial.epochs and trial.status == RUNNING:
        return f"init {len(trial.initial_epochs)}"
    return f"{len(trial.epochs)}/{trial.num_epochs}"


def setting_pairs(trial: Trial, searched: Sequence[str]) -> str:
    """The hyperparameters that are searched, such as "weight=1  kernel=rbf"."""
    return "  ".join(
        f"{name}={value_text(value)}"
        for name in searched
        if (value := trial.setting.get(name)) is not None
    )


def teacher_text(teacher: Trial) -> str:
    """The teacher's epochs and the time left of its training."""
    num_done = len(teacher.epochs)
    left = left_text(seconds_left(teacher.seconds, num_done, teacher.num_epochs - num_done))
    return f"epoch {epoch_text(teacher)}{f'  ({left})' if left else ''}"
