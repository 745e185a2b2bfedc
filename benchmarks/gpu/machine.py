"""The machine: versions, memory outside the allocator, bandwidth, TF32."""

import os
import shutil
import sys
import time
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
import torch.nn.functional as F

import models
from benchmarks.gpu.check import Check
from tuner.orchestration.gpu_share import CONTEXT_BYTES

SECTION = "machine"
PACKAGES = ("ray", "optuna", "mlflow", "pydantic", "pyarrow", "cmaes")


def check_machine(check: Check) -> None:
    """Adds what the other findings depend on."""
    versions = f"{sys.version.split()[0]}, {torch.__version__}, {np.__version__}"
    check.add(SECTION, "python, torch, numpy", versions)
    for package in PACKAGES:
        try:
            check.add(SECTION, package, version(package))
        except PackageNotFoundError:
            check.add(SECTION, package, "missing", "NOTE")
    mps = bool(shutil.which("nvidia-cuda-mps-control"))
    cores = len(os.sched_getaffinity(0))
    check.add(SECTION, "cores, nvidia-cuda-mps-control", f"{cores}, {mps}")
    if check.on_gpu:
        _add_memory(check)
        _add_bandwidth(check)
        cudnn, matmul = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        note = "NOTE: 'float32' is TF32 in convolutions" if cudnn else ""
        check.add(SECTION, "TF32 by default: cudnn, matmul", f"{cudnn}, {matmul}", note)


def _add_memory(check: Check) -> None:
    device = check.device
    free, total = torch.cuda.mem_get_info()
    network = models.build("wrn_16_2", 10).to(memory_format=torch.channels_last).to(device)
    logits = network(torch.randn(64, 3, 32, 32, device=device)).logits
    F.cross_entropy(logits, torch.zeros(64, dtype=torch.long, device=device)).backward()
    (torch.randn(64, 64, device=device) @ torch.randn(64, 64, device=device)).sum().item()
    torch.cuda.synchronize()
    now_free = torch.cuda.mem_get_info()[0]
    outside = total - now_free - torch.cuda.memory_reserved()
    size = f"{total / 2**30:.1f} GiB; cc {torch.cuda.get_device_capability()}"
    check.add(SECTION, torch.cuda.get_device_name(), f"{size}; free before {free / 2**30:.1f}")
    check.add(
        SECTION,
        "outside the allocator with cuDNN, cuBLAS (MiB)",
        f"{outside / 2**20:.0f} (CONTEXT_BYTES is {CONTEXT_BYTES >> 20})",
        "ok" if outside <= CONTEXT_BYTES else "LOOK: CONTEXT_BYTES is too small",
    )


def _add_bandwidth(check: Check) -> None:
    source = torch.empty(2**31, dtype=torch.uint8, device=check.device)
    target = torch.empty_like(source)
    for _ in range(3):
        target.copy_(source)
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(10):
        target.copy_(source)
    torch.cuda.synchronize()
    rate = 20 * source.numel() / (time.perf_counter() - begin) / 1e12
    check.add(SECTION, "device copy TB/s, read + written", f"{rate:.2f}")
