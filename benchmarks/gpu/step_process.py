"""Trains for some seconds after a line on standard input: PRECISION FOLDER SECONDS."""

import sys
import time
from typing import cast

import torch

from benchmarks.gpu.speed import step_cost
from benchmarks.gpu.trainings import (
    STUDENT,
    TEACHER,
    make_cached_training,
    make_data,
    steps_of,
)
from tuner.config.step_mode import Precision


def main(precision: str, folder: str, seconds: str) -> None:
    torch.set_num_threads(1)
    training = make_cached_training(
        STUDENT,
        TEACHER,
        "kd",
        make_data(6400, 100),
        torch.device("cuda"),
        precision=cast(Precision, precision),
        folder=folder,
    )
    step_cost(training, 5)
    print("READY", flush=True)  # noqa: T201
    sys.stdin.readline()
    num_steps, end = 0, time.perf_counter() + float(seconds)
    while time.perf_counter() < end:
        for _ in steps_of(training):
            num_steps += 1
            if time.perf_counter() > end:
                break
    torch.cuda.synchronize()
    print("STEPS", num_steps, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
