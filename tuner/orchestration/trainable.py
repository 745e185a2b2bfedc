"""The trainable function: one training inside one of Ray's worker processes.

It reports every epoch, saves itself, and goes on from where it was saved. Between two
trainings of a process nothing lives on but what never changes: data and teacher.
"""

import ctypes
import gc
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from ray import tune
from torch import nn

from losses import LossError
from tuner.config.method import method_named, source_digests
from tuner.config.step_mode import FLOAT32, StepMode
from tuner.config.workload import Workload
from tuner.data import Dataset, Splits, UnreadableImageError
from tuner.orchestration.messages import FAILURE, NOTES, OUT_OF_MEMORY, STORAGE, record_name
from tuner.results.trial import FINAL, SEARCH, TEACHER
from tuner.storage.checkpoint import DamagedCheckpointError
from tuner.storage.folder import Storage
from tuner.storage.retrying import LostStorageError, PatientStorage
from tuner.teacher_cache import OutputsPlan, Teacher
from tuner.training.distillation import Distillation, DivergedError
from tuner.training.evaluation import Metrics
from tuner.training.precision import device_for
from tuner.training.teachers import (
    TEACHER_FILE,
    read_digest,
    read_teacher,
    teacher_of,
    write_teacher,
)
from tuner.training.workload_data import open_data

Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """What all trainings of a search have in common."""

    workload: Workload
    fingerprint: str  # of the data that the search began with
    code: tuple[str, ...]  # of a person's own networks and method, as they were then
    storage_uri: str  # of the search's own folder
    patience_seconds: float  # with a storage that is away
    ranks_on_test: bool
    perturbation_interval: int | None  # epochs; population-based training only
    num_threads: int
    execution: StepMode  # of the students
    outputs: OutputsPlan  # which of the teacher's outputs are cached, shared or live
    custom_method: str  # the name or the file of a search space that may define a method; "": none


def train(config: dict[str, Any], job: Job) -> None:
    """Trains what `config` (kind, method, setting, seed, data_seed) says, and reports to Tune."""
    torch.set_num_threads(job.num_threads)
    # Ray hides no GPU from a trial that asked for none.
    device = device_for(config["gpus"])
    if device.type == "cuda":
        _share_gpu(config["gpus"])
    name = record_name(tune.get_context().get_trial_id())
    try:
        storage = PatientStorage(job.storage_uri, job.patience_seconds)
        _train(config, job, storage, f"checkpoints/{name}.pt", device)
    except (DivergedError, LossError, UnreadableImageError) as error:
        tune.report({FAILURE: str(error)})
    except torch.OutOfMemoryError as error:
        tune.report({FAILURE: f"out of memory: {error}", OUT_OF_MEMORY: True})
    except LostStorageError as error:
        tune.report({FAILURE: str(error), STORAGE: True})
    finally:
        _give_memory_back()


