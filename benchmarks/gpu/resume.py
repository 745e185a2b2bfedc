"""Bits of a resumed training, and what makes the host wait for the GPU within a step."""

import collections
import gc
import warnings
from pathlib import Path

import torch

from benchmarks.gpu.check import Check
from benchmarks.gpu.trainings import (
    FEW_METHODS,
    STUDENT,
    TEACHER,
    digest,
    make_data,
    make_training,
    run_epochs,
    steps_of,
)
from losses import LOSSES
from search_spaces import SPACES
from tuner.config.step_mode import Precision
from tuner.training.distillation import Distillation

IN_BFLOAT16 = ("kd", "vid")


def check_resume(check: Check) -> None:
    """Every loss: the same training twice, and resumed after its first epoch."""
    differ, unequal, num_run = [], [], 0
    cases: list[tuple[str, Precision]] = []
    if check.on_gpu:
        cases += [(method, "float32") for method in LOSSES]
        cases += [(method, "bfloat16") for method in IN_BFLOAT16]
    else:
        cases += [(method, "float32") for method in FEW_METHODS]
    for method, precision in cases:
        if not check.has_time("resume", method):
            return
        with check.guarded("resume", f"{method} {precision}"):
            one, two, three = _digests(method, precision, check.device)
            num_run += 1
            if one != two:
                differ.append(f"{method} {precision}")
            elif one != three:
                unequal.append(f"{method} {precision}")
            gc.collect()
    check.add(
        "resume",
        f"{num_run} trainings run twice: other bits",
        differ or "none",
        "LOOK" if differ else "ok",
    )
    check.add(
        "resume",
        f"{num_run} trainings resumed: other bits",
        unequal or "none",
        "FAIL" if unequal else "ok",
    )


def _digests(method: str, precision: Precision, device: torch.device) -> tuple[str, str, str]:
    """Weights after two epochs: in one go, saved on the way, resumed from there."""
    data = make_data(320, 10)
    declared = SPACES[method].published() if method in SPACES else {}

    def make() -> Distillation:
        return make_training(
            STUDENT,
            TEACHER,
            method,
            data,
            device,
            precision=precision,
            setting={"initial_epochs": 1} if "initial_epochs" in declared else {},
            epochs=2,
            passes=2,
            batch_size=32,
            lr_decay_epochs=(1,),
        )

    one, two, three = make(), make(), make()
    run_epochs(one, 2)
    run_epochs(two, 1)
    three.restore(two.state())
    run_epochs(three, 1)
    run_epochs(two, 1)
    return digest(one), digest(two), digest(three)


def check_waits(check: Check) -> None:
    """Every loss: the lines of a step at which the host waits for the GPU."""
    if not check.on_gpu:
        return
    data = make_data(640, 10)
    for method in LOSSES:
        if not check.has_time("waits", method):
            return
        with check.guarded("waits", method):
            training = make_training(STUDENT, TEACHER, method, data, check.device, batch_size=32)
            found = _waits_of(training)
            if found:
                check.add("waits", method, dict(found), "LOOK")
    check.add("waits", "all methods checked", "see LOOK above, if any")


def _waits_of(training: Distillation) -> collections.Counter[str]:
    steps = steps_of(training)
    next(steps)
    next(steps)
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            next(steps)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    places = (
        f"{Path(one.filename).name}:{one.lineno}"
        for one in caught
        if "synchroniz" in str(one.message)
    )
    return collections.Counter(places)
