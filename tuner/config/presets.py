"""Named recipes of training: networks, schedule and augmentation, and where they are from.

A preset fills in what a person leaves out; what is given beside it wins.
"""

from dataclasses import dataclass, field
from typing import Any

from models.errors import suggestion
from tuner.text.errors import RequestError

LIGHT_NETWORKS = ("MobileNetV2", "ShuffleV1", "ShuffleV2")  # of CIFAR; they learn at a lower rate


@dataclass(frozen=True)
class Preset:
    """One recipe."""

    source: str  # of the values, for people to read
    values: dict[str, Any]  # options of a workload
    full_epochs: int  # that the drops are given for
    drops: tuple[int, ...]  # epochs after which the learning rate falls
    lr: float
    light_lr: float  # of LIGHT_NETWORKS
    # Hyperparameters of methods, applied to what a person has not set.
    settings: dict[str, dict[str, str]] = field(default_factory=dict)

    def lr_of(self, network: str) -> float:
        """The initial learning rate of a network."""
        return self.light_lr if network in LIGHT_NETWORKS else self.lr

    def lr_decay_epochs(self, epochs: int) -> tuple[int, ...]:
        """The drops, at the same fractions of another number of epochs."""
        return compressed(self.drops, self.full_epochs, epochs)


def compressed(drops: tuple[int, ...], full_epochs: int, epochs: int) -> tuple[int, ...]:
    """Drops that are given for full_epochs, at the same fractions of another number of epochs.

    Drops that fall on one epoch of a short training are one drop.
    """
    moved = (round(drop * epochs / full_epochs) for drop in drops)
    return tuple(dict.fromkeys(drop for drop in moved if drop))


_CRD_CIFAR100 = Preset(
    source="the CRD framework's (arXiv:1910.10699; ITRD supplement, section 5.3); the share of "
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
    source="small enough for a first search in three minutes on two cores; rates and drops are "
    "crd-cifar100's",
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
    # Published: critics of width 512 that see every location, which cost more than a small
    # student.
    settings={"mimkd": {"width": "64", "num_locations": "16"}},
)

_IMAGENET = Preset(
    source="an assumption from common practice (PyTorch's ImageNet example, with 10 epochs more "
    "and CRD's pair of networks), as the papers do not say; the share of validation images makes "
    "them as many as the test images",
    values={
        "teacher": "torchvision:resnet34",
        "student": "torchvision:resnet18",
        "epochs": 100,
        "batch_size": 256,
        "lr_decay_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "crop_padding": 0,  # its crops are random and resized instead
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
    """The name of the preset of some data, where a person names none."""
    kind = data.partition(":")[0]
    return kind if kind in ("digits", "imagenet") else "crd-cifar100"


def find_preset(name: str) -> Preset:
    """Raises RequestError for an unknown name."""
    if name not in PRESETS:
        raise RequestError(
            f"unknown preset {name!r}{suggestion(name, PRESETS)} known: {', '.join(PRESETS)}"
        )
    return PRESETS[name]
