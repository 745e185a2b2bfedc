"""What a person may ask for: the options of every command, validated.

One declaration gives the command line, the YAML file, the help and `search.yaml`.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field

Algo = Literal["tpe", "random", "grid", "gp", "cmaes", "qmc"]
Scheduler = Literal["asha", "hyperband", "median", "pbt", "none"]

# What may differ when a search is resumed: where it runs and what is seen, never what it finds.
OPERATIONAL = (
    "address",
    "data_dir",
    "experiment",
    "hang_timeout",
    "max_concurrent",
    "runs_dir",
    "time_budget",
    "tracking_uri",
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: object) -> object:
    if isinstance(value, str) and value[-1:] in _UNITS:
        return float(value[:-1]) * _UNITS[value[-1]]
    return value


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return [part for part in value.split(",") if part]
    return [value] if isinstance(value, int | float) else value


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")
    return value


# To pydantic True is 1; in a YAML file it is a mistake. More than 2**31 of anything is one too,
# and more than a float or a column of a table can hold.
Int = Annotated[int, BeforeValidator(_not_bool), Field(lt=2**31)]
Number = Annotated[float, BeforeValidator(_not_bool)]
Words = Annotated[tuple[str, ...], BeforeValidator(_comma_separated)]
EpochList = Annotated[tuple[Annotated[Int, Field(ge=1)], ...], BeforeValidator(_comma_separated)]


def default_data_dir() -> str:
    """Where data and trained teachers are kept for later searches."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return str(Path(cache, "tuner"))


class TeacherRequest(BaseModel):
    """Data, teacher and schedule; what is left out comes from a preset."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: str = Field(
        "digits",
        description="digits, cifar10, cifar100, parquet:DIR, imagefolder:DIR, imagenet:DIR, "
        "stl10:DIR or tinyimagenet:DIR",
    )
    preset: str | None = Field(
        None,
        description="recipe of what is left out: networks, schedule, augmentation; digits, "
        "crd-cifar100 or imagenet (default: the one for the data)",
    )
    data_dir: str = Field(
        default_factory=default_data_dir,
        description="where data, trained teachers and their outputs are kept for later searches",
    )
    image_size: Int | None = Field(None, ge=1, description="resize images to this many pixels")
    limit: Int | None = Field(None, ge=1, description="use only so many training images")
    validation_fraction: Number | None = Field(
        None, gt=0, lt=1, description="share of the training set that trials are ranked on"
    )
    teacher: str | None = Field(
        None,
        description="NAME[@CHECKPOINT]; without a checkpoint it is trained once and kept; NAME may "
        "be FILE.py:FUNCTION, torchvision:NAME (with @IMAGENET1K_V1: as published) or timm:NAME",
    )
    teacher_epochs: Int | None = Field(None, ge=1, description="epochs to train a teacher for")
    teacher_lr: Number | None = Field(
        None, gt=0, description="initial learning rate of a teacher (default: the published one)"
    )
    batch_size: Int | None = Field(None, ge=2, description="images a step")
    lr_decay_rate: Number | None = Field(None, gt=0, le=1, description="factor of each drop")
    momentum: Number | None = Field(None, ge=0, lt=1, description="momentum of SGD")
    weight_decay: Number | None = Field(None, ge=0, description="weight decay of SGD")
    crop_padding: Int | None = Field(None, ge=0, description="padding of the random crop, pixels")
    flip: bool | None = Field(None, description="flip images at random")
    seed: Int = Field(0, ge=0, lt=2**31, description="of split, order, views, weights and sampler")


class WorkloadRequest(TeacherRequest):
    """The same with a student."""

    student: str | None = Field(None, description="name of the student network, as for a teacher")
    epochs: Int | None = Field(None, ge=1, description="epochs of a full-length training")
    lr: Number | None = Field(None, gt=0, description="initial learning rate")
    lr_decay_epochs: EpochList | None = Field(
        None, description="epochs after which the learning rate drops, such as 150,180,210"
    )
    precision: Literal["auto", "float32", "bfloat16"] | None = Field(
        None, description="of a student's step (default: auto, by measurement)"
    )
    passes: Int | None = Field(
        None,
        ge=1,
        description="different augmented passes over the data; fewer than epochs bound what the "
        "teacher computes (default: every epoch its own)",
    )


class CachedRequest(WorkloadRequest):
    """Several trainings, and the teacher's outputs that they share."""

    seeds: Int = Field(
        3, ge=0, description="final trainings of each setting that is compared; 0: none are"
    )
    cache_budget: ByteSize | None = Field(
        None,
        ge=0,
        description="disk that teachers' outputs may take in all, such as 200GB; 0 keeps none "
        "(default: half of the free disk)",
    )
    cache_precision: Literal["float16", "float32"] = Field(
        "float16", description="of the teacher's outputs that are kept"
    )
    cpus_per_trial: Number = Field(1, gt=0, description="CPU cores (threads) of a trial")
    address: str | None = Field(None, description="Ray cluster to run on, such as auto")


