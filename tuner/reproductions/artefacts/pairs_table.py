"""A table with a column per pair of networks, as the benchmarks have it."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tuner.reports.document import Table
from tuner.reports.statistics import Difference, accuracy_text, difference_text
from tuner.reproductions.artefacts import findings
from tuner.reproductions.artefacts.columns import difference_columns, table_of, value_columns
from tuner.reproductions.experiment import Pair
from tuner.reproductions.published import Value, all_published
from tuner.reproductions.results import Results
from tuner.results.trial import TEACHER
from tuner.text.formatting import NOTHING, count_text

# The published value for a pair and the label of a variant, or "teacher".
FindPublished = Callable[[Pair, str], Value | None]


def published_by_pair(name: str) -> FindPublished:
    """Finds values in an entry whose rows name teacher, student and method."""
    entry = all_published()[name]
    return lambda pair, label: entry.value(teacher=pair.teacher, student=pair.student, method=label)


def pairs_table(
    results: Results, pairs: Sequence[Pair], published: FindPublished, *, name: str, title: str
) -> Table:
    """Test accuracies with the published ones below; a star marks each pair's best method."""
    methods = _methods(results)
    best = {pair: results.best(methods, pair) for pair in pairs}
    rows: list[list[str]] = []
    faint = []
    data: list[dict[str, Any]] = []
    for label in [TEACHER, *results.labels]:
        values = {pair: published(pair, label) for pair in pairs}
        accuracies = {pair: results.accuracy(label, pair) for pair in pairs}
        data += [
            {"teacher": pair.teacher, "student": pair.student, "method": label}
            | value_columns("published", values[pair])
            | value_columns("test_accuracy", accuracies[pair])
            | value_columns("val_accuracy", results.accuracy(label, pair, "val_accuracy"))
            | {"num_seeds": len(results.trials(label, pair))}
            for pair in pairs
        ]
        stars = {pair: " *" if best[pair] == label else "" for pair in pairs}
        rows.append([label, *(accuracy_text(accuracies[p]) + stars[p] for p in pairs)])
        if any(values.values()):
            faint.append(len(rows))
            texts = [NOTHING if value is None else value.text for value in values.values()]
            rows.append(["published", *texts])
    return Table(
        name=name,
        title=title,
        headings=("method", *(str(pair) for pair in pairs)),
        rows=rows,
        data=table_of(data),
        note="Test accuracy in % at the last epoch, mean ± deviation over the seeds"
        f"{'; grey: published' if faint else ''}. * marks the best method of each pair by"
        " validation accuracy.",
        faint=frozenset(faint),
    )


def verdicts(results: Results, published: FindPublished) -> tuple[list[str], Table]:
    """What each pair's best method gains over the plain student, and whether the order agrees."""
    methods = _methods(results)
    rows: list[list[str]] = []
    data: list[dict[str, Any]] = []
    for pair in results.experiment.pairs:
        best = results.best(methods, pair)
        if best is None:
            continue
        # It was chosen from several, by the same trainings that it is compared with.
        gain = results.difference(best, "plain", pair, num_comparisons=len(methods))
        both = [
            (found, value)
            for label in methods
            if (found := results.accuracy(label, pair)) and (value := published(pair, label))
        ]
        accuracy, verdict = results.accuracy(best, pair), _verdict(gain)
        order = findings.rank_correlation(both) or NOTHING
        rows.append(
            [str(pair), best, accuracy_text(accuracy), difference_text(gain), verdict, order]
        )
        data.append(
            {"teacher": pair.teacher, "student": pair.student, "best": best}
            | value_columns("test_accuracy", accuracy)
            | difference_columns("minus_plain", gain)
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
    return _summary(methods, data), table


def _summary(methods: Sequence[str], verdicts: Sequence[dict[str, Any]]) -> list[str]:
    if not verdicts:
        return [findings.NOTHING_FINISHED]
    bests = ", ".join(
        f"{method} for {count_text(number, 'pair')}"
        for method, number in Counter(row["best"] for row in verdicts).most_common()
    )
    texts = ", ".join(
        f"{verdict} in {number}"
        for verdict, number in Counter(row["verdict"] for row in verdicts).most_common()
    )
    return [
        f"Of {count_text(len(methods), 'method')}, the best by validation accuracy is {bests}.",
        f"The best method of {count_text(len(verdicts), 'pair')} against the plain student:"
        f" {texts}.",
    ]


def _verdict(gain: Difference | None) -> str:
    if gain is None:
        return "nothing to compare with"
    if gain.num_seeds == 1:
        return "one seed cannot distinguish them"
    if gain.is_noise:
        return "within noise"
    return "beats it" if gain.mean > 0 else "loses to it"


def _methods(results: Results) -> list[str]:
    return [variant.label for variant in results.variants if variant.method != "plain"]
