"""The baseline: distillation as a researcher's script has it today.

Images pass through PIL one at a time, the teacher runs in every step, every step waits
for the numbers that it logs, and everything is in PyTorch's default format. Batch
size, schedule and transforms are the CRD framework's (arXiv:1910.10699); the code is
ours.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms

from benchmarks.methods import AnyTeacher, ask, images_for, student_and_objective
from losses import Batch
from models import Shapes
from tuner.config.workload import Workload
from tuner.data import Dataset, Splits


class PilImages(torch.utils.data.Dataset):
    """Some rows of the data, each made a PIL image when it is asked for, as torchvision does."""

    def __init__(self, dataset: Dataset, rows: np.ndarray, transform: transforms.Compose) -> None:
        # PIL has channels last, so the copy is made once, here.
        self.images = np.ascontiguousarray(dataset.images[rows].transpose(0, 2, 3, 1))
        self.labels = dataset.labels[rows].tolist()
        self.rows = rows.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[Tensor, int, int]:
        """Image float32 [3, H, W], label, row in the data set."""
        image = Image.fromarray(self.images[position])
        return self.transform(image), self.labels[position], self.rows[position]


class Averages:
    """Running means of the numbers that are logged in each step."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def update(self, values: dict[str, float], count: int) -> None:
        """Takes up the means over `count` images."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * count
        self.count += count

    def means(self) -> dict[str, float]:
        return {name: total / self.count for name, total in self.sums.items()}


class PlainLoop:
    """A student in training; the teacher is None for the method "plain"."""

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
    ) -> None:
        self.teacher = teacher
        self.student, self.objective = student_and_objective(
            workload,
            dataset,
            splits,
            method=method,
            setting=setting,
            teacher_shapes=teacher_shapes,
        )
        self.optimizer = torch.optim.SGD(
            [*self.student.parameters(), *self.objective.parameters()],
            lr=workload.lr,
            momentum=workload.momentum,
            weight_decay=workload.weight_decay,
        )
        self.schedule = torch.optim.lr_scheduler.MultiStepLR(
            self.optimizer,
            milestones=list(workload.lr_decay_epochs),
            gamma=workload.lr_decay_rate,
        )
        as_tensor = [transforms.ToTensor(), transforms.Normalize(dataset.mean, dataset.std)]
        crop = transforms.RandomCrop(dataset.image_size, padding=workload.crop_padding)
        flip = [transforms.RandomHorizontalFlip()] if workload.flip else []
        augmentation = transforms.Compose([crop, *flip, *as_tensor])
        images = PilImages(dataset, splits.train, augmentation)
        self.train_loader = DataLoader(images, workload.batch_size, shuffle=True)
        images = PilImages(dataset, splits.validation, transforms.Compose(as_tensor))
        self.validation_loader = DataLoader(images, workload.batch_size)
        self._endless = self._batches_without_end()
        self._num_steps, self._epoch = 0, 1

    def step(self) -> dict[str, float]:
        """One step, its batch's loading included; returns what is logged."""
        return self._train_on(next(self._endless))

    def run_epoch(self) -> dict[str, float]:
        """Trains for one epoch, validates, returns the mean metrics; accuracies in percent."""
        averages = Averages()
        for batch in self.train_loader:
            averages.update(self._train_on(batch), len(batch[0]))
        self.schedule.step()
        self._epoch += 1
        validation = {f"val_{name}": value for name, value in self._validate().items()}
        return averages.means() | validation

    def _batches_without_end(self) -> Iterator[list[Tensor]]:
        while True:
            yield from self.train_loader

    def _train_on(self, loaded: list[Tensor]) -> dict[str, float]:
        self._num_steps += 1
        self.student.train()
        images, labels, rows = loaded
        batch = Batch(images, labels, rows, self._num_steps, self._epoch)
        student_images = images_for(self.objective, images)
        outputs = self.student(student_images)
        answer = None if self.teacher is None else ask(self.teacher, self.objective, images)
        loss = torch.stack(list(self.objective(outputs, answer, batch).values())).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        upright = outputs.logits[:: len(student_images) // len(images)]
        return {"loss": loss.item(), **_accuracies(upright, labels)}

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        self.student.eval()
        averages = Averages()
        for images, labels, _ in self.validation_loader:
            logits = self.student(images).logits
            loss = F.cross_entropy(logits, labels).item()
            averages.update({"loss": loss, **_accuracies(logits, labels)}, len(images))
        return averages.means()


def _accuracies(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """{"top1", "top5"} in percent, as such scripts log them in every step."""
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = ranked == labels[:, None]
    return {
        "top1": 100 * hits[:, 0].float().mean().item(),
        "top5": 100 * hits.any(dim=1).float().mean().item(),
    }
