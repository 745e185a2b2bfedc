"""Plans the trainings of a reproduction from a request; reads no data and writes nothing."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from tuner.config.options import OPERATIONAL, ReproduceRequest, RunRequest
from tuner.config.run_folder import default_tracking_uri
from tuner.config.workload import Workload, resolve
from tuner.planning.checks import check_name
from tuner.planning.fixed_trainings import FixedTask
from tuner.planning.plan import FinalTraining
from tuner.reproductions.departures import departures_of
from tuner.reproductions.experiment import Experiment, Pair
from tuner.reproductions.selection import select
from tuner.reproductions.settings import setting_of, training_name
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

WORKLOAD = set(Workload.__dataclass_fields__)


@dataclass(frozen=True)
class Reproduction:
    """An experiment as requested."""

    name: str
    request: ReproduceRequest  # every value resolved
    experiment: Experiment  # with the selected pairs and variants
    workloads: tuple[Workload, ...]  # one per pair
    tasks: tuple[FixedTask, ...]  # one per pair; none where nothing is trained
    departures: tuple[str, ...]  # from the paper's protocol; none: full scale
    left_out: tuple[str, ...] = ()  # variants that do not fit a pair, and why

    @property
    def runs(self) -> Storage:
        return Storage(self.request.runs_dir)

    @property
    def storage(self) -> Storage:
        """Its own folder, which holds a folder for each pair."""
        return self.runs.sub(self.name)

    @property
    def tasks_by_pair(self) -> dict[Pair, FixedTask]:
        """The trainings of each pair; empty where nothing is trained."""
        return dict(zip(self.experiment.pairs, self.tasks, strict=bool(self.tasks)))


def plan_reproduction(experiment: Experiment, request: ReproduceRequest) -> Reproduction:
    """Resolves a request. Raises RequestError, SpaceError or UnknownModel."""
    selected = select(experiment, request)
    runs = Storage(request.runs_dir)
    data = request.data or experiment.data
    if data == "imagenet" and experiment.variants:
        raise RequestError(f"{experiment.name} needs a folder; give --data imagenet:DIR")
    seeds = (request.seeds or experiment.seeds) if experiment.variants else None
    resolved = request.model_copy(update={"data": data, "seeds": seeds, "runs_dir": runs.uri})
    workloads = tuple(_workload(pair, resolved) for pair in selected.pairs)
    name = request.name or _default_name(experiment, resolved)
    check_name(name)
    resolved = resolved.model_copy(update={"name": name})
    tasks = tuple(
        _task(pair, workload, selected, resolved, runs.sub(name), runs)
        for pair, workload in zip(selected.pairs, workloads, strict=True)
        if selected.variants
    )
    departures = departures_of(experiment, selected, resolved, workloads[0])
    return Reproduction(name, resolved, selected, workloads, tasks, departures)


def _workload(pair: Pair, request: ReproduceRequest) -> Workload:
    given = request.model_dump(include=WORKLOAD)
    teacher = f"{pair.teacher}@{pair.checkpoint}" if pair.checkpoint else pair.teacher
    return resolve(given | {"teacher": teacher, "student": pair.student})


def _task(
    pair: Pair,
    workload: Workload,
    experiment: Experiment,
    request: ReproduceRequest,
    folder: Storage,
    runs: Storage,
) -> FixedTask:
    own = {
        "name": pair.folder,
        "runs_dir": folder.uri,
        "tracking_uri": request.tracking_uri or default_tracking_uri(runs, workload.data_dir),
    }
    shared = request.model_dump(include=set(RunRequest.model_fields))
    return FixedTask(
        name=pair.folder,
        request=RunRequest(**shared | workload.as_request() | own),
        workload=workload,
        runs=folder,
        trainings=_trainings(pair, workload, experiment, request),
        needs_weights=experiment.needs_weights,
    )


def _trainings(
    pair: Pair, workload: Workload, experiment: Experiment, request: ReproduceRequest
) -> tuple[FinalTraining, ...]:
    settings = [
        setting_of(
            variant, workload, request.set, experiment.pair_settings.get((pair, variant.method))
        )
        for variant in experiment.variants
    ]
    return tuple(
        FinalTraining(
            training_name(variant, number),
            variant.label,
            variant.method,
            setting,
            workload.seed + number,
        )
        # A whole table with one seed first, then the next: a short run shows all of it.
        for number in range(1, (request.seeds or 0) + 1)
        for variant, setting in zip(experiment.variants, settings, strict=True)
    )


def _default_name(experiment: Experiment, request: ReproduceRequest) -> str:
    """The experiment's name, with a hash unless the request is the usual one.

    The same request finds its folder again, and another one gets its own.
    """
    content = _content(request)
    seeds = experiment.seeds if experiment.variants else None
    usual = request.model_validate(
        {"reproduction": experiment.name, "data": experiment.data, "seeds": seeds}
    )
    if content == _content(usual):
        return experiment.name
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:6]
    return f"{experiment.name}-{key}"


def _content(request: ReproduceRequest) -> dict[str, Any]:
    """Everything in a request that its results depend on."""
    return request.model_dump(mode="json", exclude={"name", *OPERATIONAL})
