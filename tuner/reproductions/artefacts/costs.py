"""What methods cost: ITRD's Table 5 and parameters, MIMKD's A.7."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from rich.filesize import decimal

from tuner.config.workload import Workload
from tuner.reports.document import Figure, Table
from tuner.reproductions.artefacts import figures
from tuner.reproductions.artefacts.arms_table import table_of
from tuner.reproductions.experiment import Artefact, Part, Variant
from tuner.reproductions.planning import setting_of
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.text.errors import RequestError
from tuner.text.formatting import NOTHING, count_text
from tuner.training.step_cost import Cost, added_parameters, largest_batch, measure_cost

COMPARED = ("itrd", "kd", "reviewkd", "crcd", "hsakd", "crd")  # KD and CRD: the text's
BASE = "itrd"
NUM_IMAGES = {"imagenet": 1_281_167}  # that memory banks are made for
NUM_CLASSES = {"imagenet": 1000}


def itrd_cost(results: Results) -> Artefact:
    """Memory at one batch size, and time at the largest batch under a cap, as ratios to ITRD's."""
    request = results.reproduction.request
    methods = [m for m in COMPARED if request.methods is None or m in (*request.methods, BASE)]
    workload = results.reproduction.workloads[0]
    costs = {m: _cost(results, workload, m) for m in methods}
    base = costs[BASE]
    cap = int(request.memory_cap or max(cost.peak_bytes for cost in costs.values()))
    at_cap = {m: _at_cap(results, workload, m, cap) for m in methods}
    memory = {m: cost.peak_bytes / base.peak_bytes for m, cost in costs.items()}
    base_rate = at_cap[BASE]
    time = {
        m: base_rate.images_per_second / cost.images_per_second
        for m, cost in at_cap.items()
        if cost is not None and base_rate is not None
    }
    rows, data = [], []
    for method in methods:
        printed = [_printed(protocol, method) for protocol in ("memory", "time")]
        fits = at_cap[method]
        rows.append(
            [
                method,
                printed[0],
                f"{memory[method]:.2f}×",
                decimal(costs[method].peak_bytes),
                printed[1],
                f"{time[method]:.2f}×" if method in time else "does not fit",
                NOTHING if fits is None else str(fits.batch_size),
                NOTHING if fits is None else f"{fits.images_per_second:.0f}",
            ]
        )
        data.append(
            {
                "method": method,
                "memory_ratio": memory[method],
                "peak_bytes": costs[method].peak_bytes,
                "batch_size": costs[method].batch_size,
                "time_ratio": time.get(method),
                "largest_batch_size": fits and fits.batch_size,
                "images_per_second": fits and fits.images_per_second,
            }
        )
    table = Table(
        "cost",
        "Table 5: memory and training time relative to ITRD",
        ("method", "memory, published", "memory", "peak", "time, published", "time", "batch",
         "images/s"),
        rows,
        table_of(data),
        note=f"Memory: the peak at {base.batch_size} images a step, as a ratio to ITRD's. Time: of"
        f" a training image at the largest batch whose peak stays within {decimal(cap)}. The"
        " teacher runs in the loop, as in the paper's protocol, on synthetic images. Measured on"
        f" {_machine(results)}.",
    )  # fmt: skip
    return Artefact(
        _cost_words(memory, time),
        [
            table,
            Figure(
                "cost",
                "Memory and time relative to ITRD",
                "Ratios to ITRD's; without a bar: nothing is published, or nothing fits.",
                figures.bars(
                    {
                        "memory, ratio to ITRD": {
                            "measured": memory,
                            "published": _ratios_printed("memory", methods),
                        },
                        "time, ratio to ITRD": {
                            "measured": time,
                            "published": _ratios_printed("time", methods),
                        },
                    }
                ),
            ),
            _added(
                workload,
                [Variant(method, method) for method in _parameters_printed()],
                _parameters_printed(),
            ),
        ],
    )  # fmt: skip


def negatives_cost(results: Results, numbers: Sequence[int]) -> tuple[list[str], list[Part]]:
    """MIMKD's memory and rate by the number of negatives, beside the plain student and CRD."""
    workload = results.reproduction.workloads[0]
    mimkd = [Variant(_of(number), "mimkd", {"num_negatives": number}) for number in numbers]
    arms = [
        Variant("plain", "plain"),
        Variant("crd", "crd", {"num_negatives": numbers[-1]}),
        *mimkd,
    ]
    costs = {arm.label: _cost_of(results, workload, arm) for arm in arms}
    plain, first, last = costs["plain"], costs[_of(numbers[0])], costs[_of(numbers[-1])]
    rows, data = [], []
    for label, cost in costs.items():
        more = cost.peak_bytes - plain.peak_bytes
        rows.append(
            [label, decimal(cost.peak_bytes), NOTHING if label == "plain" else _more(more),
             decimal(cost.buffer_bytes), f"{cost.images_per_second:.0f}"]
        )  # fmt: skip
        data.append({"method": label, **asdict(cost), "more_bytes": more})
    slower = last.step_seconds / first.step_seconds
    words = [
        f"With {numbers[-1]} negatives instead of {numbers[0]} a step takes {slower:.2f} times as"
        f" long and {_more(last.peak_bytes - first.peak_bytes)} of memory.",
        f"The paper, of ResNet-18 on ImageNet: {_published_negatives()}.",
    ]
    table = Table(
        "cost",
        "A.7: cost against the number of negatives",
        ("training", "peak memory", "− plain", "stored", "images/s"),
        rows,
        table_of(data),
        note=f"At {plain.batch_size} images a step of {workload.student}, with the teacher in the"
        f" loop; stored: memories that are not trained. Measured on {_machine(results)}.",
    )
    return words, [table, _added(workload, [arms[1], mimkd[0], mimkd[-1]], {})]


