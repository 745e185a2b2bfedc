"""Resolves a request into a `Search`; reads no data and writes nothing."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from losses import DistillationLoss, build_objective
from search_spaces import Fixed, Setting, Space, load_space
from tuner.config.method import loss_class_of
from tuner.config.options import SearchRequest
from tuner.config.presets import preset_pins
from tuner.config.workload import Workload, absolute, resolve
from tuner.config.yaml_file import read_yaml
from tuner.data import Dataset
from tuner.data.sources import find_source
from tuner.planning.checks import (
    check_combination,
    check_epoch_budget,
    check_hyperparameters,
    check_name,
)
from tuner.planning.plan import Budget, Find, Plan, SearchPlan
from tuner.planning.prior_band import Prior
from tuner.planning.rungs import shortest_trial
from tuner.planning.sampler import FULL_LENGTH_ONLY, NO_PRIOR, Sampler, space_hash
from tuner.planning.space_needs import check_population, needs_of_space
from tuner.planning.task import Needs, Task, shapes_of_both
from tuner.results.record import Record
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

DEFAULT_TRIALS = 16
WORDS = (None, "published", "none")  # priors that are no file


@dataclass(frozen=True, kw_only=True)
class Search(Task):
    """Searches the settings of one method."""

    request: SearchRequest
    space: Space  # as narrowed by the workload and by --set
    method: type[DistillationLoss]
    published: Setting
    prior: Prior

    @property
    def identity(self) -> str:
        return space_hash(self.space)

    @property
    def methods(self) -> list[str]:
        return [self.space.method]

    @property
    def num_finals(self) -> int:
        # Of published, plain and tuned, which may differ even where every value is pinned.
        return (2 + (bool(self.searched) or not self.published_is_first)) * self.request.seeds

    @property
    def searched(self) -> list[str]:
        return self.space.searched

    @property
    def examples(self) -> list[tuple[type[DistillationLoss], Setting]]:
        return [(self.method, self.published)]

    @property
    def published_is_first(self) -> bool:
        """False if the user's ranges exclude the published setting."""
        return self.space.published() == self.published

    @property
    def first(self) -> Setting | None:
        """The setting of the first trial; None if the grid decides.

        It is the published one, or the nearest to it within the user's ranges. Before a grid,
        which is the user's own list of settings, only the published one itself is tried.
        """
        if self.algo == "grid" and not self.published_is_first:
            return None
        return self.space.published()

    def needs(self, dataset: Dataset) -> Needs:
        """See `Task.needs`. Also refuses a method that fits only part of the space."""
        student, teacher = shapes_of_both(self.workload, dataset)
        build = partial(build_objective, self.method, student, teacher)
        needs = needs_of_space(self.space, self.published, build, is_grid=self.algo == "grid")
        if self.population is not None:
            check_population(self.population, build)
        return needs

    def plan(self, record: Record, budget: Budget, find: Find) -> Plan:
        sampler = Sampler(
            self.space,
            algo="random" if self.population is not None else self.algo,
            seed=self.workload.seed,
            num_trials=self.num_trials,
            metric=self.metric,
            first=self.first,
            prior=self.prior,
            ask_in_batches=budget.ask_in_batches,
        )
        plan = SearchPlan(
            record,
            sampler,
            self.space,
            budget,
            find,
            metric=self.metric,
            published=self.published,
        )
        sampler.recall(record)
        return plan


def plan_search(request: SearchRequest) -> Search:
    """Resolves a request. Raises RequestError, SpaceError or UnknownModel; reads no data."""
    workload = resolve(request.model_dump(include=set(Workload.__dataclass_fields__)))
    scheduler = request.scheduler or ("none" if request.algo in FULL_LENGTH_ONLY else "asha")
    request = request.model_copy(update={"scheduler": scheduler})
    find_source(workload.data, Path(workload.data_dir))
    declared = load_space(request.space).for_epochs(workload.epochs)
    method = loss_class_of(declared, request.space)
    check_hyperparameters(request.space, declared, method)
    pins = preset_pins(workload.preset, declared.method) | request.set
    space, published = declared.narrow(pins), _published(declared, pins, request.set)
    first = published if space.published() == published else None
    num_trials = _num_trials(request, space, first, scheduler, workload.epochs)
    check_combination(request, num_trials)
    check_epoch_budget(request, scheduler, workload.epochs)
    name = request.name or default_name(declared.method, workload.data)
    check_name(name)
    runs = Storage(request.runs_dir)
    resolved = workload.as_request() | {
        "name": name,
        "trials": num_trials,
        "space": _absolute(request.space),
        "prior": request.prior if request.prior in WORDS else absolute(request.prior),
        "set": pins,
        "runs_dir": runs.uri,
    }
    return Search(
        name=name,
        request=request.model_copy(update=resolved),
        workload=workload,
        space=space,
        method=method,
        published=published,
        prior=_prior(request, space),
        num_trials=num_trials,
        algo=request.algo,
        scheduler=scheduler,
        select_on=request.select_on,
        population=space if scheduler == "pbt" else None,
        asks_in_batches=request.deterministic,
        time_budget_seconds=request.time_budget,
        search_epochs=request.epoch_budget,
        space_name=resolved["space"],
        runs=runs,
    )


def _prior(request: SearchRequest, space: Space) -> Prior:
    """Raises RequestError for a file of another method, SpaceError for one of another space."""
    if request.prior == "none":
        return NO_PRIOR
    if request.prior in WORDS:
        return Prior(space.published(), request.prior_strength)
    content = read_yaml(request.prior)
    if content.get("method", space.method) != space.method:
        raise RequestError(
            f"{request.prior} is a setting of {content['method']}, not of {space.method}; "
            "give one of the same method"
        )
    return Prior(space.complete(content.get("set", content)), request.prior_strength)


def _published(declared: Space, pins: dict[str, str], given: dict[str, str]) -> Setting:
    """The setting that tuned ones are compared with.

    It keeps the preset's pins, and the user's for parameters that the method fixes. All other
    parameters have their published values.
    """
    fixed = {parameter.name for parameter in declared.params if isinstance(parameter, Fixed)}
    kept = {
        name: value
        for name, value in pins.items()
        if name not in given or (name in fixed and ":" not in value)
    }
    return declared.narrow(kept).published()


def _num_trials(
    request: SearchRequest, space: Space, first: Setting | None, scheduler: str, epochs: int
) -> int:
    if all(isinstance(parameter, Fixed) for parameter in space.params):
        return 1  # all trials would be the same
    most = None  # that the epochs allow
    if request.epoch_budget is not None:
        most = max(1, request.epoch_budget // shortest_trial(scheduler, epochs))
    if request.algo != "grid":
        return request.trials or most or DEFAULT_TRIALS
    grid = space.grid()
    size = len(grid) + (first is not None and first not in grid)
    return min(request.trials or size, size)


def _absolute(space: str) -> str:
    is_file = space.endswith(".py") or "/" in space
    return str(Path(space).expanduser().absolute()) if is_file else space


def default_name(what: str, data: str) -> str:
    """The default name of a search: what is searched, the data, the time."""
    return f"{what}-{data.partition(':')[0]}-{time.strftime('%Y%m%d-%H%M%S')}"
