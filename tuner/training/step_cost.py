"""What a training step with a method costs in time and memory, and what the method adds.

For the papers' tables of cost (ITRD's supplement, Table 5; MIMKD, A.7). As in their protocol the
teacher runs in the loop; nothing is cached. Images are noise and the teacher is untrained, which
takes as long as real ones.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch

import models
from losses import LOSSES, Objective, TrainingData, build_objective
from models import shapes_of
from search_spaces.parameters import Setting
from search_spaces.wording import suggestion
from tuner.config.workload import Workload
from tuner.text.errors import RequestError
from tuner.training.seeding import seeded
from tuner.training.step_measurement import (
    Added,
    Cost,
    Sizes,
    TooLargeError,
    added_by,
    measure_step,
)
from tuner.training.workload_data import open_data

BATCH_STEP = 8  # batch sizes that are tried are multiples of it
LARGEST_BATCH = 4096


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
    """Measures training steps on the GPU if there is one, else with torch's number of threads.

    Measures the training itself, not the method's initial stage. `num_images`, by default the
    workload's training images, decides how large memory banks are; the data is not opened if
    that, `num_classes` and the workload's image_size are all given. `plain` is measured without a
    teacher, `kd` with one and no heads.

    Raises RequestError if it cannot be measured, TooLargeError if memory runs out.
    """
    _require_known(method_name)
    sizes = _sizes(workload, num_images, num_classes)
    if not 2 <= batch_size <= sizes.num_images:
        raise RequestError(
            f"the batch size is {batch_size}; it must lie between 2 and {sizes.num_images}, "
            "the number of training images"
        )
    place = f"{method_name} with {batch_size} images per step"
    # Forked from a small server: the peak memory of a process that the present one starts would
    # begin at the present one's.
    context = multiprocessing.get_context("forkserver")
    try:
        with ProcessPoolExecutor(max_workers=1, mp_context=context) as fresh_process:
            return fresh_process.submit(
                measure_step,
                workload,
                method_name,
                setting,
                batch_size=batch_size,
                num_steps=num_steps,
                sizes=sizes,
                num_threads=torch.get_num_threads(),
            ).result()
    except BrokenProcessPool:  # killed, as a system without memory does
        raise TooLargeError(f"{place}: its process was killed; give a smaller batch size") from None
    except TooLargeError as error:
        raise TooLargeError(f"{place}: {error}; give a smaller batch size") from None
    except RequestError as error:
        raise RequestError(f"{place}: {error}") from None


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

    At most 4096 and at most the training images. Raises RequestError as `measure_cost` does, and
    if not even 8 images fit.
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

    cost = find_largest(measure, cap_bytes, min(LARGEST_BATCH, sizes.num_images))
    if cost is None:
        raise RequestError(
            f"{method_name}: a step of {BATCH_STEP} images does not fit into "
            f"{cap_bytes / 1e9:.2f} GB; raise the cap"
        )
    return cost


def find_largest(measure: Callable[[int], Cost], cap_bytes: int, most: int) -> Cost | None:
    """The cost of the largest multiple of 8 up to `most` that fits; None if none does.

    Doubles the size until it does not fit, then bisects: large batches are slow to measure.
    """
    best = None
    # In multiples of 8: the largest that fits, the smallest that does not.
    low, high = 0, most // BATCH_STEP + 1
    size, is_bounded = 1, False
    while high - low > 1:
        cost = _cost_if_it_fits(measure, size * BATCH_STEP, cap_bytes)
        if cost is None:
            high, is_bounded = size, True
        else:
            low, best = size, cost
        size = (low + high) // 2 if is_bounded else min(2 * size, high - 1)
    return best


def _cost_if_it_fits(
    measure: Callable[[int], Cost], batch_size: int, cap_bytes: int
) -> Cost | None:
    try:
        cost = measure(batch_size)
    except TooLargeError:
        return None
    return cost if cost.peak_bytes <= cap_bytes else None


def added_parameters(
    workload: Workload,
    method_name: str,
    setting: Setting,
    *,
    num_images: int | None = None,
    num_classes: int | None = None,
) -> Added:
    """Counts what a method adds, without allocating it; for the arguments see `measure_cost`.

    Raises losses.LossError if the method does not fit the networks or the setting.
    """
    _require_known(method_name)
    sizes = _sizes(workload, num_images, num_classes)
    student, teacher = (
        shapes_of(models.build_untrained(name, sizes.num_classes), sizes.image_size, name)
        for name in (workload.student, workload.teacher)
    )
    rows = torch.arange(sizes.num_images)

    def build() -> Objective:
        # Shapes without numbers: ImageNet's memory banks take 1.3 GB.
        with torch.device("meta"):
            objective = build_objective(LOSSES[method_name], student, teacher, setting)
            objective.start(TrainingData(rows, rows % sizes.num_classes, workload.epochs))
        return objective

    return added_by(seeded(0, build))


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
