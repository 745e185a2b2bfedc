"""Time, launches and busy time of a step; memory layouts."""

import tempfile
import time
from typing import NamedTuple

import torch
import torch.nn.functional as F

import models
from benchmarks.gpu.check import Check
from benchmarks.gpu.graphs import graph_seconds
from benchmarks.gpu.trainings import make_cached_training, make_data, steps_of, synchronize
from tuner.config.step_mode import Precision
from tuner.training.distillation import Distillation

SECTION = "speed"
CASES = (
    ("wrn_16_2", "wrn_40_2", "plain"),
    ("wrn_16_2", "wrn_40_2", "kd"),
    ("wrn_16_2", "wrn_40_2", "itrd"),
    ("resnet8x4", "resnet32x4", "kd"),
    ("MobileNetV2", "ResNet50", "kd"),
    ("ShuffleV2", "resnet32x4", "kd"),
    ("vgg8", "vgg13", "crd"),
    ("wrn_16_2", "wrn_40_2", "at"),
    ("wrn_16_2", "wrn_40_2", "mimkd"),
)
IN_BOTH_PRECISIONS = CASES[:4]
WITHOUT_DETERMINISM = (("wrn_16_2", "kd"), ("vgg8", "crd"), ("wrn_16_2", "mimkd"))
WARMUP_STEPS, PROFILED_STEPS = 8, 5


class StepCost(NamedTuple):
    """Of one step."""

    seconds: float
    num_kernels: float
    busy_seconds: float  # of the GPU

    def __str__(self) -> str:
        share = 100 * self.busy_seconds / self.seconds
        return (
            f"{1e3 * self.seconds:.2f} ms a step; {self.num_kernels:.0f} kernels, "
            f"GPU busy {1e3 * self.busy_seconds:.2f} ms = {share:.0f} %"
        )


def check_speed(check: Check) -> None:
    """Steps of several pairs and methods with a cached teacher."""
    folder = tempfile.mkdtemp()
    for case in CASES if check.on_gpu else CASES[:1]:
        precisions: tuple[Precision, ...] = ("float32", "bfloat16")
        in_both = check.on_gpu and case in IN_BOTH_PRECISIONS
        for precision in precisions if in_both else precisions[:1]:
            if not check.has_time(SECTION, case[0]):
                return
            with check.guarded(SECTION, f"{' '.join(case)} {precision}"):
                _add_speed(check, case, precision, folder)
    if check.on_gpu:
        with check.guarded(SECTION, "channels_last"):
            _add_layouts(check)


def _add_speed(check: Check, case: tuple[str, str, str], precision: Precision, folder: str) -> None:
    student, teacher, method = case
    data = make_data(6400 if check.on_gpu else 640, 100)
    training = make_cached_training(
        student, teacher, method, data, check.device, precision=precision, folder=folder
    )
    number = (10 if method == "mimkd" else 60) if check.on_gpu else 1
    cost = step_cost(training, number)
    check.add(SECTION, f"{teacher} > {student} {method} {precision}", cost)
    if check.on_gpu and (student, method) in WITHOUT_DETERMINISM:
        torch.utils.deterministic.fill_uninitialized_memory = False
        unfilled = step_cost(training, number)
        torch.use_deterministic_algorithms(False)
        free = step_cost(training, number)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = True
        for what, found in (
            ("  without filling empty memory", unfilled),
            ("  and without deterministic algorithms", free),
        ):
            check.add(SECTION, what, found, f"{cost.seconds / found.seconds:.2f}x")


def step_cost(training: Distillation, number: int) -> StepCost:
    """The faster of two runs of so many steps; kernels and busy time from the profiler."""
    device = training._device
    steps = steps_of(training)

    def following() -> None:
        nonlocal steps
        if next(steps, None) is None:
            steps = steps_of(training)
            next(steps)

    for _ in range(WARMUP_STEPS if device.type == "cuda" else 1):
        following()
    times = []
    for _ in range(2):
        synchronize(device)
        begin = time.perf_counter()
        for _ in range(number):
            following()
        synchronize(device)
        times.append((time.perf_counter() - begin) / number)
    if device.type != "cuda":
        return StepCost(min(times), 0, 0)
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(PROFILED_STEPS):
            following()
        torch.cuda.synchronize()
    events = [one for one in profiled.events() if "cuda" in str(one.device_type).lower()]
    busy = sum(one.time_range.elapsed_us() for one in events) / 1e6
    return StepCost(min(times), len(events) / PROFILED_STEPS, busy / PROFILED_STEPS)


def _add_layouts(check: Check) -> None:
    device = check.device
    for name in ("wrn_16_2", "resnet8x4", "MobileNetV2", "ShuffleV1"):
        row = []
        for layout in (torch.channels_last, torch.contiguous_format):
            for amp in (False, True):
                network = models.build(name, 100).to(memory_format=layout).to(device)
                images = torch.randn(64, 3, 32, 32, device=device)
                labels = torch.zeros(64, dtype=torch.long, device=device)

                def step(network=network, images=images, labels=labels, amp=amp) -> None:
                    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=amp):
                        logits = network(images).logits
                    F.cross_entropy(logits.float(), labels).backward()

                row.append(f"{1e3 * graph_seconds(step):.2f}")
        what = f"{name}: graph replay, nhwc fp32, bf16; nchw fp32, bf16 (ms)"
        check.add(SECTION, what, ", ".join(row))
