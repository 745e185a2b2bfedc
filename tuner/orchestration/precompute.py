"""Precomputes the teacher outputs of a search, on all machines at once."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

import models
from tuner.config.workload import Workload
from tuner.data import Dataset
from tuner.orchestration.cluster import ray_for, where_trials_run
from tuner.orchestration.measurements import plan_for
from tuner.planning.resources import fit, resources_for
from tuner.planning.search import Search
from tuner.planning.task import Needs
from tuner.teacher_cache import OutputsPlan
from tuner.teacher_cache.teacher_pass import StoredPass
from tuner.text.errors import RequestError
from tuner.training.precision import device_for
from tuner.training.seeding import frozen
from tuner.training.teachers import build_teacher, find_teacher, weights_digest
from tuner.training.workload_data import open_data, views_of


@dataclass(frozen=True)
class EpochOutputs:
    """Some outputs for one augmented epoch."""

    names: tuple[str, ...]  # as one loss needs them
    seed: int
    augmented_epoch: int


@dataclass(frozen=True)
class PrecomputeJob:
    """What each process is given; the locks of the cache divide the work among them."""

    workload: Workload
    fingerprint: str  # of the data on this machine
    digest: str  # of the teacher's weights
    plan: OutputsPlan
    epochs: tuple[EpochOutputs, ...]
    num_threads: int
    gpus: float


@dataclass
class Machine:
    """Progress on one machine; each process counts all stored images, whoever computed them."""

    name: str
    num_images: int = 0
    problems: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class Precomputed:
    """The result of precomputing."""

    num_epochs: int
    num_machines: int
    problems: tuple[str, ...]  # one line per machine on which something is missing


def precompute(
    search: Search,
    show_plan: Callable[[tuple[str, ...]], None],
    show_progress: Callable[[int, int], None],
) -> Precomputed:
    """Computes, on all machines, the teacher outputs that the search would read from its cache.

    `show_plan` gets the reasons of the plan, `show_progress` the number of finished images
    and of all images, summed over the machines. Raises RequestError if there is no teacher,
    or the request cannot be carried out.
    """
    workload = search.workload
    dataset, splits = open_data(workload)
    needs = search.needs(dataset)
    teacher = find_teacher(workload, dataset)
    if teacher is None:
        raise RequestError(
            f"there is no teacher {workload.teacher} for {workload.data} yet; train it with "
            f"`tuner teach --data {workload.data} --teacher {workload.teacher} "
            f"--teacher-epochs {workload.teacher_epochs}` and otherwise the same options"
        )
    import ray

    with ray_for(search):
        nodes = [node for node in ray.nodes() if node["Alive"]]
        resources = resources_for(search.request, [node["Resources"] for node in nodes])
        gpus = resources.gpus_per_trial
        measuring = where_trials_run(search, gpus)
        digest = weights_digest(teacher)
        plan, reasons = plan_for(search, needs, dataset, digest, resources, measuring)
        show_plan(reasons)
        job = PrecomputeJob(
            workload=workload,
            fingerprint=dataset.fingerprint,
            digest=digest,
            plan=plan,
            epochs=cached_epochs(search, needs, plan),
            num_threads=search.num_threads,
            gpus=gpus,
        )
        machines = [
            node for node in nodes if fit(node["Resources"], search.request.cpus_per_trial, gpus)
        ]
        if not job.epochs:
            return Precomputed(0, len(machines), ())
        tasks = _start(search, job, teacher, machines, gpus)
        num_images = len(job.epochs) * len(splits.train)
        problems = _watch(tasks, num_images, num_images * len(machines), show_progress)
        return Precomputed(len(job.epochs), len(machines), problems)


def cached_epochs(search: Search, needs: Needs, plan: OutputsPlan) -> tuple[EpochOutputs, ...]:
    """What trainings will read from the cache: first the trials', then the final trainings'."""
    workload, seeds = search.workload, search.request.seeds
    return tuple(
        EpochOutputs(names, seed, number)
        for seed in range(workload.seed, workload.seed + seeds + 1)
        for number in range(1, workload.passes + 1)
        for names in sorted(needs, key=len, reverse=True)
        if names and plan.source(names, number, final=seed != workload.seed) == "cached"
    )


def compute_missing(job: PrecomputeJob, weights: bytes) -> Iterator[tuple[int, list[str]]]:
    """Computes what is missing and not being computed by another process.

    Yields the number of images of each stored shard, and new notes for the user. Raises
    RequestError if the data on this machine differ.
    """
    torch.set_num_threads(job.num_threads)
    workload = job.workload
    dataset, splits = open_data(workload)
    if dataset.fingerprint != job.fingerprint:
        raise RequestError(
            f"{workload.data} differs on this machine; copy the same data to all machines"
        )
    network = _network(weights, workload.teacher, dataset)
    for outputs in job.epochs:
        teacher = build_teacher(
            workload.teacher,
            lambda: network,
            dataset,
            device_for(job.gpus),
            digest=job.digest,
            plan=job.plan,
            data_dir=workload.data_dir,
            final=outputs.seed != workload.seed,
        )
        views = views_of(workload, dataset, splits, outputs.seed)
        with teacher.open(
            outputs.names, views, outputs.augmented_epoch, workload.batch_size
        ) as stored:
            assert isinstance(stored, StoredPass)
            for num_images in stored.precompute():
                yield num_images, teacher.take_notes()
            if stored.is_live:  # nothing more can be stored here
                yield 0, teacher.take_notes()
                return


def weights_of(teacher: nn.Module) -> bytes:
    """The state dict as bytes: other machines may not see the teacher's file."""
    buffer = io.BytesIO()
    torch.save(teacher.state_dict(), buffer)
    return buffer.getvalue()


