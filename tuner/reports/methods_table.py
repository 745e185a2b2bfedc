"""A comparison of methods as a table: its cells, in a terminal and on a page."""

from dataclasses import asdict
from typing import Any

from tuner.reports.methods import MethodRow
from tuner.reports.statistics import accuracy_text, difference_text
from tuner.text.formatting import NOTHING, setting_text

COLUMNS = ("method", "setting", "validation (%)", "test (%)", "− plain", "− best", "cost")
WIDE = 118  # characters that the table takes with its settings


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
