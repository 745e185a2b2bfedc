"""Presets: named recipes of networks, schedule and augmentation, each with its source.

A preset supplies every option that the user omits.
"""

from dataclasses import dataclass, field
from typing import Any

from search_spaces.wording import suggestion
from tuner.text.errors import RequestError

LIGHT_NETWORKS = (
    "MobileNetV2",
    "ShuffleV1",
    "ShuffleV2",
)  # for CIFAR; they use a lower learning rate


@dataclass(frozen=True)
class Preset:
    """One recipe."""

    source: str  # where the values are from, in words
    values: dict[str, Any]  # options of a workload
    full_epochs: int  # length of the training that `drops` belong to
    drops: tuple[int, ...]  # epochs after which the learning rate drops
    lr: float
    light_lr: float  # for LIGHT_NETWORKS
    # Hyperparameters by method, for those that the user does not set.
    settings: dict[str, dict[str, str]] = field(default_factory=dict)

    def lr_of(self, network: str) -> float:
        """The initial learning rate of a network."""
        return self.light_lr if network in LIGHT_NETWORKS else self.lr

    def lr_decay_epochs(self, epochs: int) -> tuple[int, ...]:
        """The drops of a training of `epochs` epochs, at the same fractions of it."""
        return compressed(self.drops, self.full_epochs, epochs)


def compressed(drops: tuple[int, ...], full_epochs: int, epochs: int) -> tuple[int, ...]:
    """Moves drops of a training of `full_epochs` to the same fractions of `epochs`.

    Drops that fall on the same epoch of a short training become one.
    """
    moved = (round(drop * epochs / full_epochs) for drop in drops)
    return tuple(dict.fromkeys(drop for drop in moved if drop))


_CRD_CIFAR100 = Preset(
    source="the CRD framework's (arXiv:1910.10699; ITRD supplement, section 5.3); the fraction of "
    "validation images is an assumption, as the papers rank on the test set",
    values={
        "teacher": "resnet32x4",
        "student": "resnet8x4",
        "epochs": 240,
        "batch_size": 64,
        "lr_decay_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "crop_padding": 4,
        "flip": True,
        "validation_fraction": 0.1,
        "precision": "auto",
    },
    full_epochs=240,
    drops=(150, 180, 210),
    lr=0.05,
    light_lr=0.01,
)

_DIGITS = Preset(
    source="chosen so that a first search takes about three minutes on two cores; rates and drops "
    "are crd-cifar100's",
    values=_CRD_CIFAR100.values
    | {
        "teacher": "resnet20",
        "student": "resnet8",
        "epochs": 4,
        "teacher_epochs": 20,
        "batch_size": 32,
        "crop_padding": 1,
        "flip": False,
        "validation_fraction": 0.2,
    },
    full_epochs=_CRD_CIFAR100.full_epochs,
    drops=_CRD_CIFAR100.drops,
    lr=_CRD_CIFAR100.lr,
    light_lr=_CRD_CIFAR100.light_lr,
    # The published critics, of width 512 and at every location, cost more than a small student.
    settings={"mimkd": {"width": "64", "num_locations": "16"}},
)

_IMAGENET = Preset(
    source="an assumption from common practice (PyTorch's ImageNet example, with 10 more epochs "
    "and CRD's pair of networks), as the papers do not say; there are as many validation images "
    "as test images",
    values={
        "teacher": "torchvision:resnet34",
        "student": "torchvision:resnet18",
        "epochs": 100,
        "batch_size": 256,
        "lr_decay_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "crop_padding": 0,  # random resized crops need no padding
        "flip": True,
        "validation_fraction": 0.04,
        "precision": "auto",
    },
    full_epochs=100,
    drops=(30, 60, 90),
    lr=0.1,
    light_lr=0.1,
)

PRESETS = {"crd-cifar100": _CRD_CIFAR100, "digits": _DIGITS, "imagenet": _IMAGENET}


def preset_pins(preset: str, method: str) -> dict[str, str]:
    """What the preset sets of a method, such as the cheap critics of the digits."""
    return find_preset(preset).settings.get(method, {})


def preset_for(data: str) -> str:
    """The name of the default preset for `data`."""
    kind = data.partition(":")[0]
    return kind if kind in ("digits", "imagenet") else "crd-cifar100"


def find_preset(name: str) -> Preset:
    """Raises RequestError for an unknown name."""
    if name not in PRESETS:
        raise RequestError(
            f"unknown preset {name!r}{suggestion(name, PRESETS)} known: {', '.join(PRESETS)}"
        )
    return PRESETS[name]
