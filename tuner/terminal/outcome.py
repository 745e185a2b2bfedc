"""Prints how a search ended, and what to do next."""

import shlex
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuner.config.run_folder import resume_command
from tuner.planning.search import Search
from tuner.planning.task import Run
from tuner.reports.methods import COLUMNS, MethodRow, row_texts
from tuner.reports.settings import Row, verdict
from tuner.reports.statistics import accuracy_text
from tuner.results.record import Record, best_of_text
from tuner.results.trial import DONE, FAILED, FINAL, SEARCH, STOPPED, Trial
from tuner.storage.folder import BEST_FILE
from tuner.text.formatting import setting_text, value_text
from tuner.text.secrets import shown
from tuner.tracking.mirror import Mirror
from tuner.tracking.store import Store

WIDE = 118  # characters of a methods table that has its settings

# The options of the papers' own experiments: the next step after the digits.
PAPER_COMMANDS = {
    "itrd": "--data cifar100 --teacher ResNet50@CHECKPOINT --student MobileNetV2",
    "mimkd": "--data cifar100 --teacher resnet32x4@CHECKPOINT --student resnet8x4",
}


def print_interrupted(run: Run[Any], command: str) -> None:
    """Says what is kept and how to resume; on standard error, as the status is not 0."""
    # What a reproduction trains was decided beforehand.
    kind, noun = (SEARCH, "trials") if run.task.num_trials else (FINAL, "trainings")
    trials = run.record.trials_of(kind)
    ended = sum(trial.ended is not None for trial in trials)
    print(  # noqa: T201
        f"interrupted: {ended} {noun} have ended and are kept, {len(trials) - ended} continue from "
        f"their last epoch; resume with\n  {command}",
        file=sys.stderr,
    )


def nothing_finished(record: Record, report: str) -> int:
    """Says why no trial finished; returns the exit status."""
    reasons = {trial.reason for trial in record.trials.values() if trial.status == FAILED}
    trials = record.trials_of(SEARCH)
    why = "; ".join(sorted(reasons)[:3]) or "none ran to its last epoch"
    print(  # noqa: T201
        f"tuner: no trial finished, of {len(trials)}: {why}\n  report: {report}", file=sys.stderr
    )
    return 1


def print_result(search: Search, record: Record, best: Trial, rows: list[Row]) -> None:
    """The counts, the best trial, a column for each setting that was trained again, the verdict."""
    console = Console(highlight=False, soft_wrap=True)
    trials = record.trials_of(SEARCH)
    counts = {s: sum(trial.status == s for trial in trials) for s in (DONE, STOPPED, FAILED)}
    console.print()
    console.print(
        f"[bold]{escape(search.name)}[/]: "
        + ", ".join(f"{count} {status}" for status, count in counts.items())
        + f"; {best_of_text(record)}: {search.metric} {best.last(search.metric):.2f} % "
        f"in trial {best.name}"
    )
    if not rows:  # --seeds 0
        console.print(f"{escape(setting_text(best.setting))}")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for row in rows:
        table.add_column(row.label, justify="right")
    for name in search.searched:
        values = [row.setting.get(name) for row in rows]
        if any(value is not None for value in values):
            table.add_row(name, *["" if value is None else value_text(value) for value in values])
    table.add_row("validation accuracy (%)", *[accuracy_text(row.val_accuracy) for row in rows])
    table.add_row("test accuracy (%)", *[accuracy_text(row.test_accuracy) for row in rows])
    table.add_row("seeds", *[str(row.num_seeds) for row in rows])
    console.print(table)
    console.print(escape(verdict(rows, search.request.select_on)))


def print_mlflow(mirror: Mirror, page: str, command: str, console: Console) -> None:
    """How to open a run's page in MLflow; or what is wrong, and the command that sends it again."""
    if mirror.problem:
        console.print(
            f"MLflow:  [red]{escape(mirror.problem)}[/]; the results are on disk, "
            f"send them again with\n         {escape(command)}",
            soft_wrap=True,
        )
        return
    console.print(f"MLflow:  {escape(how_to_open(mirror.store, page))}", soft_wrap=True)


def how_to_open(store: Store, page: str) -> str:
    """The address of a run's page; for a database, after the command that starts a server."""
    uri = shown(store.uri)
    if store.is_server:
        return f"open {uri.rstrip('/')}/#/{page}"
    command = shlex.join(["mlflow", "ui", "--backend-store-uri", uri])
    return f"{command}\n         then http://127.0.0.1:5000/#/{page}"


def print_hints(search: Search, mirror: Mirror, page: str, report: str) -> None:
    """Where the results are, and what to do with them."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\nreport:  {escape(report)}")
    command = resume_command(search.storage, search.request)
    print_mlflow(mirror, page, command, console)
    method = search.space.method
    if search.workload.data == "digits" and method in PAPER_COMMANDS:
        console.print(f"paper:   python -m tuner.search --space {method} {PAPER_COMMANDS[method]}")
    else:
        console.print(
            f"again:   tuner distill --config {escape(shlex.quote(search.storage.path(BEST_FILE)))}"
        )


def print_methods(rows: list[MethodRow], console: Console) -> None:
    """The table of a comparison of methods; on a narrow terminal the settings follow it."""
    is_wide = console.width >= WIDE
    shown = [heading for heading in COLUMNS if is_wide or heading != "setting"]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in shown:
        is_text = heading in ("method", "setting")
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=not is_text)
    for row in rows:
        cells = dict(zip(COLUMNS, row_texts(row), strict=True))
        for heading in ("− plain", "− best"):
            # The interval below its mean: beside each other they would not fit.
            cells[heading] = cells[heading].replace(" (", "\n(")
        table.add_row(*(escape(cells[heading]) for heading in shown))
    console.print(table)
    if not is_wide:
        for row in rows[:-1]:  # the last is plain training
            console.print(f"{row.method:<9} {escape(row_texts(row)[1])}", soft_wrap=True)
