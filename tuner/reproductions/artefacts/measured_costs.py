"""What a training step of a method costs, measured once and kept, and what a method adds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from rich.filesize import decimal

from tuner.config.workload import Workload
from tuner.reports.document import Table
from tuner.reproductions.artefacts.columns import table_of
from tuner.reproductions.experiment import Variant
from tuner.reproductions.measuring import Measured
from tuner.reproductions.results import Results
from tuner.reproductions.settings import setting_of
from tuner.text.errors import RequestError
from tuner.text.formatting import NOTHING, count_text
from tuner.training.step_cost import Cost, added_parameters, largest_batch, measure_cost

# By kind of data, where it is known without opening the data; memory banks have a row per image.
NUM_IMAGES = {"imagenet": 1_281_167}
NUM_CLASSES = {"imagenet": 1000}


def cost_of(results: Results, variant: Variant) -> Cost:
    """The cost of a step of a variant at the workload's batch size."""
    workload = results.reproduction.workloads[0]
    setting = setting_of(variant, workload, results.reproduction.request.set)

    def measure() -> Measured:
        cost = measure_cost(
            workload, variant.method, setting, batch_size=workload.batch_size, **_sizes(workload)
        )
        return asdict(cost)

    return Cost(**results.measure(f"cost-{variant.label.replace(', ', '-')}", measure))


def cost_within(results: Results, variant: Variant, cap_bytes: int) -> Cost | None:
    """The cost at the largest batch whose step stays within the cap; None where none does."""
    workload = results.reproduction.workloads[0]
    setting = setting_of(variant, workload, results.reproduction.request.set)

    def measure() -> Measured:
        try:
            return asdict(
                largest_batch(workload, variant.method, setting, cap_bytes, **_sizes(workload))
            )
        except RequestError as error:
            return {"refused": str(error)}

    found = results.measure(f"cost-{variant.label}-within-{cap_bytes}", measure)
    return None if "refused" in found else Cost(**found)


def machine_of(results: Results) -> str:
    """The device on which the costs were measured."""

    def measure() -> Measured:
        if torch.cuda.is_available():
            return {"name": torch.cuda.get_device_name()}
        return {"name": f"a CPU with {count_text(torch.get_num_threads(), 'thread')}"}

    return str(results.measure("machine", measure)["name"])


def added_table(
    workload: Workload, variants: Sequence[Variant], published: Mapping[str, str] | None = None
) -> Table:
    """What methods add to ResNet-34 and ResNet-18 on ImageNet; `published` by method."""
    imagenet = replace(
        workload, teacher="ResNet34", student="ResNet18", image_size=32, data="imagenet"
    )
    rows, data = [], []
    for variant in variants:
        added = added_parameters(
            imagenet, variant.method, setting_of(variant, imagenet, {}), **_sizes(imagenet)
        )
        row = [variant.label, f"{added.num_parameters:,}", decimal(added.buffer_bytes)]
        rows.append([*row, published.get(variant.method, NOTHING)] if published else row)
        data.append({"method": variant.label, **asdict(added)})
    headings = ["method", "trainable parameters", "stored"]
    return Table(
        "parameters",
        "What a method adds to ResNet-34 and ResNet-18 on ImageNet",
        [*headings, "published"] if published else headings,
        rows,
        table_of(data),
        note="Counted, not measured. Stored: what is kept beside the parameters, such as"
        " memory banks, as 32-bit numbers.",
    )


def _sizes(workload: Workload) -> dict[str, Any]:
    kind = workload.data.partition(":")[0]
    return {"num_images": NUM_IMAGES.get(kind), "num_classes": NUM_CLASSES.get(kind)}
