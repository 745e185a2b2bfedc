"""A table with a row per variant: published beside measured."""

from collections.abc import Callable, Mapping
from typing import Any

from tuner.reports.document import Table
from tuner.reports.statistics import Difference, accuracy_text, difference_text
from tuner.reproductions.artefacts.columns import difference_columns, table_of, value_columns
from tuner.reproductions.experiment import Variant
from tuner.reproductions.published import Value
from tuner.reproductions.results import Results
from tuner.results.trial import TEACHER
from tuner.text.formatting import NOTHING

ACCURACIES = "Accuracies are of the last epoch, mean ± deviation over the seeds."
DIFFERENCES = (
    " Differences are of test accuracy, paired by seed, with 95 % intervals that hold"
    " simultaneously (Bonferroni)."
)
BEST = " Bold: the best by validation accuracy."


def variants_table(
    results: Results,
    *,
    name: str,
    title: str,
    heading: str,
    base: str,
    published: Mapping[str, Value | None] | None = None,
) -> Table:
    """Accuracies of each variant, and their differences from the base, if that is selected.

    `published` by label; the teacher has a row if it has a published value.
    """
    published = published or {}
    has_base = base in results.labels
    best = results.best(results.labels)
    rows: list[dict[str, str]] = []
    data: list[dict[str, Any]] = []
    for label in [*results.labels, *([TEACHER] if TEACHER in published else [])]:
        value = published.get(label)
        test, val = results.accuracy(label), results.accuracy(label, metric="val_accuracy")
        found = _difference(results, label, base) if has_base else None
        num_seeds = len(results.trials(label))
        row = {heading: label}
        if published:
            row["published (%)"] = NOTHING if value is None else value.text
        row |= {"test (%)": accuracy_text(test), "validation (%)": accuracy_text(val)}
        if has_base:
            row[f"− {base} (points)"] = difference_text(found)
        rows.append(row | {"seeds": NOTHING if label == TEACHER else str(num_seeds)})
        data.append(
            {heading: label}
            | value_columns("published", value)
            | value_columns("test_accuracy", test)
            | value_columns("val_accuracy", val)
            | difference_columns("difference", found)
            | {"num_seeds": num_seeds}
        )
    return Table(
        name=name,
        title=title,
        headings=list(rows[0]),
        rows=[list(row.values()) for row in rows],
        data=table_of(data),
        note=ACCURACIES + (DIFFERENCES if has_base else "") + (BEST if best else ""),
        emphasised=frozenset(n for n, label in enumerate(results.labels) if label == best),
        faint=frozenset({len(results.labels)} if TEACHER in published else ()),
    )


def published_by_label(
    results: Results, find: Callable[[Variant], Value | None]
) -> dict[str, Value | None]:
    """The published value of each variant, by its label."""
    return {variant.label: find(variant) for variant in results.variants}


def _difference(results: Results, label: str, base: str) -> Difference | None:
    if label == base:
        return None
    num_comparisons = max(1, len(results.labels) - 1)
    return results.difference(label, base, num_comparisons=num_comparisons)
