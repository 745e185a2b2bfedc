"""From a request to a search that can begin: everything is checked before anything is written."""

import inspect
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import models
from losses import LOSSES, LossError
from models import shapes_of
from search_spaces import Fixed, Setting, Space, load_space
from search_spaces.parameters import list_of
from tuner.data import Dataset, Splits, open_dataset, split
from tuner.data.sources import find_source
from tuner.errors import RequestError
from tuner.orchestration.record import Record
from tuner.orchestration.sampler import space_hash
from tuner.request import SearchRequest
from tuner.storage import Storage
from tuner.teacher import kept_teacher
from tuner.workload import DIGITS_SETTING, Workload, resolve

DEFAULT_TRIALS = 16


@dataclass(frozen=True)
class Search:
    """A search whose request makes sense; nothing has been written yet."""

    name: str
    request: SearchRequest  # every value resolved, as `search.yaml` holds it
    workload: Workload
    space: Space  # as narrowed by the workload and by --set
    published: Setting
    published_is_first: bool  # False: the person's ranges exclude it
    num_trials: int
    runs: Storage

    @property
    def storage(self) -> Storage:
        """The search's own folder."""
        return self.runs.sub(self.name)

    @property
    def metric(self) -> str:
        """What trials are ranked on, in percent."""
        return f"{self.request.select_on}_accuracy"

    @property
    def searched(self) -> list[str]:
        """The hyperparameters that differ between trials."""
        return [p.name for p in self.space.params if not isinstance(p, Fixed)]

    @property
    def first(self) -> Setting | None:
        """The setting of the first trial, where the algorithm leaves the choice.

        The published one, or the nearest to it within a person's ranges. A grid is the
        person's own list of settings: only the published one itself is put before it.
        """
        if self.request.algo == "grid" and not self.published_is_first:
            return None
        return self.space.published()


def plan_search(request: SearchRequest) -> Search:
    """Resolves a request. Raises RequestError, SpaceError or UnknownModel; reads no data."""
    workload = resolve(request.model_dump(include=set(Workload.__dataclass_fields__)))
    find_source(workload.data, Path(workload.data_dir))
    declared = load_space(request.space)
    if declared.method not in LOSSES:
        raise RequestError(
            f"{request.space}: the method {declared.method!r} is unknown; "
            f"use one of {', '.join(sorted(set(LOSSES) - {'plain'}))}"
        )
    _check_hyperparameters(request.space, declared)
    cost = _setting_of_workload(workload, declared, request.set)
    space = declared.narrow(cost | request.set)
    # What a person fixes about the method's form is theirs; what is searched is compared
    # with the published values.
    fixed = {
        name: value
        for name, value in request.set.items()
        if any(isinstance(p, Fixed) and p.name == name for p in declared.params)
        and ":" not in value
    }
    published = declared.narrow(cost | fixed).published()
    published_is_first = space.published() == published
    num_trials = request.trials or DEFAULT_TRIALS
    if request.algo == "grid":
        grid = space.grid()
        size = len(grid) + (published_is_first and published not in grid)
        num_trials = min(request.trials or size, size)
    _check_combination(request, num_trials, workload)
    name = request.name or (
        f"{declared.method}-{workload.data.partition(':')[0]}-{time.strftime('%Y%m%d-%H%M%S')}"
    )
    if "/" in name or name.startswith("."):
        raise RequestError(
            f"the name {name!r} is not a file name; leave out slashes and leading dots"
        )
    is_file = request.space.endswith(".py") or "/" in request.space
    resolved = request.model_copy(
        update=workload.as_request()
        | {
            "name": name,
            "trials": num_trials,
            "space": str(Path(request.space).expanduser().absolute()) if is_file else request.space,
            "set": cost | request.set,
            "runs_dir": Storage(request.runs_dir).uri,
        }
    )
    return Search(
        name=name,
        request=resolved,
        workload=workload,
        space=space,
        published=published,
        published_is_first=published_is_first,
        num_trials=num_trials,
        runs=Storage(request.runs_dir),
    )


def open_data(workload: Workload) -> tuple[Dataset, Splits]:
    """Opens the data and its splits. Raises RequestError where they do not suit the workload."""
    dataset = open_dataset(workload.data, Path(workload.data_dir), image_size=workload.image_size)
    splits = split(
        dataset,
        validation_fraction=workload.validation_fraction,
        seed=workload.seed,
        limit=workload.limit,
    )
    if workload.batch_size > len(splits.train):
        raise RequestError(
            f"batch_size is {workload.batch_size} but there are {len(splits.train)} training "
            "images; lower it with --batch-size"
        )
    if workload.crop_padding >= min(dataset.image_size):
        raise RequestError(
            f"crop_padding is {workload.crop_padding} but the images have "
            f"{min(dataset.image_size)} pixels; lower it with --crop-padding"
        )
    return dataset, splits


