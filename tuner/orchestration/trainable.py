"""The trainable function: one training inside one of Ray's worker processes.

It reports and saves every epoch, and continues from the last checkpoint. Only what
never changes stays in the process for the next training: data and teacher.
"""

import ctypes
import gc
import tempfile
import time
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
from tuner.orchestration.result_keys import FAILURE, NOTES, OUT_OF_MEMORY, STORAGE, record_name
from tuner.planning.rungs import COOLDOWN_RATES
from tuner.results.trial import COOLDOWN_ACCURACY, DIVERGED, FINAL, SEARCH, TEACHER
from tuner.storage.checkpoint import DamagedCheckpointError
from tuner.storage.folder import Storage
from tuner.storage.retrying import LostStorageError
from tuner.teacher_cache import OutputsPlan, Teacher
from tuner.training.building import build_training, teacher_workload
from tuner.training.cooldown import cooldown
from tuner.training.distillation import Distillation, DivergedError
from tuner.training.evaluation import Metrics
from tuner.training.precision import device_for
from tuner.training.stages import INITIAL
from tuner.training.teachers import (
    TEACHER_FILE,
    build_teacher,
    read_digest,
    read_teacher,
    write_network,
)
from tuner.training.workload_data import open_data

Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """What all trainings of a search have in common."""

    workload: Workload
    fingerprint: str  # of the data when the search began
    code: tuple[str, ...]  # digests of custom networks and of a custom method, likewise
    storage_uri: str  # the search's folder
    patience_seconds: float | None  # how long storage is retried
    ranks_on_test: bool
    perturbation_interval: int | None  # epochs; population-based training only
    cooldown_epochs: tuple[int, ...]  # after which trials are cooled down
    num_threads: int
    step_mode: StepMode  # of the students
    outputs: OutputsPlan  # which of the teacher's outputs are cached, shared or live
    space_name: str  # name or file of a search space that may define a method; "": none


def train(config: dict[str, Any], job: Job) -> None:
    """Runs one training and reports to Tune.

    `config` has kind (the trial's role), method, setting, seed, data_seed and gpus.
    """
    torch.set_num_threads(job.num_threads)
    # Ray hides no GPU from a trial that asked for none.
    device = device_for(config["gpus"])
    if device.type == "cuda":
        _limit_gpu_memory(config["gpus"])
    name = record_name(tune.get_context().get_trial_id())
    try:
        storage = Storage(job.storage_uri, patience=job.patience_seconds)
        _train(config, job, storage, f"checkpoints/{name}.pt", device)
    except DivergedError as error:
        tune.report({FAILURE: f"{DIVERGED}: {error}"})
    except (LossError, UnreadableImageError) as error:
        tune.report({FAILURE: str(error)})
    except torch.OutOfMemoryError as error:
        tune.report({FAILURE: f"out of memory: {error}", OUT_OF_MEMORY: True})
    except LostStorageError as error:
        tune.report({FAILURE: str(error), STORAGE: True})
    finally:
        _release_memory()


def _train(
    config: dict[str, Any], job: Job, storage: Storage, checkpoint: str, device: torch.device
) -> None:
    training = _build(config, job, device)
    notes = _resume(training, storage, checkpoint)
    while training.stage is not None:
        metrics = _run_epoch(training, config["kind"], job, storage)
        content = training.state()
        storage.write(checkpoint, content, sync=False)
        if training.teacher is not None:
            notes += training.teacher.take_notes()
        is_copied = _may_be_copied(config["kind"], job, len(training.history))
        _report(metrics, notes, content if is_copied else None)
        notes = []


def _build(config: dict[str, Any], job: Job, device: torch.device) -> Distillation:
    dataset, splits = _data(job.workload)
    if dataset.fingerprint != job.fingerprint:
        raise RuntimeError(
            f"{job.workload.data} has changed since the search began, or differs on this machine; "
            "restore it"
        )
    if tuple(source_digests(job.workload, job.space_name)) != job.code:
        raise RuntimeError(
            "the file of a custom network or method has changed since the search began; restore it"
        )
    is_teacher, is_final = config["kind"] == TEACHER, config["kind"] == FINAL
    return build_training(
        teacher_workload(job.workload) if is_teacher else job.workload,
        dataset,
        splits,
        method=method_named(config["method"], job.space_name),
        setting=config["setting"],
        teacher=None if config["method"] == "plain" else _teacher(job, device, is_final),
        seed=config["seed"],
        data_seed=config["data_seed"],
        device=device,
        step_mode=FLOAT32 if is_teacher else job.step_mode,
    )


