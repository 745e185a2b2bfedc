"""Runs a reproduction: a search with a fixed plan for each pair, then what is made of them."""

import json
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from losses import LOSSES, LossError
from tuner.arguments import parse_yaml
from tuner.data import Dataset
from tuner.distillation import evaluate
from tuner.errors import RequestError
from tuner.orchestration.cluster import ray_for
from tuner.orchestration.prepare import check_resumed
from tuner.orchestration.record import DONE, TEACHER, Record
from tuner.orchestration.run import Run, search_yaml
from tuner.orchestration.task import FixedTask, needs_of, shapes_of_both
from tuner.reports.comparison import accuracy_of
from tuner.reproductions.experiment import Pair
from tuner.reproductions.planning import Reproduction, request_yaml
from tuner.reproductions.results import Measured, Results
from tuner.session import run_watched
from tuner.storage import COMPARISON_FILE, SEARCH_FILE, Storage
from tuner.teacher import find_teacher
from tuner.tracking import Tracking
from tuner.training import default_device
from tuner.workload import open_data

MEASURED = "measured"  # folder of what was measured beside the trainings


class InterruptedRunError(Exception):
    """A person has stopped it; what is done is kept."""

    def __init__(self, run: Run[Any], tracking: Tracking) -> None:
        super().__init__("interrupted")
        self.run, self.tracking = run, tracking


def fitting(reproduction: Reproduction) -> tuple[Reproduction, list[str]]:
    """Without the methods that cannot join a pair of networks, and why each is left out.

    Raises RequestError where of a pair none is left.
    """
    tasks, left_out = [], []
    for task in reproduction.tasks:
        dataset, _ = open_data(task.workload)
        refused = _refused(task, dataset)
        kept = tuple(one for one in task.trainings if one.label not in refused)
        if not kept:
            raise RequestError(next(iter(refused.values())))
        left_out += [f"{label} with {task.name}: {why}" for label, why in refused.items()]
        tasks.append(replace(task, trainings=kept))
    return replace(reproduction, tasks=tuple(tasks)), left_out


def run_reproduction(reproduction: Reproduction, *, mode: str) -> tuple[Results, Tracking | None]:
    """Trains what is missing, measures the teachers; `mode` as for `run_watched`.

    Raises InterruptedRunError, and RequestError before anything is written where it cannot be run.
    """
    storage = reproduction.storage
    is_begun = storage.exists(SEARCH_FILE)
    if is_begun:
        check_same(reproduction)
        for task in reproduction.tasks:
            if task.storage.exists(SEARCH_FILE):
                dataset, _ = open_data(task.workload)
                check_resumed(task, Record.load(task.storage), dataset)
    else:
        reproduction.runs.check_writable()
    records: dict[Pair, Record] = {}
    tracking: Tracking | None = None
    with ExitStack() as stack:
        if reproduction.tasks:
            stack.enter_context(ray_for(reproduction.tasks[0]))
        if not is_begun:
            storage.write(COMPARISON_FILE, uuid.uuid4().hex.encode())
            storage.write(SEARCH_FILE, request_yaml(reproduction.request))
        identity = (storage.read(COMPARISON_FILE).decode(), reproduction.name)
        for pair, task in zip(reproduction.experiment.pairs, reproduction.tasks, strict=False):
            resume = task.storage.exists(SEARCH_FILE)
            run, tracking = run_watched(task, resume=resume, mode=mode, comparison=identity)
            if run.interrupted:
                raise InterruptedRunError(run, tracking)
            _finish_task(run, tracking)
            records[pair] = run.record
        _check_finished(records)
    return results_of(reproduction, records), tracking


def results_of(reproduction: Reproduction, records: dict[Pair, Record]) -> Results:
    """What an artefact is made of, from the records of the pairs."""
    measure = _measurer(reproduction.storage)
    teachers = {}
    if reproduction.experiment.needs_teacher_accuracy:
        for pair, task in zip(reproduction.experiment.pairs, reproduction.tasks, strict=False):
            if pair in records:
                accuracy = _teacher_accuracy(task, records[pair], measure)
                if accuracy is not None:
                    teachers[pair] = accuracy
    return Results(reproduction, records, teachers, measure)


