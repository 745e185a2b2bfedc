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
from benchmarks.methods import KD, METHODS, published
from benchmarks.pairs import PAIRS, Pair, untrained_teacher
from benchmarks.plain_loop import PlainLoop, schedule_of
from benchmarks.timing import Row, compare, compare_all, measure
from losses import LOSSES, Batch
from models import shapes_of
from tuner.data import Dataset, Splits, Views, evaluation_batches
from tuner.distillation import Distillation, seeded
from tuner.distillation import Step as DistillationStep
from tuner.execution import Execution, StepTimer, choose_precision
from tuner.teacher import teacher_of, weights_digest
from tuner.teacher_cache import OutputsPlan, Teacher
from tuner.teacher_cache.plan import CachedOutput
from tuner.teacher_cache.stored_pass import StoredPass
from tuner.workload import Workload, open_data, resolve

ROUNDS, WARMUP_ROUNDS = 15, 2
# The published critics see every location of every map: 15 seconds a step on one core.
MIMKD_ROUNDS = 3
NUM_READY_BATCHES = 4
NUM_IMAGES = 640  # ten steps an epoch: the teacher has to fill the cache first
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """One pair and method, and what all candidates share."""

    pair: Pair
    method: str
    workload: Workload
    dataset: Dataset
    splits: Splits
    teacher: nn.Module | None  # None for the method "plain"
    batches: tuple[Batch, ...]  # for who needs no views
    execution: Execution  # of our steps and of the floor; the plain loop is in float32
    cache: Path


Step = Callable[[], object]


def floor(case: Case) -> Step:
    """The student with this loss on ready-made tensors."""
    training = Floor(
        student=case.pair.student,
        method=case.method,
        setting=published(case.method),
        teacher=case.teacher,
        dataset=case.dataset,
        batches=case.batches,
        lr=case.workload.lr,
        momentum=case.workload.momentum,
        weight_decay=case.workload.weight_decay,
        seed=case.workload.seed,
        execution=case.execution,
    )
    return training.step


def cached(case: Case) -> Step:
    """Our step; every output that the loss needs is in the cache, filled before."""
    return _ours(case, cached_everywhere(case))


def live(case: Case) -> Step:
    """Our step with the teacher's forward pass in it."""
    return _ours(case, OutputsPlan())


def _ours(case: Case, plan: OutputsPlan) -> Step:
    teacher = None
    if case.teacher is not None:
        network = case.teacher
        teacher = teacher_of(
            case.pair.teacher,
            lambda: network,
            case.dataset,
            CPU,
            digest=weights_digest(network),
            plan=plan,
            data_dir=str(case.cache),
        )
    training = Distillation(
        student=case.pair.student,
        method=case.method,
        setting=published(case.method),
        teacher=teacher,
        dataset=case.dataset,
        splits=case.splits,
        seed=case.workload.seed,
        data_seed=case.workload.seed,
        device=CPU,
        execution=case.execution,
        **case.workload.schedule(),
    )
    if teacher is not None and plan.cached:
        _fill(teacher, training.loss.needs, case)
    # An epoch again and again: opening it and checking its pieces is a part of its steps.
    return _Ours(chain.from_iterable(training.steps(1) for _ in count()))


class _Ours:
    """Our step, which says how long it waited for the teacher's answer."""

    def __init__(self, steps: Iterator[DistillationStep]) -> None:
        self._steps = steps
        self.teacher_seconds: list[float] = []

    def __call__(self) -> None:
        self.teacher_seconds.append(next(self._steps).teacher_seconds)


def _fill(teacher: Teacher, names: tuple[str, ...], case: Case) -> None:
    """Computes the first pass of the teacher's outputs."""
    w = case.workload
    views = Views(case.dataset, case.splits.train, w.seed, w.passes, w.crop_padding, w.flip)
    with teacher.open(names, views, 1, w.batch_size) as answers:
        if isinstance(answers, StoredPass):
            for _ in answers.fill():
                pass


def cached_everywhere(case: Case) -> OutputsPlan:
    """The plan of a search with room for everything."""
    shapes = shapes_of(case.teacher, case.dataset.image_size) if case.teacher else None
    names = ["logits", "embedding"]
    names += [f"feature_maps.{name}" for name in shapes.feature_maps] if shapes else []
    return OutputsPlan(tuple(CachedOutput(name, 1, 1) for name in names))


def plain_loop(case: Case) -> Step:
    """PIL, a live teacher, and logging in every step."""
    training = PlainLoop(
        student=case.pair.student,
        method=case.method,
        setting=published(case.method),
        teacher=case.teacher,
        dataset=case.dataset,
        splits=case.splits,
        seed=case.workload.seed,
        **schedule_of(case.workload),
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
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of our steps and of the floor; default: the faster one, as in a long search",
    )
    parser.add_argument(
        "--rounds", type=int, help=f"default: {ROUNDS}, for mimkd {MIMKD_ROUNDS}; a step each"
    )


def run(arguments: argparse.Namespace) -> Iterator[list[Row]]:
    """The rows of one pair and method after another."""
    with tempfile.TemporaryDirectory() as cache:
        yield from _run(arguments, Path(cache))


def _run(arguments: argparse.Namespace, cache: Path) -> Iterator[list[Row]]:
    names = [name for name in CANDIDATES if name in {BASELINE, *arguments.candidates}]
    for pair in (PAIRS[name] for name in arguments.pairs):
        given = {
            "data": arguments.data,
            "data_dir": arguments.data_dir,
            "seed": 0,
            "limit": NUM_IMAGES,
        }
        workload = resolve(given | pair._asdict())
        dataset, splits = open_data(workload)
        batches = _first_batches(workload, dataset, splits)
        teacher = untrained_teacher(pair.teacher, dataset.num_classes, batches[0])
        execution = _execution(arguments.precision, workload, dataset)
        for method in arguments.methods:
            # The loop knows methods by name; kd gets its own file in `losses` one day.
            LOSSES.setdefault("kd", KD)
            case = Case(
                pair=pair,
                method=method,
                workload=workload,
                dataset=dataset,
                splits=splits,
                teacher=None if method == "plain" else teacher,
                batches=batches,
                execution=execution,
                cache=cache,
            )
            is_slow = method == "mimkd"
            rounds = arguments.rounds or (MIMKD_ROUNDS if is_slow else ROUNDS)
            candidates = {name: CANDIDATES[name](case) for name in names}
            seconds = measure(
                candidates,
                rounds=rounds,
                warmup_rounds=1 if is_slow else WARMUP_ROUNDS,
            )
            labels = {"pair": f"{pair} ({execution.precision})", "method": method}
            rows = compare_all(seconds, BASELINE, labels)
            for name, candidate in candidates.items():
                if isinstance(candidate, _Ours) and case.teacher is not None:
                    part = f"{name}: the teacher"
                    seconds[part] = candidate.teacher_seconds[-rounds:]
                    rows.append(compare(seconds, part, name, labels))
            yield rows


def _execution(precision: str, workload: Workload, dataset: Dataset) -> Execution:
    if precision != "auto":
        return Execution(precision)
    timer = StepTimer(
        lambda: seeded(0, lambda: models.build(workload.student, dataset.num_classes)),
        dataset.image_size,
        workload.batch_size,
        CPU,
    )
    return choose_precision(timer)[0]


def _first_batches(workload: Workload, dataset: Dataset, splits: Splits) -> tuple[Batch, ...]:
    rows = splits.train[: NUM_READY_BATCHES * workload.batch_size]
    return tuple(
        evaluation_batches(
            dataset, rows, batch_size=workload.batch_size, device=torch.device("cpu")
        )
    )