class FillRequest(CachedRequest):
    """What decides which of the teacher's outputs the trials of a search ask for, and where."""

    space: str = Field(..., description="name of a method, or a Python file that defines SPACE")
    set: dict[str, str] = Field(
        default_factory=dict,
        description="NAME=VALUE pins a hyperparameter, NAME=LOW:HIGH narrows it; repeatable",
    )


class RunRequest(CachedRequest):
    """Trainings on Ray, where they are written to and mirrored."""

    gpus_per_trial: Number | None = Field(
        None, ge=0, description="GPUs of a trial, fractions too (default: what one needs, measured)"
    )
    max_concurrent: Int | None = Field(
        None,
        ge=1,
        description="trials at a time (default: as many as fit when it begins; on a cluster that "
        "grows with demand, as many as shall fit)",
    )
    hang_timeout: Annotated[Number, BeforeValidator(_seconds)] | None = Field(
        None,
        gt=0,
        description="begin a trial again that has told nothing for so long (default: 20 times the "
        "longest epoch, 10m at least; a day before any epoch has ended)",
    )
    name: str | None = Field(None, description="name of its folder (default: what, data, time)")
    runs_dir: str = Field("runs", description="folder or URI that searches are written to")
    tracking_uri: str | None = Field(
        None, description="MLflow tracking server (default: SQLite in the runs folder)"
    )
    experiment: str | None = Field(None, description="MLflow experiment (default: tuner)")


class SearchRequest(RunRequest):
    """One search, or one for each of several methods."""

    space: str = Field(
        ...,
        description="name of a method, or a Python file that defines SPACE; several (kd,crd,itrd) "
        "or all are searched one after the other and compared",
    )
    set: dict[str, str] = Field(
        default_factory=dict,
        description="NAME=VALUE pins a hyperparameter, NAME=LOW:HIGH narrows it; METHOD.NAME=... "
        "does so for one of several methods; repeatable",
    )
    algo: Algo = Field("tpe", description="how settings are chosen")
    scheduler: Scheduler = Field("asha", description="how hopeless trials are stopped early")
    trials: Int | None = Field(
        None,
        ge=1,
        description="trials of each method (default: 16; grid: the whole grid of one method)",
    )
    select_on: Literal["val", "test"] = Field(
        "val", description="what trials are ranked on; test repeats the papers' protocol"
    )
    deterministic: bool = Field(
        False, description="ask for settings in batches, so that finishing order changes nothing"
    )
    time_budget: Annotated[Number, BeforeValidator(_seconds)] | None = Field(
        None,
        gt=0,
        description="stop searching a method after so long: 90s, 30m, 8h (final trainings follow)",
    )


class ReproduceRequest(RunRequest):
    """One table or figure of a paper."""

    reproduction: str = Field(..., json_schema_extra={"is_positional": True})
    data: str | None = Field(  # type: ignore[assignment]
        None, description="as for a search (default: the paper's)"
    )
    seeds: Int | None = Field(  # type: ignore[assignment]
        None, ge=1, description="trainings of each setting (default: the paper's, or assumed)"
    )
    pairs: Words | None = Field(
        None, description="teacher:student,teacher:student,... instead of all of the paper's"
    )
    methods: Words | None = Field(
        None, description="method,method,... instead of all of the paper's"
    )
    checkpoint: dict[str, str] = Field(
        default_factory=dict,
        description="NETWORK=FILE is a teacher's checkpoint (default: trained here); repeatable",
    )
    set: dict[str, str] = Field(
        default_factory=dict,
        description="NAME=VALUE or METHOD.NAME=VALUE changes a hyperparameter in all trainings "
        "that have it; repeatable",
    )
    name: str | None = Field(
        None,
        description="name of its folder (default: the reproduction's; scaled down, with an ending)",
    )
    probe_data: Words | None = Field(
        None,
        description="itrd-transfer: the other data, such as stl10:DIR,tinyimagenet:DIR",
    )
    memory_cap: ByteSize | None = Field(
        None,
        gt=0,
        description="itrd-cost: memory that the largest batch must fit in, such as 24GB",
    )


class CacheRequest(BaseModel):
    """The cache of teachers' outputs."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data_dir: str = Field(default_factory=default_data_dir, description="as the searches were told")


class PruneRequest(CacheRequest):
    """Which of the teachers' outputs shall go."""

    keep: ByteSize | None = Field(
        None, ge=0, description="delete the least recently used until the others take so much: 20GB"
    )
    older_than: Annotated[Number, BeforeValidator(_seconds)] | None = Field(
        None, ge=0, description="delete what was not used for so long: 12h, 7d"
    )
    all: bool = Field(False, description="delete everything, in shared memory too")


class TeachRequest(TeacherRequest):
    """One teacher, trained or imported."""

    output: str | None = Field(None, description="also write the checkpoint to this file")


class DistillRequest(WorkloadRequest):
    """One setting, trained once, without Ray."""

    method: str = Field("itrd", description="distillation method, or plain for none")
    space: str | None = Field(
        None, description="Python file that defines SPACE (default: the method's own space)"
    )
    set: dict[str, str] = Field(
        default_factory=dict, description="hyperparameter (default: as published); repeatable"
    )
    test: bool = Field(False, description="also read the test set; not for choosing a setting")
    output: str | None = Field(None, description="write the trained student to this file")
