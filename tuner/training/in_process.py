"""Trains in this process, without Ray: a teacher, or one distillation."""

import time
from collections.abc import Callable
from functools import partial

import models
from losses import DistillationLoss, Plain, build_objective
from models import shapes_of
from search_spaces import Setting
from tuner.config.step_mode import StepMode
from tuner.config.workload import Workload
from tuner.data import Dataset, Splits, num_batches
from tuner.storage.folder import Storage
from tuner.teacher_cache import Teacher
from tuner.text.time_left import seconds_left
from tuner.training.building import build_teacher_training, build_training
from tuner.training.distillation import Distillation
from tuner.training.evaluation import Metrics
from tuner.training.precision import choose_step_mode, device_for
from tuner.training.seeding import frozen, seeded
from tuner.training.teachers import (
    build_teacher,
    check_can_keep,
    find_teacher,
    kept_teacher,
    write_network,
)
from tuner.training.workload_data import open_data

# Called after each epoch: "teacher" or "student", its metrics, the seconds left of its training.
Report = Callable[[str, Metrics, float], None]


def train_teacher(
    workload: Workload, dataset: Dataset, splits: Splits, report: Report
) -> Distillation:
    """Trains the workload's teacher and keeps it for later searches.

    Raises RequestError before it trains if the teacher could not be kept, DivergedError later.
    """
    check_can_keep(workload, dataset)
    training = build_teacher_training(workload, dataset, splits, device_for())
    _run(training, partial(report, "teacher"))
    path = kept_teacher(workload, dataset)
    write_network(Storage(str(path.parent)), training.student, path.name)
    return training


def distill(
    workload: Workload, method: type[DistillationLoss], setting: Setting, report: Report
) -> Distillation:
    """Trains the student with one setting; trains its teacher first if there is none yet.

    Raises RequestError, CheckpointError and LossError before it trains, DivergedError later.
    """
    dataset, splits = open_data(workload)
    teacher = None
    if method is not Plain:
        _require_fit(workload, dataset, method, setting)
        teacher = _teacher(workload, dataset, splits, report)
    training = build_training(
        workload,
        dataset,
        splits,
        method=method,
        setting=setting,
        teacher=teacher,
        seed=workload.seed,
        data_seed=workload.seed,
        device=device_for(),
        step_mode=_step_mode(workload, dataset, splits),
    )
    _run(training, partial(report, "student"))
    return training


def _require_fit(
    workload: Workload, dataset: Dataset, method: type[DistillationLoss], setting: Setting
) -> None:
    """Raises LossError if the method refuses the networks: before a teacher is trained for it."""
    student, teacher = (
        shapes_of(models.build_untrained(name, dataset.num_classes), dataset.image_size, name)
        for name in (workload.student, workload.teacher)
    )
    build_objective(method, student, teacher, setting)


def _teacher(workload: Workload, dataset: Dataset, splits: Splits, report: Report) -> Teacher:
    network = find_teacher(workload, dataset)
    if network is None:
        network = frozen(train_teacher(workload, dataset, splits, report).student)
    return build_teacher(workload.teacher, lambda: network, dataset, device_for())


def _step_mode(workload: Workload, dataset: Dataset, splits: Splits) -> StepMode:
    step_mode, _ = choose_step_mode(
        lambda: seeded(0, lambda: models.build(workload.student, dataset.num_classes)),
        image_size=dataset.image_size,
        batch_size=workload.batch_size,
        steps_per_trial=workload.epochs * num_batches(len(splits.train), workload.batch_size),
        num_trials=1,
        wanted=workload.precision,
        device=device_for(),
    )
    return step_mode


def _run(training: Distillation, report: Callable[[Metrics, float], None]) -> None:
    began = time.monotonic()
    total = training.num_epochs
    for done in range(1, total + 1):
        metrics = training.run_epoch()
        report(metrics, seconds_left(time.monotonic() - began, done, total - done) or 0.0)
