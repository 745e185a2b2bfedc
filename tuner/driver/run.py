"""One task from its first training to its last, on a laptop or a cluster."""

import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing
from typing import Any

from torch import nn

from tuner.config.method import source_digests
from tuner.config.run_folder import request_yaml
from tuner.data import Dataset
from tuner.driver.finished_trainings import FinishedTrainings
from tuner.driver.listeners import attach_listeners, delete_leftovers
from tuner.orchestration.cluster import on_every_machine, ray_for, where_trials_run
from tuner.orchestration.measurements import plan_for, step_mode_for
from tuner.orchestration.preflight import find_resources
from tuner.planning.checks import check_resumed, check_storage, check_teacher
from tuner.planning.plan import Budget, Plan
from tuner.planning.resources import Resources, machine_resources, resources_for
from tuner.planning.rungs import longest_trial
from tuner.planning.task import AnyTask, Needs, Run, Task
from tuner.results.header import Header
from tuner.results.heartbeat import Heartbeat, check_not_running
from tuner.results.record import Record
from tuner.results.tables import write_tables
from tuner.results.trial import FINAL, PLAIN, TEACHER, Trial
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.storage.retrying import PATIENCE_SECONDS
from tuner.teacher_cache.maintenance import empty_shared_buffer
from tuner.text.errors import RequestError
from tuner.training.teachers import (
    check_can_keep,
    digest_if_whole,
    find_teacher,
    weights_digest,
    write_network,
)
from tuner.training.workload_data import open_data

Watch = Callable[[Record, Plan], AbstractContextManager[Any]]


def run_task(
    task: AnyTask, *, resume: bool, watch: Watch, earlier: tuple[Record, ...] = ()
) -> Run[AnyTask]:
    """Runs or resumes a task until it is done or interrupted.

    `watch` is called once, when the first training is about to begin; what it returns is
    entered while they run. `earlier` are records of the tasks that this one is compared with:
    it computes its students as they did, and takes over their plain trainings. Raises
    RequestError, before anything is written, if the task cannot run.
    """
    if task.request.address is None:
        resources_for(task.request, [machine_resources()])  # for its errors
    dataset, _ = open_data(task.workload)
    with closing(_record_of(task, dataset, resume=resume)) as record:
        needs = task.needs(dataset)
        teacher, digest = _teacher_of(task, record, dataset)
        with ray_for(task):
            resources = find_resources(task, dataset)
            _claim(task, record)
            with Heartbeat(task.storage) as heartbeat:
                if not record.is_open:
                    record.open(_decide(task, needs, dataset, digest, resources, earlier))
                if teacher is not None:
                    write_network(record.storage, teacher)
                delete_leftovers(record)
                finished = attach_listeners(task, record, dataset)
                plan = _plan_of(task, record, resources, earlier, finished)
                with watch(record, plan):
                    # Imports Ray Tune: seconds in which MLflow is imported beside it, with the
                    # heading on the screen.
                    from tuner.orchestration.tune_run import tune_trials

                    interrupted = tune_trials(task, record, plan, resources, heartbeat)
                heartbeat.outcome = "interrupted" if interrupted else "done"
                if record.header.outputs.buffer_bytes:
                    on_every_machine(task, empty_shared_buffer)
                write_tables(record.storage, record)
    return Run(task, record, interrupted)


def _record_of(task: Task, dataset: Dataset, *, resume: bool) -> Record:
    """An empty record that writes nothing yet; to resume, the earlier one, locked."""
    storage = Storage(task.storage.uri, patience=PATIENCE_SECONDS)
    if not resume:
        check_storage(task)
        return Record(storage)
    check_not_running(task.storage)
    record = Record.load(storage, lock=True)
    try:
        check_resumed(task, record, dataset)
    except RequestError:
        record.close()
        raise
    return record


def _teacher_of(
    task: Task, record: Record, dataset: Dataset
) -> tuple[nn.Module | None, str | None]:
    """Returns the teacher, if it is not yet in the task's folder, and its digest.

    Both are None if it has to be trained. Raises RequestError if it could not be kept, or is
    not the one that a resumed task began with.
    """
    digest = digest_if_whole(task.storage)  # a resumed task's folder has one
    teacher = find_teacher(task.workload, dataset) if digest is None else None
    if teacher is not None:
        digest = weights_digest(teacher)
    if digest is None:
        check_can_keep(task.workload, dataset)
    check_teacher(task, record, digest)
    return teacher, digest


def _claim(task: Task, record: Record) -> None:
    """Writes the first files of a new task's folder."""
    if record.is_locked:
        return
    record.claim()
    check_storage(task)  # another process may have begun, and ended, meanwhile
    task.storage.write(SEARCH_FILE, request_yaml(task.request))


def _decide(
    task: Task,
    needs: Needs,
    dataset: Dataset,
    digest: str | None,
    resources: Resources,
    earlier: tuple[Record, ...],
) -> Header:
    """Decides, by measurement, what all trainings share."""
    measuring = where_trials_run(task, resources.gpus_per_trial)
    outputs, reasons = plan_for(task, needs, dataset, digest, resources, measuring)
    if earlier:
        step_mode = earlier[0].header.step_mode
        reason = "as in the first search of the comparison"
    else:
        step_mode, reason = step_mode_for(task, dataset, resources.gpus_per_trial, measuring)
    return Header(
        id=uuid.uuid4().hex,
        task=task.identity,
        data=dataset.fingerprint,
        teacher=digest,
        code=tuple(source_digests(task.workload, task.space_name)),
        ask_in_batches=resources.max_concurrent if task.asks_in_batches else None,
        fixed_trainings=None if task.num_trials else task.num_finals,
        outputs=outputs,
        step_mode=step_mode,
        reasons=(*reasons, f"student: {reason}"),
        time=time.time(),
    )


def _plan_of(
    task: Task,
    record: Record,
    resources: Resources,
    earlier: tuple[Record, ...],
    finished: FinishedTrainings,
) -> Plan:
    trains_teacher = TEACHER in record.trials or record.header.teacher is None
    budget = Budget(
        num_trials=task.num_trials,
        num_finals=task.num_finals,
        num_epochs=task.workload.epochs,
        num_teacher_epochs=task.workload.teacher_epochs if trains_teacher else 0,
        num_seeds=task.request.seeds,
        # A population is handed out whole; the CPUs decide how many of it run at a time.
        max_concurrent=task.num_trials if task.population else resources.max_concurrent,
        time_seconds=task.time_budget_seconds,
        seed=task.workload.seed,
        search_epochs=task.search_epochs,
        trial_epochs=longest_trial(task.scheduler, task.workload.epochs),
        ask_in_batches=record.header.ask_in_batches,
    )
    if not task.num_trials:
        return task.plan(record, budget, finished.find)
    plain = _plain_trainings(earlier)
    return task.plan(record, budget, lambda training: plain.get(training.name))


def _plain_trainings(records: Iterable[Record]) -> dict[str, Trial]:
    """Finished final trainings without a teacher, by name."""
    return {
        trial.name: trial
        for record in records
        for trial in record.trials_of(FINAL)
        if trial.setting_label == PLAIN and trial.is_full_length
    }
