"""The floor: what a step costs when images and the teacher's outputs are already there."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import torch

from benchmarks.methods import AnyTeacher, ask, images_for, student_and_objective
from losses import Batch
from models import Shapes
from models.outputs import in_float32
from tuner.config.step_mode import StepMode
from tuner.config.workload import Workload
from tuner.data import Dataset, Splits
from tuner.training.precision import autocast


class Floor:
    """The student with one loss on ready-made tensors; the teacher is None for "plain"."""

    def __init__(
        self,
        workload: Workload,
        dataset: Dataset,
        splits: Splits,
        *,
        method: str,
        setting: dict[str, Any],
        teacher: AnyTeacher | None,
        teacher_shapes: Shapes,
        batches: Sequence[Batch],
        step_mode: StepMode,
    ) -> None:
        self._step_mode = step_mode
        student, self.objective = student_and_objective(
            workload,
            dataset,
            splits,
            method=method,
            setting=setting,
            teacher_shapes=teacher_shapes,
        )
        self.student = student.to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.SGD(
            [*self.student.parameters(), *self.objective.parameters()],
            lr=workload.lr,
            momentum=workload.momentum,
            weight_decay=workload.weight_decay,
            fused=True,
        )
        ready = []
        for batch in batches:
            answer = None if teacher is None else ask(teacher, self.objective, batch.images)
            images = images_for(self.objective, batch.images)
            images = images.contiguous(memory_format=torch.channels_last)
            ready.append((batch._replace(images=images), answer))
        # Several, so that no batch is still in the processor's caches from the step before.
        self._ready = cycle(ready)

    def step(self) -> None:
        """One step and nothing else: no loading, no teacher, no logging."""
        batch, answer = next(self._ready)
        with autocast(batch.images.device, self._step_mode):
            outputs = self.student(batch.images)
        terms = self.objective(in_float32(outputs), answer, batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        self.optimizer.step()
