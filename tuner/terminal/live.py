"""What a person sees while a search runs: a live table, or a line for each trial that ends."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuner.planning.plan import Plan
from tuner.results.record import Event, Record, winner
from tuner.results.trial import DONE, FAILED, FINAL, RUNNING, SEARCH, STOPPED, TEACHER, Trial
from tuner.text.formatting import duration_text, value_text
from tuner.text.time_left import Milestones, left_text, seconds_left

SHOWN_TRIALS = 8
SILENT_SECONDS = 600.0  # of trials without an end, then a line says how far it is all the same
COLOURS = {RUNNING: "cyan", DONE: "green", STOPPED: "yellow", FAILED: "red"}


class LiveView(AbstractContextManager["LiveView"]):
    """Shows a record while it grows."""

    def __init__(
        self,
        record: Record,
        plan: Plan,
        *,
        metric: str,
        searched: Sequence[str],
        mode: str,
        problem: Callable[[], str],
        part: str = "",
    ) -> None:
        """`searched` are the hyperparameters to show.

        `mode`: "auto" (a table on a terminal, lines elsewhere), "json" or "quiet".
        `part`: what this is of something larger, whose time left is not known yet.
        """
        self._record, self._plan, self._metric, self._problem = record, plan, metric, problem
        self._searched = searched
        self._told: set[str] = set()  # notes
        self._part = part
        self._began = self._pace_began = self._said = time.monotonic()
        self._opened = time.time()
        self._num_epochs_before = self._num_made()
        self._teacher = Milestones()
        self._console = Console(stderr=mode != "auto")
        self._mode = mode
        self._live: Live | None = None
        if mode == "auto" and self._console.is_terminal:
            self._live = Live(
                get_renderable=self._table, console=self._console, refresh_per_second=4
            )
        elif mode != "quiet":
            record.listeners.append(self._line)
        record.listeners.append(self._new_pace)

    def __enter__(self) -> "LiveView":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _line(self, event: Event, trial: Trial) -> None:
        if event["event"] == "note" and event["text"] not in self._told and self._mode != "json":
            self._told.add(event["text"])
            print(f"{trial.name:>12}  {event['text']}", flush=True)  # noqa: T201
        if event["event"] == "epoch" and self._mode != "json":
            self._epoch_line(trial)
        if event["event"] != "end":
            return
        if self._mode == "json":
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
            return
        value = trial.last(self._metric)
        shown = "" if value is None else f"  {self._metric} {value:.2f} %"
        reason = f"  ({trial.reason})" if trial.reason else ""
        left = self._left_text()
        line = (
            f"{trial.name:>12}  {trial.status:<13}  {len(trial.epochs):>3} epochs{shown}"
            f"{reason}  {self._setting_text(trial)}"
        )
        self._say(f"{line.rstrip()}  ({left})" if left else line)

    def _epoch_line(self, trial: Trial) -> None:
        """Of what takes long: the teacher, for which all wait, and trials that do not end."""
        if trial.role == TEACHER:
            if self._teacher.is_due(len(trial.epochs), trial.num_epochs):
                self._say(f"{trial.name:>12}  {_teacher_text(trial)}")
        elif time.monotonic() - self._said > SILENT_SECONDS:
            self._say(f"{trial.name:>12}  epoch {_epoch_text(trial)}  ({self._left_text()})")

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        print(line, flush=True)  # noqa: T201

    def _table(self) -> Group:
        trials = list(self._record.trials.values())
        parts: list[Any] = [self._headline(trials)]
        problem = self._problem()
        if problem:
            parts.append(Text(f"{problem}; the results are safe on disk", style="red"))
        parts += [Text(note, style="yellow") for note in self._record.notes[-2:]]
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
        for name, width in (("trial", 13), ("status", 13), ("epoch", 7), (self._metric, 13)):
            table.add_column(name, width=width, no_wrap=True)
        table.add_column("setting", overflow="ellipsis", no_wrap=True, ratio=1)
        running = [trial for trial in trials if trial.status == RUNNING]
        ended = [trial for trial in trials if trial.status != RUNNING]
        for trial in [*ended[-max(2, SHOWN_TRIALS - len(running)) :], *running]:
            value = trial.last(self._metric)
            table.add_row(
                Text(trial.name + (" *" if trial.setting_label == "published" else "")),
                Text(trial.status, style=COLOURS[trial.status]),
                _epoch_text(trial),
                "" if value is None else f"{value:.2f} %",
                Text(
                    self._setting_text(trial) or trial.setting_label
                ),  # no markup of a person's options
            )
        parts += [Text(), table]
        return Group(*parts)

    def _headline(self, trials: list[Trial]) -> Group:
        searched = [trial for trial in trials if trial.role == SEARCH]
        finals = [trial for trial in trials if trial.role == FINAL]
        teachers = [trial for trial in trials if trial.role == TEACHER and trial.status == RUNNING]
        num_trials, num_finals = self._plan.budget.num_trials, self._plan.num_finals
        counted = searched if num_trials else finals
        counts = {status: sum(t.status == status for t in counted) for status in COLOURS}
        line = Text()
        if num_trials:
            line.append(f"{len(searched)}/{num_trials} trials: ", style="bold")
        else:  # nothing is searched for, nor stopped early
            done = sum(trial.status != RUNNING for trial in finals)
            line.append(f"{done}/{num_finals} trainings: ", style="bold")
            del counts[STOPPED]
        for status, count in counts.items():
            line.append(f"{count} {status}", style=COLOURS[status] if count else "dim")
            line.append("  ")
        if num_trials and finals:
            done = sum(trial.status == DONE for trial in finals)
            line.append(f"final trainings: {done}/{num_finals} done  ", style="bold")
        for teacher in teachers:
            line.append(f"training the teacher, once: {_teacher_text(teacher)}", style="bold")
        best = winner(self._record, self._metric)
        second = Text(no_wrap=True, overflow="ellipsis")
        if best is not None:
            second.append(
                f"best so far: {best.last(self._metric):.2f} %  {self._setting_text(best)}",
                style="green",
            )
        fraction, _ = self._progress(trials)
        gone = f"{duration_text(time.monotonic() - self._began)} gone"
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=1.0, completed=fraction, width=40),
            ", ".join(text for text in (gone, self._left_text()) if text),
        )
        return Group(line, second, bar) if best is not None else Group(line, bar)

    def _setting_text(self, trial: Trial) -> str:
        return "  ".join(
            f"{name}={value_text(value)}"
            for name in self._searched
            if (value := trial.setting.get(name)) is not None
        )

    def _progress(self, trials: list[Trial]) -> tuple[float, float | None]:
        """Share of the epochs that are done, and seconds left, from the pace of this session.

        None while the teacher trains, whose epochs say nothing about a student's.
        """
        budget = self._plan.budget
        searched = [trial for trial in trials if trial.role == SEARCH]
        ended = [trial for trial in searched if trial.status != RUNNING]
        # Stopped trials are the rule: those to come are taken to be as long as those so far.
        length = (
            sum(len(trial.epochs) for trial in ended) / len(ended) if ended else budget.num_epochs
        )
        num_finals = self._plan.num_finals
        left: float = budget.num_teacher_epochs + num_finals * budget.num_epochs
        left += (budget.num_trials - len(searched)) * length
        for trial in trials:
            planned: float = length if trial.role == SEARCH else trial.num_epochs
            if trial.status == RUNNING:
                left += max(1.0, planned - len(trial.epochs))
            if trial.role != SEARCH:
                left -= trial.num_epochs
        done = sum(len(trial.epochs) for trial in trials)
        made = self._num_made() - self._num_epochs_before
        fraction = done / max(1.0, done + left)
        teaches = any(trial.role == TEACHER and trial.status == RUNNING for trial in trials)
        if made < 3 or teaches:
            return fraction, None
        return fraction, seconds_left(time.monotonic() - self._pace_began, made, left)

    def _left_text(self) -> str:
        left = left_text(self._progress(list(self._record.trials.values()))[1])
        return f"{left} of {self._part}" if left and self._part else left

    def _new_pace(self, event: Event, trial: Trial) -> None:
        """From the teacher's end on, it is the students' pace that counts."""
        if event["event"] == "end" and trial.role == TEACHER:
            self._pace_began, self._num_epochs_before = time.monotonic(), self._num_made()

    def _num_made(self) -> int:
        """Epochs of this session, and of what was going on when it began.

        What other searches have made and ended before is taken over in no time.
        """
        trials = list(self._record.trials.values())
        return sum(len(t.epochs) for t in trials if t.ended is None or t.ended >= self._opened)


def _teacher_text(teacher: Trial) -> str:
    """Its epochs, and the time that is left of its training."""
    made = len(teacher.epochs)
    seconds = sum(epoch.get("seconds", 0.0) for epoch in teacher.epochs)
    left = left_text(seconds_left(seconds, made, teacher.num_epochs - made))
    return f"epoch {made}/{teacher.num_epochs}{f'  ({left})' if left else ''}"


def _epoch_text(trial: Trial) -> str:
    if trial.initial_epochs and not trial.epochs and trial.status == RUNNING:
        return f"init {len(trial.initial_epochs)}"
    return f"{len(trial.epochs)}/{trial.num_epochs}"