def _network(weights: bytes, name: str, dataset: Dataset) -> nn.Module:
    network = models.build(name, dataset.num_classes)
    network.load_state_dict(torch.load(io.BytesIO(weights), weights_only=True))
    return frozen(network)


def _start(
    search: Search, job: PrecomputeJob, teacher: nn.Module, nodes: list[dict[str, Any]], gpus: float
) -> dict[Any, Machine]:
    """Starts as many tasks on each machine as trials would run there, as each has its cache."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    cpus = search.request.cpus_per_trial
    weights = ray.put(weights_of(teacher))
    tasks = {}
    for node in nodes:
        machine = Machine(node["NodeManagerHostname"])
        task = ray.remote(
            num_cpus=cpus,
            num_gpus=gpus,
            num_returns="streaming",
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            max_retries=0,
            max_calls=1,  # a process that lives on would keep its share of a GPU
        )(compute_missing)
        for _ in range(fit(node["Resources"], cpus, gpus)):
            tasks[task.remote(job, weights)] = machine
    return tasks


def _watch(
    tasks: dict[Any, Machine],
    images_per_machine: int,
    all_images: int,
    show_progress: Callable[[int, int], None],
) -> tuple[str, ...]:
    """Waits for all tasks; returns what went wrong on machines where something is missing."""
    import ray

    machines = {id(machine): machine for machine in tasks.values()}.values()
    counts = dict.fromkeys(tasks, 0)
    running = list(tasks)
    while running:
        (stream, *_), running = ray.wait(running, num_returns=1)
        machine = tasks[stream]
        try:
            num_images, notes = ray.get(next(stream))
        except StopIteration:
            continue
        except ray.exceptions.RayError as error:
            reason = getattr(error, "cause", None) or "its process died"
            machine.problems[str(reason)] = None
            continue
        running.append(stream)  # after the others
        counts[stream] += num_images
        machine.problems |= dict.fromkeys(notes)
        machine.num_images = max(machine.num_images, counts[stream])
        show_progress(sum(one.num_images for one in machines), all_images)
    return tuple(
        f"{machine.name}: {'; '.join(machine.problems) or 'some shards took too long'}"
        for machine in machines
        if machine.num_images < images_per_machine
    )
