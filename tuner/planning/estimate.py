"""How long a search takes and how many device-hours it uses."""

import math
from dataclasses import dataclass

from tuner.planning.rungs import REDUCTION_FACTOR, grace_period


@dataclass(frozen=True)
class StepTimes:
    """Seconds, measured where a trial would run."""

    step: float  # of a student with its loss, the teacher's answer left out
    teacher: float  # the teacher's answer to a batch
    validation: float  # of the whole validation split
    teacher_step: float  # of the teacher's own training; 0 where it is there already


@dataclass(frozen=True)
class Amount:
    """What a search trains, at most."""

    steps_per_epoch: int
    epochs: int
    num_trials: int
    num_finals: int
    teacher_epochs: int  # 0 where it is there already
    teacher_batches_once: int  # that all trials share
    teacher_batches_per_training: int  # that each computes for itself
    mean_epochs: float  # of a trial, where the scheduler stops as many as it aims at


@dataclass(frozen=True)
class Estimate:
    """What a person is told before a search on a cluster."""

    num_machines: int
    cpus: float  # of the cluster
    gpus: float
    cpus_per_trial: float
    gpus_per_trial: float
    num_at_once: int  # trials
    pace: StepTimes
    amount: Amount
    reasons: tuple[str, ...]  # of the teacher's outputs

    @property
    def training_seconds(self) -> float:
        """Of one training from its first epoch to its last."""
        return self._seconds(self.amount.epochs)

    @property
    def most_seconds(self) -> float:
        """If no trial is stopped early."""
        return self._in_all(self.amount.epochs)

    @property
    def likely_seconds(self) -> float:
        """If the scheduler stops as many trials as it aims at."""
        return self._in_all(self.amount.mean_epochs)

    def device_hours(self, epochs: float) -> float:
        """Hours of GPUs (without any: of CPU cores) that the search takes, with trials so long."""
        amount = self.amount
        trials = amount.num_trials * self._seconds(epochs)
        finals = amount.num_finals * self._seconds(amount.epochs)
        seconds = self._alone() + self._shared() + trials + finals
        return seconds / 3600 * (self.gpus_per_trial or self.cpus_per_trial)

    def _seconds(self, epochs: float) -> float:
        amount, pace = self.amount, self.pace
        own = amount.teacher_batches_per_training * pace.teacher * epochs / amount.epochs
        return epochs * (amount.steps_per_epoch * pace.step + pace.validation) + own

    def _alone(self) -> float:
        """The teacher's own training."""
        amount, pace = self.amount, self.pace
        return amount.teacher_epochs * (
            amount.steps_per_epoch * pace.teacher_step + pace.validation
        )

    def _shared(self) -> float:
        """The teacher's answers that all trainings share."""
        return self.amount.teacher_batches_once * self.pace.teacher

    def _in_all(self, epochs: float) -> float:
        amount = self.amount
        # As many trainings one after the other as the last slot has.
        trials = math.ceil(amount.num_trials / self.num_at_once) * self._seconds(epochs)
        finals = math.ceil(amount.num_finals / self.num_at_once) * self._seconds(amount.epochs)
        at_once = min(self.num_at_once, max(1, amount.num_trials))
        return self._alone() + self._shared() / at_once + trials + finals


def mean_epochs(scheduler: str, epochs: int) -> float:
    """Epochs of a trial on average, if each of the scheduler's rungs keeps the share it aims at."""
    if scheduler not in ("asha", "hyperband"):
        return float(epochs)
    rung = grace_period(epochs)
    mean, share = float(rung), 1.0
    while rung < epochs:
        share /= REDUCTION_FACTOR
        following = min(rung * REDUCTION_FACTOR, epochs)
        mean += share * (following - rung)
        rung = following
    return mean
