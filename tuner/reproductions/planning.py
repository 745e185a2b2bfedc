"""From a request to the trainings of a reproduction; nothing is read or written yet."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import models
from search_spaces import Setting, SpaceError, load_space, plain
from search_spaces.wording import list_of, suggestion, text_of
from tuner.config.options import OPERATIONAL, ReproduceRequest, RunRequest
from tuner.config.presets import find_preset, preset_for, preset_pins
from tuner.config.run_folder import default_tracking_uri
from tuner.config.workload import Workload, resolve
from tuner.planning.checks import check_name
from tuner.planning.fixed import FixedTask
from tuner.planning.plan import FinalTraining
from tuner.reproductions.experiment import Experiment, Pair, Reproduction, Variant
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError
from tuner.text.formatting import count_text

WORKLOAD = set(Workload.__dataclass_fields__)


def plan_reproduction(experiment: Experiment, request: ReproduceRequest) -> Reproduction:
    """Resolves a request. Raises RequestError, SpaceError or UnknownModel."""
    _check_options(experiment, request)
    chosen = replace(experiment, pairs=_pairs(experiment, request), arms=_arms(experiment, request))
    _check_pins(chosen, request)
    runs = Storage(request.runs_dir)
    data = request.data or experiment.data
    if data == "imagenet" and experiment.arms:
        raise RequestError(f"{experiment.name} needs a folder; give --data imagenet:DIR")
    seeds = (request.seeds or experiment.seeds) if experiment.arms else None
    resolved = request.model_copy(update={"data": data, "seeds": seeds, "runs_dir": runs.uri})
    workloads = [_workload(pair, resolved) for pair in chosen.pairs]
    labels = tuple(_labels(experiment, chosen, resolved, workloads))
    name = request.name or _name(experiment, resolved)
    check_name(name)
    resolved = resolved.model_copy(update={"name": name})
    tasks = tuple(
        _task(pair, workload, chosen, resolved, runs.sub(name), runs)
        for pair, workload in zip(chosen.pairs, workloads, strict=True)
        if chosen.arms
    )
    return Reproduction(name, resolved, chosen, tuple(workloads), tasks, labels)


def setting_of(
    arm: Variant,
    workload: Workload,
    pins: Mapping[str, str],
    recipe: Mapping[str, str] | None = None,
) -> Setting:
    """The whole setting of an arm. Raises SpaceError for a value that is no good.

    What the arm says wins over what a person says, that over a pair's recipe, that over the
    published setting.
    """
    space = plain.SPACE if arm.method == "plain" else load_space(arm.method)
    space = space.for_epochs(workload.epochs)
    own = {**(recipe or {}), **preset_pins(workload.preset, arm.method), **space.own_pins(pins)}
    own = {name: value for name, value in own.items() if name not in arm.values}
    return space.narrow(own).complete(arm.values)


def drops_of(workload: Workload) -> list[int]:
    """After which epochs the learning rate drops, as far as another epoch follows."""
    return [drop for drop in workload.lr_decay_epochs if drop < workload.epochs]


def training_name(arm: Variant, number: int) -> str:
    """What the training of an arm with the seed of this number is called, in its record."""
    label = re.sub(r"\s*=\s*", "=", arm.label).replace(", ", "_").replace(" ", "-")
    file_name = re.sub(r"[^\w.=-]", "_", label)
    return f"{file_name}-{number}"


def _check_options(experiment: Experiment, request: ReproduceRequest) -> None:
    for option in ("probe_data", "memory_cap"):
        if getattr(request, option) is not None and option not in experiment.options:
            raise RequestError(
                f"{experiment.name} has no use for {option}; leave out --{option.replace('_', '-')}"
            )
    if not experiment.arms:
        for option in ("methods", "seeds", "epochs"):
            if getattr(request, option) is not None and option not in experiment.options:
                raise RequestError(f"{experiment.name} trains nothing; leave out --{option}")


def _pairs(experiment: Experiment, request: ReproduceRequest) -> tuple[Pair, ...]:
    """Those that are asked for: of the paper's, or others in their place."""
    pairs = list(experiment.pairs)
    if request.pairs is not None:
        pairs = [_parsed(text) for text in request.pairs]
    if request.teacher is not None:
        name, _, checkpoint = request.teacher.partition("@")
        pairs = [replace(pair, teacher=name, checkpoint=checkpoint) for pair in pairs]
    if request.student is not None:
        pairs = [replace(pair, student=request.student) for pair in pairs]
    given = {models.canonical_name(name): file for name, file in request.checkpoint.items()}
    canonical = [
        Pair(teacher, models.canonical_name(pair.student), given.get(teacher, pair.checkpoint))
        for pair in pairs
        for teacher in [models.canonical_name(pair.teacher)]
    ]
    for name in given:
        if name not in {pair.teacher for pair in canonical}:
            raise RequestError(f"{name} is no teacher here; leave out its --checkpoint")
    return tuple(dict.fromkeys(canonical))


def _parsed(text: str) -> Pair:
    words = text.replace("torchvision:", "torchvision\0").replace("timm:", "timm\0").split(":")
    if len(words) != 2 or not all(words):
        raise RequestError(f"{text!r} is no pair of networks; write teacher:student")
    teacher, student = (word.replace("\0", ":") for word in words)
    name, _, checkpoint = teacher.partition("@")
    return Pair(name, student, checkpoint)


