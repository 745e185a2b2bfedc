"""Estimates how much of a search is left, and how long that takes at this session's pace."""

import time

from tuner.planning.plan import Plan
from tuner.results.record import Event, Record
from tuner.results.trial import RUNNING, SEARCH, TEACHER, Trial
from tuner.text.time_left import left_text, seconds_left

MIN_EPOCHS = 3  # trained in this session before its pace says anything


class Remaining:
    """Counts epochs; `on_event` is a listener of the record."""

    def __init__(self, record: Record, plan: Plan, part: str = "") -> None:
        """`part` names what is estimated, if it is one of several searches."""
        self._record, self._plan, self._part = record, plan, part
        self._began = self._pace_began = time.monotonic()
        self._opened = time.time()
        self._num_epochs_before = self._num_trained()

    @property
    def elapsed_seconds(self) -> float:
        """Since this session began."""
        return time.monotonic() - self._began

    def on_event(self, event: Event, trial: Trial) -> None:
        """Starts the pace anew when the teacher ends: its epochs do not predict a student's."""
        if event["event"] == "end" and trial.role == TEACHER:
            self._pace_began, self._num_epochs_before = time.monotonic(), self._num_trained()

    def text(self) -> str:
        """Such as "about 12 min left"; "" if unknown."""
        left = left_text(self.estimate()[1])
        return f"{left} for {self._part}" if left and self._part else left

    def estimate(self) -> tuple[float, float | None]:
        """The fraction of the epochs that is done, and the seconds left (None if unknown).

        Unknown in the first epochs of a session, and while the teacher trains.
        """
        trials = list(self._record.trials.values())
        left = self._epochs_left(trials)
        done = sum(len(trial.epochs) for trial in trials)
        fraction = done / max(1.0, done + left)
        num_trained = self._num_trained() - self._num_epochs_before
        teaches = any(trial.role == TEACHER and trial.status == RUNNING for trial in trials)
        if num_trained < MIN_EPOCHS or teaches:
            return fraction, None
        return fraction, seconds_left(time.monotonic() - self._pace_began, num_trained, left)

    def _epochs_left(self, trials: list[Trial]) -> float:
        """Trials to come are taken to be as long as those so far, most of which stop early."""
        budget = self._plan.budget
        searched = [trial for trial in trials if trial.role == SEARCH]
        ended = [trial for trial in searched if trial.status != RUNNING]
        length = (
            sum(len(trial.epochs) for trial in ended) / len(ended) if ended else budget.num_epochs
        )
        left: float = budget.num_teacher_epochs + budget.num_finals * budget.num_epochs
        to_come = (budget.num_trials - len(searched)) * length
        if budget.search_epochs is not None:
            trained = sum(len(trial.epochs) for trial in searched)
            to_come = min(to_come, max(0.0, budget.search_epochs - trained))
        left += to_come
        for trial in trials:
            planned: float = length if trial.role == SEARCH else trial.num_epochs
            if trial.status == RUNNING:
                left += max(1.0, planned - len(trial.epochs))
            if trial.role != SEARCH:
                left -= trial.num_epochs
        return left

    def _num_trained(self) -> int:
        """Epochs of this session and of the trials that were running when it began.

        Trainings imported from other searches ended earlier: they took this session no time.
        """
        trials = list(self._record.trials.values())
        return sum(len(t.epochs) for t in trials if t.ended is None or t.ended >= self._opened)
