"""From a request to a search that can begin: everything is checked before anything is written."""

import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from losses import COMMON, DistillationLoss, LossError, Objective, build_objective
from search_spaces import Choice, Fixed, Float, Setting, Space, load_space
from search_spaces.parameters import Parameter, Value, list_of
from tuner.config.method import loss_class_of
from tuner.config.options import SearchRequest
from tuner.config.presets import find_preset
from tuner.config.workload import Workload, resolve
from tuner.data import Dataset
from tuner.data.sources import find_source
from tuner.planning.checks import check_name
from tuner.planning.sampler import space_hash
from tuner.planning.task import Needs, Task, needs_of, shapes_of_both
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

DEFAULT_TRIALS = 16


@dataclass(frozen=True)
class Search(Task):
    """A search of a space."""

    space: Space  # as narrowed by the workload and by --set
    method: type[DistillationLoss]
    published: Setting
    published_is_first: bool  # False: the person's ranges exclude it
    num_trials: int

    @property
    def identity(self) -> str:
        return space_hash(self.space)

    @property
    def custom_method(self) -> str:
        return self.request.space

    @property
    def num_trainings(self) -> int:
        return self.num_trials

    @property
    def has_trials(self) -> bool:
        return True

    @property
    def searched(self) -> list[str]:
        return [p.name for p in self.space.params if not isinstance(p, Fixed)]

    @property
    def examples(self) -> list[tuple[type[DistillationLoss], Setting]]:
        return [(self.method, self.published)]

    @property
    def first(self) -> Setting | None:
        """The setting of the first trial, where the algorithm leaves the choice.

        The published one, or the nearest to it within a person's ranges. A grid is the
        person's own list of settings: only the published one itself is put before it.
        """
        if self.request.algo == "grid" and not self.published_is_first:
            return None
        return self.space.published()

    def needs(self, dataset: Dataset) -> Needs:
        """As `Task.needs`; refused too where the method fits only in a part of the space."""
        space = self.space
        student, teacher = shapes_of_both(self.workload, dataset)

        def build(setting: Setting) -> Objective:
            return build_objective(self.method, student, teacher, setting)

        first = space.published()
        needs: dict[tuple[str, ...], None] = {}
        try:
            for setting in (self.published, first):
                needs |= needs_of(self.method, student, teacher, setting)
            # A weight may be zero at an end, and then need less; only grids go there.
            for setting in _varied(space, first, _ends):
                build(setting)
        except LossError as error:
            raise RequestError(str(error)) from error
        is_grid = self.request.algo == "grid"
        for setting in _varied(space, first, lambda p: _values(p, is_grid)):
            with suppress(LossError):  # of several options one may not suit: such a trial fails
                needs |= needs_of(self.method, student, teacher, setting)
        if self.request.scheduler == "pbt":
            _check_population(space, build)
        return tuple(needs)


def plan_search(request: SearchRequest, all_runs: Storage | None = None) -> Search:
    """Resolves a request. Raises RequestError, SpaceError or UnknownModel; reads no data.

    `all_runs`: the folder of all searches, if that is not the request's.
    """
    workload = resolve(request.model_dump(include=set(Workload.__dataclass_fields__)))
    find_source(workload.data, Path(workload.data_dir))
    declared = load_space(request.space).for_epochs(workload.epochs)
    method = loss_class_of(declared, request.space)
    _check_hyperparameters(request.space, declared, method)
    cost = _setting_of_preset(workload.preset, declared, request.set)
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
    if all(isinstance(parameter, Fixed) for parameter in space.params):
        num_trials = 1  # every other would be the same
    elif request.algo == "grid":
        grid = space.grid()
        size = len(grid) + (published_is_first and published not in grid)
        num_trials = min(request.trials or size, size)
    _check_combination(request, num_trials, workload)
    name = request.name or default_name(declared.method, workload.data)
    check_name(name)
    runs = Storage(request.runs_dir)
    is_file = request.space.endswith(".py") or "/" in request.space
    resolved = request.model_copy(
        update=workload.as_request()
        | {
            "name": name,
            "trials": num_trials,
            "space": str(Path(request.space).expanduser().absolute()) if is_file else request.space,
            "set": cost | request.set,
            "runs_dir": runs.uri,
        }
    )
    return Search(
        name=name,
        request=resolved,
        workload=workload,
        space=space,
        method=method,
        published=published,
        published_is_first=published_is_first,
        num_trials=num_trials,
        runs=runs,
        all_runs=all_runs or runs,
    )


