"""Listeners that write tables and ledger, keep the teacher and delete checkpoints."""

from contextlib import suppress
from functools import partial
from pathlib import Path

from tuner.data import Dataset
from tuner.driver.finished_trainings import FinishedTrainings
from tuner.planning.task import Task
from tuner.results.record import Event, Record
from tuner.results.tables import TableWriter
from tuner.results.trial import DONE, FINAL, TEACHER, Trial
from tuner.storage.folder import Storage
from tuner.training.teachers import TEACHER_FILE, kept_teacher, read_digest


def attach_listeners(task: Task, record: Record, dataset: Dataset) -> FinishedTrainings:
    """Adds the listeners to the record; returns the one that also finds finished trainings."""
    finished = FinishedTrainings(task, record)
    record.listeners += [
        partial(_keep_teacher, record, kept_teacher(task.workload, dataset)),
        partial(_delete_checkpoint, record.storage),
        TableWriter(record.storage, record),
        finished,
    ]
    return finished


def delete_leftovers(record: Record) -> None:
    """Deletes checkpoints that a killed session left behind."""
    for name in record.storage.files("checkpoints"):
        trial = record.trials.get(name.removesuffix(".pt"))
        is_over = trial is not None and trial.ended is not None and trial.role != FINAL
        if is_over or name.startswith("."):  # a write that did not finish
            record.storage.delete(f"checkpoints/{name}")


def _keep_teacher(record: Record, path: Path, event: Event, trial: Trial) -> None:
    """Records a teacher that was trained here, and keeps it for later searches."""
    if event["event"] == "end" and trial.role == TEACHER and trial.status == DONE:
        record.teacher(trial.name, read_digest(record.storage))
        # The search has its own copy, so it can do without this one.
        with suppress(OSError):
            content = record.storage.read(TEACHER_FILE)
            Storage(str(path.parent)).write(path.name, content)


def _delete_checkpoint(storage: Storage, event: Event, trial: Trial) -> None:
    """A trial that has ended no longer needs its checkpoint; a final training is the result."""
    if event["event"] == "end" and trial.role != FINAL:
        storage.delete(f"checkpoints/{trial.name}.pt")
