"""Augmentation and resident data on the device; the teacher cache against a live teacher."""

import tempfile
from typing import cast

import numpy as np
import torch

from benchmarks.gpu.check import Check
from benchmarks.gpu.trainings import (
    STUDENT,
    TEACHER,
    digest,
    make_data,
    make_training,
    needs_of,
)
from tuner.data import views
from tuner.teacher_cache import OutputsPlan
from tuner.teacher_cache.plan import CachedOutput, CachePrecision

KINDS = ("live", "float32", "float32 again", "float16")


def check_data(check: Check) -> None:
    """Augmented images have the same bits on the device; how much memory the data take there."""
    dataset, _ = make_data(640, 10)
    rows = np.arange(100)
    drawn = views.draw_augmentation(rows, seed=1, augmented_epoch=2, padding=4, flip=True)
    expected = views.augment(dataset.images[rows], drawn, 4)
    images = torch.from_numpy(dataset.images[rows].copy()).to(check.device)
    found = views.augment_on_device(images, drawn, 4).cpu().numpy()
    is_equal = bool((expected == found).all())
    check.add("data", "augmented on the device: equal bits", is_equal, "ok" if is_equal else "FAIL")
    if check.on_gpu:
        views._resident.cache_clear()
        before = torch.cuda.memory_allocated()
        views._resident(dataset.path, check.device)
        taken = (torch.cuda.memory_allocated() - before) / 2**20
        sizes = f"{taken:.1f} of {dataset.images.nbytes / 2**20:.1f}"
        check.add("data", "resident data set (MiB on the GPU)", sizes)


def check_cache(check: Check) -> None:
    """An epoch with a live teacher, with outputs cached in float32 and read again, in float16."""
    data = make_data(1280 if check.on_gpu else 320, 10)
    folder = tempfile.mkdtemp()
    for method in ("kd", "at", "crd") if check.on_gpu else ("kd",):
        with check.guarded("cache", method):
            names = needs_of(STUDENT, TEACHER, method, 10)
            bits, losses = {}, {}
            for kind in KINDS:
                plan = None
                if kind != "live":
                    outputs = tuple(CachedOutput(name, 9, 9) for name in names)
                    precision = cast(CachePrecision, kind.split()[0])
                    plan = OutputsPlan(outputs, precision=precision)
                training = make_training(
                    STUDENT, TEACHER, method, data, check.device, plan=plan, folder=folder,
                    epochs=1, passes=1, lr_decay_epochs=(),
                )  # fmt: skip
                losses[kind] = training.run_epoch()["train_loss"]
                bits[kind] = digest(training)
            _add_findings(check, method, bits, losses)


def _add_findings(
    check: Check, method: str, bits: dict[str, str], losses: dict[str, float]
) -> None:
    shown = ", ".join(f"{losses[kind]:.6f}" for kind in ("live", "float32", "float16"))
    is_near = abs(losses["live"] / losses["float16"] - 1) < 5e-3
    check.add("cache", f"{method}: loss live, float32, float16", shown, "ok" if is_near else "LOOK")
    is_read_again = bits["float32"] == bits["float32 again"]
    check.add(
        "cache",
        f"{method}: live = cached float32; computed = read",
        f"{bits['live'] == bits['float32']}; {is_read_again}",
        "ok" if is_read_again else "FAIL",
    )
