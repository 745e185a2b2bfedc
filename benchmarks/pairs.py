"""The pairs of networks that are measured, teachers for them, and the first batches they see."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import models
from losses import Batch
from tuner.config.workload import Workload, resolve
from tuner.data import Dataset, Splits, evaluation_batches
from tuner.storage.folder import Storage
from tuner.training.seeding import frozen, seeded
from tuner.training.teachers import TEACHER_FILE, write_teacher
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


def untrained_teacher(workload: Workload, dataset: Dataset, splits: Splits) -> nn.Module:
    """A frozen network with random weights, normalised by one batch: as fast as a trained one.

    Without the batch's statistics activations would grow with depth, and logits in the
    hundreds make softened probabilities so small that the processor slows down.
    """
    teacher = seeded(0, lambda: models.build(workload.teacher, dataset.num_classes))
    for layer in teacher.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0  # the batch's own statistics, no running mean
    teacher.train()
    (batch,) = first_batches(workload, dataset, splits, 1)
    with torch.no_grad():
        teacher(batch.images)
    return frozen(teacher)


def write_untrained_teacher(options: dict[str, Any], folder: Path) -> Path:
    """The checkpoint of an untrained teacher; `options` as `resolve` takes them.

    Opens the data, so that no candidate pays for the first time.
    """
    workload = resolve(options)
    write_teacher(Storage(str(folder)), untrained_teacher(workload, *open_data(workload)))
    return folder / TEACHER_FILE