def check_same(reproduction: Reproduction) -> None:
    """Raises RequestError where the folder holds a reproduction of another request."""
    path = reproduction.storage.path(SEARCH_FILE)
    begun = parse_yaml(path, reproduction.storage.read(SEARCH_FILE))
    now = parse_yaml(path, request_yaml(reproduction.request))
    for name in {*begun, *now}:
        if begun.get(name) != now.get(name):
            raise RequestError(
                f"{name} is {now.get(name)!r} but {reproduction.name} began with "
                f"{begun.get(name)!r}; leave it out, or choose another --name"
            )


def _refused(task: FixedTask, dataset: Dataset) -> dict[str, str]:
    """Labels of the arms that do not fit the networks, and why."""
    student, teacher = shapes_of_both(task.workload, dataset)
    refused: dict[str, str] = {}
    for training in task.trainings:
        if training.label not in refused:
            try:
                needs_of(LOSSES[training.method], student, teacher, training.setting)
            except LossError as error:
                refused[training.label] = str(error)
    return refused


def _finish_task(run: Run[FixedTask], tracking: Tracking) -> None:
    """Means over the seeds for MLflow, and the end of the pair's own run."""
    task, record = run.search, run.record
    labels = dict.fromkeys(training.label for training in task.trainings)
    metrics = {}
    for label in labels:
        trials = [t for t in record.trials.values() if t.label == label and t.is_full_length]
        summary = {"num_seeds": float(len(trials))}
        for name in ("val_accuracy", "test_accuracy"):
            accuracy = accuracy_of(trials, name)
            if accuracy is not None:
                summary[f"{name}_mean"] = accuracy.mean
                metrics[f"{label} {name}"] = accuracy.mean
                if accuracy.std is not None:
                    summary[f"{name}_std"] = accuracy.std
        tracking.summarise(label, summary)
    tracking.finish(
        files={SEARCH_FILE: search_yaml(task.request)}, metrics={}, note="", status="FINISHED"
    )


def _check_finished(records: dict[Pair, Record]) -> None:
    """Raises RequestError where no training of any pair has finished."""
    trials = [trial for record in records.values() for trial in record.trials.values()]
    if trials and not any(trial.is_full_length and trial.kind != TEACHER for trial in trials):
        reasons = sorted({trial.reason for trial in trials if trial.reason})
        raise RequestError(f"no training finished: {'; '.join(reasons[:3])}; see its journal")


def _teacher_accuracy(
    task: FixedTask, record: Record, measure: Callable[[str, Callable[[], Measured]], Measured]
) -> float | None:
    """On the test split: as it was trained here, or evaluated once."""
    trained = [trial for trial in record.of(TEACHER) if trial.status == DONE]
    if trained and (accuracy := trained[-1].last("test_accuracy")) is not None:
        return accuracy

    def evaluate_it() -> Measured:
        dataset, splits = open_data(task.workload)
        teacher = find_teacher(task.workload, dataset)
        if teacher is None:
            return {"accuracy": None}
        device = default_device()
        return dict(evaluate(teacher.to(device), dataset, splits.test, device))

    found: float | None = measure(f"teacher-{task.name}", evaluate_it)["accuracy"]
    return found


def _measurer(storage: Storage) -> Callable[[str, Callable[[], Measured]], Measured]:
    """Calls what measures, or reads what it has measured before."""

    def measure(name: str, function: Callable[[], Measured]) -> Measured:
        file = f"{MEASURED}/{name}.json"
        try:
            content: Measured = json.loads(storage.read(file))
        except (FileNotFoundError, ValueError):
            content = function()
            storage.write(file, json.dumps(content).encode())
        return content

    return measure
