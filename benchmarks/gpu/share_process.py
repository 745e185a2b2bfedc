"""Prints the peak memory of a training: METHOD STUDENT TEACHER measured|trial.

"measured" trains as `orchestration.gpu_share` does to find a share, "trial" as a trial does.
"""

import sys
from itertools import islice

import torch

from benchmarks.gpu.trainings import has_initial_stage, make_data, make_training, steps_of


def main(method: str, student: str, teacher: str, what: str) -> None:
    device = torch.device("cuda")
    dataset, splits = make_data(50000, 100)
    if what == "measured":
        few = splits._replace(train=splits.train[:64], validation=splits.validation[:500])
        make_training(student, teacher, method, (dataset, few), device).run_epoch()
    else:
        training = make_training(student, teacher, method, (dataset, splits), device)
        if has_initial_stage(training):
            for _ in islice(training.steps(training.stages[0], 1), 4):
                pass
            training._optimizer.state.clear()
        for _ in islice(steps_of(training), 4):
            pass
    torch.cuda.synchronize()
    print("PEAK", torch.cuda.max_memory_reserved() >> 20)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
