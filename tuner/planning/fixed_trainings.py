"""A task whose trainings are fixed beforehand, such as those of a paper's table."""

import hashlib
import json
from dataclasses import dataclass

from losses import LOSSES, DistillationLoss, LossError, build_objective
from search_spaces import Setting
from tuner.data import Dataset
from tuner.planning.plan import Budget, FinalTraining, Find, FixedPlan, Plan
from tuner.planning.task import Needs, Task, needs_of, shapes_of_both
from tuner.results.record import Record
from tuner.results.trial import varied_names
from tuner.text.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class FixedTask(Task):
    """Final trainings in a given order."""

    trainings: tuple[FinalTraining, ...]

    @property
    def identity(self) -> str:
        # The keys are those of the journal, so that older folders can be resumed.
        content = [
            {
                "trial": training.name,
                "label": training.setting_label,
                "method": training.method,
                "setting": training.setting,
                "seed": training.seed,
            }
            for training in self.trainings
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(training.method for training in self.trainings))

    @property
    def num_finals(self) -> int:
        return len(self.trainings)

    @property
    def searched(self) -> list[str]:
        return varied_names([training.setting for training in self.trainings])

    @property
    def examples(self) -> list[tuple[type[DistillationLoss], Setting]]:
        # The last of each method: experiments list their most expensive setting last.
        last = {training.method: training.setting for training in self.trainings}
        return [(LOSSES[method], setting) for method, setting in last.items()]

    def needs(self, dataset: Dataset) -> Needs:
        """See `Task.needs`. Raises RequestError if a method does not fit the networks."""
        student, teacher = shapes_of_both(self.workload, dataset)
        needs: dict[tuple[str, ...], None] = {}
        for training in self.trainings:
            try:
                method = LOSSES[training.method]
                needs |= needs_of(build_objective(method, student, teacher, training.setting))
            except LossError as error:
                raise RequestError(str(error)) from error
        return tuple(needs)

    def plan(self, record: Record, budget: Budget, find: Find) -> Plan:
        return FixedPlan(record, self.trainings, budget, find)
