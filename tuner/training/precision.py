"""Measures in which step mode a student trains fastest, and runs its forward pass in that mode."""

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tuner.config.step_mode import BFLOAT16, FLOAT32, StepMode, WantedPrecision

MIN_GAIN = 1.15  # times as fast: a smaller difference is noise
# Shorter searches stay in float32: there is nothing to gain, and they give the same digits
# wherever and whenever they run.
WORTH_MEASURING_SECONDS = 1800.0
WORTH_COMPILING_SECONDS = 4 * 3600.0  # measuring the compiled step takes a minute or two
COMPILATIONS_PER_GAIN = 3.0  # a trial must save this many times what its compilation costs
ROUNDS = 3


def device_for(gpus: float = 1) -> torch.device:
    """The device of a training that may use this many GPUs: a GPU if there is one."""
    return torch.device("cuda" if gpus and torch.cuda.is_available() else "cpu")


def choose_step_mode(
    build: Callable[[], nn.Module],
    *,
    image_size: tuple[int, int],
    batch_size: int,
    steps_per_trial: int,
    num_trials: int,
    wanted: WantedPrecision,
    device: torch.device,
) -> tuple[StepMode, str]:
    """Measures the student's step on random images; returns the step mode and the reason.

    `build` returns the student, `image_size` is (height, width) in pixels.
    """
    if wanted != "auto":
        return StepMode(wanted), f"{wanted}, as requested"
    measure = StepTimer(build, image_size, batch_size, device)
    if measure(FLOAT32) * steps_per_trial * num_trials < WORTH_MEASURING_SECONDS:
        return FLOAT32, "float32: the search is short"
    chosen, step_seconds, reason = choose_precision(measure)
    if step_seconds * steps_per_trial * num_trials < WORTH_COMPILING_SECONDS:
        return chosen, reason
    compiled = StepMode(chosen.precision, compiled=True)
    begin = time.perf_counter()
    try:
        measure(compiled)
    except RuntimeError:  # no C++ compiler, or a network that cannot be traced
        return chosen, f"{reason}; not compiled: compiling fails here"
    compile_seconds = time.perf_counter() - begin
    compiled_seconds = min(measure(compiled) for _ in range(ROUNDS))
    gain = step_seconds / compiled_seconds
    saved = (step_seconds - compiled_seconds) * steps_per_trial
    if gain >= MIN_GAIN and saved > COMPILATIONS_PER_GAIN * compile_seconds:
        return compiled, f"{reason}; compiled, another {gain:.2f} times as fast"
    return chosen, f"{reason}; not compiled, only {gain:.2f} times as fast"


def choose_precision(measure: Callable[[StepMode], float]) -> tuple[StepMode, float, str]:
    """Returns the faster precision, the seconds of its step, and the reason."""
    # Alternating, because a machine's speed changes from second to second.
    rounds = [(measure(FLOAT32), measure(BFLOAT16)) for _ in range(ROUNDS)]
    slow, fast = (min(times) for times in zip(*rounds, strict=True))
    chosen, seconds = (BFLOAT16, fast) if slow / fast >= MIN_GAIN else (FLOAT32, slow)
    reason = f"{chosen.precision}: a step in bfloat16 is {slow / fast:.2f} times as fast"
    return chosen, seconds, reason


class StepTimer:
    """Measures the seconds of one training step of a network, after a warm-up step."""

    def __init__(
        self,
        build: Callable[[], nn.Module],
        image_size: tuple[int, int],
        batch_size: int,
        device: torch.device,
    ) -> None:
        self._network = build().to(memory_format=torch.channels_last).to(device)
        generator = torch.Generator().manual_seed(0)
        self._images = torch.randn(batch_size, 3, *image_size, generator=generator).to(device)
        self._labels = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self._compiled: Any = None
        self._is_warm: set[StepMode] = set()

    def __call__(self, step_mode: StepMode) -> float:
        if step_mode not in self._is_warm:
            self._is_warm.add(step_mode)
            self(step_mode)
        network = self._network
        if step_mode.compiled:
            # Only now: importing the compiler alone takes seconds.
            self._compiled = self._compiled or torch.compile(network, dynamic=False)
            network = self._compiled
        begin = time.perf_counter()
        with autocast(self._images.device, step_mode):
            logits = network(self._images).logits
        loss = F.cross_entropy(logits.float(), self._labels)
        loss.backward()
        if loss.is_cuda:
            torch.cuda.synchronize()
        self._network.zero_grad()
        return time.perf_counter() - begin


def autocast(device: torch.device, step_mode: StepMode) -> torch.autocast:
    """The context in which a student's forward pass runs."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=step_mode.precision == "bfloat16"
    )
