"""The live view on a terminal: counts, the best trial so far, time left, and a table of trials."""

from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuner.planning.plan import Plan
from tuner.results.record import Record, best_of_text, winner
from tuner.results.trial import (
    DONE,
    FAILED,
    FINAL,
    PUBLISHED,
    RUNNING,
    SEARCH,
    STOPPED,
    TEACHER,
    Trial,
)
from tuner.terminal.remaining import Remaining
from tuner.terminal.trial_text import epoch_text, setting_pairs, teacher_text
from tuner.text.formatting import duration_text

NUM_SHOWN = 8  # trials, or all running ones and two more
COLOURS = {RUNNING: "cyan", DONE: "green", STOPPED: "yellow", FAILED: "red"}


class LiveTable:
    """Renders a record as it is now. Names and reasons from outside are text, never markup."""

    def __init__(
        self,
        record: Record,
        plan: Plan,
        remaining: Remaining,
        *,
        metric: str,
        searched: Sequence[str],
        problem: Callable[[], str],
    ) -> None:
        """`searched` are the hyperparameters to show, `problem` says what MLflow lacks ("")."""
        self._record, self._plan, self._remaining = record, plan, remaining
        self._metric, self._searched, self._problem = metric, searched, problem

    def render(self) -> Group:
        """The whole view."""
        trials = list(self._record.trials.values())
        parts: list[RenderableType] = [self._counts(trials)]
        best = winner(self._record, self._metric)
        if best is not None:
            parts.append(self._best(best))
        parts.append(self._progress())
        problem = self._problem()
        if problem:
            parts.append(Text(f"{problem}; the results are safe on disk", style="red"))
        parts += [Text(note, style="yellow") for note in self._record.notes[-2:]]
        return Group(*parts, Text(), self._table(trials))

    def _counts(self, trials: list[Trial]) -> Text:
        searched = [trial for trial in trials if trial.role == SEARCH]
        finals = [trial for trial in trials if trial.role == FINAL]
        budget = self._plan.budget
        num_trials, num_finals = budget.num_trials, budget.num_finals
        counted = searched if num_trials else finals
        counts = {status: sum(t.status == status for t in counted) for status in COLOURS}
        line = Text()
        if num_trials:
            line.append(f"{len(searched)}/{num_trials} trials: ", style="bold")
        else:  # fixed trainings: nothing is searched or stopped early
            done = sum(trial.status != RUNNING for trial in finals)
            line.append(f"{done}/{num_finals} trainings: ", style="bold")
            del counts[STOPPED]
        for status, count in counts.items():
            line.append(f"{count} {status}", style=COLOURS[status] if count else "dim")
            line.append("  ")
        if num_trials and finals:
            done = sum(trial.status == DONE for trial in finals)
            line.append(f"final trainings: {done}/{num_finals} done  ", style="bold")
        for trial in trials:
            if trial.role == TEACHER and trial.status == RUNNING:
                line.append(f"training the teacher, once: {teacher_text(trial)}", style="bold")
        return line

    def _best(self, best: Trial) -> Text:
        value = f"{best.last(self._metric):.2f} %"
        return Text(
            f"{best_of_text(self._record)} so far: {value}  {setting_pairs(best, self._searched)}",
            style="green",
            no_wrap=True,
            overflow="ellipsis",
        )

    def _progress(self) -> Table:
        fraction, _ = self._remaining.estimate()
        elapsed = f"{duration_text(self._remaining.elapsed_seconds)} elapsed"
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=1.0, completed=fraction, width=40),
            ", ".join(text for text in (elapsed, self._remaining.text()) if text),
        )
        return bar

    def _table(self, trials: list[Trial]) -> Table:
        """The latest trials that ended, and every one that is running."""
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
        for name, width in (("trial", 13), ("status", 13), ("epoch", 7), (self._metric, 13)):
            table.add_column(name, width=width, no_wrap=True)
        table.add_column("setting", overflow="ellipsis", no_wrap=True, ratio=1)
        running = [trial for trial in trials if trial.status == RUNNING]
        ended = [trial for trial in trials if trial.status != RUNNING]
        for trial in [*ended[-max(2, NUM_SHOWN - len(running)) :], *running]:
            value = trial.last(self._metric)
            table.add_row(
                Text(trial.name + (" *" if trial.setting_label == PUBLISHED else "")),
                Text(trial.status, style=COLOURS[trial.status]),
                epoch_text(trial),
                "" if value is None else f"{value:.2f} %",
                Text(setting_pairs(trial, self._searched) or trial.setting_label),
            )
        return table
