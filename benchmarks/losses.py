"""Benchmark `losses`: a loss and its gradient, against the plain published formula's."""

import argparse
import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.formulas import FORMULAS, INITIAL_FORMULAS, Formula
from benchmarks.methods import (
    ALL,
    add_methods_argument,
    images_for,
    leave_out,
    methods_of,
    only,
    published,
    student_and_objective,
)
from benchmarks.pairs import PAIRS, first_batches
from benchmarks.timing import Row, compare_all, measure
from losses import Batch, LossError, Objective
from models import Outputs, shapes_of
from tuner.config.workload import resolve
from tuner.training.teachers import untrained_network
from tuner.training.workload_data import open_data

ROUNDS, MIN_ROUNDS = 15, 3
MEASURING_SECONDS = 20.0  # a loss gets so long, or its fewest rounds
ROUND_SECONDS = 0.05  # what is faster is repeated within a round

OURS, FORMULA = "ours", "formula"
Terms = Callable[..., dict[str, Tensor]]  # (module, student, teacher, batch)
Sides = dict[str, Callable[[], None]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=["resnet", "mobilenet"])
    add_methods_argument(parser, [ALL])
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}, {MIN_ROUNDS} if slow")


def run(arguments: argparse.Namespace) -> Iterator[list[Row]]:
    """The rows of one pair, method and part of its training after another."""
    for pair in (PAIRS[name] for name in arguments.pairs):
        given = {"data": arguments.data, "data_dir": arguments.data_dir, "seed": 0}
        workload = resolve(given | pair._asdict())
        dataset, splits = open_data(workload)
        network = untrained_network(workload.teacher, dataset)
        shapes = shapes_of(network, dataset.image_size, pair.teacher)
        (batch,) = first_batches(workload, dataset, splits, 1)
        for method in methods_of(arguments):
            try:
                student, objective = student_and_objective(
                    workload,
                    dataset,
                    splits,
                    method=method,
                    setting=published(method, workload),
                    teacher_shapes=shapes,
                )
            except LossError as error:
                leave_out(pair, error)
                continue
            images = images_for(objective, batch.images)
            with torch.no_grad():
                outputs = student(images)
                answer = network(images)
            for part, sides in _parts(method, objective, outputs, answer, batch):
                seconds = _measure(sides, arguments.rounds)
                labels = {"pair": str(pair), "method": method, "part": part}
                yield compare_all(seconds, FORMULA, labels)


def _parts(
    method: str, objective: Objective, student: Outputs, teacher: Outputs, batch: Batch
) -> Iterator[tuple[str, Sides]]:
    """The initial stage, the training, or both: whatever a method has terms in."""
    loss = objective.loss
    if stage := loss.initial_stage:
        terms: Terms = type(loss).initial_forward
        formula = INITIAL_FORMULAS[method]
        yield "initial stage", _sides(loss, terms, stage.needs, formula, student, teacher, batch)
    if needs := objective.needs:
        # KD's term is the objective's own.
        module = loss if loss.needs else objective
        terms, formula = type(module).forward, FORMULAS[method]
        yield "training", _sides(module, terms, needs, formula, student, teacher, batch)


def _sides(
    module: nn.Module,
    terms: Terms,
    needs: tuple[str, ...],
    formula: Formula,
    student: Outputs,
    teacher: Outputs,
    batch: Batch,
) -> Sides:
    """Both candidates, each with heads and memory of its own, and in the layout of its own step:
    the student's maps are in channels_last in ours, and in PyTorch's default in a script.
    """

    def total(module: nn.Module, *inputs: Any) -> Tensor:
        return torch.stack(list(terms(module, *inputs).values())).sum()

    twin = copy.deepcopy(module)
    ours = _leaves(student, torch.channels_last)
    theirs = _leaves(student, torch.contiguous_format)
    return {
        OURS: _step(total, module, ours, only(teacher, needs), batch),
        FORMULA: _step(formula, twin, theirs, teacher, batch),
    }


def _step(
    total: Callable[..., Tensor],
    module: nn.Module,
    student: Outputs,
    teacher: Outputs,
    batch: Batch,
) -> Callable[[], None]:
    """Forward and backward pass, with fresh gradients, as in a step."""
    module.train()
    leaves = [student.logits, student.embedding, *student.feature_maps.values()]
    leaves += [*student.pre_activation_maps.values(), *module.parameters()]

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        total(module, student, teacher, batch).backward()

    return step


def _leaves(outputs: Outputs, layout: torch.memory_format) -> Outputs:
    """A student's outputs as tensors that collect a gradient."""

    def leaf(x: Tensor) -> Tensor:
        x = x.detach().clone(memory_format=layout if x.dim() == 4 else torch.contiguous_format)
        return x.requires_grad_()

    return Outputs(
        leaf(outputs.logits),
        leaf(outputs.embedding),
        {name: leaf(x) for name, x in outputs.feature_maps.items()},
        {name: leaf(x) for name, x in outputs.pre_activation_maps.items()},
        classifier=None if outputs.classifier is None else leaf(outputs.classifier),
    )


def _measure(sides: Sides, rounds: int | None) -> dict[str, list[float]]:
    """Seconds of one step of each candidate, a number a round."""
    for step in sides.values():
        step()
    once = measure(sides, rounds=1, warmup_rounds=0)
    elapsed = sum(seconds for (seconds,) in once.values())
    num_calls = math.ceil(ROUND_SECONDS * len(sides) / elapsed)
    enough = max(MIN_ROUNDS, min(ROUNDS, int(MEASURING_SECONDS / elapsed)))
    several = {name: _repeated(step, num_calls) for name, step in sides.items()}
    seconds = measure(several, rounds=rounds or enough, warmup_rounds=0)
    return {name: [value / num_calls for value in values] for name, values in seconds.items()}


def _repeated(step: Callable[[], None], num_calls: int) -> Callable[[], None]:
    def steps() -> None:
        for _ in range(num_calls):
            step()

    return steps
