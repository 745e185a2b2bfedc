"""The floor: what a step costs when images and the teacher's outputs are already there."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

import torch
from torch import nn

import models
from benchmarks.methods import build_loss, objective
from losses import Batch, DistillationLoss
from models import Outputs, shapes_of
from models.outputs import in_float32
from tuner.data import Dataset
from tuner.distillation import seeded
from tuner.execution import Execution, autocast


class Ready(NamedTuple):
    """One batch with what the teacher says about it, in memory."""

    batch: Batch
    teacher: Outputs | None


class Floor:
    """The student with one loss on ready-made tensors; the teacher is None for "plain"."""

    def __init__(
        self,
        *,
        student: str,
        method: str,
        setting: dict[str, Any],
        teacher: nn.Module | None,
        dataset: Dataset,
        batches: Sequence[Batch],
        lr: float,
        momentum: float,
        weight_decay: float,
        seed: int,
        execution: Execution,
    ) -> None:
        self._execution = execution
        self.student = seeded(seed, lambda: models.build(student, dataset.num_classes))
        student_shapes = shapes_of(self.student, dataset.image_size)
        teacher_shapes = student_shapes
        if teacher is not None:
            teacher_shapes = shapes_of(teacher, dataset.image_size)
        self.loss = seeded(
            seed + 1, lambda: build_loss(method, setting, student_shapes, teacher_shapes)
        )
        self.student.to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.SGD(
            [*self.student.parameters(), *self.loss.parameters()],
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            fused=True,
        )
        # Several, so that no batch is still in the processor's caches from the step before.
        self._ready = cycle([ready(batch, teacher, self.loss) for batch in batches])

    def step(self) -> None:
        """One step and nothing else: no loading, no teacher, no logging."""
        batch, teacher_outputs = next(self._ready)
        with autocast(batch.images.device, self._execution):
            outputs = self.student(batch.images)
        outputs = in_float32(outputs)
        loss = objective(self.loss, outputs, teacher_outputs, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def ready(batch: Batch, teacher: nn.Module | None, loss: DistillationLoss) -> Ready:
    """The batch in channels_last, and of the teacher's maps those that the loss needs."""
    images = batch.images.contiguous(memory_format=torch.channels_last)
    batch = batch._replace(images=images)
    if teacher is None:
        return Ready(batch, None)
    with torch.no_grad():
        outputs: Outputs = teacher(images)
    maps = {
        name: feature_map.contiguous(memory_format=torch.channels_last)
        for name, feature_map in outputs.feature_maps.items()
        if f"feature_maps.{name}" in loss.needs
    }
    return Ready(batch, Outputs(outputs.logits, outputs.embedding, maps, {}))
