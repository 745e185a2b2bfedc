"""Methods down, pairs of networks across: the form of the benchmarks' tables."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tuner.reports.document import Table
from tuner.reports.statistics import Accuracy, Difference, accuracy_text, difference_text
from tuner.reproductions.artefacts import findings as words
from tuner.reproductions.artefacts.arms_table import numbers, table_of
from tuner.reproductions.experiment import Pair
from tuner.reproductions.published import Value
from tuner.reproductions.results import Results
from tuner.text.formatting import NOTHING, count_text

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
        note="Test accuracy in %, of the last epoch, mean ± deviation over the seeds"
        f"{'; grey: what is published' if faint else ''}. * the best method of a pair by"
        " validation accuracy.",
        faint=frozenset(faint),
    )


def verdicts(results: Results, published: Known) -> tuple[list[str], Table]:
    """What each pair's best method gains over the plain student, and how the order agrees."""
    methods = [arm.label for arm in results.arms if arm.method != "plain"]
    rows: list[list[str]] = []
    data: list[dict[str, Any]] = []
    told: list[str] = []  # of each pair that has finished
    bests: list[str] = []
    for pair in results.experiment.pairs:
        best = results.best(methods, pair)
        if best is None:
            continue
        # One of several was chosen, by the same trainings that it is compared with.
        gain = results.difference(best, "plain", pair, num_comparisons=len(methods))
        both = [
            (found, value)
            for label in methods
            if (found := results.accuracy(label, pair)) and (value := published(pair, label))
        ]
        verdict = _verdict(gain)
        bests.append(best)
        told.append(verdict)
        rows.append(
            [str(pair), best, accuracy_text(results.accuracy(best, pair)), difference_text(gain),
             verdict, words.rank_correlation(both) or NOTHING]
        )  # fmt: skip
        data.append(
            {"teacher": pair.teacher, "student": pair.student, "best": best}
            | numbers("test_accuracy", results.accuracy(best, pair))
            | {f"minus_plain_{f}": getattr(gain, f, None) for f in ("mean", "low", "high")}
            | {"verdict": verdict}
        )
    table = Table(
        "verdicts",
        "The best method of each pair",
        ("pair", "best", "test (%)", "− plain (points)", "verdict", "order as published"),
        rows,
        table_of(data),
        note="The best by validation accuracy; its gain is paired by seed, with a 95 % interval"
        f" corrected for the choice among {len(methods)}. Order: Kendall's rank correlation of"
        " the methods' test accuracies with the published ones, 1 for the same order.",
        num_text_columns=2,
    )
    if not rows:
        return [words.NOTHING_FINISHED], table
    most = ", ".join(
        f"{method} for {count_text(number, 'pair')}"
        for method, number in Counter(bests).most_common()
    )
    verdict_text = ", ".join(
        f"{verdict} in {number}" for verdict, number in Counter(told).most_common()
    )
    return [
        f"Of {count_text(len(methods), 'method')}, the best by validation accuracy is {most}.",
        f"Against the plain student the best method of {count_text(len(rows), 'pair')}:"
        f" {verdict_text}.",
    ], table


def _verdict(gain: Difference | None) -> str:
    if gain is None:
        return "nothing to compare with"
    if gain.num_seeds == 1:
        return "one seed cannot tell"
    if gain.is_noise:
        return "within noise"
    return "beats it" if gain.mean > 0 else "loses to it"


def _accuracy(results: Results, label: str, pair: Pair) -> Accuracy | None:
    if label != TEACHER:
        return results.accuracy(label, pair)
    accuracy = results.teachers.get(pair)
    return None if accuracy is None else Accuracy(accuracy, None)
