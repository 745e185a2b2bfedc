"""Writes every result and decision to the record, and rebuilds the scheduler from it."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import PopulationBasedTraining, TrialScheduler

from tuner.orchestration.result_keys import FAILURE, NOTES, OUT_OF_MEMORY, STORAGE, record_name
from tuner.results.record import Record
from tuner.results.trial import COOLDOWN_ACCURACY, DONE, FAILED, PUBLISHED, SEARCH, STOPPED, Trial
from tuner.storage.retrying import LostStorageError

MAX_LOST = 10


class RecordedScheduler(TrialScheduler):
    """Writes every result to the record, then lets Ray's scheduler decide on it.

    Tune loses the scheduler when a run is restored (ray-project/ray#30838). Here `recall`
    rebuilds it by replaying the recorded results in their order. It never sees final
    trainings, the teacher's, or values that are not finite numbers.
    """

    def __init__(
        self,
        scheduler: Any,
        record: Record,
        *,
        is_over_time: Callable[[], bool],
        run_alone: Callable[[Trial], None] | None,
    ) -> None:
        """`run_alone` queues a trial that ran out of memory; None where none shares a GPU."""
        super().__init__()
        self._is_over_time, self._run_alone = is_over_time, run_alone
        self._scheduler, self._record = scheduler, record
        self._is_population = isinstance(scheduler, PopulationBasedTraining)
        # The trial that Ray's scheduler knows by each name: it keys its rungs on them.
        self._known: dict[str, TuneTrial] = {}
        self._failures: dict[str, str] = {}
        self._alone: set[str] = set()
        self._num_lost: Counter[str] = Counter()  # processes lost before their trial began

    @property
    def supports_buffered_results(self) -> bool:
        """False: every epoch is decided on before the next begins."""
        return False

    def recall(self, tune_trials: dict[str, TuneTrial]) -> None:
        """Replays an earlier session; ends the trials that the scheduler would have stopped.

        Population-based training compares only present trials, so it needs no replay.
        """
        if self._is_population:
            return
        decisions: dict[str, str] = {}
        for event in self._record.events.copy():
            tune_trial = tune_trials.get(event["trial"])
            if tune_trial is None:
                continue
            trial = self._record.trials[event["trial"]]
            if event["event"] == "begin":
                self._known[trial.name] = tune_trial
                self._scheduler.on_trial_add(None, tune_trial)
            elif event["event"] == "epoch":
                decisions[trial.name] = self._decide(None, trial, event["metrics"])
            elif event["event"] == "end" and (event["status"] == FAILED or not trial.epochs):
                self._scheduler.on_trial_remove(None, tune_trial)
            elif event["event"] == "end":
                self._scheduler.on_trial_complete(None, tune_trial, trial.epochs[-1])
        for name, decision in decisions.items():
            trial = self._record.trials[name]
            if trial.ended is None and decision == TrialScheduler.STOP:
                self._scheduler.on_trial_complete(None, tune_trials[name], trial.epochs[-1])
                self._end(trial)

    # What follows is Tune's interface.

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Nothing to set: metric and mode were given to Ray's scheduler when it was built."""
        return True

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Adds a trial, unless the scheduler knows it from the session before."""
        name = record_name(trial.trial_id)
        # A population keys its members on the objects, so a replacement counts as new.
        is_new = name not in self._known or (self._is_population and self._known[name] is not trial)
        if self._is_searched(trial) and is_new:
            self._known[name] = trial
            self._scheduler.on_trial_add(_SearchOnly(tune_controller, self._is_searched), trial)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict) -> str:
        """Records the epoch, then lets the scheduler decide."""
        recorded = self._record.trials[record_name(trial.trial_id)]
        if STORAGE in result:
            self._record.failure = LostStorageError(result[FAILURE])
            return TrialScheduler.STOP
        if FAILURE in result:
            is_first = OUT_OF_MEMORY in result and recorded.name not in self._alone
            if is_first and self._run_alone is not None:
                self._run_alone(recorded)
                self._alone.add(recorded.name)
            else:
                self._failures[recorded.name] = result[FAILURE]
            return TrialScheduler.STOP
        for text in result.get(NOTES, ()):
            self._record.note(recorded.name, text)
        metrics = {
            name: float(value) for name, value in result.items() if name in result["reported"]
        }
        if "initial_epoch" in metrics:
            if metrics["initial_epoch"] > len(recorded.initial_epochs):
                self._record.initial_epoch(recorded.name, metrics)
                _forget_crashes(trial)
            return self._unless_over_time(recorded, TrialScheduler.CONTINUE)
        if metrics["epoch"] <= len(recorded.epochs):
            return TrialScheduler.CONTINUE  # reported again after a restart
        setting = trial.config.get("setting")
        if setting != recorded.setting:
            self._record.change(recorded.name, setting)
        self._record.epoch(recorded.name, metrics)
        _forget_crashes(trial)
        return self._decide(tune_controller, recorded, metrics)

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict) -> None:
        """Records the end of a trial that was stopped or is done."""
        recorded = self._record.trials[record_name(trial.trial_id)]
        if recorded.name in self._alone and trial.trial_id == recorded.name:
            return  # it continues, with a whole GPU
        if self._record.failure is not None:
            return  # it continues when the search is resumed
        if recorded.role == SEARCH:
            known = self._known[recorded.name]
            if recorded.name in self._failures or not recorded.epochs:
                self._scheduler.on_trial_remove(tune_controller, known)
            else:
                self._scheduler.on_trial_complete(tune_controller, known, recorded.epochs[-1])
        if recorded.ended is None:
            self._end(recorded)

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Records a trial that crashed too often; Tune restarts the others."""
        if trial.status == TuneTrial.ERROR:
            return  # Tune has only put the trial back into its queue
        recorded = self._record.trials[record_name(trial.trial_id)]
        if trial.status == TuneTrial.PENDING and self._num_lost[recorded.name] < MAX_LOST:
            # Its process was lost while being handed over from the previous trial. Tune gives
            # up on the trial; the search algorithm restarts it.
            self._num_lost[recorded.name] += 1
            return
        if self._is_searched(trial):
            self._scheduler.on_trial_error(tune_controller, trial)
        if recorded.ended is None:
            self._record.end(recorded.name, FAILED, _crash_reason(trial))

    def on_trial_remove(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Removes a trial that was taken out before it ran."""
        if self._is_searched(trial):
            self._scheduler.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        """Ray's scheduler chooses; where it has none, Tune starts trials in their order."""
        if self._is_population:
            tune_controller = _SearchOnly(tune_controller, self._is_searched)
        return self._scheduler.choose_trial_to_run(tune_controller)

    def debug_string(self) -> str:
        """The text that Tune prints at high verbosity."""
        return self._scheduler.debug_string()

    def _decide(self, tune_controller: Any, trial: Trial, metrics: dict[str, float]) -> str:
        decision = TrialScheduler.CONTINUE
        is_last = metrics["epoch"] >= trial.num_epochs
        if trial.role == SEARCH and not (is_last and self._is_population):
            controller = _SearchOnly(tune_controller, self._is_searched)
            known = self._known[trial.name]
            # A copy: population-based training puts the config into it.
            decision = self._scheduler.on_trial_result(controller, known, metrics.copy())
        if trial.setting_label == PUBLISHED and decision == TrialScheduler.STOP:
            decision = TrialScheduler.CONTINUE  # what all others are measured against
        return TrialScheduler.STOP if is_last else self._unless_over_time(trial, decision)

    def _unless_over_time(self, trial: Trial, decision: str) -> str:
        is_over = trial.role == SEARCH and self._is_over_time()
        return TrialScheduler.STOP if is_over else decision

    def _end(self, trial: Trial) -> None:
        failure = self._failures.pop(trial.name, None)
        if failure is not None:
            self._record.end(trial.name, FAILED, failure)
        elif len(trial.epochs) >= trial.num_epochs:
            self._record.end(trial.name, DONE)
        else:
            cooled = trial.last(COOLDOWN_ACCURACY)
            reason = "scheduler" if cooled is None else f"{cooled:.2f} % when cooled down"
            if self._is_over_time():
                reason = "time budget"
            self._record.end(trial.name, STOPPED, f"{reason}, after epoch {len(trial.epochs)}")

    def _is_searched(self, trial: TuneTrial) -> bool:
        return self._record.trials[record_name(trial.trial_id)].role == SEARCH


def _forget_crashes(trial: TuneTrial) -> None:
    """Resets the count of crashes: a trial that makes progress may restart any number of times."""
    trial.run_metadata.num_failures = 0


def _crash_reason(trial: TuneTrial) -> str:
    # Tune copies it to the storage only later.
    path = Path(trial.error_file or "")
    text = path.read_text(errors="replace") if path.is_file() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # The last line of a traceback names the error; a process that just died has none.
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line)]
    reason = (named or lines or ["reason unknown"])[-1]
    return f"crashed {trial.num_failures} times in a row: {reason}"


class _SearchOnly:
    """Tune's controller with the trials of the search only."""

    def __init__(self, controller: Any, is_searched: Callable[[TuneTrial], bool]) -> None:
        self._controller, self._is_searched = controller, is_searched

    def get_trials(self) -> list[TuneTrial]:
        return [trial for trial in self._controller.get_trials() if self._is_searched(trial)]

    def get_live_trials(self) -> set[TuneTrial]:
        return {trial for trial in self._controller.get_live_trials() if self._is_searched(trial)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._controller, name)
