"""Keeps what later searches need, deletes what no one needs any more."""

from contextlib import suppress
from pathlib import Path

from tuner.planning.plan import TEACHER_TRIAL
from tuner.results.record import Event, Record
from tuner.results.trial import DONE, FINAL, Trial
from tuner.storage.folder import Storage
from tuner.training.teachers import TEACHER_FILE, read_digest


def keep_teacher(storage: Storage, record: Record, path: Path, event: Event, trial: Trial) -> None:
    """A teacher that was trained here is written down, and kept for later searches."""
    if event["event"] == "end" and trial.name == TEACHER_TRIAL and trial.status == DONE:
        record.teacher(trial.name, read_digest(storage))
        # The search has its own copy, so it can do without this one.
        with suppress(OSError):
            Storage(str(path.parent)).write(path.name, storage.read(TEACHER_FILE))


def delete_checkpoint(storage: Storage, event: Event, trial: Trial) -> None:
    """A trial that has ended needs its checkpoint no more; a final training is the result."""
    if event["event"] == "end" and trial.role != FINAL:
        storage.delete(f"checkpoints/{trial.name}.pt")


def delete_leftovers(storage: Storage, record: Record) -> None:
    """What a session that was killed did not come to delete."""
    for name in storage.files("checkpoints"):
        trial = record.trials.get(name.removesuffix(".pt"))
        is_over = trial is not None and trial.ended is not None and trial.role != FINAL
        if is_over or name.startswith("."):  # a write that was not ended
            storage.delete(f"checkpoints/{name}")
