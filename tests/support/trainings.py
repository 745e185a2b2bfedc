"""Small trainings on the digits: a resnet8 that teaches a resnet8."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import models
from losses import LOSSES
from search_spaces import SPACES, Setting
from tuner.config.workload import Workload, resolve
from tuner.data import Dataset, Splits, open_dataset, split
from tuner.teacher_cache import Teacher
from tuner.training.building import build_training
from tuner.training.distillation import Distillation
from tuner.training.evaluation import Metrics
from tuner.training.seeding import frozen, seeded
from tuner.training.teachers import build_teacher

CPU = torch.device("cpu")
NETWORK = "resnet8"
Data = tuple[Dataset, Splits]


def digits(data_dir: str, num_images: int = 64) -> Data:
    """The digits with few images to train, validate and test on."""
    dataset = open_dataset("digits", Path(data_dir))
    splits = split(dataset, validation_fraction=0.2, seed=0, limit=num_images)
    return dataset, Splits(splits.train, splits.validation[:50], splits.test[:50])


def small_workload(**changes: Any) -> Workload:
    """Two epochs in batches of 32; `changes` are fields of a workload."""
    given = {"data": "digits", "data_dir": "nowhere", "seed": 0}
    workload = resolve(given | {"teacher": NETWORK, "student": NETWORK})
    options = {"epochs": 2, "passes": 2, "lr_decay_epochs": (1,), "flip": True} | changes
    return replace(workload, **options)


def untrained_network() -> nn.Module:
    """The teacher's network, always with the same weights."""
    return frozen(seeded(100, lambda: models.build(NETWORK, 10)))


def make_training(
    data: Data,
    method: str,
    *,
    pins: dict[str, str] | None = None,
    teacher: Teacher | None = None,
    seed: int = 0,
    data_seed: int = 0,
    options: dict[str, Any] | None = None,
    **workload: Any,
) -> Distillation:
    """A training with the published setting, but for `pins`; `workload`: fields of it.

    `options` are further arguments of `build_training`.
    """
    wanted = small_workload(**workload)
    setting: Setting = {}
    if method != "plain":
        setting = SPACES[method].for_epochs(wanted.epochs).narrow(pins or {}).published()
    if method != "plain" and teacher is None:
        teacher = build_teacher(NETWORK, untrained_network, data[0], CPU)
    return build_training(
        wanted,
        *data,
        method=LOSSES[method],
        setting=setting,
        teacher=teacher,
        seed=seed,
        data_seed=data_seed,
        device=CPU,
        **options or {},
    )


def run_to_the_end(training: Distillation) -> Distillation:
    """Trains all epochs that are left."""
    while training.stage is not None:
        training.run_epoch()
    return training


def metrics_of(training: Distillation) -> list[Metrics]:
    """All metrics that two equal trainings share: all but the seconds."""
    epochs = (*training.initial_history, *training.history)
    return [{k: v for k, v in epoch.items() if not k.endswith("seconds")} for epoch in epochs]
