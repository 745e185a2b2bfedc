"""The options of every command.

Each option is declared once; the command line, its help, the YAML file and `search.yaml` follow
from the declaration.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field

Algo = Literal["tpe", "priorband", "random", "grid", "gp", "cmaes", "qmc"]
Scheduler = Literal["cooldown", "asha", "hyperband", "median", "pbt", "none"]

# Headings of the help, in this order.
GROUPS = ("method", "data", "networks", "schedule", "search", "resources", "output")

# Options that may change when a search is resumed: they decide where it runs, not what it finds.
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


def _option(group: str, default: Any, description: str, **constraints: Any) -> Any:
    """An option under the heading `group` of the help.

    `default`: a value, a function that returns it, or `...` for a required option.
    """
    kind = "default_factory" if callable(default) else "default"
    extra: Any = {"group": group}
    return Field(**{kind: default}, description=description, json_schema_extra=extra, **constraints)


def _argument(description: str) -> Any:
    """What a command needs and is given without a flag: `tuner status NAME`."""
    return Field(..., description=description, json_schema_extra={"is_positional": True})


def _seconds(value: object) -> object:
    if isinstance(value, str) and value[-1:] in _UNITS:
        try:
            return float(value[:-1]) * _UNITS[value[-1]]
        except ValueError:
            raise ValueError("give a number, or a time such as 90s, 30m or 8h") from None
    return value


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return [part for part in value.split(",") if part]
    return [value] if isinstance(value, int | float) else value


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("give a number")
    return value


# Pydantic takes True for 1; in a YAML file it is a mistake. So are values above 2**31, which
# neither a float nor a column of a table holds exactly.
Int = Annotated[int, BeforeValidator(_not_bool), Field(lt=2**31)]
Number = Annotated[float, BeforeValidator(_not_bool)]
Seconds = Annotated[Number, BeforeValidator(_seconds)]
Words = Annotated[tuple[str, ...], BeforeValidator(_comma_separated)]
EpochList = Annotated[tuple[Annotated[Int, Field(ge=1)], ...], BeforeValidator(_comma_separated)]


def default_data_dir() -> str:
    """The folder for data and trained teachers: below the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return str(Path(cache, "tuner"))


class Request(BaseModel):
    """The validated options of a command."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TeacherRequest(Request):
    """Data, teacher and schedule; a preset supplies the options that are omitted."""

    data: str = _option(
        "data",
        "digits",
        "digits, cifar10, cifar100, parquet:DIR, imagefolder:DIR, imagenet:DIR, stl10:DIR or "
        "tinyimagenet:DIR",
    )
    preset: str | None = _option(
        "schedule",
        None,
        "named recipe that supplies every option you omit: crd-cifar100, digits or imagenet "
        "(default: the one for the data)",
    )
    data_dir: str = _option(
        "data",
        default_data_dir,
        "folder that keeps data, trained teachers and their outputs for later searches",
    )
    image_size: Int | None = _option("data", None, "resize images to this many pixels", ge=1)
    limit: Int | None = _option("data", None, "use only this many training images", ge=1)
    validation_fraction: Number | None = _option(
        "data", None, "fraction of the training set held out for validation", gt=0, lt=1
    )
    teacher: str | None = _option(
        "networks",
        None,
        "NAME[@CHECKPOINT]; without a checkpoint it is trained once and kept; NAME may also be "
        "FILE.py:FUNCTION, torchvision:NAME (with @IMAGENET1K_V1: published weights) or timm:NAME",
    )
    teacher_epochs: Int | None = _option(
        "schedule", None, "number of epochs to train a teacher", ge=1
    )
    teacher_lr: Number | None = _option(
        "schedule", None, "initial learning rate of a teacher (default: the preset's)", gt=0
    )
    batch_size: Int | None = _option("schedule", None, "images per step", ge=2)
    lr_decay_rate: Number | None = _option(
        "schedule", None, "the learning rate is multiplied by this at each drop", gt=0, le=1
    )
    momentum: Number | None = _option("schedule", None, "momentum of SGD", ge=0, lt=1)
    weight_decay: Number | None = _option("schedule", None, "weight decay of SGD", ge=0)
    crop_padding: Int | None = _option(
        "data", None, "pixels of padding before the random crop", ge=0
    )
    flip: bool | None = _option("data", None, "flip images horizontally at random")
    seed: Int = _option(
        "schedule",
        0,
        "random seed (split, order, augmentation, initial weights, sampler)",
        ge=0,
        lt=2**31,
    )


class WorkloadRequest(TeacherRequest):
    """Data, teacher, student and schedule."""

    student: str | None = _option("networks", None, "NAME, in the same forms as for --teacher")
    epochs: Int | None = _option("schedule", None, "number of epochs to train a student", ge=1)
    lr: Number | None = _option("schedule", None, "initial learning rate of a student", gt=0)
    lr_decay_epochs: EpochList | None = _option(
        "schedule", None, "epochs after which the learning rate drops, such as 150,180,210"
    )
    precision: Literal["auto", "float32", "bfloat16"] | None = _option(
        "schedule", None, "precision of the student's training step (default: auto, by measurement)"
    )
    passes: Int | None = _option(
        "schedule",
        None,
        "number of differently augmented epochs; later epochs repeat them, so fewer of them cost "
        "less teacher computation (default: as many as epochs)",
        ge=1,
    )


class CachedRequest(WorkloadRequest):
    """Several trainings that share the teacher's outputs."""

    seeds: Int = _option(
        "search", 3, "final trainings of each compared setting; 0: no final trainings", ge=0
    )
    cache_budget: ByteSize | None = _option(
        "resources",
        None,
        "disk space for teachers' outputs in total, such as 200GB; 0 keeps none (default: half of "
        "the free disk)",
        ge=0,
    )
    cache_precision: Literal["float16", "float32"] = _option(
        "resources", "float16", "precision of the stored teacher outputs"
    )
    cpus_per_trial: Number = _option("resources", 1, "CPU cores (threads) per trial", gt=0)
    address: str | None = _option("resources", None, "address of a Ray cluster, such as auto")


