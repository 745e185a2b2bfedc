"""What a step of training with a method costs, in time and memory, and what it adds.

For the papers' tables of cost (ITRD's supplement, Table 5; MIMKD, A.7). As in their protocol
the teacher runs in the loop: nothing is cached. Each measurement has a process of its own
(`step_cost_process`), so that no peak is another's. Images are noise and the teacher is
untrained, which takes as long as real ones.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

import models
from losses import LOSSES, Objective, TrainingData, build_objective
from models import shapes_of
from search_spaces.parameters import Setting, suggestion
from tuner.config.workload import Workload
from tuner.text.errors import RequestError, printable
from tuner.training.seeding import seeded
from tuner.training.workload_data import open_data

BATCH_STEP = 8  # batch sizes that are tried are multiples of it
LARGEST_BATCH = 4096
MAX_MEASUREMENTS = 16
MAX_GROWTH = 8  # of a batch size from one measurement to the next
MEASURING_SECONDS = 3600.0  # a process that takes longer is ended


@dataclass(frozen=True)
class Added:
    """What a method has beside the two networks."""

    num_parameters: int  # trainable, of its heads
    buffer_bytes: int  # of its state that is not trained: memory banks, running statistics


@dataclass(frozen=True)
class Cost(Added):
    """One training step, of batch_size images."""

    batch_size: int
    step_seconds: float  # median: the student, its teacher, the loss, the optimiser
    # The most memory that training takes, networks and optimiser included. On a GPU what torch
    # has allocated, without its own overhead. On a CPU resident memory (VmHWM) less what the
    # process had before it built anything, with freed tensors returned at once.
    peak_bytes: int

    @property
    def images_per_second(self) -> float:
        """The rate of training."""
        return self.batch_size / self.step_seconds


class Sizes(NamedTuple):
    """What there is to know of the images."""

    num_images: int
    num_classes: int
    image_size: tuple[int, int]


class TooLargeError(RequestError):
    """There is not enough memory for a step."""


def measure_cost(
    workload: Workload,
    method_name: str,
    setting: Setting,
    *,
    batch_size: int,
    num_steps: int = 5,
    num_images: int | None = None,
    num_classes: int | None = None,
) -> Cost:
    """Measures some steps on the GPU if there is one, else with as many threads as torch has here.

    Of the stages of a method its training is measured, not what comes before. There are as many
    images as the workload trains on, or `num_images`, which decides how large memory banks are;
    its data is not opened if that, `num_classes` and its image_size are all given. `plain` is
    measured without a teacher, `kd` with one and no heads.

    Raises RequestError where it cannot be measured, TooLargeError for lack of memory.
    """
    _require_known(method_name)
    sizes = _sizes(workload, num_images, num_classes)
    if not 2 <= batch_size <= sizes.num_images:
        raise RequestError(
            f"the batch size is {batch_size}; it must lie between 2 and {sizes.num_images}, "
            "the number of training images"
        )
    answer = _ask_process(
        f"{method_name} with {batch_size} images a step",
        {
            "workload": asdict(workload),
            "method_name": method_name,
            "setting": setting,
            "batch_size": batch_size,
            "num_steps": num_steps,
            "sizes": sizes,
            "num_threads": torch.get_num_threads(),
        },
    )
    return Cost(**answer)


def largest_batch(
    workload: Workload,
    method_name: str,
    setting: Setting,
    cap_bytes: int,
    *,
    num_steps: int = 5,
    num_images: int | None = None,
    num_classes: int | None = None,
) -> Cost:
    """The cost of the largest batch, a multiple of 8, whose step stays within cap_bytes.

    At most 4096 and at most the training images. Raises RequestError as `measure_cost` does,
    and where not even 8 images fit.
    """
    sizes = _sizes(workload, num_images, num_classes)

    def measure(batch_size: int) -> Cost:
        return measure_cost(
            workload,
            method_name,
            setting,
            batch_size=batch_size,
            num_steps=num_steps,
            num_images=sizes.num_images,
            num_classes=sizes.num_classes,
        )

    most = min(LARGEST_BATCH, sizes.num_images) // BATCH_STEP * BATCH_STEP
    cost = find_largest(measure, cap_bytes, most)
    if cost is None:
        raise RequestError(
            f"{method_name}: a step of {BATCH_STEP} images does not fit into "
            f"{cap_bytes / 1e9:.2f} GB; raise the cap"
        )
    return cost


def find_largest(measure: Callable[[int], Cost], cap_bytes: int, most: int) -> Cost | None:
    """The cost of the largest multiple of 8 up to `most` that fits, with few measurements.

    Memory grows almost linearly with the batch: the next size is where the line through the
    two measurements nearest to the cap meets it. The search ends when the size above the
    largest that was seen to fit was seen not to, or should not by that line.
    """
    best: Cost | None = None
    peaks: dict[int, int] = {}
    low, high = 0, most + BATCH_STEP  # the largest known to fit, the smallest known not to
    batch_size = min(2 * BATCH_STEP, most)
    for _ in range(MAX_MEASUREMENTS):
        if not low < batch_size < high:
            break
        width = high - low
        try:
            cost = measure(batch_size)
        except TooLargeError:
            high = batch_size
        else:
            peaks[batch_size] = cost.peak_bytes
            if cost.peak_bytes <= cap_bytes:
                low, best = batch_size, cost
            else:
                high = batch_size
        batch_size = _where_it_should_be(peaks, low, high, cap_bytes)
        if high <= most:  # a line ends nothing where measurements can, and may lead in small steps
            is_slow = 2 * (high - low) > width
            batch_size = (
                _multiple((low + high) / 2) if is_slow else max(batch_size, low + BATCH_STEP)
            )
    return best


def _where_it_should_be(peaks: dict[int, int], low: int, high: int, cap_bytes: int) -> int:
    """From low, where nothing above it should fit, up to what is below high."""
    size = 4.0 * low or high / 2
    near = sorted(peaks, key=lambda size: abs(peaks[size] - cap_bytes))[:2]
    if len(near) == 2:
        slope = (peaks[near[1]] - peaks[near[0]]) / (near[1] - near[0])
        if slope > 0:
            size = near[0] + (cap_bytes - peaks[near[0]]) / slope
    return max(low, min(_multiple(size), high - BATCH_STEP, MAX_GROWTH * low or high))


def _multiple(size: float) -> int:
    return int(size // BATCH_STEP) * BATCH_STEP


def added_parameters(
    workload: Workload,
    method_name: str,
    setting: Setting,
    *,
    num_images: int | None = None,
    num_classes: int | None = None,
) -> Added:
    """What a method adds, counted without memory for it; see `measure_cost` for the rest.

    Raises losses.LossError where the method does not fit the networks or the setting.
    """
    _require_known(method_name)
    sizes = _sizes(workload, num_images, num_classes)
    student, teacher = (
        shapes_of(models.build_untrained(name, sizes.num_classes), sizes.image_size, name)
        for name in (workload.student, workload.teacher)
    )
    rows = torch.arange(sizes.num_images)

    def build() -> Objective:
        # Shapes without numbers: ImageNet's banks have 1.3 GB.
        with torch.device("meta"):
            objective = build_objective(LOSSES[method_name], student, teacher, setting)
            objective.start(TrainingData(rows, rows % sizes.num_classes, workload.epochs))
        return objective

    return added_by(seeded(0, build))


def added_by(objective: nn.Module) -> Added:
    """Its trainable parameters, and the bytes of what else is in its state dict."""
    trainable = sum(p.numel() for p in objective.parameters() if p.requires_grad)
    parameters = {name for name, _ in objective.named_parameters()}
    state = objective.state_dict()
    return Added(trainable, sum(x.nbytes for name, x in state.items() if name not in parameters))


def _require_known(method_name: str) -> None:
    if method_name not in LOSSES:
        raise RequestError(
            f"unknown method {method_name!r}{suggestion(method_name, LOSSES)} "
            f"known: {', '.join(LOSSES)}"
        )


def _sizes(workload: Workload, num_images: int | None, num_classes: int | None) -> Sizes:
    size = workload.image_size
    if num_images and num_classes and size:
        return Sizes(num_images, num_classes, (size, size))
    dataset, splits = open_data(workload)
    return Sizes(
        num_images or len(splits.train), num_classes or dataset.num_classes, dataset.image_size
    )


def _ask_process(what: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of a fresh process; what it refuses is raised here."""
    # It imports what this process would, wherever that was found.
    path = os.pathsep.join(place for place in sys.path if place)
    try:
        process = subprocess.run(
            [sys.executable, "-m", "tuner.training.step_cost_process"],
            input=json.dumps(request | {"asked_by": os.getpid()}),
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=MEASURING_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise RequestError(
            f"{what}: not measured within {MEASURING_SECONDS:.0f} s; give a smaller batch size"
        ) from error
    if process.returncode == -signal.SIGKILL:  # what a system without memory does
        raise TooLargeError(f"{what}: its process was killed; give a smaller batch size")
    if process.returncode:
        lines = process.stderr.strip().splitlines() or ["it said nothing"]
        raise RequestError(
            f"{what}: could not be measured, status {process.returncode} ({printable(lines[-1])})"
        )
    answer: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    if "too_large" in answer:
        raise TooLargeError(f"{what}: {answer['too_large']}; give a smaller batch size")
    if "refused" in answer:
        raise RequestError(f"{what}: {answer['refused']}")
    return answer
