"""Measures, before a search, to choose the sources of teacher outputs and the step mode.

The measurements run on a machine that will train, with as many threads as a trial.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

import models
from models import shapes_of
from tuner.config.step_mode import StepMode
from tuner.data import Dataset, Splits, num_batches
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
    """Measures the teacher, the disk and the memory; returns the plan and one line per reason.

    `digest` identifies the teacher's weights: outputs stored for them need no new space.
    It is None if the teacher has yet to be trained.
    """
    workload, request = task.workload, task.request
    _, splits = open_data(workload)
    stored = _entries(task, dataset, splits, digest)
    # What a remote function captures is sent with it: only small values.
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
        return speeds, measure_capacity(folder, budget, stored, precision)

    speeds, capacity = measuring(measure)
    load = TeacherLoad(
        needs=needs,
        num_images=len(splits.train),
        num_epochs=workload.passes,
        num_seeds=request.seeds,
        has_trials=task.num_trials > 0,
        batch_size=workload.batch_size,
        max_concurrent=resources.trials_per_machine,
    )
    shapes = shapes_of(models.build_untrained(name, num_classes), image_size, name)
    return plan_outputs(load, shapes, precision, speeds, capacity)


def step_mode_for(
    task: Task, dataset: Dataset, gpus: float, measuring: Measuring
) -> tuple[StepMode, str]:
    """Measures the student in each step mode; returns the chosen one and the reason."""
    workload, num_threads = task.workload, task.num_threads
    _, splits = open_data(workload)
    student, num_classes, image_size = workload.student, dataset.num_classes, dataset.image_size
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
    """Lets torch compute with this many threads, as a trial will."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _entries(task: Task, dataset: Dataset, splits: Splits, digest: str | None) -> set[str]:
    """The cache entries that the trainings will read."""
    if digest is None:
        return set()
    workload = task.workload
    seeds = range(workload.seed, workload.seed + task.request.seeds + 1)
    return {
        entry_key(
            describe_entry(workload.teacher, digest, views_of(workload, dataset, splits, seed))
        )
        for seed in seeds
    }