class PrecomputeRequest(CachedRequest):
    """What decides which teacher outputs the trials of a search read, and where."""

    space: str = _option("method", ..., "name of a method, or a Python file that defines SPACE")
    set: dict[str, str] = _option(
        "method",
        {},
        "NAME=VALUE pins a hyperparameter, NAME=LOW:HIGH narrows its range; repeatable",
    )


class RunRequest(CachedRequest):
    """Trainings on Ray: their resources, and where their results go."""

    gpus_per_trial: Number | None = _option(
        "resources",
        None,
        "GPUs per trial, may be a fraction (default: what a trial needs, measured)",
        ge=0,
    )
    max_concurrent: Int | None = _option(
        "resources",
        None,
        "trials at a time (default: as many as fit at the start; set it on a cluster that grows "
        "with demand)",
        ge=1,
    )
    hang_timeout: Seconds | None = _option(
        "resources",
        None,
        "restart a trial that reports nothing for this long (default: 20 times the longest epoch, "
        "at least 10m; one day before the first epoch has ended)",
        gt=0,
    )
    name: str | None = _option(
        "output", None, "name of the run's folder (default: from method, data and time)"
    )
    runs_dir: str = _option("output", "runs", "folder or URI that holds the folders of all runs")
    tracking_uri: str | None = _option(
        "output", None, "MLflow tracking server (default: SQLite in the runs folder)"
    )
    experiment: str | None = _option("output", None, "MLflow experiment (default: tuner)")


class SearchRequest(RunRequest):
    """One search, or one for each of several methods."""

    space: str = _option(
        "method",
        ...,
        "name of a method, or a Python file that defines SPACE; several (kd,crd,itrd) or all are "
        "searched one after the other and compared",
    )
    set: dict[str, str] = _option(
        "method",
        {},
        "NAME=VALUE pins a hyperparameter, NAME=LOW:HIGH narrows its range; METHOD.NAME=... "
        "applies to one of several methods; repeatable",
    )
    algo: Algo = _option("search", "tpe", "sampler: how settings are proposed")
    prior: str | None = _option(
        "search",
        None,
        "priorband: the setting around which it searches first: published, none, or a YAML file "
        "such as another search's best.yaml (default: published)",
    )
    prior_strength: float = _option(
        "search", 1.0, "priorband: 2 searches twice as near the prior, 0.5 half as near", gt=0
    )
    scheduler: Scheduler | None = _option(
        "search", None, "early-stopping scheduler (default: asha; none with gp and cmaes)"
    )
    trials: Int | None = _option(
        "search",
        None,
        "trials per method (default: 16, or as many as --epoch-budget allows; grid: the whole grid "
        "of one method)",
        ge=1,
    )
    select_on: Literal["val", "test"] = _option(
        "search", "val", "split that trials are ranked on; test repeats the papers' protocol"
    )
    deterministic: bool = _option(
        "search", False, "propose settings in batches, so that finishing order changes nothing"
    )
    time_budget: Seconds | None = _option(
        "search",
        None,
        "stop searching a method after this time, such as 90s, 30m or 8h (final trainings follow)",
        gt=0,
    )
    epoch_budget: Int | None = _option(
        "search",
        None,
        "train a method's trials for at most this many epochs together; no trial begins that "
        "could exceed them (default: no limit)",
        ge=1,
    )


