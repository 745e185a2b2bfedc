"""ITRD's Table 3: how well the features of frozen students transfer to other data."""

from collections.abc import Mapping

from tuner.reports.document import Table
from tuner.reports.statistics import (
    Difference,
    accuracy_over,
    accuracy_text,
    difference_text,
    paired,
    sentence,
)
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.columns import difference_columns, table_of, value_columns
from tuner.reproductions.artefacts.probes import (
    data_name,
    kind_of,
    probe_students,
    probe_teacher,
    schedule_of,
    table_name,
)
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.results.trial import TEACHER
from tuner.text.formatting import NOTHING
from tuner.training.linear_probe import RECIPE

BySeed = Mapping[int, float]  # test accuracies in percent


def transfer(results: Results) -> Artefact:
    """Probes the students of every seed and the teacher on each data set."""
    parts, findings = [], []
    for spec in results.reproduction.request.probe_data or ():
        students = {label: probe_students(results, spec, label) for label in results.labels}
        teacher = probe_teacher(results, spec)
        parts.append(_table(spec, students, teacher))
        findings.append(_finding(data_name(spec), students, teacher))
    schedule = schedule_of(results)
    if schedule != RECIPE:
        findings.append(
            f"The probe's schedule is compressed too: {schedule.epochs} epochs instead of"
            f" {RECIPE.epochs}."
        )
    return Artefact(findings, parts)


def _table(spec: str, students: Mapping[str, BySeed], teacher: float) -> Table:
    rows, data = [], []
    for label in [*students, TEACHER]:
        value = published("itrd-transfer").value(data=kind_of(spec), method=label)
        by_seed = students.get(label, {0: teacher})
        accuracy = accuracy_over(list(by_seed.values()))
        found = _minus_plain(students, label)
        rows.append(
            [
                label,
                NOTHING if value is None else value.text,
                accuracy_text(accuracy),
                difference_text(found),
                str(len(by_seed)),
            ]
        )
        data.append(
            {"method": label}
            | value_columns("published", value)
            | value_columns("test_accuracy", accuracy)
            | difference_columns("minus_plain", found)
            | {"num_seeds": len(by_seed)}
        )
    return Table(
        table_name(spec),
        f"Table 3: a new linear classifier on {data_name(spec)}",
        ("features of", "published (%)", "test (%)", "− plain (points)", "seeds"),
        rows,
        table_of(data),
        note="Test accuracy of the classifier, mean ± deviation over the seeds of the students;"
        " differences are paired by seed, with 95 % intervals that hold simultaneously"
        " (Bonferroni).",
        faint=frozenset({len(rows) - 1}),
    )


def _finding(name: str, students: Mapping[str, BySeed], teacher: float) -> str:
    means = {
        label: accuracy.mean
        for label, by_seed in students.items()
        if (accuracy := accuracy_over(list(by_seed.values()))) is not None
    }
    if not means:
        return f"On {name} no student has been probed yet."
    best = max(means, key=lambda label: means[label])
    side = "below" if teacher > means[best] else "above"
    text = (
        f"On {name} the features of {best} classify best ({means[best]:.2f} %), {side} the"
        f" teacher's ({teacher:.2f} %)."
    )
    against = _minus_plain(students, best)
    return text if against is None else f"{text} {sentence(best, 'plain', against)}"


def _minus_plain(students: Mapping[str, BySeed], label: str) -> Difference | None:
    if label == "plain" or not {label, "plain"} <= students.keys():
        return None
    num_comparisons = max(1, len(students) - 1)
    return paired(students[label], students["plain"], num_comparisons=num_comparisons)
