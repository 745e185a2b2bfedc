"""How long a search will take on a cluster, from a few steps of a trial measured on it."""

import time
from itertools import islice
from typing import Any

import torch

import models
from losses import DistillationLoss, Plain
from tuner.config.workload import Workload
from tuner.data import num_batches
from tuner.orchestration.cluster import ray_for, where_trials_run, with_gpu_share
from tuner.orchestration.measurements import plan_for, with_threads
from tuner.orchestration.preflight import check_machines
from tuner.planning.estimate import Amount, Estimate, StepTimes, mean_epochs
from tuner.planning.resources import check_resources, fit
from tuner.planning.search import Search
from tuner.teacher_cache import OutputsPlan
from tuner.training.distillation import Distillation
from tuner.training.evaluation import EVALUATION_BATCH_SIZE
from tuner.training.precision import FLOAT32, device_for
from tuner.training.seeding import frozen
from tuner.training.teachers import find_teacher, teacher_of, weights_digest
from tuner.training.workload_data import open_data

PROBED_STEPS = 5


def estimate(search: Search) -> Estimate:
    """Measures on the cluster that the request names; begins no search.

    Raises RequestError where the search could not be run.
    """
    import ray

    workload = search.workload
    dataset, splits = open_data(workload)
    needs = search.needs(dataset)
    teacher = find_teacher(workload, dataset)
    with ray_for(search):
        machines = [node for node in ray.nodes() if node["Alive"]]
        nodes = [node["Resources"] for node in machines]
        request = with_gpu_share(search, nodes)
        gpus, wanted = check_resources(request, nodes)
        num_at_once = min(wanted, sum(fit(node, request.cpus_per_trial, gpus) for node in nodes))
        check_machines(search, dataset, gpus, machines)
        measuring = where_trials_run(search, gpus)
        digest = None if teacher is None else weights_digest(teacher)
        together = max(fit(node, request.cpus_per_trial, gpus) for node in nodes)
        outputs, reasons = plan_for(
            search, needs, dataset, digest, min(num_at_once, together), gpus, measuring
        )
        method, setting, num_threads = search.method, search.published, search.num_threads
        trains_teacher = teacher is None
        pace: StepTimes = measuring(
            lambda: measure_step_times(workload, method, setting, num_threads, gpus, trains_teacher)
        )
    steps = num_batches(len(splits.train), workload.batch_size)
    once, each = _teacher_batches(search, needs, outputs, steps)
    return Estimate(
        num_machines=len(machines),
        cpus=sum(node.get("CPU", 0.0) for node in nodes),
        gpus=sum(node.get("GPU", 0.0) for node in nodes),
        cpus_per_trial=request.cpus_per_trial,
        gpus_per_trial=gpus,
        num_at_once=num_at_once,
        pace=pace,
        amount=Amount(
            steps_per_epoch=steps,
            epochs=workload.epochs,
            num_trials=search.num_trials,
            num_finals=(2 + bool(search.searched)) * request.seeds,
            teacher_epochs=workload.teacher_epochs if trains_teacher else 0,
            teacher_batches_once=once,
            teacher_batches_per_training=each,
            mean_epochs=mean_epochs(request.scheduler, workload.epochs),
        ),
        reasons=reasons,
    )


def measure_step_times(
    workload: Workload,
    method: type[DistillationLoss],
    setting: dict[str, Any],
    num_threads: int,
    gpus: float,
    trains_teacher: bool,
) -> StepTimes:
    """Some steps of a trial with an untrained teacher, which takes as long as a trained one."""
    device = device_for(gpus)
    dataset, splits = open_data(workload)
    network = frozen(models.build(workload.teacher, dataset.num_classes))
    common: dict[str, Any] = {
        "dataset": dataset,
        "splits": splits,
        "seed": workload.seed,
        "data_seed": workload.seed,
        "device": device,
        "execution": FLOAT32,
    }
    with with_threads(num_threads):
        trial = Distillation(
            student=workload.student,
            method=method,
            setting=setting,
            teacher=teacher_of(workload.teacher, lambda: network, dataset, device),
            **common,
            **workload.schedule(),
        )
        step, teacher = _step_seconds(trial)
        few = splits.validation[: 2 * EVALUATION_BATCH_SIZE]
        begin = time.perf_counter()
        trial.evaluate(few)
        validation = (time.perf_counter() - begin) * len(splits.validation) / len(few)
        teacher_step = 0.0
        if trains_teacher:
            training = Distillation(
                student=workload.teacher,
                method=Plain,
                setting={},
                teacher=None,
                **common,
                **workload.teacher_schedule(),
            )
            teacher_step, _ = _step_seconds(training)
    return StepTimes(step, teacher, validation, teacher_step)


def _step_seconds(training: Distillation) -> tuple[float, float]:
    """Of a step without the teacher's answer, and of that."""
    steps = training.steps(1)
    next(steps)  # warms up
    begin = time.perf_counter()
    measured = list(islice(steps, PROBED_STEPS))
    if measured and next(iter(measured[0].terms.values())).is_cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - begin
    teacher = sum(step.teacher_seconds for step in measured)
    number = max(1, len(measured))
    return (seconds - teacher) / number, teacher / number


def _teacher_batches(
    search: Search, needs: tuple[tuple[str, ...], ...], outputs: OutputsPlan, steps: int
) -> tuple[int, int]:
    """How many answers of the teacher all trainings share, and how many each computes itself."""
    workload = search.workload
    names = max(needs, key=len, default=())
    if not names:
        return 0, 0
    sources = [
        outputs.source(names, number, final=False) for number in range(1, workload.passes + 1)
    ]
    num_live = sources.count("live")
    num_shared = len(sources) - num_live
    # The final trainings see passes of their own, once for each seed.
    once = num_shared * (1 + search.request.seeds) * steps
    return once, num_live * steps * workload.epochs // workload.passes
