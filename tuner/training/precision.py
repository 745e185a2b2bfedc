"""How a student's step is computed: in which precision, compiled or not; decided by measurement.

Results differ in their last digits, so all trainings of a search are computed alike.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tuner.config.step_mode import BFLOAT16, FLOAT32, StepMode, WantedPrecision

MIN_GAIN = 1.15  # times as fast: below it a difference is noise, and float32 needs no excuse
# Searches whose students train for less than this are left as they are: nothing is to be
# gained, and a short search gives the same digits wherever and whenever it is run.
WORTH_MEASURING_SECONDS = 1800.0
WORTH_COMPILING_SECONDS = 4 * 3600.0  # measuring it takes a minute or two
COMPILATIONS_PER_GAIN = 3.0  # a trial must gain so many times what its compilation costs
ROUNDS = 3


def device_for(gpus: float) -> torch.device:
    """Where a training with so many GPUs runs."""
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
    """Measures the student's step on random images; returns the choice and its reason."""
    if wanted != "auto":
        return StepMode(wanted), f"{wanted}, as asked for"
    measure = StepTimer(build, image_size, batch_size, device)
    if measure(FLOAT32) * steps_per_trial * num_trials < WORTH_MEASURING_SECONDS:
        return FLOAT32, "float32, since the search is short"
    chosen, step_seconds, reason = choose_precision(measure)
    if step_seconds * steps_per_trial * num_trials < WORTH_COMPILING_SECONDS:
        return chosen, reason
    compiled = StepMode(chosen.precision, compiled=True)
    begin = time.perf_counter()
    try:
        measure(compiled)
    except RuntimeError:  # no C++ compiler, or a network that cannot be traced
        return chosen, f"{reason}; not compiled (it does not work here)"
    compile_seconds = time.perf_counter() - begin
    compiled_seconds = min(measure(compiled) for _ in range(ROUNDS))
    gain = step_seconds / compiled_seconds
    saved = (step_seconds - compiled_seconds) * steps_per_trial
    if gain >= MIN_GAIN and saved > COMPILATIONS_PER_GAIN * compile_seconds:
        return compiled, f"{reason}; compiled, {gain:.2f} times as fast again"
    return chosen, f"{reason}; not compiled ({gain:.2f} times as fast)"


def choose_precision(measure: Callable[[StepMode], float]) -> tuple[StepMode, float, str]:
    """The faster precision, the seconds of its step, and the reason."""
    # In turns, because a machine's speed changes from second to second.
    rounds = [(measure(FLOAT32), measure(BFLOAT16)) for _ in range(ROUNDS)]
    slow, fast = (min(times) for times in zip(*rounds, strict=True))
    chosen, seconds = (BFLOAT16, fast) if slow / fast >= MIN_GAIN else (FLOAT32, slow)
    reason = f"{chosen.precision}, since a step in bfloat16 is {slow / fast:.2f} times as fast"
    return chosen, seconds, reason


class StepTimer:
    """Seconds of one training step of a network, after one that warms up."""

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

    def __call__(self, execution: StepMode) -> float:
        if execution not in self._is_warm:
            self._is_warm.add(execution)
            self(execution)
        network = self._network
        if execution.compiled:
            # Not before it is asked for: the compiler's import alone takes seconds.
            self._compiled = self._compiled or torch.compile(network, dynamic=False)
            network = self._compiled
        begin = time.perf_counter()
        with autocast(self._images.device, execution):
            logits = network(self._images).logits
        loss = F.cross_entropy(logits.float(), self._labels)
        loss.backward()
        if loss.is_cuda:
            torch.cuda.synchronize()
        self._network.zero_grad()
        return time.perf_counter() - begin


def autocast(device: torch.device, execution: StepMode) -> torch.autocast:
    """The context of a student's forward pass."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=execution.precision == "bfloat16"
    )
