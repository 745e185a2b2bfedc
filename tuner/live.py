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

from tuner.orchestration.plan import Plan, winner
from tuner.orchestration.record import (
    DONE,
    FAILED,
    FINAL,
    RUNNING,
    SEARCH,
    STOPPED,
    TEACHER,
    Event,
    Record,
    Trial,
)
from tuner.reports.formatting import duration_text, value_text

SHOWN_TRIALS = 8
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
    ) -> None:
        """`searched` are the hyperparameters to show.

        `mode`: "auto" (a table on a terminal, lines elsewhere), "json" or "quiet".
        """
        self._record, self._plan, self._metric, self._problem = record, plan, metric, problem
        self._searched = searched
        self._told: set[str] = set()  # notes
        self._began = time.monotonic()
        self._num_epochs_before = _num_epochs(record)
        self._console = Console(stderr=mode != "auto")
        self._mode = mode
        self._live: Live | None = None
        if mode == "auto" and self._console.is_terminal:
            self._live = Live(
                get_renderable=self._table, console=self._console, refresh_per_second=4
            )
        elif mode != "quiet":
            record.listeners.append(self._line)

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
            print(f"{trial.trial:>12}  {event['text']}", flush=True)  # noqa: T201
        if event["event"] != "end":
            return
        if self._mode == "json":
            content = {
                "trial": trial.trial,
                "kind": trial.kind,
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
        print(  # noqa: T201
            f"{trial.trial:>12}  {trial.status:<13}  {len(trial.epochs):>3} epochs{shown}"
            f"{reason}  {self._setting_text(trial)}",
            flush=True,
        )

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
                Text(trial.trial + (" *" if trial.label == "published" else "")),
                Text(trial.status, style=COLOURS[trial.status]),
                _epoch_text(trial),
                "" if value is None else f"{value:.2f} %",
                Text(self._setting_text(trial) or trial.label),  # no markup of a person's options
            )
        parts += [Text(), table]
        return Group(*parts)

    def _headline(self, trials: list[Trial]) -> Group:
        searched = [trial for trial in trials if trial.kind == SEARCH]
        counts = {status: sum(t.status == status for t in searched) for status in COLOURS}
        line = Text()
        budget = self._plan.budget
        line.append(f"{len(searched)}/{budget.num_trials} trials: ", style="bold")
        for status, count in counts.items():
            line.append(f"{count} {status}", style=COLOURS[status] if count else "dim")
            line.append("  ")
        finals = [trial for trial in trials if trial.kind == FINAL]
        if finals:
            done = sum(trial.status == DONE for trial in finals)
            line.append(f"final trainings: {done} done  ", style="bold")
        elif any(trial.kind == TEACHER and trial.status == RUNNING for trial in trials):
            line.append("training the teacher, once", style="bold")
        best = winner(self._record, self._metric)
        second = Text(no_wrap=True, overflow="ellipsis")
        if best is not None:
            second.append(
                f"best so far: {best.last(self._metric):.2f} %  {self._setting_text(best)}",
                style="green",
            )
        fraction, seconds = self._progress(trials)
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=1.0, completed=fraction, width=40),
            f"{duration_text(time.monotonic() - self._began)} gone"
            + (f", about {duration_text(seconds)} left" if seconds is not None else ""),
        )
        return Group(line, second, bar) if best is not None else Group(line, bar)

    def _setting_text(self, trial: Trial) -> str:
        return "  ".join(
            f"{name}={value_text(value)}"
            for name in self._searched
            if (value := trial.setting.get(name)) is not None
        )

    def _progress(self, trials: list[Trial]) -> tuple[float, float | None]:
        """Share of the epochs that are done, and seconds left, from the pace of this session."""
        budget = self._plan.budget
        searched = [trial for trial in trials if trial.kind == SEARCH]
        ended = [trial for trial in searched if trial.status != RUNNING]
        # Stopped trials are the rule: those to come are taken to be as long as those so far.
        length = (
            sum(len(trial.epochs) for trial in ended) / len(ended) if ended else budget.num_epochs
        )
        num_finals = self._plan.num_finals
        left: float = budget.num_teacher_epochs + num_finals * budget.num_epochs
        left += (budget.num_trials - len(searched)) * length
        for trial in trials:
            planned: float = length if trial.kind == SEARCH else trial.num_epochs
            if trial.status == RUNNING:
                left += max(1.0, planned - len(trial.epochs))
            if trial.kind != SEARCH:
                left -= trial.num_epochs
        done = _num_epochs(self._record)
        made = done - self._num_epochs_before
        fraction = done / max(1.0, done + left)
        if made < 3:
            return fraction, None
        return fraction, max(0.0, left) * (time.monotonic() - self._began) / made


def _epoch_text(trial: Trial) -> str:
    if trial.initial_epochs and not trial.epochs and trial.status == RUNNING:
        return f"init {len(trial.initial_epochs)}"
    return f"{len(trial.epochs)}/{trial.num_epochs}"


def _num_epochs(record: Record) -> int:
    return sum(len(trial.epochs) for trial in list(record.trials.values()))
