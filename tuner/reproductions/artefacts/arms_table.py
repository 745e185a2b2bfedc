"""The papers' tables, measured beside published."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from tuner.reports.document import Table
from tuner.reports.statistics import Accuracy, accuracy_text, difference_text
from tuner.reproductions.experiment import Variant
from tuner.reproductions.published import Value
from tuner.reproductions.results import Results
from tuner.text.formatting import NOTHING

ACCURACIES = "Accuracies are of the last epoch, mean ± deviation over the seeds."
DIFFERENCES = (
    " Differences are of test accuracy, paired by seed, with 95 % intervals that hold together"
    " (Bonferroni)."
)
TEACHER = "teacher"  # what `published` has its accuracy under


def arms_table(
    results: Results,
    *,
    name: str,
    title: str,
    heading: str,
    published: Mapping[str, Value | None] | None = None,
    base: str | None = None,
) -> Table:
    """A row an arm: published, measured, and the difference from the base.

    `published` by label; the teacher has a row where it has a published value.
    """
    published = published or {}
    labels = [arm.label for arm in results.arms]
    base = base if base in labels else None
    best = results.best(labels)
    show = {"published (%)": bool(published), f"− {base} (points)": base is not None}
    rows: list[dict[str, str]] = []
    data: list[dict[str, Any]] = []
    for label in [*labels, *([TEACHER] if TEACHER in published else [])]:
        value, test, val = published.get(label), results.accuracy(label), None
        if label == TEACHER:
            accuracy = results.teachers.get(results.pair)
            test = None if accuracy is None else Accuracy(accuracy, None)
        else:
            val = results.accuracy(label, metric="val_accuracy")
        found = None
        if base is not None and label not in (base, TEACHER):
            found = results.difference(label, base, num_comparisons=max(1, len(labels) - 1))
        num_seeds = len(results.trials(label))
        cells = {
            heading: label,
            "published (%)": NOTHING if value is None else value.text,
            "test (%)": accuracy_text(test),
            "validation (%)": accuracy_text(val),
            f"− {base} (points)": difference_text(found),
            "seeds": NOTHING if label == TEACHER else str(num_seeds),
        }
        rows.append({title: cell for title, cell in cells.items() if show.get(title, True)})
        data.append(
            {
                heading: label,
                **numbers("published", value),
                **numbers("test_accuracy", test),
                **numbers("val_accuracy", val),
                **{f"difference_{f}": getattr(found, f, None) for f in ("mean", "low", "high")},
                "num_seeds": num_seeds,
            }
        )
    note = ACCURACIES + (DIFFERENCES if base is not None else "")
    return Table(
        name=name,
        title=title,
        headings=list(rows[0]),
        rows=[list(row.values()) for row in rows],
        data=table_of(data),
        note=note + (" Bold: the best by validation accuracy." if best else ""),
        emphasised=frozenset(n for n, label in enumerate(labels) if label == best),
        faint=frozenset({len(labels)} if TEACHER in published else ()),
    )


def published_by_arm(
    results: Results, find: Callable[[Variant], Value | None]
) -> dict[str, Value | None]:
    """What is published of each arm, by its label."""
    return {arm.label: find(arm) for arm in results.arms}


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
