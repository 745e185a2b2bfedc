"""Benchmark `trial`: what one step of a trial costs, against the student alone."""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import torch
from torch import nn

import models
from benchmarks.floor import Floor
from benchmarks.methods import (
    add_methods_argument,
    leave_out,
    methods_of,
    published,
    student_and_objective,
)
from benchmarks.pairs import PAIRS, first_batches
from benchmarks.plain_loop import PlainLoop
from benchmarks.timing import Row, compare, compare_all, measure
from losses import LOSSES, Batch, LossError, Plain
from models import Shapes, shapes_of
from search_spaces import Setting
from tuner.config.step_mode import StepMode
from tuner.config.workload import WantedPrecision, Workload, resolve
from tuner.data import Dataset, Splits
from tuner.teacher_cache import OutputsPlan, Teacher
from tuner.teacher_cache.named_outputs import of_images
from tuner.teacher_cache.plan import CachedOutput
from tuner.teacher_cache.teacher_pass import StoredPass
from tuner.training.building import build_training
from tuner.training.epoch_totals import Step as TrainingStep
from tuner.training.precision import StepTimer, choose_precision
from tuner.training.seeding import seeded
from tuner.training.teachers import build_teacher, untrained_network, weights_digest
from tuner.training.workload_data import open_data, views_of

ROUNDS, WARMUP_ROUNDS = 15, 2
# MIMKD's published critics see every location of every map: 15 seconds a step on one core.
FEWER_ROUNDS = {"mimkd": 3}
SHORT_LIST = ("plain", "kd", "itrd", "mimkd")  # no map, logits, an embedding, maps of every size
NUM_READY_BATCHES = 4
NUM_IMAGES = 640  # ten steps an epoch: the teacher has to fill the cache first
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """One pair and method, and what all candidates share."""

    workload: Workload
    dataset: Dataset
    splits: Splits
    method: str
    setting: Setting
    needs: tuple[str, ...]  # of the teacher's outputs
    teacher: nn.Module | None  # None for the method "plain"
    teacher_shapes: Shapes
    batches: tuple[Batch, ...]  # for who needs no views
    step_mode: StepMode  # of our steps and of the floor; the plain loop is in float32
    cache: Path


Step = Callable[[], object]


def floor(case: Case) -> Step:
    """The student with this loss on ready-made tensors."""
    training = Floor(
        case.workload,
        case.dataset,
        case.splits,
        method=case.method,
        setting=case.setting,
        teacher=case.teacher,
        teacher_shapes=case.teacher_shapes,
        batches=case.batches,
        step_mode=case.step_mode,
    )
    return training.step


def cached(case: Case) -> Step:
    """Our step; every output that the loss needs is in the cache, filled before."""
    outputs = tuple(CachedOutput(name, 1, 1) for name in of_images(case.needs))
    return _ours(case, OutputsPlan(outputs))


def live(case: Case) -> Step:
    """Our step with the teacher's forward pass in it."""
    return _ours(case, OutputsPlan())


def _ours(case: Case, plan: OutputsPlan) -> Step:
    teacher = None
    if case.teacher is not None:
        network = case.teacher
        teacher = build_teacher(
            case.workload.teacher,
            lambda: network,
            case.dataset,
            CPU,
            digest=weights_digest(network),
            plan=plan,
            data_dir=str(case.cache),
        )
    training = build_training(
        case.workload,
        case.dataset,
        case.splits,
        method=LOSSES[case.method],
        setting=case.setting,
        teacher=teacher,
        seed=case.workload.seed,
        data_seed=case.workload.seed,
        device=CPU,
        step_mode=case.step_mode,
    )
    if teacher is not None and plan.cached:
        _fill(teacher, case)
    # An epoch again and again: opening it and checking its shards is a part of its steps.
    return _Ours(chain.from_iterable(training.steps(training.stages[-1], 1) for _ in count()))


class _Ours:
    """Our step, which says how long it waited for the teacher's answer."""

    def __init__(self, steps: Iterator[TrainingStep]) -> None:
        self._steps = steps
        self.teacher_seconds: list[float] = []

    def __call__(self) -> None:
        self.teacher_seconds.append(next(self._steps).teacher_seconds)


