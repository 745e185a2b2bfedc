"""The live view without a terminal: a line, or a JSON object, for each training that ends."""

import json
import time
from collections.abc import Sequence

from tuner.results.record import Event
from tuner.results.trial import TEACHER, Trial
from tuner.terminal.remaining import Remaining
from tuner.terminal.trial_text import epoch_text, setting_pairs, teacher_text
from tuner.text.time_left import Milestones

SILENT_SECONDS = 600.0  # without a line; then one reports the epoch of a running trial


class EventLines:
    """A listener of a record that prints notes, trials that end, and the teacher's progress."""

    def __init__(self, remaining: Remaining, *, metric: str, searched: Sequence[str]) -> None:
        self._remaining, self._metric, self._searched = remaining, metric, searched
        self._notes: set[str] = set()  # printed already
        self._printed = time.monotonic()
        self._teacher = Milestones()

    def __call__(self, event: Event, trial: Trial) -> None:
        if event["event"] == "note" and event["text"] not in self._notes:
            self._notes.add(event["text"])
            self._print(trial, event["text"])
        elif event["event"] == "epoch":
            self._epoch(trial)
        elif event["event"] == "end":
            self._end(trial)

    def _epoch(self, trial: Trial) -> None:
        """Reports slow progress: the teacher, which all trials wait for, and long trials."""
        if trial.role == TEACHER:
            if self._teacher.is_due(len(trial.epochs), trial.num_epochs):
                self._print(trial, teacher_text(trial))
        elif time.monotonic() - self._printed > SILENT_SECONDS:
            self._print(trial, f"epoch {epoch_text(trial)}{self._left()}")

    def _end(self, trial: Trial) -> None:
        value = trial.last(self._metric)
        accuracy = "" if value is None else f"  {self._metric} {value:.2f} %"
        reason = f"  ({trial.reason})" if trial.reason else ""
        line = (
            f"{trial.status:<13}  {len(trial.epochs):>3} epochs{accuracy}{reason}"
            f"  {setting_pairs(trial, self._searched)}"
        )
        self._print(trial, f"{line.rstrip()}{self._left()}")

    def _left(self) -> str:
        left = self._remaining.text()
        return f"  ({left})" if left else ""

    def _print(self, trial: Trial, text: str) -> None:
        self._printed = time.monotonic()
        print(f"{trial.name:>12}  {text}", flush=True)  # noqa: T201


class JsonLines:
    """A listener of a record that prints one JSON object per training that ends."""

    def __init__(self, metric: str) -> None:
        self._metric = metric

    def __call__(self, event: Event, trial: Trial) -> None:
        if event["event"] != "end":
            return
        content = {
            "trial": trial.name,
            "kind": trial.role,
            "method": trial.method,
            "status": trial.status,
            "reason": trial.reason,
            "setting": trial.setting,
            "seed": trial.seed,
            "epochs": len(trial.epochs),
            self._metric: trial.last(self._metric),
        }
        print(json.dumps(content), flush=True)  # noqa: T201
