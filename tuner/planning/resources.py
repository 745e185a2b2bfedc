"""Computes how many CPUs and GPUs a trial takes, and how many trials fit."""

import os
from dataclasses import dataclass

import torch

from tuner.config.options import RunRequest
from tuner.text.errors import RequestError


@dataclass(frozen=True)
class Resources:
    """The resources that a task gets."""

    gpus_per_trial: float
    max_concurrent: int  # trials
    trials_per_machine: int  # maximum; trials share memory only within a machine


def num_cpus() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resources_for(request: RunRequest, nodes: list[dict[str, float]]) -> Resources:
    """What a task gets of the machines `nodes`, such as {"CPU": 8, "GPU": 1}.

    Raises RequestError if no machine can hold a trial.
    """
    gpus_per_trial = request.gpus_per_trial
    if gpus_per_trial is None:
        gpus_per_trial = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    if gpus_per_trial > 1 and gpus_per_trial % 1:
        raise RequestError(
            f"gpus_per_trial is {gpus_per_trial:g}; give a fraction up to 1, or a whole number"
        )
    for name, kind, wanted in (
        ("cpus_per_trial", "CPU", request.cpus_per_trial),
        ("gpus_per_trial", "GPU", gpus_per_trial),
    ):
        largest = max((node.get(kind, 0.0) for node in nodes), default=0.0)
        if wanted > largest and not largest and request.address is not None:
            raise RequestError(
                f"no machine of the cluster has a {kind} for trials yet; wait for its workers "
                f"(`ray status`), or lower --{name.replace('_', '-')}"
            )
        if wanted > largest:
            raise RequestError(
                f"{name} is {wanted:g} but no machine has more than {largest:g}; "
                f"lower it with --{name.replace('_', '-')} or use a larger machine"
            )
    fits = [fit(node, request.cpus_per_trial, gpus_per_trial) for node in nodes]
    if not any(fits):
        raise RequestError(
            f"no machine has {request.cpus_per_trial:g} CPU and {gpus_per_trial:g} GPU together; "
            "lower --cpus-per-trial or --gpus-per-trial"
        )
    max_concurrent = request.max_concurrent or sum(fits)
    if request.address is None:  # on a cluster, waiting trials make it grow
        max_concurrent = min(max_concurrent, sum(fits))
    return Resources(gpus_per_trial, max_concurrent, min(max_concurrent, max(fits)))


def machine_resources() -> dict[str, float]:
    """CPUs and GPUs of this machine, as Ray counts them."""
    return {"CPU": float(num_cpus()), "GPU": float(torch.cuda.device_count())}


def fit(node: dict[str, float], cpus: float, gpus: float) -> int:
    """How many trials fit on one machine; none is split over two GPUs."""
    num_fit = int(node.get("CPU", 0.0) / cpus)
    if not gpus:
        return num_fit
    num_gpus = node.get("GPU", 0.0)
    return min(num_fit, int(num_gpus) * int(1 / gpus) if gpus < 1 else int(num_gpus / gpus))