def find_teacher(workload: Workload, dataset: Dataset) -> torch.nn.Module | None:
    """The teacher of a given checkpoint, else one trained earlier, else None.

    Raises models.CheckpointError.
    """
    path = workload.teacher_checkpoint or kept_teacher(workload, dataset)
    if workload.teacher_checkpoint is None and not Path(path).exists():
        return None
    return models.load_checkpoint(path, workload.teacher, dataset.num_classes)


def check_method(workload: Workload, dataset: Dataset, method: str, setting: Setting) -> None:
    """Raises RequestError where the method cannot join these two networks."""
    student, teacher = (
        shapes_of(models.build(name, dataset.num_classes), dataset.image_size)
        for name in (workload.student, workload.teacher)
    )
    try:
        LOSSES[method](student, teacher, **setting)
    except LossError as error:
        raise RequestError(str(error)) from error


def check_storage(search: Search) -> None:
    """Raises RequestError for a search that exists, or a folder that cannot be written."""
    if search.storage.exists():
        raise RequestError(
            f"a search named {search.name!r} exists in {search.runs.uri}; "
            f"resume it with --resume {search.name} or choose another --name"
        )
    search.runs.check_writable()


def check_resources(request: SearchRequest, resources: dict[str, float]) -> tuple[float, int]:
    """GPUs of a trial, and how many trials run at a time on what a machine or cluster has.

    Raises RequestError where not even one fits.
    """
    cpus, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
    gpus_per_trial = request.gpus_per_trial
    if gpus_per_trial is None:
        gpus_per_trial = 1.0 if gpus else 0.0
    for name, wanted, there in (
        ("cpus_per_trial", request.cpus_per_trial, cpus),
        ("gpus_per_trial", gpus_per_trial, gpus),
    ):
        if wanted > there:
            raise RequestError(
                f"{name} is {wanted:g} but there are {there:g}; "
                f"lower it with --{name.replace('_', '-')} or use a larger machine or cluster"
            )
    fit = int(cpus / request.cpus_per_trial)
    if gpus_per_trial:
        fit = min(fit, int(gpus / gpus_per_trial))
    return gpus_per_trial, max(1, min(fit, request.max_concurrent or fit))


def machine_resources() -> dict[str, float]:
    """CPUs and GPUs of this machine, as Ray would count them."""
    cpus = float(len(os.sched_getaffinity(0)))
    return {"CPU": cpus, "GPU": float(torch.cuda.device_count())}


def check_resumed(search: Search, record: Record) -> None:
    """Raises RequestError where the space is no longer the one that the search began with."""
    if record.header and record.header["space"] != space_hash(search.space):
        raise RequestError(
            f"the space {search.request.space} has changed since {search.name} began; "
            "restore it, or start a new search"
        )


def _setting_of_workload(workload: Workload, space: Space, given: dict[str, str]) -> dict[str, str]:
    """The digits' cheap critics, for a method that has critics."""
    if workload.data != "digits":
        return {}
    names = {parameter.name for parameter in space.params}
    return {
        name: value for name, value in DIGITS_SETTING.items() if name in names and name not in given
    }


def _check_hyperparameters(place: str, space: Space) -> None:
    """A loss has no defaults: its space declares each of its hyperparameters, and no other."""
    known = set(inspect.signature(LOSSES[space.method]).parameters) - {"student", "teacher"}
    declared = {parameter.name for parameter in space.params}
    if declared - known:
        raise RequestError(
            f"{place}: {space.method} has no hyperparameter {list_of(sorted(declared - known))}; "
            f"known: {list_of(sorted(known))}"
        )
    if known - declared:
        raise RequestError(
            f"{place}: {space.method} also needs {list_of(sorted(known - declared))}; "
            "declare it, as Fixed(NAME, VALUE) if it is not searched"
        )


def _check_combination(request: SearchRequest, num_trials: int, workload: Workload) -> None:
    early = request.scheduler != "none"
    if request.deterministic and early and request.max_concurrent != 1:
        raise RequestError(
            "deterministic needs --scheduler none or --max-concurrent 1: "
            "a scheduler decides by who reports first"
        )
    if request.scheduler == "pbt" and request.algo not in ("random", "qmc", "tpe"):
        raise RequestError(
            f"pbt changes settings by itself, so --algo {request.algo} has no say in them; "
            "use --algo random"
        )
    if request.scheduler == "pbt" and num_trials < 4:
        raise RequestError(
            f"trials is {num_trials} but pbt needs a population; use --trials 4 or more"
        )
    if request.scheduler == "pbt" and request.address and request.max_concurrent:
        raise RequestError(
            "pbt trains its whole population side by side; leave out --max-concurrent"
        )


def describe(search: Search) -> dict[str, Any]:
    """The workload in a few words, for people and for MLflow's tags."""
    workload = search.workload
    return {
        "data": workload.data,
        "teacher": workload.teacher,
        "student": workload.student,
        "epochs": str(workload.epochs),
        "space": search.space.method,
        "algo": search.request.algo,
        "scheduler": search.request.scheduler,
        "select_on": search.request.select_on,
    }
