"""How much of a GPU a trial needs: measured, because Ray's fractions are bookkeeping only."""

import math

import torch

import models
from losses import DistillationLoss
from search_spaces import Setting
from tuner.config.step_mode import FLOAT32
from tuner.config.workload import Workload
from tuner.training.distillation import Distillation
from tuner.training.seeding import frozen
from tuner.training.teachers import teacher_of
from tuner.training.workload_data import open_data

# What the CUDA context of another process takes, which no allocator sees.
CONTEXT_BYTES = 600 * 2**20
HEADROOM = 1.15


def gpu_fraction(peak_bytes: int, total_bytes: int) -> float:
    """The largest 1/n of a GPU that holds a trial with this peak; 1 if it barely fits at all."""
    needed = HEADROOM * peak_bytes + CONTEXT_BYTES
    return 1 / max(1, math.floor(total_bytes / needed))


def measure_gpu_fraction(
    workload: Workload, method: type[DistillationLoss], setting: Setting
) -> float:
    """Trains one epoch of one batch on this process's GPU and says what share a trial needs.

    Runs as a Ray task that holds a whole GPU.
    """
    dataset, splits = open_data(workload)
    few = splits._replace(
        train=splits.train[: workload.batch_size], validation=splits.validation[:500]
    )
    # An untrained teacher takes as much memory as a trained one.
    network = frozen(models.build(workload.teacher, dataset.num_classes))
    device = torch.device("cuda")
    Distillation(
        student=workload.student,
        method=method,
        setting=setting,
        teacher=teacher_of(workload.teacher, lambda: network, dataset, device),
        dataset=dataset,
        splits=few,
        seed=workload.seed,
        data_seed=workload.seed,
        device=device,
        execution=FLOAT32,
        **workload.schedule(),
    ).run_epoch()
    total = torch.cuda.get_device_properties(device).total_memory
    return gpu_fraction(torch.cuda.max_memory_reserved(device), total)
