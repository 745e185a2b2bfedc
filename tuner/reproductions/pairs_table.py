"""Methods down, pairs of networks across: the form of the benchmarks' tables."""

from collections.abc import Callable, Sequence
from typing import Any

from tuner.reports.comparison import Accuracy
from tuner.reports.document import Table
from tuner.reports.formatting import NOTHING, accuracy_text
from tuner.reproductions.experiment import Pair
from tuner.reproductions.published import Value
from tuner.reproductions.results import Results
from tuner.reproductions.tables import numbers, table_of

TEACHER = "teacher"
# Of a pair and the label of an arm, or "teacher".
Known = Callable[[Pair, str], Value | None]


def pairs_table(
    results: Results, pairs: Sequence[Pair], published: Known, *, name: str, title: str
) -> Table:
    """Test accuracies, under each what is published; the best method of each pair is starred."""
    methods = [arm.label for arm in results.arms if arm.method != "plain"]
    best = {pair: results.best(methods, pair) for pair in pairs}
    rows: list[list[str]] = []
    faint = []
    data: list[dict[str, Any]] = []
    for label in [TEACHER, *(arm.label for arm in results.arms)]:
        known = {pair: published(pair, label) for pair in pairs}
        cells = []
        for pair in pairs:
            accuracy = _accuracy(results, label, pair)
            star = " *" if best[pair] == label else ""
            cells.append(f"{accuracy_text(accuracy)}{star}")
            val = results.accuracy(label, pair, "val_accuracy")
            data.append(
                {
                    "teacher": pair.teacher,
                    "student": pair.student,
                    "method": label,
                    **numbers("published", known[pair]),
                    **numbers("test_accuracy", accuracy),
                    **numbers("val_accuracy", val),
                    "num_seeds": len(results.trials(label, pair)),
                }
            )
        rows.append([label, *cells])
        if any(known.values()):
            faint.append(len(rows))
            texts = [NOTHING if value is None else value.text for value in known.values()]
            rows.append(["published", *texts])
    return Table(
        name=name,
        title=title,
        headings=("method", *(str(pair) for pair in pairs)),
        rows=rows,
        data=table_of(data),
        note="Test accuracy in %, of the last epoch, mean ± deviation over the seeds; grey: what is"
        " published. * the best method of a pair by validation accuracy.",
        faint=frozenset(faint),
    )


def _accuracy(results: Results, label: str, pair: Pair) -> Accuracy | None:
    if label != TEACHER:
        return results.accuracy(label, pair)
    accuracy = results.teachers.get(pair)
    return None if accuracy is None else Accuracy(accuracy, None)
