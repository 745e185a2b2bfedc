"""MIMKD's A.7: accuracy and cost against the number of negatives."""

from collections.abc import Mapping
from dataclasses import asdict

from rich.filesize import decimal

from tuner.reports.document import Figure, Table
from tuner.reproductions.artefacts import figures, findings
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.columns import table_of
from tuner.reproductions.artefacts.measured_costs import added_table, cost_of, machine_of
from tuner.reproductions.artefacts.variants_table import variants_table
from tuner.reproductions.experiment import Variant
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.text.formatting import NOTHING, count_text
from tuner.training.step_cost import Cost


def negatives(results: Results) -> Artefact:
    """Accuracies of the trainings, and the cost of a step beside the plain student's and CRD's."""
    labels = results.labels
    by_number = {int(one.values["num_negatives"]): one.label for one in results.variants}
    measured = _measured_variants(list(by_number))
    costs = {variant.label: cost_of(results, variant) for variant in measured}
    first, last = min(by_number), max(by_number)
    _, crd, *mimkd = measured
    workload = results.reproduction.workloads[0]
    return Artefact(
        [
            *findings.best_of_many(results, labels, labels[0]),
            _growth(costs, first, last),
            f"The paper reports for ResNet-18 on ImageNet: {_published()}.",
        ],
        [
            variants_table(
                results,
                name="negatives",
                title="A.7: accuracy against the number of negatives of the global term",
                heading="negatives",
                base=labels[0],
            ),
            _figure(results, by_number),
            _cost_table(costs, workload.student, machine_of(results)),
            added_table(workload, [crd, mimkd[0], mimkd[-1]]),
        ],
    )


def _measured_variants(numbers: list[int]) -> list[Variant]:
    return [
        Variant("plain", "plain"),
        Variant("crd", "crd", {"num_negatives": numbers[-1]}),
        *(Variant(_label(number), "mimkd", {"num_negatives": number}) for number in numbers),
    ]


def _label(number: int) -> str:
    return f"mimkd, {count_text(number, 'negative')}"


def _growth(costs: Mapping[str, Cost], first: int, last: int) -> str:
    few, many = costs[_label(first)], costs[_label(last)]
    return (
        f"With {count_text(last, 'negative')} instead of {first} a step takes"
        f" {many.step_seconds / few.step_seconds:.2f} times as long, and its peak memory changes by"
        f" {_megabytes(many.peak_bytes - few.peak_bytes)}."
    )


def _figure(results: Results, by_number: Mapping[int, str]) -> Figure:
    accuracies = {float(number): results.accuracy(label) for number, label in by_number.items()}
    return Figure(
        "negatives",
        "Accuracy against the number of negatives",
        "Mean and deviation over the seeds.",
        figures.sweep({"negatives of the global term": accuracies}, log=True),
    )


def _cost_table(costs: Mapping[str, Cost], student: str, machine: str) -> Table:
    plain = costs["plain"]
    rows, data = [], []
    for label, cost in costs.items():
        more = cost.peak_bytes - plain.peak_bytes
        rows.append(
            [
                label,
                decimal(cost.peak_bytes),
                NOTHING if label == "plain" else _megabytes(more),
                decimal(cost.buffer_bytes),
                f"{cost.images_per_second:.0f}",
            ]
        )
        data.append({"method": label, **asdict(cost), "more_bytes": more})
    return Table(
        "cost",
        "A.7: cost against the number of negatives",
        ("training", "peak memory", "− plain", "stored", "images/s"),
        rows,
        table_of(data),
        note=f"At {plain.batch_size} images per step of {student}, with the teacher in the loop."
        f" Stored: what is kept beside the parameters."
        f" Measured on {machine}.",
    )


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:+.0f} MB"


def _published() -> str:
    texts = []
    for row in published("mimkd-negatives").rows:
        if row["quantity"] != "negatives":
            method = f"{row['method']} ({row['part']})" if "part" in row else row["method"]
            unit = " epochs per hour" if row["quantity"] == "speed" else ""
            texts.append(f"{method} {row['text']}{unit}")
    return ", ".join(texts)