def _fill(teacher: Teacher, case: Case) -> None:
    """Computes the teacher's outputs of the first augmented epoch."""
    views = views_of(case.workload, case.dataset, case.splits, case.workload.seed)
    with teacher.open(case.needs, views, 1, case.workload.batch_size) as answers:
        if isinstance(answers, StoredPass):
            for _ in answers.precompute():
                pass


def plain_loop(case: Case) -> Step:
    """PIL, a live teacher, and logging in every step."""
    training = PlainLoop(
        case.workload,
        case.dataset,
        case.splits,
        method=case.method,
        setting=case.setting,
        teacher=case.teacher,
        teacher_shapes=case.teacher_shapes,
    )
    return training.step


# In the order of the table; a candidate is set up outside the measured time.
BASELINE = "floor"
CANDIDATES: dict[str, Callable[[Case], Step]] = {
    "floor": floor,
    "cached": cached,
    "live": live,
    "plain loop": plain_loop,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    add_methods_argument(parser, SHORT_LIST)
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of our steps and of the floor; default: the faster one, as in a long search",
    )
    parser.add_argument(
        "--rounds", type=int, help=f"default: {ROUNDS}, fewer for mimkd; a step each"
    )


def run(arguments: argparse.Namespace) -> Iterator[list[Row]]:
    """The rows of one pair and method after another."""
    with tempfile.TemporaryDirectory() as cache:
        yield from _run(arguments, Path(cache))


def _run(arguments: argparse.Namespace, cache: Path) -> Iterator[list[Row]]:
    names = [name for name in CANDIDATES if name in {BASELINE, *arguments.candidates}]
    for pair in (PAIRS[name] for name in arguments.pairs):
        given = {"data": arguments.data, "data_dir": arguments.data_dir, "limit": NUM_IMAGES}
        workload = resolve(given | {"seed": 0} | pair._asdict())
        dataset, splits = open_data(workload)
        teacher = untrained_network(workload.teacher, dataset)
        shapes = shapes_of(teacher, dataset.image_size, pair.teacher)
        batches = first_batches(workload, dataset, splits, NUM_READY_BATCHES)
        step_mode = _step_mode(arguments.precision, workload, dataset)
        for method in methods_of(arguments):
            setting = published(method, workload)
            try:
                _, objective = student_and_objective(
                    workload,
                    dataset,
                    splits,
                    method=method,
                    setting=setting,
                    teacher_shapes=shapes,
                )
            except LossError as error:
                leave_out(pair, error)
                continue
            case = Case(
                workload=workload,
                dataset=dataset,
                splits=splits,
                method=method,
                setting=setting,
                needs=objective.needs,
                teacher=None if LOSSES[method] is Plain else teacher,
                teacher_shapes=shapes,
                batches=batches,
                step_mode=step_mode,
                cache=cache,
            )
            rounds = arguments.rounds or FEWER_ROUNDS.get(method, ROUNDS)
            warmup_rounds = WARMUP_ROUNDS if rounds >= ROUNDS else 1
            candidates = {name: CANDIDATES[name](case) for name in names}
            seconds = measure(candidates, rounds=rounds, warmup_rounds=warmup_rounds)
            labels = {"pair": f"{pair} ({step_mode.precision})", "method": method}
            rows = compare_all(seconds, BASELINE, labels)
            for name, candidate in candidates.items():
                if isinstance(candidate, _Ours) and case.teacher is not None:
                    part = f"{name}: the teacher"
                    seconds[part] = candidate.teacher_seconds[-rounds:]
                    rows.append(compare(seconds, part, name, labels))
            yield rows


def _step_mode(wanted: WantedPrecision, workload: Workload, dataset: Dataset) -> StepMode:
    if wanted != "auto":
        return StepMode(wanted)
    timer = StepTimer(
        lambda: seeded(0, lambda: models.build(workload.student, dataset.num_classes)),
        dataset.image_size,
        workload.batch_size,
        CPU,
    )
    return choose_precision(timer)[0]
