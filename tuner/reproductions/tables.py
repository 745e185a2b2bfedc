"""The papers' tables, measured beside published."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from tuner.reports.comparison import Accuracy
from tuner.reports.document import Table
from tuner.reports.formatting import NOTHING, accuracy_text, difference_text
from tuner.reproductions.experiment import Arm, Pair
from tuner.reproductions.published import Value
from tuner.reproductions.results import Results

ACCURACY_NOTE = (
    "Accuracies in %, of the last epoch, mean ± deviation over the seeds; differences are of test"
    " accuracy, in points, paired by seed, with 95 % intervals that hold together (Bonferroni)."
)


def arms_table(
    results: Results,
    *,
    name: str,
    title: str,
    heading: str,
    published: Callable[[Arm], Value | None],
    base: str | None = None,
    pair: Pair | None = None,
    arms: Sequence[Arm] | None = None,
) -> Table:
    """A row an arm: published, measured, and the difference from the base."""
    arms = results.arms if arms is None else arms
    headings = [heading, "published", "test", "validation"]
    headings += [] if base is None else [f"− {base}"]
    headings.append("seeds")
    rows, data = [], []
    best = results.best([arm.label for arm in arms], pair)
    for arm in arms:
        value = published(arm)
        test = results.accuracy(arm.label, pair)
        val = results.accuracy(arm.label, pair, "val_accuracy")
        row = [arm.label, NOTHING if value is None else value.text]
        row += [accuracy_text(test), accuracy_text(val)]
        found = None
        if base is not None:
            if arm.label != base:
                found = results.difference(
                    arm.label, base, pair, num_comparisons=max(1, len(arms) - 1)
                )
            row.append(difference_text(found))
        num_seeds = len(results.trials(arm.label, pair))
        rows.append([*row, str(num_seeds)])
        data.append(
            {
                heading: arm.label,
                **numbers("published", value),
                **numbers("test_accuracy", test),
                **numbers("val_accuracy", val),
                **{
                    f"difference_{field}": getattr(found, field, None)
                    for field in ("mean", "low", "high")
                },
                "num_seeds": num_seeds,
            }
        )
    return Table(
        name=name,
        title=title,
        headings=headings,
        rows=rows,
        data=table_of(data),
        note=ACCURACY_NOTE + (" The best by validation accuracy is bold." if best else ""),
        emphasised=frozenset(n for n, arm in enumerate(arms) if arm.label == best),
    )


def numbers(name: str, value: Value | Accuracy | None) -> dict[str, float | None]:
    """A mean and a deviation as two columns."""
    return {
        f"{name}_mean": None if value is None else value.mean,
        f"{name}_std": None if value is None else value.std,
    }


def table_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows with equal keys, of which those without any number are numbers too."""
    columns: dict[str, pa.Array] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        is_empty = all(value is None for value in values)
        columns[name] = pa.array(values, pa.float64() if is_empty else None)
    return pa.table(columns)
