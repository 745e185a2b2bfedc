"""Mirrors a search's record to MLflow, from one thread of the driver.

The record on disk is the truth. Whatever MLflow lacks is sent again, so losing the tracking
server costs only the view, and a resumed search never creates a run twice.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from tuner.results.record import Event, Record
from tuner.results.trial import Trial
from tuner.text.secrets import shown
from tuner.tracking.content import content_of
from tuner.tracking.problems import reason_of
from tuner.tracking.run_tree import RunTree, TrackedSearch
from tuner.tracking.store import Store

SYNC_SECONDS = 2.0
RETRY_SECONDS = 15.0
CLOSE_SECONDS = 60.0  # to wait for MLflow when the search has ended

Result = TypeVar("Result")


class Mirror(AbstractContextManager["Mirror"]):
    """Sends a record to MLflow while it grows; leaving the context sends what is left.

    Never raises because of MLflow: `problem` is "" or says in one sentence why MLflow cannot be
    reached now, or what did not arrive at the end.
    """

    def __init__(self, record: Record, store: Store, search: TrackedSearch) -> None:
        self.record, self.store, self.search = record, store, search
        self.problem = ""
        self._lost = ""  # the problem of an `attempt`
        self._runs: RunTree | None = None
        self._is_reopened = False
        self._num_sent: dict[str, int] = {}  # epochs, by run
        self._changed = set(record.trials)  # those of earlier sessions are sent again
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)

    def __enter__(self) -> "Mirror":
        self.record.listeners.append(self._on_event)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(timeout=CLOSE_SECONDS)
        if not self.is_complete and not self.problem:
            self.problem = "MLflow took too long"

    @property
    def is_complete(self) -> bool:
        """Whether everything in the record has been sent."""
        return not self._changed

    def attempt(self, action: Callable[[RunTree], Result]) -> Result | None:
        """Calls `action` with the runs, after the context; a failure stays the `problem`.

        Returns what the action returns, None where it failed.
        """
        if self._thread.is_alive():
            return None  # it took too long and is still waiting for an answer
        try:
            return action(self._connected())
        except Exception as error:
            self._lost = self._problem_of(error)
            return None
        finally:
            self.problem = self._lost

    def send_changes(self, runs: RunTree) -> None:
        """Sends what MLflow lacks of each trial."""
        with self._lock:
            changed = sorted(self._changed)
        for name in changed:
            with self._lock:
                self._changed.discard(name)  # before it is read: it may change while being sent
            try:
                self._send(runs, self.record.trials[name])
            except BaseException:
                with self._lock:
                    self._changed.add(name)
                raise

    def _send(self, runs: RunTree, trial: Trial) -> None:
        run_id = runs.trial(trial)
        content = content_of(
            trial,
            metric=self.search.metric,
            searched=self.search.searched,
            since=self._num_sent.get(run_id, 0),
        )
        # Parameters cannot change in MLflow, but a trial's setting can, in a population.
        params = {} if run_id in runs.with_params else content.params
        runs.log(run_id, params=params, metrics=content.metrics, tags=content.tags)
        runs.with_params.add(run_id)
        self._num_sent[run_id] = content.num_epochs
        if content.end is not None:
            status, ended = content.end
            runs.client.set_terminated(run_id, status, end_time=ended)

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            self._sync()
            pause = RETRY_SECONDS if self.problem else SYNC_SECONDS
        self._sync()

    def _sync(self) -> None:
        # The search must continue whatever goes wrong with MLflow.
        try:
            self.send_changes(self._connected())
            self.problem = ""
        except Exception as error:
            self.problem = self._problem_of(error)

    def _connected(self) -> RunTree:
        if self._runs is None:
            runs = RunTree(*self.store.connect(), self.search)
            if not self._is_reopened:
                runs.reopen()
                self._is_reopened = True
            self._runs = runs
        return self._runs

    def _problem_of(self, error: Exception) -> str:
        # Whether the last request was carried out is unknown: look up what exists.
        self._runs = None
        return f"MLflow at {shown(self.store.uri)} {reason_of(error, self.store.uri)}"

    def _on_event(self, event: Event, trial: Trial) -> None:
        with self._lock:
            self._changed.add(trial.name)
