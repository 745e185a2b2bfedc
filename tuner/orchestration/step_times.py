"""Measures the steps of a trial, for an estimate of how long trainings take."""

import time
from itertools import islice

import torch

from losses import DistillationLoss
from search_spaces import Setting
from tuner.config.workload import Workload
from tuner.orchestration.measurements import with_threads
from tuner.planning.estimate import StepTimes
from tuner.training.building import build_probe, build_teacher_training
from tuner.training.distillation import Distillation
from tuner.training.evaluation import EVALUATION_BATCH_SIZE
from tuner.training.precision import device_for
from tuner.training.workload_data import open_data

PROBED_STEPS = 5


def measure_step_times(
    workload: Workload,
    method: type[DistillationLoss],
    setting: Setting,
    num_threads: int,
    gpus: float,
    trains_teacher: bool,
) -> StepTimes:
    """Times a few steps, and the evaluation of a few images."""
    device = device_for(gpus)
    dataset, splits = open_data(workload)
    with with_threads(num_threads):
        trial = build_probe(
            workload, dataset, splits, method=method, setting=setting, device=device
        )
        step, teacher = _step_seconds(trial)
        few = splits.validation[: 2 * EVALUATION_BATCH_SIZE]
        begin = time.perf_counter()
        trial.evaluate(few)
        validation = (time.perf_counter() - begin) * len(splits.validation) / len(few)
        teacher_step = 0.0
        if trains_teacher:
            training = build_teacher_training(workload, dataset, splits, device)
            teacher_step, _ = _step_seconds(training)
    return StepTimes(step, teacher, validation, teacher_step)


def _step_seconds(training: Distillation) -> tuple[float, float]:
    """Seconds of a step without the teacher's forward pass, and of that pass."""
    steps = training.steps(training.stages[-1], epoch=1)
    next(steps)  # warms up
    begin = time.perf_counter()
    measured = list(islice(steps, PROBED_STEPS))
    if measured and next(iter(measured[0].terms.values())).is_cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - begin
    teacher = sum(step.teacher_seconds for step in measured)
    number = max(1, len(measured))
    return (seconds - teacher) / number, teacher / number
