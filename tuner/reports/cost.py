"""What a method costs: the time of an epoch, relative to plain training."""

import statistics
from collections.abc import Sequence

from tuner.results.record import Record
from tuner.results.trial import Trial


def relative_cost(
    trials: Sequence[Trial], plain: Sequence[Trial], record: Record | None
) -> float | None:
    """Seconds per epoch of `trials`, divided by those of `plain`; None if none has finished.

    An initial stage counts. The teacher's share is the smallest that an epoch of the search had:
    many epochs fill the cache for later trainings, above all those of final trainings, whose
    seeds are new. `record`: of the search that trained them; None for plain training itself.
    """
    seconds, plain_seconds = _epoch_seconds(trials), _epoch_seconds(plain)
    if seconds is None or not plain_seconds:
        return None
    teacher = [
        epoch["teacher_seconds"]
        for trial in ([] if record is None else record.trials.values())
        for epoch in trial.epochs
        if "teacher_seconds" in epoch
    ]
    return (seconds + min(teacher, default=0.0)) / plain_seconds


def _epoch_seconds(trials: Sequence[Trial]) -> float | None:
    """The median over finished trainings, without the teacher's share."""
    seconds = [
        (trial.seconds - sum(epoch.get("teacher_seconds", 0.0) for epoch in trial.epochs))
        / len(trial.epochs)
        for trial in trials
        if trial.is_full_length
    ]
    return statistics.median(seconds) if seconds else None