def _train(
    config: dict[str, Any], job: Job, storage: Storage, checkpoint: str, device: torch.device
) -> None:
    workload, kind = job.workload, config["kind"]
    dataset, splits = _data(workload)
    if dataset.fingerprint != job.fingerprint:
        raise RuntimeError(f"{workload.data} has changed since the search began, or differs here")
    if tuple(source_digests(workload, job.custom_method)) != job.code:
        raise RuntimeError("a network's or method's own file has changed since the search began")
    teacher = None if config["method"] == "plain" else _teacher(job, device, kind == FINAL)
    training = Distillation(
        student=workload.teacher if kind == TEACHER else workload.student,
        method=method_named(config["method"], job.custom_method),
        setting=config["setting"],
        teacher=teacher,
        dataset=dataset,
        splits=splits,
        seed=config["seed"],
        data_seed=config["data_seed"],
        device=device,
        execution=FLOAT32 if kind == TEACHER else job.execution,
        **(workload.teacher_schedule() if kind == TEACHER else workload.schedule()),
    )
    notes = []
    state = _state(storage, checkpoint)
    if state is not None:
        try:
            training.restore(state)
        except DamagedCheckpointError as error:
            # The same numbers come again: a training is a function of its arguments.
            notes = [f"the checkpoint of {Path(checkpoint).stem} is damaged ({error}): begun again"]
        # What the driver had not yet heard when it, or this process, died.
        for metrics in (*training.initial_history, *training.history):
            _report(metrics, [])
    while training.is_initial:
        metrics = training.run_initial_epoch()
        storage.write(checkpoint, training.state(), sync=False)
        _report(metrics, notes + _notes(teacher))
        notes = []
    while training.epoch < training.epochs:
        metrics = training.run_epoch()
        is_last = training.epoch == training.epochs
        # The test split is read once for a setting that was chosen, never to choose one.
        if job.ranks_on_test or (is_last and kind != SEARCH):
            metrics |= {f"test_{name}": value for name, value in training.test().items()}
        if is_last and kind == TEACHER:
            write_teacher(storage, training.student)
        content = training.state()
        storage.write(checkpoint, content, sync=False)
        is_exploited = _is_exploited(config, job, training.epoch)
        _report(metrics, notes + _notes(teacher), content if is_exploited else None)
        notes = []


def _notes(teacher: Teacher | None) -> list[str]:
    return [] if teacher is None else teacher.take_notes()


def _report(metrics: Metrics, notes: list[str], content: bytes | None = None) -> None:
    reported: dict[str, Any] = {**metrics, "reported": list(metrics), NOTES: notes}
    if content is None:
        tune.report(reported)
        return
    # Population-based training copies weights from trial to trial through Tune.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "state.pt").write_bytes(content)
        tune.report(reported, checkpoint=tune.Checkpoint.from_directory(folder))


def _is_exploited(config: dict[str, Any], job: Job, epoch: int) -> bool:
    interval = job.perturbation_interval
    return config["kind"] == SEARCH and interval is not None and epoch % interval == 0


def _state(storage: Storage, checkpoint: str) -> bytes | None:
    given = tune.get_checkpoint()
    if given is not None:
        with given.as_directory() as folder:
            return Path(folder, "state.pt").read_bytes()
    try:
        return storage.read(checkpoint)
    except FileNotFoundError:
        return None


def _give_memory_back() -> None:
    """What a training has freed goes to the system: its process lives for many trials."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _share_gpu(fraction: float) -> None:
    """Keeps a trial within its share: Ray's fractions are bookkeeping, this is the fence."""
    if 0 < fraction < 1:
        torch.cuda.set_per_process_memory_fraction(fraction)


@lru_cache(maxsize=2)
def _data(workload: Workload) -> tuple[Dataset, Splits]:
    return open_data(workload)


@lru_cache(maxsize=2)
def _teacher(job: Job, device: torch.device, final: bool) -> Teacher:
    dataset, _ = _data(job.workload)
    return teacher_of(
        job.workload.teacher,
        lambda: _network(job),
        dataset,
        device,
        digest=_of_teacher_file(job, read_digest),
        plan=job.outputs,
        data_dir=job.workload.data_dir,
        final=final,
    )


@lru_cache(maxsize=1)
def _network(job: Job) -> nn.Module:
    dataset, _ = _data(job.workload)
    name, num_classes = job.workload.teacher, dataset.num_classes
    return _of_teacher_file(job, lambda storage: read_teacher(storage, name, num_classes))


def _of_teacher_file(job: Job, read: Callable[[Storage], Result]) -> Result:
    """What is read of the search's teacher. Damaged, no trial can go on: the driver has a copy."""
    try:
        return read(PatientStorage(job.storage_uri, job.patience_seconds))
    except (FileNotFoundError, DamagedCheckpointError) as error:
        raise LostStorageError(f"{job.storage_uri}/{TEACHER_FILE} is damaged ({error})") from error
