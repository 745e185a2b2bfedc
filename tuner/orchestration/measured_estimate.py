"""Estimates how long a search or fixed trainings take, from a few steps where they would run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import models
from losses import LOSSES, DistillationLoss
from models import shapes_of
from search_spaces import Setting
from tuner.data import Dataset, num_batches
from tuner.orchestration.cluster import Measuring, ray_for, where_trials_run
from tuner.orchestration.measurements import plan_for
from tuner.orchestration.preflight import find_resources
from tuner.orchestration.step_times import measure_step_times
from tuner.planning.estimate import (
    Estimate,
    Machines,
    StepTimes,
    TeacherWork,
    TrainingGroup,
    mean_epochs,
)
from tuner.planning.fixed_trainings import FixedTask
from tuner.planning.plan import FinalTraining
from tuner.planning.resources import Resources, fit, machine_resources, resources_for
from tuner.planning.search import Search
from tuner.planning.task import Task
from tuner.teacher_cache import OutputsPlan
from tuner.teacher_cache.sizes import bytes_per_image
from tuner.training.teachers import find_teacher, weights_digest
from tuner.training.workload_data import open_data


class Place(NamedTuple):
    """Where trainings would run, and with which teacher."""

    nodes: list[dict[str, float]]  # as {"CPU": 8, "GPU": 1}
    resources: Resources
    call: Measuring  # calls a function there
    teacher: str | None  # the digest of its weights; None: it has to be trained


def estimate(search: Search) -> Estimate:
    """Measures on the cluster that the request names; begins no search.

    Raises RequestError where the search could not run.
    """
    epochs = search.workload.epochs
    with _place(search) as place:
        times = _step_times(search, place, search.method, search.published)
        mean = mean_epochs(search.scheduler, epochs)
        stages = (
            (TrainingGroup(search.num_trials, epochs, mean, times),),
            (TrainingGroup(search.num_finals, epochs, epochs, times),),
        )
        return _estimate(search, place, stages, num_seeds=search.request.seeds)


def estimate_trainings(task: FixedTask, trainings: Sequence[FinalTraining]) -> Estimate:
    """Estimates some of a task's trainings, on its cluster or here if it names none."""
    task = replace(task, trainings=tuple(trainings))
    epochs = task.workload.epochs
    numbers = Counter(LOSSES[training.method] for training in trainings)
    with _place(task) as place:
        groups = tuple(
            TrainingGroup(
                numbers[method], epochs, epochs, _step_times(task, place, method, setting)
            )
            for method, setting in task.examples
        )
        num_seeds = len({training.seed for training in trainings if training.method != "plain"})
        return _estimate(task, place, (groups,), num_seeds=num_seeds)


@contextmanager
def _place(task: Task) -> Iterator[Place]:
    """Finds where trainings would run. Raises RequestError if not even one fits."""
    dataset, _ = open_data(task.workload)
    teacher = find_teacher(task.workload, dataset)
    digest = None if teacher is None else weights_digest(teacher)
    if task.request.address is None:
        nodes = [machine_resources()]
        resources = resources_for(task.request, nodes)
        yield Place(nodes, resources, lambda function: function(), digest)
        return
    import ray

    with ray_for(task):
        resources = find_resources(task, dataset)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        yield Place(nodes, resources, where_trials_run(task, resources.gpus_per_trial), digest)


def _machines(place: Place, cpus: float) -> Machines:
    nodes, gpus = place.nodes, place.resources.gpus_per_trial
    num_fit = sum(fit(node, cpus, gpus) for node in nodes)
    return Machines(
        num_machines=len(nodes),
        cpus=sum(node.get("CPU", 0.0) for node in nodes),
        gpus=sum(node.get("GPU", 0.0) for node in nodes),
        cpus_per_trial=cpus,
        gpus_per_trial=gpus,
        # max_concurrent may exceed what fits: the cluster is to grow.
        num_at_once=min(place.resources.max_concurrent, num_fit),
    )


def _step_times(
    task: Task, place: Place, method: type[DistillationLoss], setting: Setting
) -> StepTimes:
    times: StepTimes = place.call(
        partial(
            measure_step_times,
            task.workload,
            method,
            setting,
            task.num_threads,
            place.resources.gpus_per_trial,
            trains_teacher=place.teacher is None,
        )
    )
    return times


def _estimate(
    task: Task, place: Place, stages: tuple[tuple[TrainingGroup, ...], ...], *, num_seeds: int
) -> Estimate:
    """Adds the teacher's work, by the plan for its outputs that the task would get."""
    workload = task.workload
    dataset, splits = open_data(workload)
    needs = task.needs(dataset)
    outputs, reasons = plan_for(task, needs, dataset, place.teacher, place.resources, place.call)
    has_trials = task.num_trials > 0
    steps = num_batches(len(splits.train), workload.batch_size)
    names = max(needs, key=len, default=())
    # Trials see the augmented epochs of the search's seed, final trainings those of their own.
    sources = [
        outputs.source(names, number, final=not has_trials)
        for number in range(1, workload.passes + 1)
        if names
    ]
    num_live = sources.count("live")
    num_shared = (len(sources) - num_live) * (has_trials + num_seeds)
    return Estimate(
        machines=_machines(place, task.request.cpus_per_trial),
        stages=stages,
        teacher=TeacherWork(
            epochs=workload.teacher_epochs if place.teacher is None else 0,
            shared_batches=num_shared * steps,
            batches_per_epoch=num_live * steps / workload.passes,
        ),
        steps_per_epoch=steps,
        outputs_bytes=_bytes_per_image(task, dataset, outputs, num_seeds) * len(splits.train),
        reasons=reasons,
    )


def _bytes_per_image(task: Task, dataset: Dataset, outputs: OutputsPlan, num_seeds: int) -> int:
    """The bytes per image of all cached outputs, over all augmented epochs."""
    name = task.workload.teacher
    network = models.build_untrained(name, dataset.num_classes)
    shapes = shapes_of(network, dataset.image_size, name)
    return sum(
        bytes_per_image(shapes, (output.name,), outputs.precision)
        * (output.search_epochs * (task.num_trials > 0) + output.final_epochs * num_seeds)
        for output in outputs.cached
    )
