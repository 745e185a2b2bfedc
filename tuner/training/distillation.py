"""The distillation loop: trains one student epoch by epoch, in plain PyTorch.

A training is a pure function of its arguments. It draws nothing from hidden state, so it can be
saved after any epoch and continues bit-identically in another process.
"""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losses import Batch, Objective
from models import Outputs
from models.outputs import NUM_ROTATIONS, in_float32, rotations
from tuner.config.step_mode import FLOAT32, StepMode
from tuner.data import Splits, Views
from tuner.storage import checkpoint
from tuner.teacher_cache import Teacher, TeacherPass
from tuner.training.epoch_totals import DivergedError, EpochTotals, Step
from tuner.training.evaluation import Metrics, evaluate
from tuner.training.precision import autocast
from tuner.training.stages import INITIAL, Stage


class Distillation:
    """A student in training; without a teacher, any network with plain cross-entropy.

    `history` holds the metrics of each epoch of the training so far, `initial_history` those of
    the initial stage; accuracies are in percent.
    """

    def __init__(
        self,
        student: nn.Module,
        objective: Objective,
        teacher: Teacher | None,
        views: Views,
        splits: Splits,
        stages: tuple[Stage, ...],
        *,
        batch_size: int,
        momentum: float,
        weight_decay: float,
        device: torch.device,
        step_mode: StepMode = FLOAT32,
        setting: dict[str, Any],
    ) -> None:
        """Student and objective are on the device; the last of the stages is the training itself.

        `setting`, the objective's hyperparameters, is only written into checkpoints.
        """
        if device.type == "cuda":
            # Kernels that add in any order would make a resumed training another one.
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.backends.cudnn.benchmark = False
        self.history: list[Metrics] = []
        self.initial_history: list[Metrics] = []
        self.student, self.objective, self.teacher = student, objective, teacher
        self.stages, self.setting = stages, setting
        self._views, self._splits, self._device = views, splits, device
        self._batch_size, self._step_mode = batch_size, step_mode
        # Not dynamic: a process that compiled other batch sizes before would compute otherwise.
        self._forward = torch.compile(student, dynamic=False) if step_mode.compiled else student
        self._optimizer = torch.optim.SGD(
            [*student.parameters(), *objective.parameters()],
            lr=stages[-1].schedule.lr,
            momentum=momentum,
            weight_decay=weight_decay,
            fused=True,
        )

    @property
    def stage(self) -> Stage | None:
        """The stage of the next epoch; None after the last epoch."""
        for stage in self.stages:
            if len(self._history_of(stage)) < stage.schedule.epochs:
                return stage
        return None

    @property
    def num_epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.schedule.epochs for stage in self.stages)

    def run_epoch(self) -> Metrics:
        """Trains for the next epoch, of whichever stage that is, and returns its metrics.

        After an epoch of the training itself they include those of the validation split; the
        names of an initial stage's begin with "initial_". Raises DivergedError at the end of an
        epoch in which a loss was not finite.
        """
        begin = time.perf_counter()
        stage = self.stage
        assert stage is not None, "all epochs are done"
        history = self._history_of(stage)
        epoch = len(history) + 1
        lr = stage.schedule.lr_at(epoch)
        totals = self.train_epoch(stage, epoch, lr)
        is_initial = stage.name == INITIAL
        prefix = f"{INITIAL}_" if is_initial else ""
        metrics = {f"{prefix}epoch": float(epoch), f"{prefix}lr": lr, **totals.metrics(stage.name)}
        if not is_initial:
            metrics |= self._accuracies(totals, epoch, lr)
        metrics[f"{prefix}seconds"] = time.perf_counter() - begin
        history.append(metrics)
        if is_initial and self.stage is not stage:
            self._optimizer.state.clear()  # the training itself starts without momentum
        return metrics

    def train_epoch(self, stage: Stage, epoch: int, lr: float) -> EpochTotals:
        """Trains for one epoch of a stage at a learning rate; the history does not change."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        totals = EpochTotals(epoch, lr)
        for step in self.steps(stage, epoch):
            totals.add(step)
        return totals

    def steps(self, stage: Stage, epoch: int) -> Iterator[Step]:
        """Trains for one epoch of a stage, a step at a time, without waiting for the device."""
        self.student.train()
        self.objective.train()
        classifier = None
        if self.teacher is not None and "classifier" in stage.needs:
            classifier = self.teacher.classifier()
        with self._open_teacher(stage, epoch) as teacher:
            batches = self._views.batches(epoch, self._batch_size, self._device)
            for number, batch in enumerate(batches):
                begin = time.perf_counter()
                teacher_outputs = None
                if teacher is not None:
                    teacher_outputs = teacher.read(number * self._batch_size, batch.images)
                    teacher_outputs = teacher_outputs._replace(classifier=classifier)
                teacher_seconds = time.perf_counter() - begin
                outputs = self._outputs(batch.images) if stage.trains_student else None
                terms = stage.terms(outputs, teacher_outputs, batch)
                self._optimizer.zero_grad(set_to_none=True)
                torch.stack(list(terms.values())).sum().backward()
                self._optimizer.step()
                yield Step(
                    {name: term.detach() for name, term in terms.items()},
                    None if outputs is None else self._num_correct(outputs, batch),
                    teacher_seconds,
                )

    def evaluate(self, indices: np.ndarray) -> Metrics:
        """Evaluates the student: {"accuracy": percent, "loss": cross-entropy} on rows [N]."""
        return evaluate(self.student, self._views.dataset, indices, self._device)

    def validate(self) -> Metrics:
        """Evaluates on the validation split."""
        return self.evaluate(self._splits.validation)

    def test(self) -> Metrics:
        """Evaluates on the test split; call it once, for the setting that was chosen."""
        return self.evaluate(self._splits.test)

    def state(self) -> bytes:
        """A checkpoint: all that another process needs to continue; loads with weights_only."""
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
        """Continues from what `state` returned.

        Raises DamagedCheckpointError, and then has changed nothing.
        """
        saved = checkpoint.load(state, self._device)
        self.student.load_state_dict(saved["model"])
        self.objective.load_state_dict(saved["objective"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self.initial_history = saved["initial_history"]
        self.history = saved["history"]

    def _history_of(self, stage: Stage) -> list[Metrics]:
        return self.initial_history if stage.name == INITIAL else self.history

    def _open_teacher(self, stage: Stage, epoch: int) -> AbstractContextManager[TeacherPass | None]:
        if self.teacher is None:
            return nullcontext()
        return self.teacher.open(stage.needs, self._views, epoch, self._batch_size)

    def _outputs(self, images: Tensor) -> Outputs:
        if self.objective.loss.rotates:
            images = rotations(images)
        with autocast(self._device, self._step_mode):
            outputs: Outputs = self._forward(images)
        return in_float32(outputs)

    def _num_correct(self, outputs: Outputs, batch: Batch) -> Tensor:
        logits = outputs.logits.detach()
        if self.objective.loss.rotates:
            logits = logits[::NUM_ROTATIONS]
        return (logits.argmax(dim=1) == batch.labels).sum()

    def _accuracies(self, totals: EpochTotals, epoch: int, lr: float) -> Metrics:
        """The student's accuracies after an epoch of the training itself."""
        metrics = {"train_accuracy": 100 * totals.num_correct / len(self._splits.train)}
        if self.teacher is not None:
            metrics["teacher_seconds"] = totals.teacher_seconds
        for name, value in self.validate().items():
            metrics[f"val_{name}"] = value
        if not math.isfinite(metrics["val_loss"]):
            raise DivergedError(
                f"the validation loss became {metrics['val_loss']} at epoch {epoch} (lr {lr:g})"
            )
        return metrics
