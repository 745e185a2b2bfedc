"""Methods down, pairs of networks across: the form of the benchmarks' tables."""

from collections.abc import Callable

from tuner.reports.document import Table
from tuner.reports.formatting import NOTHING, accuracy_text, percent_text
from tuner.reproductions.experiment import Pair
from tuner.reproductions.published import Value
from tuner.reproductions.results import Results
from tuner.reproductions.tables import numbers, table_of


def pairs_table(
    results: Results, published: Callable[[Pair, str], Value | None], *, name: str, title: str
) -> Table:
    """Test accuracies, published ones in brackets; the best method of each pair is starred.

    `published` takes a pair and the label of an arm, or "teacher".
    """
    pairs = results.experiment.pairs
    labels = [arm.label for arm in results.arms]
    methods = [arm.label for arm in results.arms if arm.method != "plain"]
    best = {pair: results.best(methods, pair) for pair in pairs}
    rows, data = [], []
    for label in ["teacher", *labels]:
        cells = []
        for pair in pairs:
            value = published(pair, label)
            if label == "teacher":
                measured = percent_text(results.teachers.get(pair))
                accuracy = None
            else:
                accuracy = results.accuracy(label, pair)
                measured = accuracy_text(accuracy)
            star = " *" if best[pair] == label and measured != NOTHING else ""
            cells.append(f"{measured}{star}" + ("" if value is None else f" [{value.text}]"))
            data.append(
                {
                    "teacher": pair.teacher,
                    "student": pair.student,
                    "method": label,
                    **numbers("published", value),
                    **numbers("test_accuracy", accuracy),
                    "val_accuracy_mean": getattr(
                        results.accuracy(label, pair, "val_accuracy"), "mean", None
                    ),
                    "num_seeds": len(results.trials(label, pair)),
                }
                | ({"test_accuracy_mean": results.teachers.get(pair)} if label == "teacher" else {})
            )
        rows.append([label, *cells])
    return Table(
        name=name,
        title=title,
        headings=("", *(str(pair) for pair in pairs)),
        rows=rows,
        data=table_of(data),
        note="Test accuracy in %, of the last epoch, mean ± deviation over the seeds; in brackets"
        " what is published. * the best method of a pair by validation accuracy.",
    )
