"""Estimates how long trainings take and how many device-hours they use, from measured steps."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from tuner.planning.rungs import COOLDOWN_RATES, REDUCTION_FACTOR, cooldown_epochs, rungs


@dataclass(frozen=True)
class StepTimes:
    """Seconds, measured where a trial would run."""

    step: float  # of a student with its loss, without the teacher's forward pass
    teacher: float  # the teacher's forward pass over one batch
    validation: float  # over the whole validation split
    teacher_step: float  # of the teacher's own training; 0 if it is trained already


@dataclass(frozen=True)
class TrainingGroup:
    """Trainings of equal cost."""

    num_trainings: int
    epochs: int
    mean_epochs: float  # expected, with early stopping
    times: StepTimes


@dataclass(frozen=True)
class Machines:
    """The machines that the trainings run on."""

    num_machines: int
    cpus: float  # of all machines
    gpus: float
    cpus_per_trial: float
    gpus_per_trial: float
    num_at_once: int  # trainings at a time


@dataclass(frozen=True)
class TeacherWork:
    """What the teacher computes in addition to the students' steps."""

    epochs: int  # of its own training; 0 if it is trained already
    shared_batches: int  # computed once for all trainings
    batches_per_epoch: float  # that each training computes for itself


@dataclass(frozen=True)
class Estimate:
    """The time and the device-hours of a search, or of the trainings of a table."""

    machines: Machines
    # Stages run one after another, the trainings of a stage in parallel.
    stages: tuple[tuple[TrainingGroup, ...], ...]
    teacher: TeacherWork
    steps_per_epoch: int
    outputs_bytes: int = 0  # of disk, for the teacher's outputs
    reasons: tuple[str, ...] = ()  # how the teacher's outputs are obtained

    def training_seconds(self, group: TrainingGroup, *, stops_early: bool = False) -> float:
        """The duration of one training: full length, or the mean with early stopping."""
        times = group.times
        step = self.steps_per_epoch * times.step + self.teacher.batches_per_epoch * times.teacher
        return (group.mean_epochs if stops_early else group.epochs) * (step + times.validation)

    def seconds(self, *, stops_early: bool = False) -> float:
        """Elapsed time of all trainings: full length, or the mean with early stopping."""
        slots = self.machines.num_at_once
        first = sum(group.num_trainings for group in self.stages[0])
        seconds = self._teacher_seconds() + self._shared_seconds() / min(slots, max(1, first))
        for stage in self.stages:
            durations = (
                self.training_seconds(group, stops_early=stops_early)
                for group in stage
                for _ in range(group.num_trainings)
            )
            seconds += makespan(durations, slots)
        return seconds

    def device_hours(self, *, stops_early: bool = False) -> float:
        """Hours of GPUs, or of CPU cores if there are no GPUs."""
        seconds = self._teacher_seconds() + self._shared_seconds()
        for group in self._groups():
            seconds += group.num_trainings * self.training_seconds(group, stops_early=stops_early)
        return seconds / 3600 * (self.machines.gpus_per_trial or self.machines.cpus_per_trial)

    def _teacher_seconds(self) -> float:
        """The teacher's own training, before all others."""
        epoch = max(
            self.steps_per_epoch * group.times.teacher_step + group.times.validation
            for group in self._groups()
        )
        return self.teacher.epochs * epoch

    def _shared_seconds(self) -> float:
        """The teacher's batches that all trainings share."""
        return self.teacher.shared_batches * max(group.times.teacher for group in self._groups())

    def _groups(self) -> list[TrainingGroup]:
        return [group for stage in self.stages for group in stage]


def makespan(durations: Iterable[float], slots: int) -> float:
    """When the last training ends, if each begins as soon as a slot is free."""
    ends = [0.0] * slots
    for duration in durations:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


def mean_epochs(scheduler: str, epochs: int) -> float:
    """Expected epochs of a trial, if each of the scheduler's rungs keeps its target fraction.

    The epochs of cooldowns count as the training's own.
    """
    cooled = cooldown_epochs(scheduler, epochs)
    mean, share, before = 0.0, 1.0, 0
    for rung in rungs(scheduler, epochs):
        mean += share * (rung - before + len(COOLDOWN_RATES) * (rung in cooled))
        share, before = share / REDUCTION_FACTOR, rung
    return mean + share * (epochs - before)
