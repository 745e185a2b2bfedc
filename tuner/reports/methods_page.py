"""A comparison of methods as people see it: a table in the terminal, a page, a Parquet file."""

import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuner.orchestration.record import Record
from tuner.reports.formatting import (
    NOTHING,
    accuracy_text,
    count_text,
    difference_text,
    setting_text,
)
from tuner.reports.html import REPORT_FILE, page_environment
from tuner.reports.methods import MethodRow, compare_methods, methods_verdict
from tuner.reports.summary import workload_text
from tuner.request import SearchRequest
from tuner.storage import Storage

METHODS_FILE = "methods.parquet"
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


def write_methods_report(
    storage: Storage, request: SearchRequest, records: Mapping[str, Record]
) -> str:
    """Writes the page and the table into a comparison's folder; returns the page's path."""
    rows = compare_methods(records)
    content = io.BytesIO()
    pq.write_table(_parquet(rows), content)
    storage.write(METHODS_FILE, content.getvalue())
    values = request.model_dump(mode="json", exclude_none=True)
    page = (
        page_environment()
        .get_template("methods.html")
        .render(
            name=request.name,
            verdict=methods_verdict(rows, request.select_on),
            columns=COLUMNS,
            rows=[(row.method in records, row_texts(row)) for row in rows],
            workload=workload_text(values),
            num_trials=request.trials,
            seeds=count_text(request.seeds, "seed"),
            pinned=", ".join(f"{name}={value}" for name, value in request.set.items()),
        )
    )
    storage.write(REPORT_FILE, page.encode())
    return storage.path(REPORT_FILE)


def _parquet(rows: list[MethodRow]) -> pa.Table:
    """A row a method; accuracies in percent, differences in points of test accuracy."""
    columns: dict[str, list[Any]] = {
        "method": [row.method for row in rows],
        "setting": [setting_text(row.setting) for row in rows],
        "num_seeds": [row.num_seeds for row in rows],
        "cost": [row.cost for row in rows],
    }
    for name in ("val_accuracy", "test_accuracy"):
        for field in ("mean", "std"):
            columns[f"{name}_{field}"] = [getattr(getattr(row, name), field, None) for row in rows]
    for name in ("to_plain", "to_best"):
        for field in ("mean", "low", "high"):
            columns[f"{name}_{field}"] = [getattr(getattr(row, name), field, None) for row in rows]
    texts = {"method", "setting"}
    kinds = {
        name: pa.string() if name in texts else pa.int64() if name == "num_seeds" else pa.float64()
        for name in columns
    }
    return pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})