def _arms(experiment: Experiment, request: ReproduceRequest) -> tuple[Variant, ...]:
    """All, or those of the methods that are asked for; arms of one method stay together."""
    if request.methods is None:
        return experiment.arms
    known = {name for arm in experiment.arms for name in (arm.label, arm.method)}
    for name in request.methods:
        if name not in known:
            raise RequestError(
                f"{experiment.name} has no method {name!r}{suggestion(name, sorted(known))} "
                f"known: {list_of(sorted(known))}"
            )
    return tuple(
        arm
        for arm in experiment.arms
        # CRD+KD is an arm of the method crd with a label of its own.
        if arm.label in request.methods
        or (arm.method in request.methods and not _has_own_arm(arm, experiment))
    )


def _has_own_arm(arm: Variant, experiment: Experiment) -> bool:
    """Whether the method's name is the label of another arm."""
    return arm.label != arm.method and any(other.label == arm.method for other in experiment.arms)


def _check_pins(experiment: Experiment, request: ReproduceRequest) -> None:
    """Refuses a hyperparameter that no arm has, or that the experiment itself varies."""
    for name in request.set:
        method, dot, own = name.rpartition(".")
        arms = [arm for arm in experiment.arms if not dot or arm.method == method]
        declared = {
            parameter.name
            for arm in arms
            if arm.method != "plain"
            for parameter in load_space(arm.method).params
        }
        if own not in declared:
            raise SpaceError(
                f"no method of {experiment.name} has a hyperparameter {name!r}"
                f"{suggestion(own, sorted(declared))} known: {list_of(sorted(declared))}"
            )
        if ":" in request.set[name]:
            raise SpaceError(
                f"--set {name}={request.set[name]} is a range, but nothing is searched here; "
                "give one value"
            )
        if all(own in arm.values for arm in arms if arm.method != "plain"):
            raise RequestError(
                f"{own} is what {experiment.name} sets itself; leave out --set {name}"
            )


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
    settings = [
        setting_of(arm, workload, request.set, experiment.recipes.get((pair, arm.method)))
        for arm in experiment.arms
    ]
    seeds = request.seeds or experiment.seeds
    trainings = tuple(
        FinalTraining(
            training_name(arm, number), arm.label, arm.method, setting, workload.seed + number
        )
        # A whole table with one seed first, then the next: a short run shows all of it.
        for number in range(1, seeds + 1)
        for arm, setting in zip(experiment.arms, settings, strict=True)
    )
    own = {
        "name": pair.folder,
        "runs_dir": folder.uri,
        "tracking_uri": request.tracking_uri or default_tracking_uri(runs, workload.data_dir),
    }
    shared = request.model_dump(include=set(RunRequest.model_fields))
    task_request = RunRequest(**shared | workload.as_request() | own)
    return FixedTask(
        name=pair.folder,
        request=task_request,
        workload=workload,
        runs=folder,
        all_runs=runs,
        trainings=trainings,
        needs_weights=experiment.needs_weights,
    )


def _labels(
    published: Experiment,
    chosen: Experiment,
    request: ReproduceRequest,
    workloads: Sequence[Workload],
) -> list[str]:
    """How it differs from the paper's own protocol; none: it does not."""
    labels = []
    if request.data != published.data and not str(request.data).startswith(f"{published.data}:"):
        labels.append(f"data {request.data} instead of {published.data}")
    workload = workloads[0]
    full = find_preset(preset_for(published.data)).full_epochs
    if request.limit is not None:
        labels.append(f"{count_text(request.limit, 'training image')}")
    if chosen.arms and workload.epochs != full:
        drops = ", ".join(map(str, drops_of(workload)))
        told = f"drops after epochs {drops}" if drops else "never drops"
        labels.append(f"{count_text(workload.epochs, 'epoch')} instead of {full} (the rate {told})")
    if chosen.pairs != published.pairs:
        pairs = "; ".join(map(str, chosen.pairs))
        labels.append(
            f"{pairs} instead of {'; '.join(map(str, published.pairs[:2]))}"
            f"{' …' if len(published.pairs) > 2 else ''}"
        )
    if chosen.arms and len(chosen.arms) < len(published.arms):
        labels.append(f"{len(chosen.arms)} of {len(published.arms)} settings")
    if chosen.arms and (request.seeds or 0) < published.seeds:
        labels.append(f"{count_text(request.seeds or 0, 'seed')} instead of {published.seeds}")
    changed = dict(request.set)
    for method in dict.fromkeys(arm.method for arm in chosen.arms):
        for name, value in find_preset(workload.preset).settings.get(method, {}).items():
            changed.setdefault(name, value)
    labels += [f"{name} = {value}" for name, value in changed.items()]
    for option in (
        "teacher_epochs",
        "teacher_lr",
        "batch_size",
        "lr",
        "lr_decay_epochs",
        "lr_decay_rate",
        "momentum",
        "weight_decay",
        "crop_padding",
        "flip",
        "image_size",
        "validation_fraction",
        "passes",
    ):
        value = getattr(request, option)
        if value is not None:
            values = value if isinstance(value, tuple) else (value,)
            labels.append(f"{option} = {', '.join(map(text_of, values))}")
    return labels


def _name(experiment: Experiment, request: ReproduceRequest) -> str:
    """The same request goes on in the same folder, another has its own."""
    content = _content(request)
    seeds = experiment.seeds if experiment.arms else None
    usual = request.model_validate(
        {"reproduction": experiment.name, "data": experiment.data, "seeds": seeds}
    )
    if content == _content(usual):
        return experiment.name
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:6]
    return f"{experiment.name}-{key}"


def _content(request: ReproduceRequest) -> dict[str, Any]:
    """What the results of a request depend on."""
    return request.model_dump(mode="json", exclude={"name", *OPERATIONAL})