def _of(number: int) -> str:
    return f"mimkd, {count_text(number, 'negative')}"


def _more(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:+.0f} MB"


def _published_negatives() -> str:
    told = []
    for row in published("mimkd-negatives").rows:
        if row["quantity"] != "negatives":
            of = f"{row['method']} ({row['part']})" if "part" in row else row["method"]
            unit = " epochs an hour" if row["quantity"] == "speed" else ""
            told.append(f"{of} {row['text']}{unit}")
    return ", ".join(told)


def _cost(results: Results, workload: Workload, method: str) -> Cost:
    return _cost_of(results, workload, Variant(method, method))


def _cost_of(results: Results, workload: Workload, arm: Variant) -> Cost:
    setting = setting_of(arm, workload, results.reproduction.request.set)

    def measure() -> dict[str, Any]:
        cost = measure_cost(
            workload, arm.method, setting, batch_size=workload.batch_size, **_sizes(workload)
        )
        return asdict(cost)

    return Cost(**results.measure(f"cost-{arm.label.replace(', ', '-')}", measure))


def _machine(results: Results) -> str:
    """What the costs are of; as written down when they were measured."""

    def measure() -> dict[str, Any]:
        if torch.cuda.is_available():
            return {"name": torch.cuda.get_device_name()}
        return {"name": f"a CPU with {count_text(torch.get_num_threads(), 'thread')}"}

    return str(results.measure("machine", measure)["name"])


def _at_cap(results: Results, workload: Workload, method: str, cap: int) -> Cost | None:
    setting = setting_of(Variant(method, method), workload, results.reproduction.request.set)

    def measure() -> dict[str, Any]:
        try:
            return asdict(largest_batch(workload, method, setting, cap, **_sizes(workload)))
        except RequestError as error:
            return {"refused": str(error)}

    found = results.measure(f"cost-{method}-within-{cap}", measure)
    return None if "refused" in found else Cost(**found)


def _sizes(workload: Workload) -> dict[str, Any]:
    """How many images and classes, where the data need not be there to be measured on."""
    kind = workload.data.partition(":")[0]
    return {"num_images": NUM_IMAGES.get(kind), "num_classes": NUM_CLASSES.get(kind)}


def _printed(protocol: str, method: str) -> str:
    if method == BASE:
        return "1"
    row = published("itrd-cost").row(protocol=protocol, method=method)
    return NOTHING if row is None else str(row["text"])


def _ratios_printed(protocol: str, methods: Sequence[str]) -> dict[str, float]:
    entry = published("itrd-cost")
    values = {method: entry.value(protocol=protocol, method=method) for method in methods}
    return {method: value.mean for method, value in values.items() if value is not None}


def _cost_words(memory: dict[str, float], time: dict[str, float]) -> list[str]:
    others = [method for method in memory if method != BASE]
    words = []
    for what, measured in (("memory", memory), ("time", time)):
        dearer = []
        for method in others:
            if method in measured:
                printed = _printed(what, method)
                there = "" if printed == NOTHING else f" (published: {printed})"
                dearer.append(f"{method} {measured[method]:.2f}×{there}")
        words.append(f"{what.capitalize()} relative to ITRD: {', '.join(dearer)}.")
    missing = [method for method in others if method not in time]
    if missing:
        words.append(f"Within the cap no batch fits of {', '.join(missing)}.")
    return words


def _added(workload: Workload, arms: Sequence[Variant], printed: Mapping[str, str]) -> Table:
    """Numbers that a method adds to the two networks of ImageNet; static. `printed`: by method."""
    imagenet = replace(
        workload, teacher="ResNet34", student="ResNet18", image_size=32, data="imagenet"
    )
    rows, data = [], []
    for arm in arms:
        added = added_parameters(
            imagenet,
            arm.method,
            setting_of(arm, imagenet, {}),
            num_images=NUM_IMAGES["imagenet"],
            num_classes=NUM_CLASSES["imagenet"],
        )
        row = [arm.label, f"{added.num_parameters:,}", decimal(added.buffer_bytes)]
        rows.append([*row, printed.get(arm.method, NOTHING)] if printed else row)
        data.append({"method": arm.label, **asdict(added)})
    headings = ["method", "trainable parameters", "stored"]
    return Table(
        "parameters",
        "What a method adds to ResNet-34 and ResNet-18 on ImageNet",
        [*headings, "published"] if printed else headings,
        rows,
        table_of(data),
        note="Counted, not measured; stored: memories of the images, as 32-bit numbers.",
    )


def _parameters_printed() -> dict[str, str]:
    return {
        str(row["method"]): f"{row['text']} {row['kind']}"
        for row in published("itrd-parameters").rows
    }
