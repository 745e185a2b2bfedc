"""Shows a search while it runs: a live table on a terminal, else lines, JSON, or nothing."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.live import Live

from tuner.planning.plan import Plan
from tuner.results.record import Record
from tuner.terminal.event_lines import EventLines, JsonLines
from tuner.terminal.live_table import LiveTable
from tuner.terminal.remaining import Remaining


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
        """`mode` is "auto" (a table on a terminal, else lines), "json" or "quiet".

        `metric` is the accuracy to show, `searched` the hyperparameters; `problem` says what MLflow
        lacks, "" if nothing; `part` names the search if it is one of several.
        """
        self._live: Live | None = None
        remaining = Remaining(record, plan, part)
        console = Console()
        if mode == "auto" and console.is_terminal:
            table = LiveTable(
                record, plan, remaining, metric=metric, searched=searched, problem=problem
            )
            self._live = Live(get_renderable=table.render, console=console, refresh_per_second=4)
        elif mode == "auto":
            record.listeners.append(EventLines(remaining, metric=metric, searched=searched))
        elif mode == "json":
            record.listeners.append(JsonLines(metric))
        record.listeners.append(remaining.on_event)

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
