"""Benchmark `sharing`: trainings side by side that hand the teacher's maps on, or run it each."""

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.pairs import PAIRS
from benchmarks.timing import Row, compare_all
from losses import LOSSES
from search_spaces import SPACES
from tuner.config.workload import Workload, resolve
from tuner.data import Dataset, Splits
from tuner.teacher_cache import OutputsPlan
from tuner.training.building import build_training
from tuner.training.teachers import build_teacher, untrained_network, weights_digest
from tuner.training.workload_data import open_data

ROUNDS = 3
NUM_PROCESSES = 2
NUM_IMAGES = 640
NUM_STEPS = 8
WINDOW_BYTES = 2 * 2**30
CPU = torch.device("cpu")
METHOD = "mimkd"
# Maps of every size and critics that cost little: the teacher is what the step is made of.
CHEAP = {"critic": "project_and_dot", "shortcut": "linear", "width": "64", "num_locations": "16"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=["mobilenet", "resnet"])
    parser.add_argument("--processes", type=int, default=NUM_PROCESSES, help="trainings at a time")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")


def run(arguments: argparse.Namespace) -> Iterator[list[Row]]:
    """Seconds of a step of all trainings together: one alone, each with its teacher, sharing."""
    for pair in (PAIRS[name] for name in arguments.pairs):
        given = {"data": arguments.data, "data_dir": arguments.data_dir, "limit": NUM_IMAGES}
        workload = resolve(given | {"seed": 0, "epochs": arguments.rounds + 1} | pair._asdict())
        dataset, splits = open_data(workload)
        network = untrained_network(workload.teacher, dataset)
        seconds: dict[str, list[float]] = {"one alone": [], "each its own": [], "sharing": []}
        several = arguments.processes
        for epoch in range(1, arguments.rounds + 1):
            train = partial(_train, workload, dataset, splits, network, epoch)
            seconds["one alone"].append(_side_by_side(partial(train, _live()), 1))
            seconds["each its own"].append(_side_by_side(partial(train, _live()), several))
            seconds["sharing"].append(
                _side_by_side(partial(train, _shared(network, dataset)), several)
            )
        labels = {"pair": str(pair), "trainings": str(several)}
        yield compare_all(seconds, "each its own", labels)


def _live() -> OutputsPlan:
    return OutputsPlan()


def _shared(network: Any, dataset: Dataset) -> OutputsPlan:
    maps = tuple(
        f"feature_maps.{name}"
        for name in network(torch.zeros(1, 3, *dataset.image_size)).feature_maps
    )
    return OutputsPlan(shared=("logits", "embedding", *maps), buffer_bytes=WINDOW_BYTES)


def _train(
    workload: Workload,
    dataset: Dataset,
    splits: Splits,
    network: Any,
    epoch: int,
    plan: OutputsPlan,
) -> None:
    training = build_training(
        workload,
        dataset,
        splits,
        method=LOSSES[METHOD],
        setting=SPACES[METHOD].narrow(CHEAP).published(),
        # Another digest each round, so that no round reads what an earlier one left.
        teacher=build_teacher(
            workload.teacher,
            lambda: network,
            dataset,
            CPU,
            digest=f"{weights_digest(network)}-{os.getppid()}-{epoch}",
            plan=plan,
        ),
        seed=0,
        data_seed=0,
        device=CPU,
    )
    for number, _ in enumerate(training.steps(training.stages[-1], epoch), start=1):
        if number == NUM_STEPS:
            break


def _side_by_side(train: Any, num_processes: int) -> float:
    """Seconds of a step while so many processes train, from the first's begin to the last's end."""
    # Forked, so that imports and the teacher's weights are not measured.
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=train) for _ in range(num_processes)]
    begin = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a training failed")
    return (time.perf_counter() - begin) / NUM_STEPS
