"""Trainings in this process, without Ray: a teacher's, or one distillation."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import models
from losses import DistillationLoss, Plain, build_objective
from models import shapes_of
from tuner.config.step_mode import FLOAT32
from tuner.config.workload import Workload
from tuner.data import Dataset, Splits, num_batches
from tuner.storage.folder import Storage
from tuner.teacher_cache import Teacher
from tuner.text.time_left import seconds_left
from tuner.training.distillation import Distillation
from tuner.training.evaluation import Metrics
from tuner.training.precision import choose_step_mode, device_for
from tuner.training.seeding import frozen, seeded
from tuner.training.teachers import (
    check_can_keep,
    find_teacher,
    kept_teacher,
    teacher_of,
    write_teacher,
)
from tuner.training.workload_data import open_data

# Whose epoch it was ("teacher", "student"), its metrics, the seconds left of that training.
Report = Callable[[str, Metrics, float], None]


def train_teacher(
    workload: Workload, dataset: Dataset, splits: Splits, report: Report
) -> Distillation:
    """Trains the workload's teacher and keeps it for later searches.

    Raises RequestError where it could not be kept, DivergedError later.
    """
    check_can_keep(workload, dataset)
    training = _run(
        Distillation(
            student=workload.teacher,
            method=Plain,
            setting={},
            teacher=None,
            dataset=dataset,
            splits=splits,
            seed=workload.seed,
            data_seed=workload.seed,
            device=default_device(),
            execution=FLOAT32,
            **workload.teacher_schedule(),
        ),
        partial(report, "teacher"),
    )
    path = kept_teacher(workload, dataset)
    write_teacher(Storage(str(path.parent)), training.student, path.name)
    return training


def distill(
    workload: Workload, method: type[DistillationLoss], setting: dict[str, Any], report: Report
) -> Distillation:
    """Trains the student with one setting, its teacher first if there is none yet.

    Raises RequestError, CheckpointError and LossError before it trains, DivergedError later.
    """
    device = default_device()
    dataset, splits = open_data(workload)
    teacher: Teacher | None = None
    if method is not Plain:
        # What the method refuses is refused before a teacher is trained for it.
        student, teaches = (
            shapes_of(models.build_untrained(name, dataset.num_classes), dataset.image_size, name)
            for name in (workload.student, workload.teacher)
        )
        build_objective(method, student, teaches, setting)
        network = find_teacher(workload, dataset)
        if network is None:
            network = frozen(train_teacher(workload, dataset, splits, report).student)
        teacher = teacher_of(workload.teacher, lambda: network, dataset, device)
    execution, _ = choose_step_mode(
        lambda: seeded(0, lambda: models.build(workload.student, dataset.num_classes)),
        image_size=dataset.image_size,
        batch_size=workload.batch_size,
        steps_per_trial=workload.epochs * num_batches(len(splits.train), workload.batch_size),
        num_trials=1,
        wanted=workload.precision,
        device=device,
    )
    training = Distillation(
        student=workload.student,
        method=method,
        setting=setting,
        teacher=teacher,
        dataset=dataset,
        splits=splits,
        seed=workload.seed,
        data_seed=workload.seed,
        device=device,
        execution=execution,
        **workload.schedule(),
    )
    return _run(training, partial(report, "student"))


def default_device() -> torch.device:
    """The GPU if there is one."""
    return device_for(1)


def _run(training: Distillation, report: Callable[[Metrics, float], None]) -> Distillation:
    began = time.monotonic()
    total = training.initial_epochs + training.epochs
    for done in range(1, total + 1):
        run_epoch = training.run_initial_epoch if training.is_initial else training.run_epoch
        metrics = run_epoch()
        report(metrics, seconds_left(time.monotonic() - began, done, total - done) or 0.0)
    return training
