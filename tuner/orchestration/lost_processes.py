"""Ray has several words for a process that is gone; Tune knows one, and ends the run at any other.

A trial that Ray's memory monitor ends (`OutOfMemoryError`), or whose machine dies at a certain
moment (`NodeDiedError`), would end the whole search: Tune's actor manager begins a trial again
for a `RayActorError` only, and raises for the others (seen in ray 2.60).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial

MAX_FAILED_STARTS = 10


@contextmanager
def begun_again() -> Iterator[None]:
    """While it is open, Tune begins a trial again however its process was lost."""
    stock = RayActorManager._actor_task_failed

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(
            exception, RayActorError | RayTaskError
        ):
            lines = str(exception).strip().splitlines() or [""]
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {lines[0]}")
        stock(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = stock


class FailedStarts(Callback):
    """A process that could not be started says nothing about its trial, so it counts as no crash.

    A machine that dies, or is too busy, while a trial waits for its process would use up the
    trial's attempts within seconds.
    """

    def __init__(self) -> None:
        self._has_started: set[str] = set()
        self._num_failed: Counter[str] = Counter()  # in a row

    # What follows is Tune's interface.

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """A trial has its process."""
        self._has_started.add(trial.trial_id)
        self._num_failed[trial.trial_id] = 0

    def on_trial_recover(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """A trial waits for a process again."""
        if trial.trial_id in self._has_started:
            self._has_started.discard(trial.trial_id)
            return
        self._num_failed[trial.trial_id] += 1
        if self._num_failed[trial.trial_id] <= MAX_FAILED_STARTS:
            trial.run_metadata.num_failures -= 1
