"""Measures which fraction of a GPU a trial needs; Ray's fractions are bookkeeping only."""

import math

import torch

from losses import DistillationLoss
from search_spaces import Setting
from tuner.config.workload import Workload
from tuner.training.building import build_probe
from tuner.training.workload_data import open_data

# What a process holds outside PyTorch's allocator: the CUDA context, cuDNN's and cuBLAS's handles.
# 767 MiB on an H200 with PyTorch 2.11 and CUDA 13.0 (`python -m benchmarks gpu`).
CONTEXT_BYTES = 800 * 2**20
HEADROOM = 1.15
VALIDATION_IMAGES = 500


def gpu_fraction(peak_bytes: int, total_bytes: int) -> float:
    """The largest 1/n of a GPU that holds a trial with this peak; 1 if not even that does."""
    needed = HEADROOM * peak_bytes + CONTEXT_BYTES
    return 1 / max(1, math.floor(total_bytes / needed))


def measure_gpu_fraction(
    workload: Workload, method: type[DistillationLoss], setting: Setting
) -> float:
    """Trains for one step, evaluates, and returns the fraction of this GPU that a trial needs.

    Runs as a Ray task that holds a whole GPU.
    """
    dataset, splits = open_data(workload)
    device = torch.device("cuda")
    one_batch = splits._replace(train=splits.train[: workload.batch_size])
    training = build_probe(
        workload, dataset, one_batch, method=method, setting=setting, device=device
    )
    for _ in training.steps(training.stages[-1], epoch=1):
        pass
    training.evaluate(splits.validation[:VALIDATION_IMAGES])
    total = torch.cuda.get_device_properties(device).total_memory
    return gpu_fraction(torch.cuda.max_memory_reserved(device), total)
