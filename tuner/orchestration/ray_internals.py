"""Everything that uses private names of Ray, each with its reason; checked against Ray 2.60.

A new version of Ray needs checking against this file alone.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._private import ray_constants
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule, TrialScheduler


@contextmanager
def listening_on_loopback() -> Iterator[None]:
    """Makes a Ray that is started within it listen on the loopback address only.

    By default Ray takes 127.0.0.1 for this machine's address in its network, and listens on
    all interfaces. On systems where it cannot form clusters, which this variable marks, it
    leaves the address alone. It is read when Ray is imported, so the constant is set too.
    """
    name, before = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", ray_constants.ENABLE_RAY_CLUSTER
    was_set = os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(name)
        if was_set is not None:
            os.environ[name] = was_set


@contextmanager
def restarting_lost_trials() -> Iterator[None]:
    """Makes Tune restart a trial however its process was lost.

    Tune's actor manager restarts a trial after a `RayActorError` only. A trial that Ray's
    memory monitor ends (`OutOfMemoryError`), or whose machine dies at a certain moment
    (`NodeDiedError`), would end the whole run.
    """
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


class AsyncHyperBand(ASHAScheduler):
    """Asynchronous HyperBand whose brackets depend on the trial, not on hidden random state."""

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        weights = [2.718281828 ** len(bracket._rungs) for bracket in self._brackets]
        draw = random.Random(trial.trial_id)
        self._trial_info[trial.trial_id] = draw.choices(self._brackets, weights)[0]


class MedianStopping(MedianStoppingRule):
    """The median rule without its pauses: no trial waits for another to have a median.

    It goes on hearing of a trial that it would have stopped: the published setting's runs on.
    """

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict) -> str:
        self._stopped_trials.discard(trial)
        return super().on_trial_result(tune_controller, trial, result)

    def _on_insufficient_samples(self, tune_controller: Any, trial: TuneTrial, time: float) -> str:
        return TrialScheduler.CONTINUE