class ReproduceRequest(RunRequest):
    """One table or figure of a paper."""

    reproduction: str = _argument("name of the table or figure; --list shows all")
    data: str | None = _option(  # type: ignore[assignment]
        "data", None, "as for a search (default: the paper's)"
    )
    seeds: Int | None = _option(  # type: ignore[assignment]
        "method",
        None,
        "trainings per setting (default: the paper's number, or an assumed one)",
        ge=1,
    )
    pairs: Words | None = _option(
        "networks", None, "teacher:student,teacher:student,... (default: all of the paper's)"
    )
    methods: Words | None = _option(
        "method", None, "method,method,... (default: all of the paper's)"
    )
    checkpoint: dict[str, str] = _option(
        "networks",
        {},
        "NETWORK=FILE gives a teacher's checkpoint (default: train it here); repeatable",
    )
    set: dict[str, str] = _option(
        "method",
        {},
        "NAME=VALUE or METHOD.NAME=VALUE changes a hyperparameter in all trainings that have it; "
        "repeatable",
    )
    name: str | None = _option(
        "output",
        None,
        "name of the run's folder (default: the reproduction's, with a suffix if scaled down)",
    )
    probe_data: Words | None = _option(
        "data",
        None,
        "itrd-transfer: data sets for the linear probe, such as stl10:DIR,tinyimagenet:DIR",
    )
    memory_cap: ByteSize | None = _option(
        "method",
        None,
        "itrd-cost: memory limit for the largest batch, such as 24GB",
        gt=0,
    )


class CacheRequest(Request):
    """The cache of teachers' outputs."""

    data_dir: str = _option("data", default_data_dir, "--data-dir of the searches")


class PruneRequest(CacheRequest):
    """Which of the teachers' outputs to delete."""

    keep: ByteSize | None = _option(
        "data", None, "delete the least recently used until this much is left, such as 20GB", ge=0
    )
    older_than: Seconds | None = _option(
        "data", None, "delete what was not used for this long, such as 12h or 7d", ge=0
    )
    all: bool = _option("data", False, "delete everything, also in shared memory")


class TeachRequest(TeacherRequest):
    """One teacher, trained or imported."""

    output: str | None = _option("output", None, "also write the checkpoint to this file")


class DistillRequest(WorkloadRequest):
    """One setting, trained once, without Ray."""

    method: str = _option("method", "itrd", "distillation method, or plain for none")
    space: str | None = _option(
        "method", None, "Python file that defines SPACE (default: the method's own space)"
    )
    set: dict[str, str] = _option(
        "method", {}, "NAME=VALUE sets a hyperparameter (default: published value); repeatable"
    )
    test: bool = _option("output", False, "also read the test set; not for choosing a setting")
    output: str | None = _option("output", None, "write the trained student to this file")


class NamedRequest(Request):
    """A search, or a comparison of methods, that has started."""

    name: str = _argument("name of the search, or of the comparison of methods")
    runs_dir: str = _option("output", "runs", "folder or URI that holds it")


class ReportRequest(Request):
    """One run whose report is rebuilt, or several searches that are compared."""

    names: Words = _argument(
        "name of the search, comparison of methods or reproduction; several searches are compared"
    )
    runs_dir: str = _option("output", "runs", "folder or URI that holds the runs")
    name: str | None = _option(
        "output", None, "name of the folder for a comparison of several searches"
    )
