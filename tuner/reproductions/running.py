"""Runs a reproduction: the trainings of each pair, then what is measured beside them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from tuner.config.command_line import read_started
from tuner.config.options import ReproduceRequest
from tuner.config.run_folder import check_unchanged, is_reproduction, request_yaml
from tuner.data import Dataset
from tuner.driver.search_outcome import seed_metrics
from tuner.driver.task_group import check_resumable, misfit, run_group
from tuner.orchestration.cluster import measuring_for, ray_for
from tuner.planning.fixed_trainings import FixedTask
from tuner.planning.task import Run
from tuner.reports.statistics import accuracy_of
from tuner.reproductions.experiment import Pair
from tuner.reproductions.measuring import CallFunction, Measurer
from tuner.reproductions.planning import Reproduction
from tuner.reproductions.results import Results, results_of
from tuner.results.record import Record
from tuner.results.trial import TEACHER
from tuner.storage.folder import SEARCH_FILE
from tuner.text.errors import RequestError
from tuner.tracking.mirror import Mirror
from tuner.tracking.publish import Outcome, publish
from tuner.training.workload_data import open_data

LEFT_OUT_FILE = "left_out.json"  # reasons by pair and label
LeftOut = Mapping[str, Mapping[str, str]]


def find_unfit(reproduction: Reproduction) -> LeftOut:
    """The variants that cannot join a pair of networks, with the reason, by pair and label.

    Raises RequestError where no variant fits a pair.
    """
    unfit = {}
    for task in reproduction.tasks:
        dataset, _ = open_data(task.workload)
        refused = _refused(task, dataset)
        if all(training.setting_label in refused for training in task.trainings):
            raise RequestError(next(iter(refused.values())))
        unfit[task.name] = refused
    return unfit


def without(reproduction: Reproduction, left_out: LeftOut) -> Reproduction:
    """The reproduction without these variants of its pairs."""
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
    texts = tuple(
        f"{label} with {name}: {reason}"
        for name, refused in left_out.items()
        for label, reason in refused.items()
    )
    return replace(reproduction, tasks=tasks, left_out=texts)


def check_begun(reproduction: Reproduction) -> None:
    """Raises RequestError where the folder belongs to a search, or to another request."""
    storage = reproduction.storage
    if not storage.exists(SEARCH_FILE):
        return
    if not is_reproduction(storage):
        raise RequestError(
            f"{reproduction.name!r} is the folder of a search; choose another --name"
        )
    started = read_started(ReproduceRequest, reproduction.runs, reproduction.name)
    check_unchanged(
        reproduction.name, started, reproduction.request, "choose another --name, or none"
    )
    check_resumable(reproduction.tasks)


@contextmanager
def machines_for(reproduction: Reproduction) -> Iterator[CallFunction]:
    """Provides what trainings run on; yields a caller that runs a function there."""
    if not reproduction.tasks:  # nothing is trained, so there are no other machines
        yield lambda function: function()
        return
    with ray_for(reproduction.tasks[0]):
        yield measuring_for(reproduction.tasks[0])


def run_reproduction(
    reproduction: Reproduction, left_out: LeftOut, call: CallFunction, *, mode: str
) -> tuple[Results, Mirror | None]:
    """Trains what is missing and measures the teachers; `mode` as for `run_watched`.

    Raises InterruptedRunError, and RequestError where no training finished.
    """
    storage = reproduction.storage
    if not storage.exists(SEARCH_FILE):
        reproduction.runs.check_writable()
    storage.write(LEFT_OUT_FILE, json.dumps(left_out).encode())
    group = run_group(storage, request_yaml(reproduction.request), reproduction.tasks, mode=mode)
    records: dict[Pair, Record] = {}
    mirror: Mirror | None = None
    for (run, mirror), pair in zip(group, reproduction.tasks_by_pair, strict=True):
        publish(mirror, _outcome_of(run))
        records[pair] = run.record
    _check_finished(records)
    return results_of(reproduction, records, Measurer(storage, call)), mirror


def _refused(task: FixedTask, dataset: Dataset) -> dict[str, str]:
    """Reasons by label, of the variants whose method does not fit the networks."""
    # All seeds of a variant have one setting.
    one_each = {training.setting_label: training for training in task.trainings}
    if not misfit(replace(task, trainings=tuple(one_each.values())), dataset):
        return {}
    refusals = {
        label: misfit(replace(task, trainings=(training,)), dataset)
        for label, training in one_each.items()
    }
    return {label: reason for label, reason in refusals.items() if reason}


def _outcome_of(run: Run[FixedTask]) -> Outcome:
    """The outcome of a pair: means over the seeds of each variant, and those of the best."""
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