def _resume(training: Distillation, storage: Storage, checkpoint: str) -> list[str]:
    """Restores the last checkpoint, if there is one, and reports its epochs; returns notes."""
    state = _last_state(storage, checkpoint)
    if state is None:
        return []
    try:
        training.restore(state)
    except DamagedCheckpointError as error:
        # A training is a function of its arguments: it gives the same numbers again.
        name = Path(checkpoint).stem
        return [f"the checkpoint of {name} is damaged ({error}); restarted from the first epoch"]
    # The driver may not have received them when it, or this process, died.
    for metrics in (*training.initial_history, *training.history):
        _report(metrics, [])
    return []


def _last_state(storage: Storage, checkpoint: str) -> bytes | None:
    given = tune.get_checkpoint()  # another trial's, in population-based training
    if given is not None:
        with given.as_directory() as folder:
            return Path(folder, "state.pt").read_bytes()
    try:
        return storage.read(checkpoint)
    except FileNotFoundError:
        return None


def _run_epoch(training: Distillation, kind: str, job: Job, storage: Storage) -> Metrics:
    """Runs the next epoch; its metrics include the test split's where the protocol allows it."""
    is_initial = training.stage is not None and training.stage.name == INITIAL
    training.run_epoch()
    if kind == SEARCH and not is_initial and len(training.history) in job.cooldown_epochs:
        _cool_down(training)
    metrics = (training.initial_history if is_initial else training.history)[-1]
    is_last = training.stage is None
    # The test split is read once, for a setting that was chosen, and never to choose one.
    if (job.ranks_on_test and not is_initial) or (is_last and kind != SEARCH):
        # In place: the checkpoint's history has them too.
        metrics.update({f"test_{name}": value for name, value in training.test().items()})
    if is_last and kind == TEACHER:
        write_network(storage, training.student)
    return metrics


def _cool_down(training: Distillation) -> None:
    """Adds to the last epoch's metrics the accuracy after a cooldown, and the time it took."""
    begin = time.perf_counter()
    accuracy = cooldown(training, COOLDOWN_RATES)[-1]["accuracy"]
    metrics = training.history[-1]
    metrics[COOLDOWN_ACCURACY] = accuracy
    metrics["seconds"] += time.perf_counter() - begin


def _report(metrics: Metrics, notes: list[str], content: bytes | None = None) -> None:
    reported: dict[str, Any] = {**metrics, "reported": list(metrics), NOTES: notes}
    if content is None:
        tune.report(reported)
        return
    # Population-based training copies weights from trial to trial through Tune.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "state.pt").write_bytes(content)
        tune.report(reported, checkpoint=tune.Checkpoint.from_directory(folder))


def _may_be_copied(kind: str, job: Job, epoch: int) -> bool:
    """Whether population-based training may now copy this trial; epoch 0: the initial stage."""
    interval = job.perturbation_interval
    return kind == SEARCH and interval is not None and epoch > 0 and epoch % interval == 0


def _release_memory() -> None:
    """Returns freed memory to the system: the process lives for many trials."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _limit_gpu_memory(fraction: float) -> None:
    """Keeps a trial within its share of the GPU: Ray's fractions are bookkeeping only."""
    if 0 < fraction < 1:
        torch.cuda.set_per_process_memory_fraction(fraction)


@lru_cache(maxsize=2)
def _data(workload: Workload) -> tuple[Dataset, Splits]:
    return open_data(workload)


@lru_cache(maxsize=2)
def _teacher(job: Job, device: torch.device, final: bool) -> Teacher:
    dataset, _ = _data(job.workload)
    return build_teacher(
        job.workload.teacher,
        lambda: _network(job),
        dataset,
        device,
        digest=_read_of_teacher(job, read_digest),
        plan=job.outputs,
        data_dir=job.workload.data_dir,
        final=final,
    )


@lru_cache(maxsize=1)
def _network(job: Job) -> nn.Module:
    dataset, _ = _data(job.workload)
    name, num_classes = job.workload.teacher, dataset.num_classes
    return _read_of_teacher(job, lambda storage: read_teacher(storage, name, num_classes))


def _read_of_teacher(job: Job, read: Callable[[Storage], Result]) -> Result:
    """Reads from the search's teacher file.

    A damaged file counts as lost storage: no trial can continue, and the driver has a copy.
    """
    try:
        return read(Storage(job.storage_uri, patience=job.patience_seconds))
    except (FileNotFoundError, DamagedCheckpointError) as error:
        raise LostStorageError(f"{job.storage_uri}/{TEACHER_FILE} is damaged ({error})") from error
