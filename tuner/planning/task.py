"""A task is what a driver trains on Ray: a search, or a fixed list of trainings."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import models
from losses import DistillationLoss, Objective
from models import Shapes, shapes_of
from search_spaces import Setting, Space
from tuner.config.options import RunRequest
from tuner.config.workload import Workload
from tuner.data import Dataset
from tuner.planning.plan import Budget, Find, Plan
from tuner.results.record import Record
from tuner.storage.folder import Storage
from tuner.teacher_cache.named_outputs import of_images

Needs = tuple[tuple[str, ...], ...]  # combinations of teacher outputs that some setting reads


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A checked request; nothing has been written yet."""

    name: str
    request: RunRequest  # every value resolved, as `search.yaml` holds it
    workload: Workload
    runs: Storage  # of a part of a comparison or reproduction: that one's folder
    needs_weights: bool = False  # whether the students' weights are used afterwards

    # Of a search; the defaults are those of fixed trainings.
    num_trials: int = 0
    algo: str = "none"  # the sampler
    scheduler: str = "none"  # stops trials early
    select_on: str = "val"  # the split that trials are ranked on, or "test"
    population: Space | None = None  # what population-based training perturbs
    asks_in_batches: bool = False  # so that the order in which trials finish has no effect
    # After this many seconds no trial begins, and running ones stop at their next epoch.
    time_budget_seconds: float | None = None
    search_epochs: int | None = None  # of all trials together, those of cooldowns included
    space_name: str = ""  # name or file of the space, which may define a custom method

    @property
    def storage(self) -> Storage:
        """The task's own folder."""
        return self.runs.sub(self.name)

    @property
    def num_threads(self) -> int:
        """Threads of a trial's process: one per whole core."""
        return max(1, int(self.request.cpus_per_trial))

    @property
    def metric(self) -> str:
        """The name of the accuracy, in percent, that trials are ranked on."""
        return f"{self.select_on}_accuracy"

    @property
    @abstractmethod
    def identity(self) -> str:
        """A hash of what is trained: eight hexadecimal digits."""

    @property
    @abstractmethod
    def methods(self) -> list[str]:
        """Names of the methods that are trained."""

    @property
    @abstractmethod
    def num_finals(self) -> int:
        """The maximum number of final trainings."""

    @property
    @abstractmethod
    def searched(self) -> list[str]:
        """The hyperparameters that differ between trainings."""

    @property
    @abstractmethod
    def examples(self) -> list[tuple[type[DistillationLoss], Setting]]:
        """One setting per method, to measure the cost of a training."""

    @abstractmethod
    def needs(self, dataset: Dataset) -> Needs:
        """Which combinations of the teacher's outputs the trainings read.

        Raises RequestError where a method does not fit the networks.
        """

    @abstractmethod
    def plan(self, record: Record, budget: Budget, find: Find) -> Plan:
        """Decides what to train next, given what the record holds.

        `find` returns a finished training that the task takes over instead of training it.
        """


def shapes_of_both(workload: Workload, dataset: Dataset) -> tuple[Shapes, Shapes]:
    """The shapes of the student's and the teacher's outputs."""
    student, teacher = (
        shapes_of(models.build_untrained(name, dataset.num_classes), dataset.image_size, name)
        for name in (workload.student, workload.teacher)
    )
    return student, teacher


def needs_of(objective: Objective) -> dict[tuple[str, ...], None]:
    """Which outputs of the teacher one setting reads, in its initial stage and in training."""
    stage = objective.loss.initial_stage
    together = [objective.needs] + ([] if stage is None else [stage.needs])
    return {of_images(needs): None for needs in together}


def describe(task: Task) -> dict[str, str]:
    """The task as MLflow tags."""
    workload = task.workload
    return {
        "data": workload.data,
        "teacher": workload.teacher,
        "student": workload.student,
        "epochs": str(workload.epochs),
        "space": ",".join(task.methods),
        "algo": task.algo,
        "scheduler": task.scheduler,
        "select_on": task.select_on,
    }


AnyTask = TypeVar("AnyTask", bound=Task)


@dataclass(frozen=True)
class Run(Generic[AnyTask]):
    """The result of one driver session."""

    task: AnyTask
    record: Record
    interrupted: bool
