"""The process that measures one cost: a request as JSON comes in, a `Cost` goes out.

python -m tuner.training.step_cost_process < request.json
"""

import ctypes
import gc
import json
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import models
from losses import LOSSES, LossError
from models.errors import UnknownModel
from search_spaces.parameters import Setting
from tuner.config.step_mode import FLOAT32, StepMode
from tuner.config.workload import Workload
from tuner.data import Dataset, Splits, evaluation_batches
from tuner.data.synthetic import noise_dataset
from tuner.text.errors import RequestError, printable, said
from tuner.training.distillation import Distillation, Step
from tuner.training.precision import device_for
from tuner.training.seeding import frozen, seeded
from tuner.training.step_cost import Cost, Sizes, added_by
from tuner.training.teachers import teacher_of

MEMORY_STEPS = 2  # the second one begins with the gradients of the first
TEACHER_IMAGES = 64  # whose statistics normalise its layers
# So small that nothing diverges on noise; a step takes as long.
LR = 1e-8
# Of mallopt and of prctl, see their man pages.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
PR_SET_PDEATHSIG, PR_SET_THP_DISABLE = 1, 41
# Blocks of so many bytes go back to the system as soon as they are freed: while memory is
# measured, and afterwards, where it is what glibc arrives at by itself in a training.
RETURNED_BYTES, KEPT_BYTES = 64 * 1024, 32 * 1024**2
_CLEAR_REFS = Path("/proc/self/clear_refs")


def main() -> None:
    """Reads a request from stdin, writes the answer as the last line of stdout."""
    request = json.load(sys.stdin)
    _end_with(request.pop("asked_by", os.getppid()))
    answer: dict[str, Any]
    try:
        answer = asdict(_measure(**request))
    except (torch.OutOfMemoryError, MemoryError) as error:
        answer = {"too_large": said(error)}
    except (RequestError, LossError, UnknownModel) as error:
        answer = {"refused": printable(str(error))}
    except Exception as error:  # whatever a method's step raises is told by the other side
        # A CPU's allocator has no error of its own.
        kind = "too_large" if "DefaultCPUAllocator" in str(error) else "refused"
        answer = {kind: said(error)}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


def _end_with(parent: int) -> None:
    """A measurement that nobody waits for any more would hold its gigabytes for minutes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # gone before
            sys.exit("nobody waits for this measurement")


def _measure(
    workload: dict[str, Any],
    method_name: str,
    setting: Setting,
    batch_size: int,
    num_steps: int,
    sizes: list[Any],
    num_threads: int,
) -> Cost:
    torch.set_num_threads(num_threads)
    device = device_for(1)
    wanted = Workload(**workload)
    num_images, num_classes, image_size = Sizes(*sizes)
    dataset = noise_dataset(num_images, num_classes, (image_size[0], image_size[1]))
    memory = _GpuMemory() if device.type == "cuda" else _CpuMemory()
    training = _training(wanted, method_name, setting, batch_size, dataset, device)
    steps = _steps(training, num_images // batch_size)
    next(steps)  # warms up
    peak_bytes = memory.peak_of(steps)
    next(steps)
    seconds = []
    for _ in range(num_steps):
        begin = time.perf_counter()
        next(steps)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    added = added_by(training.objective)
    return Cost(
        num_parameters=added.num_parameters,
        buffer_bytes=added.buffer_bytes,
        batch_size=batch_size,
        step_seconds=statistics.median(seconds),
        peak_bytes=peak_bytes,
    )


def _training(
    workload: Workload,
    method_name: str,
    setting: Setting,
    batch_size: int,
    dataset: Dataset,
    device: torch.device,
) -> Distillation:
    rows, none = np.arange(dataset.num_train), np.empty(0, np.int64)
    teacher = None
    if method_name != "plain":
        network = _untrained(workload.teacher, dataset, device)
        teacher = teacher_of(workload.teacher, lambda: network, dataset, device)
    precision = workload.precision
    return Distillation(
        student=workload.student,
        method=LOSSES[method_name],
        setting=setting,
        teacher=teacher,
        dataset=dataset,
        splits=Splits(rows, none, none),
        seed=workload.seed,
        data_seed=workload.seed,
        device=device,
        execution=FLOAT32 if precision == "auto" else StepMode(precision),
        **workload.schedule() | {"batch_size": batch_size, "lr": LR},
    )


def _untrained(name: str, dataset: Dataset, device: torch.device) -> nn.Module:
    """A teacher with random weights, normalised by a batch's statistics: else its logits might
    be so large that softened probabilities become denormal numbers, which are slow.
    """
    network = seeded(0, lambda: models.build(name, dataset.num_classes)).to(device)
    momenta = {}
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            momenta[layer], layer.momentum = layer.momentum, 1.0
    network.train()
    rows = np.arange(min(TEACHER_IMAGES, dataset.num_train))
    (batch,) = evaluation_batches(dataset, rows, batch_size=len(rows), device=device)
    with torch.no_grad():
        network(batch.images)
    for layer, momentum in momenta.items():
        layer.momentum = momentum
    return frozen(network)


def _steps(training: Distillation, num_whole: int) -> Iterator[Step]:
    """Without end: of each epoch the batches that are whole."""
    epoch = 1
    while True:
        yield from islice(training.steps(epoch), num_whole)
        epoch += 1


class _GpuMemory:
    """What torch has allocated on the GPU."""

    def peak_of(self, steps: Iterator[Step]) -> int:
        torch.cuda.reset_peak_memory_stats()
        for _ in range(MEMORY_STEPS):
            next(steps)
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()


class _CpuMemory:
    """The resident memory of this process, by Linux's count."""

    def __init__(self) -> None:
        """What is made from now on counts. Raises RequestError."""
        if not _CLEAR_REFS.exists():
            raise RequestError(
                "the memory of a process is counted by Linux; measure there, or on a GPU"
            )
        self._libc = ctypes.CDLL(None)
        # From the first tensor on: what is in the heap once stays there, and is resident.
        self._libc.mallopt(M_MMAP_THRESHOLD, RETURNED_BYTES)
        self._libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)  # a large page is resident as a whole
        # What torch loads with its first step is not the training's.
        network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 2))
        images = torch.zeros(2, 3, 8, 8).to(memory_format=torch.channels_last)
        F.cross_entropy(network(images), torch.zeros(2, dtype=torch.int64)).backward()
        torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9, fused=True).step()
        self._trim()
        self._before = self._read("VmRSS")

    def peak_of(self, steps: Iterator[Step]) -> int:
        """Of some steps; time is measured afterwards, as a block that always goes back has to
        be mapped again.
        """
        self._trim()
        _CLEAR_REFS.write_text("5")  # VmHWM begins anew
        for _ in range(MEMORY_STEPS):
            next(steps)
        peak = self._read("VmHWM")
        self._libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        self._libc.mallopt(M_TRIM_THRESHOLD, 2 * KEPT_BYTES)
        self._libc.prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)
        return peak - self._before

    def _trim(self) -> None:
        gc.collect()
        self._libc.malloc_trim(0)

    def _read(self, name: str) -> int:
        (kilobytes,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return 1024 * int(kilobytes)


if __name__ == "__main__":
    main()
