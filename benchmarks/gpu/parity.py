"""Networks and losses on the device against the CPU."""

import copy
import types
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import models
from benchmarks.gpu.check import Check
from benchmarks.gpu.trainings import (
    FEW_METHODS,
    STUDENT,
    TEACHER,
    has_initial_stage,
    make_data,
    make_training,
    relative_error,
    steps_of,
    tf32,
)
from losses import LOSSES
from losses.parts.negatives import Negatives
from models.registry import MODELS
from tuner.data import Dataset, Splits
from tuner.training.seeding import seeded

# A gradient through dozens of ReLUs is off by far more than its arithmetic is: how far is measured
# on the CPU, in the same precision. Float64 shows that the device computes the same function.
FLOAT64_TOLERANCE = 1e-6
TIMES_THE_CPU = 10
LARGE_BATCHES = {"mimkd": 16, "hsakd": 16}  # too slow on a CPU with 32
TOLERANCE = 2e-3
FEW_MODELS = ("resnet8", "ShuffleV1")  # on a CPU, which only shows that the check runs


def check_models(check: Check) -> None:
    """Every network: logits and gradient against float64 on the CPU, and the CPU's own errors."""
    worst: dict[str, tuple[float, str]] = {}
    num_run = 0
    for name in MODELS if check.on_gpu else FEW_MODELS:
        if not check.has_time("models", name):
            break
        with check.guarded("models", name):
            errors = _model_errors(name, check.device)
            num_run += 1
            cpu = errors.pop("float32 on the CPU")
            for kind, error in errors.items():
                times = max(one / max(other, 1e-6) for one, other in zip(error, cpu, strict=True))
                worst[kind] = max(worst.get(kind, (0.0, "")), (times, name))
                is_far = not np.isfinite(error).all() or (
                    max(error) > FLOAT64_TOLERANCE
                    if kind == "float64"
                    else kind == "float32" and times > TIMES_THE_CPU
                )
                if is_far:
                    values = "; ".join(f"{one:.1e}, {other:.1e}" for one, other in (error, cpu))
                    check.add("models", f"{name} {kind}: logits, gradient; CPU", values, "LOOK")
    for kind, (times, name) in worst.items():
        value = f"{times:.1e} x the CPU's float32 ({name})"
        check.add("models", f"{num_run} models, {kind}: largest error", value)


def _model_errors(name: str, device: torch.device) -> dict[str, tuple[float, float]]:
    """Relative errors of logits and gradient, by how they were computed."""
    network = seeded(1, lambda: models.build(name, 10)).to(memory_format=torch.channels_last)
    cpu = torch.device("cpu")
    logits, gradient = _forward_backward(network, cpu, torch.float64)
    found = {"float32 on the CPU": _forward_backward(network, cpu)}
    found["float64"] = _forward_backward(network, device, torch.float64)
    with tf32(False):
        found["float32"] = _forward_backward(network, device)
    if device.type == "cuda":
        with tf32(False):
            rows = network.to(memory_format=torch.contiguous_format)
            found["float32, NCHW"] = _forward_backward(rows, device)
        network.to(memory_format=torch.channels_last)
        with tf32(True):
            found["TF32"] = _forward_backward(network, device)
        found["bfloat16"] = _forward_backward(network, device, amp=True)
    return {
        kind: (relative_error(values, logits), relative_error(grads, gradient))
        for kind, (values, grads) in found.items()
    }


def _forward_backward(
    network: nn.Module,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    amp: bool = False,
) -> tuple[Tensor, Tensor]:
    """Logits [16, 10] and the whole gradient as one float64 vector."""
    network = copy.deepcopy(network).to(device=device, dtype=dtype).train()
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(16) % 10
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=amp):
        logits = network(images.to(device, dtype)).logits
    F.cross_entropy(logits.float() if amp else logits, labels.to(device)).backward()
    gradients = [
        parameter.grad.detach().double().cpu().flatten()
        for parameter in network.parameters()
        if parameter.grad is not None
    ]
    return logits.detach(), torch.cat(gradients)


def check_losses(check: Check) -> None:
    """Every loss: its terms in two steps, and in a step of its initial stage, against the CPU."""
    data = make_data(640, 10)
    num_far = num_run = 0
    for method in LOSSES if check.on_gpu else FEW_METHODS:
        if not check.has_time("losses", method):
            return
        with check.guarded("losses", method), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            errors = _loss_errors(method, data, check.device)
            texts = {str(one.message).split(" does not have")[0][:70] for one in caught}
            texts = {text for text in texts if "determin" in text}
            is_near = errors[0] < TOLERANCE
            num_far, num_run = num_far + (not is_near), num_run + 1
            if not is_near or texts:
                verdict = "ok" if is_near else "LOOK"
                if texts:
                    verdict += f"; warns: {sorted(texts)}"
                values = ", ".join(f"{error:.1e}" for error in errors)
                check.add("losses", f"{method}: terms against a CPU", values, verdict)
    check.add(
        "losses",
        f"{num_run} losses against a CPU, TF32 off",
        f"{num_far} differ by more than {TOLERANCE:g}",
        "ok" if not num_far else "LOOK",
    )


def _loss_errors(method: str, data: tuple[Dataset, Splits], device: torch.device) -> list[float]:
    draw = Negatives.draw
    Negatives.draw = _draw_on_cpu(draw)  # type: ignore[method-assign]
    try:
        expected = _first_terms(method, data, torch.device("cpu"))
        with tf32(False):
            found = _first_terms(method, data, device)
    finally:
        Negatives.draw = draw  # type: ignore[method-assign]
    return [
        max(float((have[k] - want[k]).abs() / want[k].abs().clamp_min(1e-6)) for k in want)
        for have, want in zip(found, expected, strict=True)
    ]


def _draw_on_cpu(draw: Any) -> Any:
    """Draws CRD's negatives as a CPU does, so that both devices see the same."""

    def drawn(self: Negatives, rows: Tensor, seed: int) -> Tensor:
        tensors = {name: getattr(self, name).cpu() for name in _TENSORS}
        numbers = {name: getattr(self, name) for name in ("kind", "num_negatives")}
        found: Tensor = draw(types.SimpleNamespace(**numbers, **tensors), rows.cpu(), seed)
        return found.to(rows.device)

    return drawn


_TENSORS = ("indices", "class_start", "class_size")


def _first_terms(
    method: str, data: tuple[Dataset, Splits], device: torch.device
) -> list[dict[str, Tensor]]:
    batch_size = LARGE_BATCHES.get(method, 32)
    training = make_training(STUDENT, TEACHER, method, data, device, batch_size=batch_size)
    terms = []
    if has_initial_stage(training):
        steps = training.steps(training.stages[0], 1)
        terms.append(next(steps).terms)
        steps.close()  # type: ignore[attr-defined]
        training._optimizer.state.clear()
    steps = steps_of(training)
    terms += [next(steps).terms, next(steps).terms]
    return [{name: value.double().cpu() for name, value in one.items()} for one in terms]
