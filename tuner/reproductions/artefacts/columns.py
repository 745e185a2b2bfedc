"""Columns of the data files beside a report."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tuner.reports.statistics import Accuracy, Difference
from tuner.reproductions.published import Value


def value_columns(name: str, value: Value | Accuracy | None) -> dict[str, float | None]:
    """A mean and a deviation as two columns."""
    return {
        f"{name}_mean": None if value is None else value.mean,
        f"{name}_std": None if value is None else value.std,
    }


def difference_columns(name: str, found: Difference | None) -> dict[str, float | None]:
    """A mean difference and its interval as three columns."""
    return {f"{name}_{part}": getattr(found, part, None) for part in ("mean", "low", "high")}


def table_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows with equal keys as a table; a column without any value is one of numbers."""
    columns: dict[str, pa.Array] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        is_empty = all(value is None for value in values)
        columns[name] = pa.array(values, pa.float64() if is_empty else None)
    return pa.table(columns)
