"""A comparison of methods as a table: its cells, in a terminal and on a page."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuner.reports.methods import MethodRow
from tuner.text.formatting import NOTHING, accuracy_text, difference_text, setting_text

COLUMNS = ("method", "setting", "validation (%)", "test (%)", "− plain", "− best", "cost")
WIDE = 118  # characters that the table takes with its settings


def print_methods(rows: list[MethodRow], console: Console) -> None:
    """The table at the end of a comparison; on a narrow terminal the settings follow it."""
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


def row_texts(row: MethodRow) -> tuple[str, ...]:
    """A row's cells, in the order of `COLUMNS`."""
    setting = setting_text(row.setting)
    if row.is_published:
        setting = f"{setting} (published)" if setting else "as published"
    return (
        row.method,
        setting,
        accuracy_text(row.val_accuracy),
        accuracy_text(row.test_accuracy),
        difference_text(row.to_plain),
        difference_text(row.to_best),
        NOTHING if row.cost is None else f"{row.cost:.2f}",
    )


def row_as_dict(row: MethodRow) -> dict[str, Any]:
    """A row for programs."""
    return asdict(row)
