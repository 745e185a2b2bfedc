"""Hanging trials: one that is silent for far longer than its kind ever was is begun again."""

import time
from collections.abc import Callable

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial

MIN_SECONDS = 600.0
TIMES_THE_LONGEST = 20  # silence of a trial that then went on
FIRST_SECONDS = 24 * 3600.0  # as long as no epoch has ended, nobody knows what is long


class Watchdog(Callback):
    """Kills the process of a trial that hangs; Tune begins it again from its checkpoint.

    Silence is counted in turns of Tune's loop, each for a second at most: a driver that itself
    was held up (by its storage, a debugger, a laptop that slept) blames no trial for it. Nor is
    one to blame that waits for the storage.
    """

    def __init__(
        self,
        limit_seconds: float | None,
        storage_answers: Callable[[], bool],
        tell: Callable[[str, str], object],
    ) -> None:
        """`limit_seconds`: silence after which a trial hangs; None: by what was seen so far.

        `tell` is told of the trial and what is done to it.
        """
        self._limit_seconds = limit_seconds
        self._silent_seconds: dict[str, float] = {}
        self._longest_seconds: float | None = None
        self._storage_answers, self._tell = storage_answers, tell
        self._turn = time.monotonic()

    @property
    def limit_seconds(self) -> float:
        """The silence after which a trial hangs, now."""
        if self._limit_seconds is not None:
            return self._limit_seconds
        if self._longest_seconds is None:
            return FIRST_SECONDS
        return max(MIN_SECONDS, TIMES_THE_LONGEST * self._longest_seconds)

    # What follows is Tune's interface.

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """A trial has a process, a new one or that of the trial before."""
        self._silent_seconds[trial.trial_id] = 0.0

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
        result: dict,
        **info: object,
    ) -> None:
        """A trial has said something."""
        silent = self._silent_seconds.get(trial.trial_id, 0.0)
        self._longest_seconds = max(silent, self._longest_seconds or 0.0)
        self._silent_seconds[trial.trial_id] = 0.0

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: object) -> None:
        """A turn of Tune's loop is over; there are at least ten in a second when all is quiet."""
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
                    self._tell(trial.trial_id, f"it told nothing for {silent:.0f} s: begun again")
                    # The system's kill, which also ends what waits for a dead disk or was stopped.
                    ray.kill(trial.temporary_state.ray_actor, no_restart=True)
