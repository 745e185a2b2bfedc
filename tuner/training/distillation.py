"""The distillation loop: one student's training, epoch by epoch, in plain PyTorch.

A training is a pure function of its arguments. Nothing is drawn from hidden
state, so it can be saved after any epoch and goes on bit-identically elsewhere.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import models
from losses import DistillationLoss, Objective, TrainingData, build_objective
from losses.batch import Batch
from models import Outputs, shapes_of
from models.outputs import NUM_ROTATIONS, in_float32, rotations
from tuner.config.step_mode import StepMode
from tuner.data import Dataset, Splits, Views, num_batches
from tuner.storage import checkpoint
from tuner.teacher_cache import Teacher, TeacherPass
from tuner.training.evaluation import Metrics, evaluate
from tuner.training.precision import autocast
from tuner.training.seeding import seeded

HEADS_STREAM = 0x9E3779B9


class DivergedError(RuntimeError):
    """A loss that is no longer a finite number; the message names epoch, step, term and rate."""


class Step(NamedTuple):
    """What is known after one step, on the device it was made on."""

    terms: dict[str, Tensor]  # weighted scalars by name, the cross-entropy among them
    num_correct: Tensor | None  # scalar, of the batch's images; None where no student ran
    teacher_seconds: float  # that the teacher's answer took to read or to compute


class Distillation:
    """A student (or, with the method `Plain`, any network) in training.

    `history` holds the metrics of every epoch so far, `initial_history` those of the
    method's stage before the first one; accuracies are in percent.
    """

    def __init__(
        self,
        *,
        student: str,
        method: type[DistillationLoss],
        setting: dict[str, Any],
        teacher: Teacher | None,
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
        data_seed: int,
        passes: int,
        device: torch.device,
        execution: StepMode,
    ) -> None:
        """`seed` gives the initial weights, `data_seed` the order and the views of the images,
        of which there are `passes` different ones: later epochs show them again.

        Raises losses.LossError where the method does not fit the two networks.
        """
        self.epochs = epochs
        self.history: list[Metrics] = []
        self.initial_history: list[Metrics] = []
        self.setting = setting
        if device.type == "cuda":
            # Kernels that add in any order would make a resumed trial another one.
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.backends.cudnn.benchmark = False
        self._dataset, self._splits, self._device = dataset, splits, device
        self._batch_size = batch_size
        self._lr, self._lr_decay_epochs, self._lr_decay_rate = lr, lr_decay_epochs, lr_decay_rate
        self._views = Views(dataset, splits.train, data_seed, passes, crop_padding, flip)
        # The student first: it starts from the same weights whatever the method's heads draw.
        network = seeded(seed, lambda: models.build(student, dataset.num_classes))
        # Measured: 1.05 to 1.9 times as fast on a CPU, depending on the network.
        self.student = network.to(memory_format=torch.channels_last).to(device)
        self._execution = execution
        # Not dynamic: a process that compiled other batch sizes before would compute otherwise.
        self._forward = (
            torch.compile(self.student, dynamic=False) if execution.compiled else self.student
        )
        self.teacher = teacher
        student_shapes = shapes_of(self.student, dataset.image_size, student)
        teacher_shapes = student_shapes if teacher is None else teacher.shapes

        def build() -> Objective:
            objective = build_objective(method, student_shapes, teacher_shapes, setting)
            objective.start(training_of(dataset, splits, epochs))
            return objective

        # Another stream than the student's, or the heads would be scaled copies of its layers.
        self.objective = seeded((seed + HEADS_STREAM) % 2**32, build).to(device)
        self._stage = self.objective.loss.initial_stage
        self.initial_epochs = 0 if self._stage is None else self._stage.num_epochs
        self._optimizer = torch.optim.SGD(
            [*self.student.parameters(), *self.objective.parameters()],
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            fused=True,
        )

    @property
    def epoch(self) -> int:
        """How many epochs are done, without those of the initial stage."""
        return len(self.history)

    @property
    def is_initial(self) -> bool:
        """Whether the method's initial stage comes next, or more of it."""
        return len(self.initial_history) < self.initial_epochs

    def run_initial_epoch(self) -> Metrics:
        """Trains for one epoch of the initial stage and returns its metrics.

        Raises DivergedError at the end of an epoch in which a term was not finite.
        """
        assert self._stage is not None
        begin = time.perf_counter()
        epoch = len(self.initial_history) + 1
        lr = self._stage.lr or self._lr
        lr *= 0.1 ** sum(epoch > drop for drop in self._stage.lr_decay_epochs)
        self._set_lr(lr)
        means, _, _ = self._train(self._initial_steps(epoch), epoch, lr)
        metrics = {
            "initial_epoch": float(epoch),
            "initial_lr": lr,
            "initial_loss": sum(means.values()),
            **{f"initial_{name}": mean for name, mean in means.items()},
            "initial_seconds": time.perf_counter() - begin,
        }
        self.initial_history.append(metrics)
        if not self.is_initial:
            self._optimizer.state.clear()  # the student's training begins without momentum
        return metrics

    def run_epoch(self) -> Metrics:
        """Trains for one epoch, evaluates on the validation split, and returns the metrics.

        Raises DivergedError at the end of an epoch in which a term was not finite.
        """
        begin = time.perf_counter()
        epoch = self.epoch + 1
        lr = self._lr * self._lr_decay_rate ** sum(epoch > drop for drop in self._lr_decay_epochs)
        self._set_lr(lr)
        means, num_correct, teacher_seconds = self._train(self.steps(epoch), epoch, lr)
        metrics = {
            "epoch": float(epoch),
            "lr": lr,
            "train_loss": sum(means.values()),
            **{f"train_{name}": mean for name, mean in means.items()},
            "train_accuracy": 100 * num_correct / len(self._splits.train),
            **({} if self.teacher is None else {"teacher_seconds": teacher_seconds}),
        }
        metrics |= {
            f"val_{name}": value for name, value in self.evaluate(self._splits.validation).items()
        }
        if not math.isfinite(metrics["val_loss"]):
            raise DivergedError(
                f"the validation loss became {metrics['val_loss']} at epoch {epoch} (lr {lr:g})"
            )
        metrics["seconds"] = time.perf_counter() - begin
        self.history.append(metrics)
        return metrics

    def evaluate(self, indices: np.ndarray) -> Metrics:
        """Accuracy in percent and cross-entropy of the student on some rows of the data."""
        return evaluate(self.student, self._dataset, indices, self._device)

    def test(self) -> Metrics:
        """As `evaluate`, on the test split; for the setting that was chosen, once."""
        return self.evaluate(self._splits.test)

    def state(self) -> bytes:
        """Everything that a later process needs to go on; loads with weights_only."""
        return checkpoint.dump(
            {
                "format": 2,
                "model": self.student.state_dict(),
                "objective": self.objective.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "initial_history": self.initial_history,
                "history": self.history,
                "setting": self.setting,
            }
        )

    def restore(self, state: bytes) -> None:
        """Takes over what `state` returned. Raises DamagedCheckpointError, and changes nothing."""
        saved = checkpoint.load(state, self._device)
        self.student.load_state_dict(saved["model"])
        self.objective.load_state_dict(saved["objective"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self.initial_history = saved["initial_history"]
        self.history = saved["history"]

    def steps(self, epoch: int) -> Iterator[Step]:
        """Trains for one epoch, a step at a time; nothing waits for the device."""
        return self._steps(epoch, self.objective.needs, self.objective)

    def _initial_steps(self, epoch: int) -> Iterator[Step]:
        assert self._stage is not None
        loss = self.objective.loss
        return self._steps(
            epoch, self._stage.needs, loss.initial_forward, runs_student=self._stage.trains_student
        )

    def _steps(
        self,
        epoch: int,
        needs: tuple[str, ...],
        terms_of: Callable[[Any, Any, Batch], dict[str, Tensor]],
        *,
        runs_student: bool = True,
    ) -> Iterator[Step]:
        self.student.train()
        self.objective.train()
        classifier = None
        if self.teacher is not None and "classifier" in needs:
            classifier = self.teacher.classifier()
        with self._open_teacher(needs, epoch) as teacher:
            batches = self._views.batches(epoch, self._batch_size, self._device)
            for number, batch in enumerate(batches):
                begin = time.perf_counter()
                teacher_outputs = None
                if teacher is not None:
                    teacher_outputs = teacher.read(number * self._batch_size, batch.images)
                    teacher_outputs = teacher_outputs._replace(classifier=classifier)
                teacher_seconds = time.perf_counter() - begin
                outputs = self._outputs(batch.images) if runs_student else None
                terms = terms_of(outputs, teacher_outputs, batch)
                self._optimizer.zero_grad(set_to_none=True)
                torch.stack(list(terms.values())).sum().backward()
                self._optimizer.step()
                yield Step(
                    {name: term.detach() for name, term in terms.items()},
                    None if outputs is None else self._num_correct(outputs, batch),
                    teacher_seconds,
                )

    def _outputs(self, images: Tensor) -> Outputs:
        if self.objective.loss.rotates:
            images = rotations(images)
        with autocast(self._device, self._execution):
            outputs: Outputs = self._forward(images)
        return in_float32(outputs)

    def _num_correct(self, outputs: Outputs, batch: Batch) -> Tensor:
        logits = outputs.logits.detach()
        if self.objective.loss.rotates:
            logits = logits[::NUM_ROTATIONS]
        return (logits.argmax(dim=1) == batch.labels).sum()

    def _train(
        self, steps: Iterator[Step], epoch: int, lr: float
    ) -> tuple[dict[str, float], int, float]:
        """Takes an epoch's steps: each term's mean, correct images, the teacher's seconds."""
        values: Tensor | None = None  # [steps, terms]; on the device until the epoch ends
        correct = torch.zeros((), dtype=torch.int64, device=self._device)
        names: list[str] = []
        teacher_seconds = 0.0
        for number, step in enumerate(steps):
            if values is None:
                names = list(step.terms)
                num_steps = num_batches(len(self._splits.train), self._batch_size)
                values = torch.empty(num_steps, len(names), device=self._device)
            values[number] = torch.stack(list(step.terms.values()))
            if step.num_correct is not None:
                correct += step.num_correct
            teacher_seconds += step.teacher_seconds
        assert values is not None
        _raise_if_not_finite(values.cpu(), names, epoch, lr)
        means = dict(zip(names, values.mean(dim=0).tolist(), strict=True))
        return means, int(correct.item()), teacher_seconds

    def _set_lr(self, lr: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = lr

    def _open_teacher(
        self, needs: tuple[str, ...], epoch: int
    ) -> AbstractContextManager[TeacherPass | None]:
        if self.teacher is None:
            return nullcontext()
        return self.teacher.open(needs, self._views, epoch, self._batch_size)


def training_of(dataset: Dataset, splits: Splits, num_epochs: int) -> TrainingData:
    """What a loss is told before the first step."""
    rows = np.sort(splits.train)
    labels = dataset.labels[rows].astype(np.int64)
    return TrainingData(torch.from_numpy(rows), torch.from_numpy(labels), num_epochs)


def _raise_if_not_finite(values: Tensor, names: Sequence[str], epoch: int, lr: float) -> None:
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        step, term = bad[0].tolist()
        raise DivergedError(
            f"the term {names[term]!r} became {values[step, term].item()} "
            f"at epoch {epoch}, step {step + 1} (lr {lr:g})"
        )
