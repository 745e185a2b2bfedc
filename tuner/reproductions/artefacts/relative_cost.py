"""ITRD's Table 5: memory and training time of other methods relative to ITRD's."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.filesize import decimal

from tuner.reports.document import Figure, Table
from tuner.reproductions.artefacts import figures
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.columns import table_of
from tuner.reproductions.artefacts.measured_costs import (
    added_table,
    cost_of,
    cost_within,
    machine_of,
)
from tuner.reproductions.experiment import Variant
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.text.formatting import NOTHING
from tuner.training.step_cost import Cost

COMPARED = ("itrd", "kd", "reviewkd", "crcd", "hsakd", "crd")  # KD and CRD: from the text
BASE = "itrd"


class Costs(NamedTuple):
    """Costs by method."""

    fixed: Mapping[str, Cost]  # at the workload's batch size
    largest: Mapping[str, Cost | None]  # at the largest batch within the cap; None: none fits
    cap_bytes: int

    @property
    def memory(self) -> dict[str, float]:
        """Peak memory as a ratio to ITRD's."""
        base = self.fixed[BASE].peak_bytes
        return {method: cost.peak_bytes / base for method, cost in self.fixed.items()}

    @property
    def time(self) -> dict[str, float]:
        """Time per training image as a ratio to ITRD's, of the methods that fit."""
        base = self.largest[BASE]
        return {
            method: base.images_per_second / cost.images_per_second
            for method, cost in self.largest.items()
            if cost is not None and base is not None
        }


def relative_cost(results: Results) -> Artefact:
    """Memory at one batch size, and time at the largest batch under a cap."""
    costs = _measured(results)
    added = {
        str(row["method"]): f"{row['text']} {row['kind']}"
        for row in published("itrd-parameters").rows
    }
    workload = results.reproduction.workloads[0]
    return Artefact(
        _findings(costs),
        [
            _table(costs, machine_of(results)),
            _figure(costs),
            added_table(workload, [Variant(method, method) for method in added], added),
        ],
    )


def _measured(results: Results) -> Costs:
    request = results.reproduction.request
    methods = [m for m in COMPARED if request.methods is None or m in (*request.methods, BASE)]
    fixed = {method: cost_of(results, Variant(method, method)) for method in methods}
    cap = int(request.memory_cap or max(cost.peak_bytes for cost in fixed.values()))
    largest = {method: cost_within(results, Variant(method, method), cap) for method in methods}
    return Costs(fixed, largest, cap)


def _table(costs: Costs, machine: str) -> Table:
    memory, time = costs.memory, costs.time
    rows, data = [], []
    for method, cost in costs.fixed.items():
        fits = costs.largest[method]
        # No method has a ratio where ITRD itself does not fit.
        ratio = f"{time[method]:.2f}×" if method in time else NOTHING
        rows.append(
            [
                method,
                _published_text("memory", method),
                f"{memory[method]:.2f}×",
                decimal(cost.peak_bytes),
                _published_text("time", method),
                "does not fit" if fits is None else ratio,
                NOTHING if fits is None else str(fits.batch_size),
                NOTHING if fits is None else f"{fits.images_per_second:.0f}",
            ]
        )
        data.append(
            {
                "method": method,
                "memory_ratio": memory[method],
                "peak_bytes": cost.peak_bytes,
                "batch_size": cost.batch_size,
                "time_ratio": time.get(method),
                "largest_batch_size": fits and fits.batch_size,
                "images_per_second": fits and fits.images_per_second,
            }
        )
    return Table(
        "cost",
        "Table 5: memory and training time relative to ITRD",
        ("method", "memory, published", "memory", "peak", "time, published", "time", "batch",
         "images/s"),
        rows,
        table_of(data),
        note=f"Memory: peak at {costs.fixed[BASE].batch_size} images per step, as a ratio to"
        " ITRD's. Time: per training image, at the largest batch whose peak stays within"
        f" {decimal(costs.cap_bytes)}. As in the paper's protocol the teacher runs in the loop; the"
        f" images are synthetic. Measured on {machine}.",
    )  # fmt: skip


def _figure(costs: Costs) -> Figure:
    methods = list(costs.fixed)
    return Figure(
        "cost",
        "Memory and time relative to ITRD",
        "Ratios to ITRD's. A bar is missing where nothing is published or nothing fits.",
        figures.bars(
            {
                f"{quantity}, ratio to ITRD": {
                    "measured": measured,
                    "published": _published_ratios(quantity, methods),
                }
                for quantity, measured in (("memory", costs.memory), ("time", costs.time))
            }
        ),
    )


def _findings(costs: Costs) -> list[str]:
    others = [method for method in costs.fixed if method != BASE]
    findings = []
    for quantity, measured in (("memory", costs.memory), ("time", costs.time)):
        ratios = []
        for method in others:
            if method in measured:
                text = _published_text(quantity, method)
                beside = "" if text == NOTHING else f" (published: {text})"
                ratios.append(f"{method} {measured[method]:.2f}×{beside}")
        if ratios:
            findings.append(f"{quantity.capitalize()} relative to ITRD: {', '.join(ratios)}.")
    missing = [method for method, cost in costs.largest.items() if cost is None]
    if missing:
        findings.append(f"No batch fits within the cap with {', '.join(missing)}.")
    return findings


def _published_text(protocol: str, method: str) -> str:
    if method == BASE:
        return "1"
    row = published("itrd-cost").row(protocol=protocol, method=method)
    return NOTHING if row is None else str(row["text"])


def _published_ratios(protocol: str, methods: Sequence[str]) -> dict[str, float]:
    entry = published("itrd-cost")
    values = {method: entry.value(protocol=protocol, method=method) for method in methods}
    return {method: value.mean for method, value in values.items() if value is not None}
