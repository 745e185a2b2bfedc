"""The floor as a process of its own: the least that a training takes in memory.

`python -m benchmarks.floor_process ...`: interpreter, PyTorch, student, loss and
optimiser on ready-made tensors; neither a teacher nor Ray nor MLflow.
"""

import argparse
import sys

import torch
from torch import Tensor, nn

import models
from benchmarks.floor import Floor
from benchmarks.methods import published
from models import Outputs, Shapes, shapes_of
from tuner.data import evaluation_batches
from tuner.execution import FLOAT32
from tuner.workload import open_data, resolve

METHOD = "itrd"
NUM_READY_BATCHES = 4
NUM_STEPS = 60  # a few seconds, for whoever looks at the process meanwhile


class RandomTeacher(nn.Module):
    """Answers of the right shapes without a network behind them."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.shapes = shapes
        self.device_marker = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(self, images: Tensor) -> Outputs:
        """Takes images [B, 3, H, W]."""
        shapes = self.shapes
        logits, embedding = (
            torch.randn(len(images), *shape) for shape in (shapes.logits, shapes.embedding)
        )
        maps = {
            name: torch.randn(len(images), *shape) for name, shape in shapes.feature_maps.items()
        }
        return Outputs(logits, embedding, maps, {})


def main(arguments: list[str]) -> int:
    """Trains for a number of steps; returns 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.floor_process", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--data", metavar="SPEC", required=True, help="as for tuner.search")
    parser.add_argument("--data-dir", metavar="DIR", required=True)
    parser.add_argument("--teacher", metavar="NAME", required=True)
    parser.add_argument("--student", metavar="NAME", required=True)
    parser.add_argument("--steps", type=int, default=NUM_STEPS)
    parser.add_argument("--threads", type=int, default=1)
    given = vars(parser.parse_args(arguments))
    num_steps = given.pop("steps")
    torch.set_num_threads(given.pop("threads"))
    workload = resolve(given | {"seed": 0})
    dataset, splits = open_data(workload)
    rows = splits.train[: NUM_READY_BATCHES * workload.batch_size]
    batches = evaluation_batches(
        dataset, rows, batch_size=workload.batch_size, device=torch.device("cpu")
    )
    with torch.device("meta"):
        shapes = shapes_of(models.build(workload.teacher, dataset.num_classes), dataset.image_size)
    floor = Floor(
        student=workload.student,
        method=METHOD,
        setting=published(METHOD),
        teacher=RandomTeacher(shapes),
        dataset=dataset,
        batches=list(batches),
        lr=workload.lr,
        momentum=workload.momentum,
        weight_decay=workload.weight_decay,
        seed=workload.seed,
        execution=FLOAT32,
    )
    for _ in range(num_steps):
        floor.step()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
