"""The MLflow runs of one search: found by their tags, created where they are missing, never twice.

comparison            of methods, or a reproduction; only where the search belongs to one
  search
    trial             and the teacher's training
    setting           of final trainings
      trial           one per seed
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tuner.results.trial import FINAL, Trial
from tuner.tracking.content import first_tags, params_of

SEARCH_TAG, TRIAL_TAG, COMPARISON_TAG = "tuner.search", "tuner.trial", "tuner.comparison"
PARENT_TAG = "mlflow.parentRunId"


@dataclass(frozen=True)
class TrackedSearch:
    """What MLflow shows of a search as a whole."""

    id: str  # unique; identifies the search's runs
    name: str
    searched: Sequence[str]  # hyperparameters that differ between trials
    tags: Mapping[str, str]  # of every run of it
    metric: str = "val_accuracy"  # what trials are ranked on
    comparison: tuple[str, str] | None = None  # id and name of the comparison it belongs to


class RunTree:
    """The ids of a search's runs: those found when it was made, and those created since."""

    def __init__(self, client: Any, experiment_id: str, search: TrackedSearch) -> None:
        self.client, self.experiment_id = client, experiment_id
        self.with_params: set[str] = set()  # ids of runs whose parameters have arrived
        self._search = search
        self._ids: dict[str, str] = {}  # by the tag: a trial's name, "group:LABEL", "" the search
        self._killed: list[str] = []
        for run in self._most_used_first():
            run_id = str(run.info.run_id)
            if self._ids.setdefault(run.data.tags[TRIAL_TAG], run_id) != run_id:
                continue
            if run.data.params:
                self.with_params.add(run_id)
            if run.info.status == "KILLED":
                self._killed.append(run_id)

    def search(self) -> str:
        """The search's own run."""
        if "" not in self._ids:
            parent = self.comparison() if self._search.comparison is not None else None
            self._create("", self._search.name, parent, {}, time.time())
        return self._ids[""]

    def trial(self, trial: Trial) -> str:
        """The run of a trial."""
        if trial.name not in self._ids:
            parent = self._setting_of(trial) if trial.role == FINAL else self.search()
            self._create(trial.name, trial.name, parent, first_tags(trial), trial.started)
        return self._ids[trial.name]

    def setting(self, label: str) -> str | None:
        """The run above the final trainings of a setting; None before the first of them."""
        return self._ids.get(f"group:{label}")

    def comparison(self) -> str:
        """The run above the searches of the comparison that this search belongs to."""
        assert self._search.comparison is not None
        comparison_id, name = self._search.comparison
        for run in self._comparisons():
            return str(run.info.run_id)
        return self._create_run(name, {COMPARISON_TAG: comparison_id}, time.time())

    def reopen(self) -> None:
        """Marks the search, and the trials that an interruption ended, as running."""
        for run_id in (*self._killed, self.search()):
            self.client.update_run(run_id, status="RUNNING")

    def delete_duplicates(self) -> None:
        """Deletes runs that the server created late, after a repeated request."""
        known = set(self._ids.values())
        of_search = [run.info.run_id for run in self._runs_with(SEARCH_TAG, self._search.id)]
        above = [run.info.run_id for run in self._comparisons()]
        for run_id in [*(one for one in of_search if one not in known), *above[1:]]:
            self.client.delete_run(run_id)

    def _setting_of(self, trial: Trial) -> str:
        key = f"group:{trial.setting_label}"
        if key not in self._ids:
            tags = first_tags(trial)
            self._create(key, trial.setting_label, self.search(), tags, trial.started)
        self.log(self._ids[key], params=params_of(trial, self._search.searched))
        return self._ids[key]

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Sequence[tuple[str, float, int, int]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Sends parameters, metrics and tags in as few requests as MLflow allows."""
        from mlflow.entities import Metric, Param, RunTag

        self.client.log_batch(
            run_id,
            metrics=[Metric(*point) for point in metrics],
            params=[Param(*item) for item in (params or {}).items()],
            tags=[RunTag(*item) for item in (tags or {}).items()],
        )

    def _create(
        self, key: str, name: str, parent: str | None, tags: Mapping[str, str], started: float
    ) -> None:
        tags = {**self._search.tags, **tags, SEARCH_TAG: self._search.id, TRIAL_TAG: key}
        if parent is not None:
            tags[PARENT_TAG] = parent
        self._ids[key] = self._create_run(name, tags, started)

    def _create_run(self, name: str, tags: Mapping[str, str], started: float) -> str:
        with _without_retries():
            run = self.client.create_run(
                self.experiment_id, start_time=int(started * 1000), tags=tags, run_name=name
            )
        return str(run.info.run_id)

    def _most_used_first(self) -> list[Any]:
        """All runs of the search; of two of one trial, the one that has been used."""
        runs = list(self._runs_with(SEARCH_TAG, self._search.id))
        parents = {run.data.tags.get(PARENT_TAG) for run in runs}
        return sorted(runs, key=lambda run: (run.info.run_id not in parents, not run.data.params))

    def _comparisons(self) -> list[Any]:
        """The run of the comparison, if it exists; of two, the one requested last is in use."""
        if self._search.comparison is None:
            return []
        return list(self._runs_with(COMPARISON_TAG, self._search.comparison[0]))

    def _runs_with(self, tag: str, value: str) -> Iterator[Any]:
        """The runs that have the tag, the one that started last first."""
        token: str | None = None
        while token != "":
            page = self.client.search_runs(
                [self.experiment_id],
                filter_string=f"tags.`{tag}` = '{value}'",
                order_by=["attributes.start_time DESC"],
                max_results=1000,
                page_token=token,
            )
            yield from page
            token = page.token or ""


@contextmanager
def _without_retries() -> Iterator[None]:
    """Makes MLflow send each request once.

    MLflow would repeat a request whose answer was lost, and create a second run. Without retries
    the request fails instead, and the run is found by its tags.
    """
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
