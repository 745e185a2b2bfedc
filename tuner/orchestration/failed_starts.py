"""Keeps failed starts of a trial's process from counting as crashes of the trial."""

from collections import Counter

from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial

MAX_FAILED_STARTS = 10


class FailedStarts(Callback):
    """Does not count a process that could not be started against its trial.

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
        """Resets the count of a trial whose process has started."""
        self._has_started.add(trial.trial_id)
        self._num_failed[trial.trial_id] = 0

    def on_trial_recover(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """Forgives a trial whose process did not start, up to a limit."""
        if trial.trial_id in self._has_started:
            self._has_started.discard(trial.trial_id)
            return
        self._num_failed[trial.trial_id] += 1
        if self._num_failed[trial.trial_id] <= MAX_FAILED_STARTS:
            trial.run_metadata.num_failures -= 1
