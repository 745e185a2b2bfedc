"""The workload of a search: data, teacher, student and schedule, with defaults from a preset."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import models
from tuner.config.presets import find_preset, preset_for
from tuner.config.step_mode import WantedPrecision
from tuner.text.errors import RequestError


@dataclass(frozen=True)
class Workload:
    """Data, teacher, student and schedule, every value resolved."""

    preset: str  # it supplied the values that the user omitted
    data: str
    data_dir: str
    image_size: int | None  # pixels; None: the images' own size
    limit: int | None  # training images; None: all
    validation_fraction: float
    teacher: str
    # A file, or the name of weights that torchvision publishes; None: train the teacher once.
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
    passes: int  # differently augmented epochs; later epochs repeat them
    precision: WantedPrecision  # of the student's training step
    seed: int  # for split, order, augmentation and initial weights

    def schedule(self) -> dict[str, Any]:
        """The training options that all trials of a search share."""
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
        """The same for the teacher's training: its epochs and learning rate, the preset's drops."""
        return self.schedule() | {
            "epochs": self.teacher_epochs,
            "passes": self.teacher_epochs,
            "lr": self.teacher_lr,
            "lr_decay_epochs": find_preset(self.preset).lr_decay_epochs(self.teacher_epochs),
        }

    def as_request(self) -> dict[str, Any]:
        """The values under the names of the command line and of YAML files."""
        values = asdict(self)
        checkpoint = values.pop("teacher_checkpoint")
        if checkpoint:
            values["teacher"] = f"{self.teacher}@{checkpoint}"
        return values


def resolve(given: dict[str, Any]) -> Workload:
    """Completes options that are None from a preset: the named one, or the default for the data.

    Raises RequestError for an unknown preset and for crop padding with ImageNet,
    models.UnknownModel for an unknown teacher or student.
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
    """The absolute path: it means the same in every process, whatever its working folder."""
    return os.path.abspath(Path(path).expanduser())


def _without_padding(given: dict[str, Any]) -> dict[str, Any]:
    """ImageNet has random resized crops, so no preset may pad them. Raises RequestError."""
    if not given["data"].startswith("imagenet:"):
        return given
    if given.get("crop_padding"):
        raise RequestError(
            f"crop_padding is {given['crop_padding']} but imagenet:DIR uses random resized crops, "
            "which are not padded; leave out --crop-padding"
        )
    return given | {"crop_padding": 0}


def _absolute_data(spec: str) -> str:
    kind, colon, folder = spec.partition(":")
    return f"{kind}:{absolute(folder)}" if colon and folder else spec
