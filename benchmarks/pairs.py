"""The pairs of networks that are measured, and teachers for them."""

from typing import NamedTuple

import torch
from torch import nn

import models
from losses import Batch
from tuner.distillation import frozen, seeded


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


def untrained_teacher(name: str, num_classes: int, batch: Batch) -> nn.Module:
    """A frozen network with random weights, normalised by one batch: as fast as a trained one.

    Without the batch's statistics activations would grow with depth, and logits in the
    hundreds make softened probabilities so small that the processor slows down.
    """
    teacher = seeded(0, lambda: models.build(name, num_classes))
    for layer in teacher.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0  # the batch's own statistics, no running mean
    teacher.train()
    with torch.no_grad():
        teacher(batch.images)
    return frozen(teacher)
