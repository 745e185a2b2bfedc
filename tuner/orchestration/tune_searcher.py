"""Hands the trials of a plan to Ray Tune, as its search algorithm."""

import uuid
from typing import Any

from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import SearchAlgorithm

from tuner.orchestration.recorded_scheduler import RecordedScheduler
from tuner.orchestration.result_keys import record_name
from tuner.planning.plan import Plan
from tuner.results.trial import FINAL, SEARCH, Trial

MAX_FAILURES = 3  # times that a crashed trial restarts from its last checkpoint


class PlannedSearch(SearchAlgorithm):
    """Turns the trainings of a plan into Tune's trials.

    Trials of an earlier session keep their names, so that the rebuilt scheduler knows them.
    """

    def __init__(
        self,
        plan: Plan,
        scheduler: RecordedScheduler,
        alone: list[Trial],
        *,
        cpus: float,
        gpus: float,
    ) -> None:
        """`alone` gets trials that ran out of memory, to be restarted with a whole GPU."""
        self._plan, self._scheduler, self._alone = plan, scheduler, alone
        self._cpus, self._gpus = cpus, gpus
        self._experiment: Any = None
        self._given: dict[str, TuneTrial] = {}  # by the record's name, the latest of each
        self._recalled: dict[str, TuneTrial] = {}

    def add_configurations(self, experiments: Any) -> None:
        """Receives Tune's experiment, to which all trials belong."""
        (self._experiment,) = experiments
        self._recalled = {
            name: self._tune_trial(trial)
            for name, trial in self._plan.record.trials.items()
            if trial.role == SEARCH
        }
        self._scheduler.recall(self._recalled)

    def next_trial(self) -> TuneTrial | None:
        """The next trial, or None while all that may run is running.

        Raises the error that kept the record from being written: no search continues without it.
        """
        if self._plan.record.failure is not None:
            raise self._plan.record.failure
        tune_trial = self._next()
        if tune_trial is not None:
            self._given[record_name(tune_trial.trial_id)] = tune_trial
        return tune_trial

    def _next(self) -> TuneTrial | None:
        if self._alone:
            return self._tune_trial(self._alone.pop(), gpus=1, suffix="+alone")
        for live in self._plan.live:
            if self._given[live.name].status == TuneTrial.ERROR:
                # Tune silently gives up on a trial whose reused process is still busy with the
                # previous one. Other failures end in the record.
                return self._tune_trial(live, suffix=f"+{uuid.uuid4().hex[:8]}")
        trial = self._plan.next()
        if trial is None:
            return None
        return self._recalled.get(trial.name) or self._tune_trial(trial)

    def is_finished(self) -> bool:
        """Whether no trial will follow."""
        return self._finished or (not self._alone and self._plan.is_finished)

    def _tune_trial(
        self, trial: Trial, *, gpus: float | None = None, suffix: str = ""
    ) -> TuneTrial:
        spec = self._experiment.spec
        gpus = self._gpus if gpus is None else gpus
        resources = {"CPU": self._cpus} | ({"GPU": gpus} if gpus else {})
        is_final = trial.role == FINAL
        return TuneTrial(
            spec["run"],
            trial_id=f"{trial.name}{suffix}",
            config={
                "kind": trial.role,
                "method": trial.method,
                "setting": trial.setting,
                "seed": trial.seed,
                # A final training's seed decides everything; trials of the search share the
                # order and the augmentation of the images, which makes them comparable.
                "data_seed": trial.seed if is_final else self._plan.budget.seed,
                "gpus": gpus,
            },
            storage=self._experiment.storage,
            placement_group_factory=PlacementGroupFactory([resources]),
            max_failures=MAX_FAILURES,
            checkpoint_config=spec.get("checkpoint_config"),
            trial_dirname_creator=lambda tune_trial: tune_trial.trial_id,
            trial_name_creator=lambda tune_trial: tune_trial.trial_id,
        )
