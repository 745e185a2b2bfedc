"""The floor as a separate process: the least that a training takes in memory.

`python -m benchmarks.floor_process ...`: interpreter, PyTorch, student, loss and
optimiser on ready-made tensors; neither a teacher nor Ray nor MLflow.
"""

import argparse
import sys

import torch
from torch import Tensor

import models
from benchmarks.floor import Floor
from benchmarks.methods import published
from benchmarks.pairs import first_batches
from models import Outputs, shapes_of
from tuner.config.step_mode import FLOAT32
from tuner.config.workload import resolve
from tuner.training.workload_data import open_data

METHOD = "itrd"
NUM_READY_BATCHES = 4
NUM_STEPS = 60  # a few seconds, for whoever looks at the process meanwhile


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
    untrained = models.build_untrained(workload.teacher, dataset.num_classes)
    shapes = shapes_of(untrained, dataset.image_size, workload.teacher)
    del untrained

    def random_answer(images: Tensor) -> Outputs:
        """What the method reads, of the right shapes, without a network behind it."""
        logits, embedding = (
            torch.randn(len(images), *shape) for shape in (shapes.logits, shapes.embedding)
        )
        return Outputs(logits, embedding, {}, {})

    floor = Floor(
        workload,
        dataset,
        splits,
        method=METHOD,
        setting=published(METHOD, workload),
        teacher=random_answer,
        teacher_shapes=shapes,
        batches=first_batches(workload, dataset, splits, NUM_READY_BATCHES),
        step_mode=FLOAT32,
    )
    for _ in range(num_steps):
        floor.step()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
