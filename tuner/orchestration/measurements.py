"""Measured before a search begins: how its trials get the teacher's outputs, and how they step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

import models
from models import shapes_of
from tuner.config.step_mode import StepMode
from tuner.data import Dataset, num_batches
from tuner.orchestration.cluster import Measuring
from tuner.planning.resources import Resources
from tuner.planning.task import Needs, Task
from tuner.teacher_cache import OutputsPlan
from tuner.teacher_cache.planner import TeacherLoad, plan_outputs
from tuner.teacher_cache.probing import Capacity, Speeds, measure_capacity, measure_speeds
from tuner.teacher_cache.store import cache_folder, describe_entry, entry_key
from tuner.training.precision import choose_step_mode, device_for
from tuner.training.seeding import seeded
from tuner.training.workload_data import open_data, views_of


def plan_for(
    task: Task,
    needs: Needs,
    dataset: Dataset,
    digest: str | None,
    resources: Resources,
    measuring: Measuring,
) -> tuple[OutputsPlan, tuple[str, ...]]:
    """How the trainings of a task get the teacher's outputs, and why, one line each.

    `digest` is of the teacher's weights, None while there are none: what is kept of it
    already takes no new room.
    """
    workload, request = task.workload, task.request
    _, splits = open_data(workload)
    own: set[str] = set()
    if digest is not None:
        for seed in range(workload.seed, workload.seed + request.seeds + 1):
            views = views_of(workload, dataset, splits, seed)
            own.add(entry_key(describe_entry(workload.teacher, digest, views)))
    name, num_classes, image_size = workload.teacher, dataset.num_classes, dataset.image_size
    folder, budget = cache_folder(workload.data_dir), request.cache_budget
    num_threads, precision = task.num_threads, request.cache_precision

    def measure() -> tuple[Speeds, Capacity]:
        with with_threads(num_threads):
            # An untrained teacher takes as long as a trained one.
            teacher = models.build_untrained(name, num_classes)
            speeds = measure_speeds(
                teacher, image_size, folder, device_for(resources.gpus_per_trial)
            )
        return speeds, measure_capacity(folder, budget, own, precision)

    speeds, room = measuring(measure)
    demand = TeacherLoad(
        needs=needs,
        num_images=len(splits.train),
        num_passes=workload.passes,
        num_seeds=request.seeds,
        has_trials=task.num_trials > 0,
        batch_size=workload.batch_size,
        max_concurrent=resources.trials_per_machine,
    )
    shapes = shapes_of(models.build_untrained(name, num_classes), image_size, name)
    return plan_outputs(demand, shapes, request.cache_precision, speeds, room)


def step_mode_for(
    task: Task, dataset: Dataset, gpus: float, measuring: Measuring
) -> tuple[StepMode, str]:
    """How the students of a search are computed, and why."""
    workload = task.workload
    _, splits = open_data(workload)
    student, num_classes, image_size = workload.student, dataset.num_classes, dataset.image_size
    num_threads = task.num_threads
    steps_per_trial = workload.epochs * num_batches(len(splits.train), workload.batch_size)
    num_trials = task.num_trials or task.num_finals

    def measure() -> tuple[StepMode, str]:
        with with_threads(num_threads):
            return choose_step_mode(
                lambda: seeded(0, lambda: models.build(student, num_classes)),
                image_size=image_size,
                batch_size=workload.batch_size,
                steps_per_trial=steps_per_trial,
                num_trials=num_trials,
                wanted=workload.precision,
                device=device_for(gpus),
            )

    chosen: tuple[StepMode, str] = measuring(measure)
    return chosen


@contextmanager
def with_threads(num_threads: int) -> Iterator[None]:
    """As many threads as a trial will have."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
