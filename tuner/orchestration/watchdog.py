"""Restarts trials that hang: those that report nothing for far longer than any trial did."""

import time
from collections.abc import Callable

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial

MIN_SECONDS = 600.0
TIMES_THE_LONGEST = 20  # silence that ended with a report
FIRST_SECONDS = 24 * 3600.0  # until an epoch has ended, no duration is known


class Watchdog(Callback):
    """Kills the process of a trial that hangs; Tune restarts it from its checkpoint.

    Silence is counted in steps of Tune's loop, each as one second at most, so that a driver
    that was held up (by its storage, a debugger, a sleeping laptop) blames no trial. A trial
    that waits for the storage does not count as hanging either.
    """

    def __init__(
        self,
        limit_seconds: float | None,
        storage_answers: Callable[[], bool],
        report: Callable[[str, str], object],
    ) -> None:
        """`limit_seconds`: silence after which a trial counts as hanging; None derives it.

        `report` takes the trial and a sentence for the user.
        """
        self._limit_seconds = limit_seconds
        self._silent_seconds: dict[str, float] = {}
        self._longest_seconds: float | None = None
        self._storage_answers, self._report = storage_answers, report
        self._turn = time.monotonic()

    @property
    def limit_seconds(self) -> float:
        """The current limit."""
        if self._limit_seconds is not None:
            return self._limit_seconds
        if self._longest_seconds is None:
            return FIRST_SECONDS
        return max(MIN_SECONDS, TIMES_THE_LONGEST * self._longest_seconds)

    # What follows is Tune's interface.

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """Resets the silence of a trial that has a process, new or reused."""
        self._silent_seconds[trial.trial_id] = 0.0

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
        result: dict,
        **info: object,
    ) -> None:
        """Resets the silence of a trial that has reported."""
        silent = self._silent_seconds.get(trial.trial_id, 0.0)
        self._longest_seconds = max(silent, self._longest_seconds or 0.0)
        self._silent_seconds[trial.trial_id] = 0.0

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: object) -> None:
        """Counts silence after each step of Tune's loop, at least ten times per second."""
        begin, self._turn = self._turn, time.monotonic()
        seconds = min(self._turn - begin, 1.0)
        for trial in trials:
            if trial.status != TuneTrial.RUNNING:
                continue
            silent = self._silent_seconds.get(trial.trial_id, 0.0) + seconds
            self._silent_seconds[trial.trial_id] = silent
            if silent > self.limit_seconds:
                self._silent_seconds[trial.trial_id] = 0.0
                if self._storage_answers():
                    self._report(
                        trial.trial_id,
                        f"no report for {silent:.0f} s; restarted from its last checkpoint",
                    )
                    # SIGKILL: it also ends a process that waits for a dead disk, or is stopped.
                    ray.kill(trial.temporary_state.ray_actor, no_restart=True)