def default_name(what: str, data: str) -> str:
    """A search's name, where a person gave none: what is searched, the data, the time."""
    return f"{what}-{data.partition(':')[0]}-{time.strftime('%Y%m%d-%H%M%S')}"


def _check_population(space: Space, build: Callable[[Setting], Objective]) -> None:
    """In a population a trial goes on with the weights of another, the loss's own among them.

    Raises RequestError where a hyperparameter that is searched changes their shapes.
    """

    def shapes_with(setting: Setting) -> dict[str, torch.Size]:
        return {name: tensor.shape for name, tensor in build(setting).state_dict().items()}

    first = space.published()
    expected = shapes_with(first)
    for parameter in space.params:
        # Not the low end of a weight: at 0 it may need no weights at all, but no trial is there.
        values = (parameter.high,) if isinstance(parameter, Float) else _values(parameter, False)
        for value in values:
            with suppress(LossError):  # such a trial fails by itself
                if shapes_with(space.applicable(first | {parameter.name: value})) != expected:
                    raise RequestError(
                        f"pbt hands weights from trial to trial, but {parameter.name} changes "
                        f"their shapes in {space.method}; pin it, as with --set "
                        f"{parameter.name}={first[parameter.name]}, or choose another --scheduler"
                    )


def _varied(
    space: Space, setting: Setting, values: Callable[[Parameter], Iterable[Value]]
) -> Iterator[Setting]:
    """The setting with one of its hyperparameters changed, for each of the values."""
    for parameter in space.params:
        for value in values(parameter):
            yield space.applicable(setting | {parameter.name: value})


def _ends(parameter: Parameter) -> tuple[Value, ...]:
    return (parameter.low, parameter.high) if isinstance(parameter, Float) else ()


def _values(parameter: Parameter, is_grid: bool) -> tuple[Value, ...]:
    """Those at which a loss may need something else than elsewhere."""
    if isinstance(parameter, Choice):
        return parameter.options
    return parameter.grid if is_grid and isinstance(parameter, Float) else ()


def _setting_of_preset(preset: str, space: Space, given: dict[str, str]) -> dict[str, str]:
    """What the preset sets of a method, such as the digits' cheap critics."""
    setting = find_preset(preset).settings.get(space.method, {})
    return {name: value for name, value in setting.items() if name not in given}


def _check_hyperparameters(place: str, space: Space, method: type[DistillationLoss]) -> None:
    """A loss has no defaults: its space declares each of its hyperparameters, and no other."""
    own = list(inspect.signature(method).parameters)[2:]  # after student and teacher
    known = {*own, *COMMON}
    declared = {parameter.name for parameter in space.params}
    if declared - known:
        raise RequestError(
            f"{place}: {space.method} has no hyperparameter {list_of(sorted(declared - known))}; "
            f"known: {list_of(sorted(known))}"
        )
    if known - declared:
        raise RequestError(
            f"{place}: {space.method} also needs {list_of(sorted(known - declared))}; "
            "declare it, as Fixed(NAME, VALUE) if it is not searched, "
            "ce_weight, kd_weight and temperature with *common()"
        )


def _check_combination(request: SearchRequest, num_trials: int, workload: Workload) -> None:
    early = request.scheduler != "none"
    if request.deterministic and early and request.max_concurrent != 1:
        raise RequestError(
            "deterministic needs --scheduler none or --max-concurrent 1: "
            "a scheduler decides by who reports first"
        )
    if request.scheduler == "pbt" and request.algo not in ("random", "tpe"):
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
