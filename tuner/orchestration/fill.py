"""Computes ahead of a search what its trials would ask the teacher, with all machines at once."""

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
from tuner.planning.resources import Resources, check_resources, fit
from tuner.planning.search import Search
from tuner.teacher_cache import OutputsPlan
from tuner.teacher_cache.stored_pass import StoredPass
from tuner.text.errors import RequestError
from tuner.training.precision import device_for
from tuner.training.seeding import frozen
from tuner.training.teachers import build_teacher, find_teacher, weights_digest
from tuner.training.workload_data import open_data, views_of


@dataclass(frozen=True)
class Pass:
    """One pass over the data, of which some outputs are kept."""

    names: tuple[str, ...]  # as one loss needs them
    seed: int
    number: int


@dataclass(frozen=True)
class Filling:
    """What every process that fills has to know; they share the work through the cache's claims."""

    workload: Workload
    fingerprint: str  # of the data on this machine
    digest: str  # of the teacher's weights
    plan: OutputsPlan
    passes: tuple[Pass, ...]
    num_threads: int
    gpus: float


@dataclass
class Machine:
    """How far one machine is; every process counts what is there, whoever computed it."""

    name: str
    num_images: int = 0
    problems: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class Filled:
    """What came of it."""

    passes: tuple[Pass, ...]
    num_machines: int
    problems: tuple[str, ...]  # of machines that lack something


def fill(
    search: Search,
    tell_plan: Callable[[tuple[str, ...]], None],
    tell_progress: Callable[[int, int], None],
) -> Filled:
    """Fills the caches of all machines as a search with this request would plan it.

    `tell_progress` is told of images: how many are done, of how many, on all machines.
    Raises RequestError where there is no teacher, or the request cannot be carried out.
    """
    workload = search.workload
    dataset, splits = open_data(workload)
    needs = search.needs(dataset)
    teacher = find_teacher(workload, dataset)
    if teacher is None:
        raise RequestError(
            f"there is no teacher {workload.teacher} for {workload.data} yet; train it with "
            f"`tuner teach --data {workload.data} --teacher {workload.teacher} "
            f"--teacher-epochs {workload.teacher_epochs}` and the other options as here"
        )
    import ray

    with ray_for(search):
        nodes = [node for node in ray.nodes() if node["Alive"]]
        resources = [node["Resources"] for node in nodes]
        gpus, max_concurrent = check_resources(search.request, resources)
        measuring = where_trials_run(search, gpus)
        digest = weights_digest(teacher)
        plan, reasons = plan_for(
            search,
            needs,
            dataset,
            digest,
            Resources(gpus, max_concurrent, max_concurrent),
            measuring,
        )
        tell_plan(reasons)
        filling = Filling(
            workload=workload,
            fingerprint=dataset.fingerprint,
            digest=digest,
            plan=plan,
            passes=_passes(search, needs, plan),
            num_threads=search.num_threads,
            gpus=gpus,
        )
        machines = [
            node for node in nodes if fit(node["Resources"], search.request.cpus_per_trial, gpus)
        ]
        if not filling.passes:
            return Filled((), len(machines), ())
        total = len(filling.passes) * len(splits.train)
        tasks = _start(search, filling, teacher, machines, gpus)
        problems = _watch(tasks, total, total * len(machines), tell_progress)
        return Filled(filling.passes, len(machines), problems)


def fill_passes(filling: Filling, weights: bytes) -> Iterator[tuple[int, list[str]]]:
    """Computes what is missing and what no other process is at.

    Yields the images of a piece once it is there, and what a person should know.
    """
    torch.set_num_threads(filling.num_threads)
    workload = filling.workload
    dataset, splits = open_data(workload)
    if dataset.fingerprint != filling.fingerprint:
        raise RequestError(f"{workload.data} differs there; copy the same data to all machines")
    network = _network(weights, workload.teacher, dataset)
    for one in filling.passes:
        teacher = build_teacher(
            workload.teacher,
            lambda: network,
            dataset,
            device_for(filling.gpus),
            digest=filling.digest,
            plan=filling.plan,
            data_dir=workload.data_dir,
            final=one.seed != workload.seed,
        )
        views = views_of(workload, dataset, splits, one.seed)
        with teacher.open(one.names, views, one.number, workload.batch_size) as kept:
            assert isinstance(kept, StoredPass)
            for num_images in kept.fill():
                yield num_images, teacher.take_notes()
            if kept.is_live:  # nothing more can be kept here
                yield 0, teacher.take_notes()
                return


def _passes(
    search: Search, needs: tuple[tuple[str, ...], ...], plan: OutputsPlan
) -> tuple[Pass, ...]:
    """Those of the search's own seed first, then those of the final trainings."""
    workload, seeds = search.workload, search.request.seeds
    return tuple(
        Pass(names, seed, number)
        for seed in range(workload.seed, workload.seed + seeds + 1)
        for number in range(1, workload.passes + 1)
        for names in sorted(needs, key=len, reverse=True)
        if names and plan.road(names, number, final=seed != workload.seed) == "cached"
    )


def _start(
    search: Search, filling: Filling, teacher: nn.Module, nodes: list[dict[str, Any]], gpus: float
) -> dict[Any, Machine]:
    """On every machine as many tasks as trials would run there; the cache is per machine."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    cpus = search.request.cpus_per_trial
    # By value: other machines may not see the file.
    weights = ray.put(_weights(teacher))
    tasks = {}
    for node in nodes:
        machine = Machine(node["NodeManagerHostname"])
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = ray.remote(
            num_cpus=cpus,
            num_gpus=gpus,
            num_returns="streaming",
            scheduling_strategy=place,
            max_retries=0,
            max_calls=1,  # or the process would keep its share of a GPU
        )(fill_passes)
        for _ in range(fit(node["Resources"], cpus, gpus)):
            tasks[task.remote(filling, weights)] = machine
    return tasks


def _watch(
    tasks: dict[Any, Machine], total: int, grand_total: int, tell: Callable[[int, int], None]
) -> tuple[str, ...]:
    """Waits for all tasks; what went wrong on the machines where not all is there."""
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
            reason = getattr(error, "cause", None) or "its process was lost"
            machine.problems[str(reason)] = None
            continue
        running.append(stream)  # behind the others
        counts[stream] += num_images
        machine.problems |= dict.fromkeys(notes)
        machine.num_images = max(machine.num_images, counts[stream])
        tell(sum(one.num_images for one in machines), grand_total)
    return tuple(
        f"{machine.name}: {'; '.join(machine.problems) or 'some pieces took too long'}"
        for machine in machines
        if machine.num_images < total
    )


def _weights(teacher: nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.save(teacher.state_dict(), buffer)
    return buffer.getvalue()


def _network(weights: bytes, name: str, dataset: Dataset) -> nn.Module:
    network = models.build(name, dataset.num_classes)
    network.load_state_dict(torch.load(io.BytesIO(weights), weights_only=True))
    return frozen(network)
