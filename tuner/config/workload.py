"""What is trained on what, and how: the workload of a search. Its defaults are the presets'."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import models
from tuner.config.presets import find_preset, preset_for
from tuner.text.errors import RequestError

WantedPrecision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Workload:
    """Data, teacher, student and schedule, every value resolved."""

    preset: str  # whose values stand where a person gave none
    data: str
    data_dir: str
    image_size: int | None  # pixels; None: as the data has it
    limit: int | None  # training images; None: all
    validation_fraction: float
    teacher: str
    # A file, or the name of weights that torchvision publishes; None: trained here, once.
    teacher_checkpoint: str | None
    teacher_epochs: int
    teacher_lr: float
    student: str
    epochs: int
    batch_size: int
    lr: float
    lr_decay_epochs: tuple[int, ...]
    lr_decay_rate: float
    momentum: float
    weight_decay: float
    crop_padding: int  # pixels
    flip: bool
    passes: int  # different augmented passes over the data; later epochs show them again
    precision: WantedPrecision  # of a student's step
    seed: int  # of the split, the order, the views and the initial weights

    def schedule(self) -> dict[str, Any]:
        """The arguments of `Distillation` that are the same for every trial."""
        return {
            name: getattr(self, name)
            for name in (
                "epochs",
                "batch_size",
                "lr",
                "lr_decay_epochs",
                "lr_decay_rate",
                "momentum",
                "weight_decay",
                "crop_padding",
                "flip",
                "passes",
            )
        }

    def teacher_schedule(self) -> dict[str, Any]:
        """The same for the teacher's own training: its epochs and rate, drops as the preset has."""
        return self.schedule() | {
            "epochs": self.teacher_epochs,
            "passes": self.teacher_epochs,
            "lr": self.teacher_lr,
            "lr_decay_epochs": find_preset(self.preset).lr_decay_epochs(self.teacher_epochs),
        }

    def as_request(self) -> dict[str, Any]:
        """The values under the names that the command line and YAML files use."""
        values = asdict(self)
        checkpoint = values.pop("teacher_checkpoint")
        if checkpoint:
            values["teacher"] = f"{self.teacher}@{checkpoint}"
        return values


def resolve(given: dict[str, Any]) -> Workload:
    """Fills in what was not given (None) from a preset, the named one or the data's.

    Raises RequestError for an unknown preset and for padding of ImageNet,
    models.UnknownModel for a teacher or student that is not known.
    """
    given = {name: value for name, value in given.items() if value is not None}
    given.setdefault("preset", preset_for(given["data"]))
    preset = find_preset(given["preset"])
    values = preset.values | _without_padding(given)
    name, _, checkpoint = str(values["teacher"]).partition("@")
    values["teacher"] = models.canonical_name(name)
    if checkpoint and not models.is_pretrained(values["teacher"], checkpoint):
        checkpoint = absolute(checkpoint)
    values["teacher_checkpoint"] = checkpoint or None
    values["student"] = models.canonical_name(values["student"])
    values["data"] = _absolute_data(values["data"])
    values["data_dir"] = absolute(values["data_dir"])
    values.setdefault("teacher_epochs", values["epochs"])
    values.setdefault("teacher_lr", preset.lr_of(values["teacher"]))
    values.setdefault("lr", preset.lr_of(values["student"]))
    values.setdefault("lr_decay_epochs", preset.lr_decay_epochs(values["epochs"]))
    values["passes"] = min(values.get("passes", values["epochs"]), values["epochs"])
    values["lr_decay_epochs"] = tuple(values["lr_decay_epochs"])
    for optional in ("image_size", "limit"):
        values.setdefault(optional, None)
    return Workload(**values)


def absolute(path: str) -> str:
    """A path that means the same in every process, wherever that runs."""
    return os.path.abspath(Path(path).expanduser())


def _without_padding(given: dict[str, Any]) -> dict[str, Any]:
    """Where images are cropped at random and resized, none is padded, whatever the preset."""
    if not given["data"].startswith("imagenet:"):
        return given
    if given.get("crop_padding"):
        raise RequestError(
            f"crop_padding is {given['crop_padding']} but imagenet:DIR has random resized crops "
            "instead of padded ones; leave out --crop-padding"
        )
    return given | {"crop_padding": 0}


def _absolute_data(spec: str) -> str:
    kind, colon, folder = spec.partition(":")
    return f"{kind}:{absolute(folder)}" if colon and folder else spec
