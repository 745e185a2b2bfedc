"""The baseline: distillation as a researcher's script has it today.

Images pass through PIL one at a time, the teacher runs in every step, every step waits
for the numbers that it logs, and everything is in PyTorch's default format. Batch
size, schedule and transforms are the CRD framework's (arXiv:1910.10699); the code is
ours.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms

import models
from benchmarks.methods import build_loss, objective
from losses import Batch
from models import shapes_of
from tuner.data import Dataset, Splits
from tuner.distillation import seeded
from tuner.workload import Workload


class PilImages(torch.utils.data.Dataset):
    """Some rows of the data, each made a PIL image when it is asked for, as torchvision does."""

    def __init__(self, dataset: Dataset, rows: np.ndarray, transform: transforms.Compose) -> None:
        # PIL has channels last, so the copy is made once, here.
        self.images = np.ascontiguousarray(dataset.images[rows].transpose(0, 2, 3, 1))
        self.labels = dataset.labels[rows].tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[Tensor, int, int]:
        """Image float32 [3, H, W], label, position."""
        image = Image.fromarray(self.images[position])
        return self.transform(image), self.labels[position], position


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
        *,
        student: str,
        method: str,
        setting: dict[str, Any],
        teacher: nn.Module | None,
        dataset: Dataset,
        splits: Splits,
        epochs: int,
        batch_size: int,
        lr: float,
        lr_decay_epochs: Sequence[int],
        lr_decay_rate: float,
        momentum: float,
        weight_decay: float,
        crop_padding: int,
        flip: bool,
        seed: int,
    ) -> None:
        """Named as in tuner.distillation.Distillation; `seed` gives the initial weights."""
        self.epochs = epochs
        self.teacher = teacher
        self.student = seeded(seed, lambda: models.build(student, dataset.num_classes))
        student_shapes = shapes_of(self.student, dataset.image_size)
        teacher_shapes = student_shapes
        if teacher is not None:
            teacher_shapes = shapes_of(teacher, dataset.image_size)
        self.loss = seeded(
            seed + 1, lambda: build_loss(method, setting, student_shapes, teacher_shapes)
        )
        self.optimizer = torch.optim.SGD(
            [*self.student.parameters(), *self.loss.parameters()],
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
        )
        self.schedule = torch.optim.lr_scheduler.MultiStepLR(
            self.optimizer, milestones=list(lr_decay_epochs), gamma=lr_decay_rate
        )
        as_tensor = [transforms.ToTensor(), transforms.Normalize(dataset.mean, dataset.std)]
        augmentation: list[Any] = [transforms.RandomCrop(dataset.image_size, padding=crop_padding)]
        if flip:
            augmentation.append(transforms.RandomHorizontalFlip())
        self.train_loader = _loader(
            dataset, splits.train, transforms.Compose(augmentation + as_tensor), batch_size, True
        )
        self.validation_loader = _loader(
            dataset, splits.validation, transforms.Compose(as_tensor), batch_size, False
        )
        self._endless = self._batches_without_end()
        self._num_steps = 0

    def step(self) -> dict[str, float]:
        """One step, its batch's loading included; returns what is logged."""
        return self._train_on(next(self._endless))

    def run_epoch(self) -> dict[str, float]:
        """Trains for one epoch, validates, returns the mean metrics; accuracies in percent."""
        averages = Averages()
        for batch in self.train_loader:
            averages.update(self._train_on(batch), len(batch[0]))
        self.schedule.step()
        validation = {f"val_{name}": value for name, value in self._validate().items()}
        return averages.means() | validation

    def _batches_without_end(self) -> Iterator[list[Tensor]]:
        while True:
            yield from self.train_loader

    def _train_on(self, loaded: list[Tensor]) -> dict[str, float]:
        self._num_steps += 1
        self.student.train()
        images, labels, positions = loaded
        batch = Batch(images, labels, positions, seed=self._num_steps)
        outputs = self.student(batch.images)
        teacher_outputs = None
        if self.teacher is not None:
            with torch.no_grad():
                teacher_outputs = self.teacher(batch.images)
        loss = objective(self.loss, outputs, teacher_outputs, batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item(), **_accuracies(outputs.logits, batch.labels)}

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        self.student.eval()
        averages = Averages()
        for images, labels, _ in self.validation_loader:
            logits = self.student(images).logits
            loss = F.cross_entropy(logits, labels).item()
            averages.update({"loss": loss, **_accuracies(logits, labels)}, len(images))
        return averages.means()


def schedule_of(workload: Workload) -> dict[str, Any]:
    """The arguments that come from a workload; what only our own loop knows is left out."""
    return {
        name: getattr(workload, name)
        for name in (
            "epochs",
            "batch_size",
            "lr",
            "lr_decay_epochs",
            "lr_decay_rate",
            "momentum",
            "weight_decay",
            "crop_padding",
            "flip",
        )
    }


def _loader(
    dataset: Dataset,
    rows: np.ndarray,
    transform: transforms.Compose,
    batch_size: int,
    shuffle: bool,
) -> DataLoader:
    images = PilImages(dataset, rows, transform)
    return DataLoader(images, batch_size=batch_size, shuffle=shuffle, num_workers=0)


def _accuracies(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """{"top1", "top5"} in percent, as such scripts log them in every step."""
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = ranked == labels[:, None]
    return {
        "top1": 100 * hits[:, 0].float().mean().item(),
        "top5": 100 * hits.any(dim=1).float().mean().item(),
    }
