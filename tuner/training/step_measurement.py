"""Measures a training step in time and memory; call `measure_step` in a fresh process.

A process's peak memory can only grow, so each measurement needs a fresh process.
"""

import resource
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from losses import LOSSES, LossError
from models.errors import UnknownModel
from search_spaces import Setting
from search_spaces.wording import error_text
from tuner.config.step_mode import FLOAT32, StepMode
from tuner.config.workload import Workload
from tuner.data import Splits
from tuner.data.synthetic import noise_dataset
from tuner.text.errors import RequestError, printable
from tuner.training.building import build_training
from tuner.training.distillation import Distillation
from tuner.training.epoch_totals import Step
from tuner.training.precision import device_for
from tuner.training.teachers import build_untrained_teacher

LR = 1e-8  # so small that nothing diverges on noise; a step takes as long


@dataclass(frozen=True)
class Added:
    """What a method adds to the two networks."""

    num_parameters: int  # trainable, of its heads
    buffer_bytes: int  # of state that is not trained: memory banks, running statistics


@dataclass(frozen=True)
class Cost(Added):
    """The cost of one training step of batch_size images."""

    batch_size: int
    step_seconds: float  # median; student, teacher, loss and optimiser
    # The most memory that the training takes, networks and optimiser included. On a GPU what
    # torch has allocated there; on a CPU how far the process has grown since its start.
    peak_bytes: int

    @property
    def images_per_second(self) -> float:
        """The rate of training."""
        return self.batch_size / self.step_seconds


class Sizes(NamedTuple):
    """The sizes of a data set."""

    num_images: int
    num_classes: int
    image_size: tuple[int, int]  # height, width


class TooLargeError(RequestError):
    """Not enough memory for a step."""


def measure_step(
    workload: Workload,
    method_name: str,
    setting: Setting,
    *,
    batch_size: int,
    num_steps: int,
    sizes: Sizes,
    num_threads: int,
) -> Cost:
    """Measures `num_steps` steps on noise, with an untrained teacher in the loop.

    Raises TooLargeError if memory runs out, and RequestError for any other error.
    """
    torch.set_num_threads(num_threads)
    try:
        return _measure(workload, method_name, setting, batch_size, num_steps, sizes)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TooLargeError(printable(error_text(error))) from None
    except (RequestError, LossError, UnknownModel) as error:
        raise RequestError(printable(str(error))) from None
    except Exception as error:  # whatever a method's step raises
        # The CPU's allocator has no error class.
        kind = TooLargeError if "DefaultCPUAllocator" in str(error) else RequestError
        raise kind(printable(error_text(error))) from None


def added_by(objective: nn.Module) -> Added:
    """Counts the trainable parameters, and the bytes of everything else in the state dict."""
    trainable = sum(p.numel() for p in objective.parameters() if p.requires_grad)
    parameters = {name for name, _ in objective.named_parameters()}
    state = objective.state_dict()
    return Added(trainable, sum(x.nbytes for name, x in state.items() if name not in parameters))


def _measure(
    workload: Workload,
    method_name: str,
    setting: Setting,
    batch_size: int,
    num_steps: int,
    sizes: Sizes,
) -> Cost:
    device = device_for()
    _load_libraries()
    before = _peak_bytes(device)
    training = _training(workload, method_name, setting, batch_size, sizes, device)
    steps = _endless_steps(training, sizes.num_images // batch_size)
    next(steps)  # warms up
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
        peak_bytes=_peak_bytes(device) - before,
    )


def _training(
    workload: Workload,
    method_name: str,
    setting: Setting,
    batch_size: int,
    sizes: Sizes,
    device: torch.device,
) -> Distillation:
    dataset = noise_dataset(*sizes)
    teacher = None
    if method_name != "plain":
        teacher = build_untrained_teacher(workload.teacher, dataset, device)
    none = np.empty(0, np.int64)
    precision = workload.precision
    return build_training(
        replace(workload, batch_size=batch_size, lr=LR),
        dataset,
        Splits(np.arange(dataset.num_train), none, none),
        method=LOSSES[method_name],
        setting=setting,
        teacher=teacher,
        seed=workload.seed,
        data_seed=workload.seed,
        device=device,
        step_mode=FLOAT32 if precision == "auto" else StepMode(precision),
    )


def _endless_steps(training: Distillation, num_whole: int) -> Iterator[Step]:
    """Steps without end: the whole batches of one epoch after another."""
    epoch = 1
    while True:
        yield from islice(training.steps(training.stages[-1], epoch), num_whole)
        epoch += 1


def _load_libraries() -> None:
    """Makes torch load what it loads at the first step, which is not the training's memory."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 2))
    images = torch.zeros(2, 3, 8, 8).to(memory_format=torch.channels_last)
    F.cross_entropy(network(images), torch.zeros(2, dtype=torch.int64)).backward()
    torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9, fused=True).step()


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
