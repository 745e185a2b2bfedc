"""What a driver runs on Ray: trainings of one workload, searched for or fixed beforehand."""

import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import models
from losses import LOSSES, DistillationLoss, LossError, Objective, build_objective
from models import Shapes, shapes_of
from search_spaces import Setting
from tuner.config.options import SearchRequest
from tuner.config.workload import Workload
from tuner.data import Dataset
from tuner.planning.plan import FinalTraining
from tuner.results.record import Record
from tuner.results.trial import FINAL, Trial
from tuner.storage.folder import Storage
from tuner.teacher_cache.named_outputs import of_images
from tuner.text.errors import RequestError

Needs = tuple[tuple[str, ...], ...]  # of the teacher's outputs: all that some setting reads


@dataclass(frozen=True)
class Task(ABC):
    """Its request makes sense; nothing has been written yet."""

    name: str
    request: SearchRequest  # every value resolved, as `search.yaml` holds it
    workload: Workload
    runs: Storage
    all_runs: Storage  # the same, or what a comparison's folder lies in: the ledger is there

    @property
    def storage(self) -> Storage:
        """Its own folder."""
        return self.runs.sub(self.name)

    @property
    def num_threads(self) -> int:
        """Of a trial's process: as many as it has whole cores."""
        return max(1, int(self.request.cpus_per_trial))

    @property
    def metric(self) -> str:
        """What trials are ranked on, in percent."""
        return f"{self.request.select_on}_accuracy"

    @property
    @abstractmethod
    def identity(self) -> str:
        """Eight characters that differ where what is trained does."""

    @property
    @abstractmethod
    def custom_method(self) -> str:
        """The name or file of the space that a person's own method may come from; "": none."""

    @property
    @abstractmethod
    def num_trainings(self) -> int:
        """At most, final trainings of a search left out."""

    @property
    @abstractmethod
    def has_trials(self) -> bool:
        """Whether settings are searched for, with trials that see the search's own seed."""

    @property
    @abstractmethod
    def searched(self) -> list[str]:
        """The hyperparameters that differ between trials."""

    @property
    @abstractmethod
    def examples(self) -> list[tuple[type[DistillationLoss], Setting]]:
        """Methods with a setting each, to measure what a training takes."""

    @abstractmethod
    def needs(self, dataset: Dataset) -> Needs:
        """What is needed of the teacher: each combination of outputs that trials read.

        Raises RequestError where a method cannot join these networks.
        """


@dataclass(frozen=True)
class FixedTask(Task):
    """Trainings that were decided on beforehand."""

    trainings: tuple[FinalTraining, ...]
    needs_weights: bool = False  # whether the trained students are used for something else

    @property
    def identity(self) -> str:
        content = [asdict(training) for training in self.trainings]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def custom_method(self) -> str:
        return ""

    @property
    def num_trainings(self) -> int:
        return len(self.trainings)

    @property
    def has_trials(self) -> bool:
        return False

    @property
    def searched(self) -> list[str]:
        settings = [training.setting for training in self.trainings]
        names = dict.fromkeys(name for setting in settings for name in setting)
        return [name for name in names if len({setting.get(name) for setting in settings}) > 1]

    @property
    def examples(self) -> list[tuple[type[DistillationLoss], Setting]]:
        # Of each method the last, where experiments have their dearest setting.
        last = {training.method: training.setting for training in self.trainings}
        return [(LOSSES[method], setting) for method, setting in last.items()]

    def needs(self, dataset: Dataset) -> Needs:
        student, teacher = shapes_of_both(self.workload, dataset)
        needs: dict[tuple[str, ...], None] = {}
        for training in self.trainings:
            try:
                needs |= needs_of(LOSSES[training.method], student, teacher, training.setting)
            except LossError as error:
                raise RequestError(str(error)) from error
        return tuple(needs)


def shapes_of_both(workload: Workload, dataset: Dataset) -> tuple[Shapes, Shapes]:
    """The shapes of the student's and the teacher's outputs."""
    student, teacher = (
        shapes_of(models.build_untrained(name, dataset.num_classes), dataset.image_size, name)
        for name in (workload.student, workload.teacher)
    )
    return student, teacher


def needs_of(
    method: type[DistillationLoss], student: Shapes, teacher: Shapes, setting: Setting
) -> dict[tuple[str, ...], None]:
    """What one setting reads of the teacher, in training and in its stage before.

    Raises LossError where the method does not fit the networks or the values.
    """
    objective: Objective = build_objective(method, student, teacher, setting)
    stage = objective.loss.initial_stage
    together = [objective.needs] + ([] if stage is None else [stage.needs])
    return {of_images(needs): None for needs in together}


def describe(task: Task, what: str) -> dict[str, Any]:
    """The workload in a few words, for people and for MLflow's tags; `what`: its methods."""
    workload = task.workload
    return {
        "data": workload.data,
        "teacher": workload.teacher,
        "student": workload.student,
        "epochs": str(workload.epochs),
        "space": what,
        "algo": task.request.algo,
        "scheduler": task.request.scheduler,
        "select_on": task.request.select_on,
    }


AnyTask = TypeVar("AnyTask", bound=Task)


@dataclasses.dataclass(frozen=True)
class Run(Generic[AnyTask]):
    """What came of a session of a search."""

    search: AnyTask
    record: Record
    interrupted: bool


def plain_trainings(records: Iterable[Record]) -> dict[str, Trial]:
    """Finished final trainings without a teacher, which no later search has to repeat."""
    return {
        trial.name: trial
        for record in records
        for trial in record.trials_of(FINAL)
        if trial.setting_label == "plain" and trial.is_full_length
    }
