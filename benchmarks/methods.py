"""The methods that are measured, and what a training with one of them consists of."""

import argparse
from collections.abc import Callable, Sequence

import torch
from rich.console import Console
from torch import Tensor, nn

from losses import LOSSES, LossError, Objective
from models import Outputs, Shapes
from models.outputs import rotations
from search_spaces import SPACES, Setting, Space, plain
from tuner.config.workload import Workload
from tuner.data import Dataset, Splits
from tuner.teacher_cache.named_outputs import assemble, of_images, select
from tuner.training.building import build_student_and_objective

METHODS: dict[str, Space] = {"plain": plain.SPACE, **SPACES}
ALL = "all"

# Images [B, 3, H, W] to outputs: a network, or what stands in for one.
AnyTeacher = Callable[[Tensor], Outputs]


def published(method: str, workload: Workload) -> Setting:
    """The published setting of a method, its epochs in proportion to the workload's."""
    return METHODS[method].for_epochs(workload.epochs).published()


def student_and_objective(
    workload: Workload,
    dataset: Dataset,
    splits: Splits,
    *,
    method: str,
    setting: Setting,
    teacher_shapes: Shapes,
) -> tuple[nn.Module, Objective]:
    """A student with fresh weights and what it minimises. Raises losses.LossError."""
    return build_student_and_objective(
        workload,
        dataset,
        splits,
        method=LOSSES[method],
        setting=setting,
        teacher_shapes=teacher_shapes,
        seed=workload.seed,
    )


def images_for(objective: Objective, images: Tensor) -> Tensor:
    """What both networks see of images [B, 3, H, W]: these, or each in four rotations."""
    return rotations(images) if objective.loss.rotates else images


def only(outputs: Outputs, needs: tuple[str, ...]) -> Outputs:
    """Of a teacher's outputs those that a loss needs, and its classifier."""
    answer = assemble(select(outputs, of_images(needs)))
    return answer._replace(classifier=outputs.classifier)


def ask(teacher: AnyTeacher, objective: Objective, images: Tensor) -> Outputs:
    """What the objective needs to know of the teacher about images [B, 3, H, W]."""
    with torch.no_grad():
        return only(teacher(images_for(objective, images)), objective.needs)


def add_methods_argument(parser: argparse.ArgumentParser, default: Sequence[str]) -> None:
    """--methods METHOD ..., or all; to be read by `methods_of`."""
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=[*METHODS, ALL],
        default=default,
        metavar="METHOD",
        help=f"of {', '.join(METHODS)}, or {ALL}; default: {' '.join(default)}",
    )


def methods_of(arguments: argparse.Namespace) -> list[str]:
    """The names that were asked for."""
    return list(METHODS) if ALL in arguments.methods else arguments.methods


def leave_out(pair: object, error: LossError) -> None:
    """Says on stderr why a method is not measured."""
    Console(stderr=True).print(f"left out: {pair}: {error}", highlight=False, soft_wrap=True)
