"""What a person may ask for: the options of every command, validated.

One declaration gives the command line, the YAML file, the help and `search.yaml`.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Algo = Literal["tpe", "random", "grid", "gp", "cmaes", "qmc"]
Scheduler = Literal["asha", "hyperband", "median", "pbt", "none"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: object) -> object:
    if isinstance(value, str) and value[-1:] in _UNITS:
        return float(value[:-1]) * _UNITS[value[-1]]
    return value


def _comma_separated(value: object) -> object:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


def default_data_dir() -> str:
    """Where data and trained teachers are kept for later searches."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return str(Path(cache, "tuner"))


class WorkloadRequest(BaseModel):
    """Data, networks and schedule; what is left out comes from the data's recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: str = Field(
        "digits", description="digits, cifar10, cifar100, parquet:DIR or imagefolder:DIR"
    )
    data_dir: str = Field(
        default_factory=default_data_dir,
        description="where data and trained teachers are kept for later searches",
    )
    image_size: int | None = Field(None, ge=1, description="resize images to this many pixels")
    limit: int | None = Field(None, ge=1, description="use only so many training images")
    validation_fraction: float | None = Field(
        None, gt=0, lt=1, description="share of the training set that trials are ranked on"
    )
    teacher: str | None = Field(
        None, description="NAME[@CHECKPOINT]; without a checkpoint it is trained once and kept"
    )
    teacher_epochs: int | None = Field(None, ge=1, description="epochs to train a teacher for")
    student: str | None = Field(None, description="name of the student network")
    epochs: int | None = Field(None, ge=1, description="epochs of a full-length training")
    batch_size: int | None = Field(None, ge=2, description="images a step")
    lr: float | None = Field(None, gt=0, description="initial learning rate")
    lr_decay_epochs: Annotated[tuple[int, ...], BeforeValidator(_comma_separated)] | None = Field(
        None, description="epochs after which the learning rate drops, such as 150,180,210"
    )
    lr_decay_rate: float | None = Field(None, gt=0, le=1, description="factor of each drop")
    momentum: float | None = Field(None, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float | None = Field(None, ge=0, description="weight decay of SGD")
    crop_padding: int | None = Field(None, ge=0, description="padding of the random crop, pixels")
    flip: bool | None = Field(None, description="flip images at random")
    seed: int = Field(0, ge=0, lt=2**31, description="of split, order, views, weights and sampler")


class SearchRequest(WorkloadRequest):
    """One search."""

    space: str = Field(..., description="name of a method, or a Python file that defines SPACE")
    set: dict[str, str] = Field(
        default_factory=dict,
        description="NAME=VALUE pins a hyperparameter, NAME=LOW:HIGH narrows it; repeatable",
    )
    algo: Algo = Field("tpe", description="how settings are chosen")
    scheduler: Scheduler = Field("asha", description="how hopeless trials are stopped early")
    trials: int | None = Field(None, ge=1, description="trials (default: 16; grid: the whole grid)")
    seeds: int = Field(3, ge=1, description="final trainings of each setting that is compared")
    select_on: Literal["val", "test"] = Field(
        "val", description="what trials are ranked on; test repeats the papers' protocol"
    )
    deterministic: bool = Field(
        False, description="ask for settings in batches, so that finishing order changes nothing"
    )
    cpus_per_trial: float = Field(1, gt=0, description="CPU cores (threads) of a trial")
    gpus_per_trial: float | None = Field(
        None, ge=0, description="GPUs of a trial, fractions too (default: what one needs, measured)"
    )
    max_concurrent: int | None = Field(
        None, ge=1, description="trials at a time (default: all fit)"
    )
    time_budget: Annotated[float, BeforeValidator(_seconds)] | None = Field(
        None,
        gt=0,
        description="stop searching after this long: 90s, 30m, 8h (final trainings follow)",
    )
    name: str | None = Field(None, description="name of the search (default: space, data, time)")
    runs_dir: str = Field("runs", description="folder or URI that searches are written to")
    address: str | None = Field(None, description="Ray cluster to run on, such as auto")
    tracking_uri: str | None = Field(
        None, description="MLflow tracking server (default: SQLite in the runs folder)"
    )
    experiment: str | None = Field(None, description="MLflow experiment (default: tuner)")


class TeachRequest(WorkloadRequest):
    """One teacher, trained or imported."""

    output: str | None = Field(None, description="also write the checkpoint to this file")


class DistillRequest(WorkloadRequest):
    """One setting, trained once, without Ray."""

    method: str = Field("itrd", description="distillation method, or plain for none")
    set: dict[str, str] = Field(
        default_factory=dict, description="hyperparameter (default: as published); repeatable"
    )
    output: str | None = Field(None, description="write the trained student to this file")
