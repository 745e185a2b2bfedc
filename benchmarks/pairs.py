"""The pairs of networks that are measured, teachers for them, and the first batches they see."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from losses import Batch
from tuner.config.workload import Workload, resolve
from tuner.data import Dataset, Splits, evaluation_batches
from tuner.storage.folder import Storage
from tuner.training.teachers import TEACHER_FILE, untrained_network, write_network
from tuner.training.workload_data import open_data


class Pair(NamedTuple):
    """Names in `models.MODELS`."""

    teacher: str
    student: str

    def __str__(self) -> str:
        return f"{self.teacher} -> {self.student}"


PAIRS = {
    "wrn": Pair("wrn_40_2", "wrn_16_2"),
    "resnet": Pair("resnet32x4", "resnet8x4"),
    "mobilenet": Pair("ResNet50", "MobileNetV2"),
    "vgg": Pair("vgg13", "vgg8"),
}


def first_batches(
    workload: Workload, dataset: Dataset, splits: Splits, number: int
) -> tuple[Batch, ...]:
    """The first training images, not augmented, as so many batches."""
    rows = splits.train[: number * workload.batch_size]
    device = torch.device("cpu")
    return tuple(evaluation_batches(dataset, rows, batch_size=workload.batch_size, device=device))


def write_untrained_teacher(options: dict[str, Any], folder: Path) -> Path:
    """The checkpoint of an untrained teacher; `options` as `resolve` takes them.

    Opens the data, so that no candidate pays for the first time.
    """
    workload = resolve(options)
    dataset, _ = open_data(workload)
    write_network(Storage(str(folder)), untrained_network(workload.teacher, dataset))
    return folder / TEACHER_FILE
