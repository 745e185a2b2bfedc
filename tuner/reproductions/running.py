"""Runs a reproduction: a search with a fixed plan for each pair, then what is made of them."""

import json
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from losses import LOSSES, LossError, build_objective
from tuner.config.command_line import read_request
from tuner.config.options import ReproduceRequest
from tuner.config.run_folder import check_unchanged, is_reproduction, request_yaml
from tuner.config.yaml_file import parse_yaml
from tuner.data import Dataset
from tuner.driver.search_outcome import seed_metrics
from tuner.driver.watched_run import run_watched
from tuner.orchestration.cluster import ray_for
from tuner.planning.checks import check_resumed
from tuner.planning.fixed import FixedTask
from tuner.planning.task import Run, shapes_of_both
from tuner.reports.statistics import accuracy_of
from tuner.reproductions.experiment import Pair, Reproduction
from tuner.reproductions.measuring import Measurer
from tuner.reproductions.results import Results, results_of
from tuner.results.record import Record
from tuner.results.trial import TEACHER
from tuner.storage.folder import COMPARISON_FILE, SEARCH_FILE
from tuner.text.errors import RequestError
from tuner.tracking.mirror import Mirror
from tuner.tracking.publish import Outcome, publish
from tuner.training.workload_data import open_data

LEFT_OUT_FILE = "left_out.json"  # by pair and arm, why
LeftOut = Mapping[str, Mapping[str, str]]


class InterruptedRunError(Exception):
    """The user has stopped it; finished trainings are kept."""

    def __init__(self, run: Run[Any]) -> None:
        super().__init__("interrupted")
        self.run = run


def fitting(reproduction: Reproduction) -> tuple[Reproduction, LeftOut]:
    """Without the methods that cannot join a pair of networks, and why each is left out.

    Raises RequestError where of a pair none is left, and what the experiment's own check raises.
    """
    if reproduction.experiment.check is not None:
        reproduction.experiment.check(reproduction)
    left_out = {}
    for task in reproduction.tasks:
        dataset, _ = open_data(task.workload)
        refused = _refused(task, dataset)
        if all(training.setting_label in refused for training in task.trainings):
            raise RequestError(next(iter(refused.values())))
        left_out[task.name] = refused
    return without(reproduction, left_out), left_out


def without(reproduction: Reproduction, left_out: LeftOut) -> Reproduction:
    """Without these arms of its pairs."""
    tasks = tuple(
        replace(
            task,
            trainings=tuple(
                training
                for training in task.trainings
                if training.setting_label not in left_out.get(task.name, {})
            ),
        )
        for task in reproduction.tasks
    )
    told = tuple(
        f"{label} with {name}: {why}"
        for name, refused in left_out.items()
        for label, why in refused.items()
    )
    return replace(reproduction, tasks=tasks, left_out=told)


def check_begun(reproduction: Reproduction) -> None:
    """Raises RequestError where its folder is not its own, or is of another request."""
    storage = reproduction.storage
    if not storage.exists(SEARCH_FILE):
        return
    if not is_reproduction(storage):
        raise RequestError(
            f"{reproduction.name!r} is the folder of a search; choose another --name"
        )
    path = storage.path(SEARCH_FILE)
    given = {"name": reproduction.name, "runs_dir": reproduction.runs.uri}
    written = parse_yaml(path, storage.read(SEARCH_FILE)) | given
    started = read_request(ReproduceRequest, {}, base=written)
    check_unchanged(
        reproduction.name, started, reproduction.request, "choose another --name, or none"
    )
    for task in reproduction.tasks:
        if task.storage.exists(SEARCH_FILE):
            dataset, _ = open_data(task.workload)
            check_resumed(task, Record.load(task.storage), dataset)


def machines_of(reproduction: Reproduction) -> AbstractContextManager[None]:
    """Where its trainings and what is measured after them run; nothing where nothing is trained."""
    return ray_for(reproduction.tasks[0]) if reproduction.tasks else nullcontext()


def run_reproduction(
    reproduction: Reproduction, left_out: LeftOut, *, mode: str
) -> tuple[Results, Mirror | None]:
    """Trains what is missing, measures the teachers; `mode` as for `run_watched`.

    Raises InterruptedRunError, and RequestError where no training finished.
    """
    storage = reproduction.storage
    if not storage.exists(SEARCH_FILE):
        reproduction.runs.check_writable()
        storage.write(COMPARISON_FILE, uuid.uuid4().hex.encode())
        storage.write(SEARCH_FILE, request_yaml(reproduction.request))
    storage.write(LEFT_OUT_FILE, json.dumps(left_out).encode())
    identity = (storage.read(COMPARISON_FILE).decode(), reproduction.name)
    records: dict[Pair, Record] = {}
    mirror: Mirror | None = None
    for pair, task in zip(reproduction.experiment.pairs, reproduction.tasks, strict=False):
        resume = task.storage.exists(SEARCH_FILE)
        run, mirror = run_watched(task, resume=resume, mode=mode, comparison=identity)
        if run.interrupted:
            raise InterruptedRunError(run)
        publish(mirror, _outcome_of(run))
        records[pair] = run.record
    _check_finished(records)
    return results_of(reproduction, records, Measurer(reproduction)), mirror


def _refused(task: FixedTask, dataset: Dataset) -> dict[str, str]:
    """Labels of the arms that do not fit the networks, and why."""
    student, teacher = shapes_of_both(task.workload, dataset)
    refused: dict[str, str] = {}
    # The seeds of an arm have one setting.
    for training in {training.setting_label: training for training in task.trainings}.values():
        try:
            build_objective(LOSSES[training.method], student, teacher, training.setting)
        except LossError as error:
            refused[training.setting_label] = str(error)
    return refused


def _outcome_of(run: Run[FixedTask]) -> Outcome:
    """Of a pair: means over the seeds of each setting, and those of the best setting."""
    task, record = run.task, run.record
    settings = {}
    for label in dict.fromkeys(training.setting_label for training in task.trainings):
        trials = [
            t for t in record.trials.values() if t.setting_label == label and t.is_full_length
        ]
        accuracies = (accuracy_of(trials, name) for name in ("val_accuracy", "test_accuracy"))
        settings[label] = seed_metrics(len(trials), *accuracies)
    best = max(settings.values(), key=lambda metrics: metrics.get("val_accuracy", 0.0))
    files = {SEARCH_FILE: request_yaml(task.request)}
    return Outcome(metrics=best, files=files, settings=settings)


def _check_finished(records: Mapping[Pair, Record]) -> None:
    """Raises RequestError where no training of any pair has finished."""
    trials = [trial for record in records.values() for trial in record.trials.values()]
    if trials and not any(trial.is_full_length and trial.role != TEACHER for trial in trials):
        reasons = sorted({trial.reason for trial in trials if trial.reason})
        raise RequestError(f"no training finished: {'; '.join(reasons[:3])}; see its journal")
