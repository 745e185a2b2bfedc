"""Teachers: trained once for a data set and kept, or imported from a checkpoint."""

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

import models
from models import shapes_of
from models.checkpoint import COUNTER
from tuner.data import Dataset
from tuner.distillation import frozen
from tuner.errors import RequestError
from tuner.storage import Storage
from tuner.teacher_cache import Teacher
from tuner.workload import Workload

TEACHER_FILE = "teacher.pt"


def kept_teacher(workload: Workload, dataset: Dataset) -> Path:
    """Where a teacher that is trained here is kept for later searches.

    The name differs wherever the training would: network (of a person's own: the code in its
    file), data, split, schedule or seed.
    """
    determined_by = [
        models.identity(models.without_layers(workload.teacher)),
        dataset.fingerprint,
        workload.limit,
        workload.validation_fraction,
        workload.seed,
        sorted(workload.teacher_schedule().items()),
    ]
    key = hashlib.sha256(json.dumps(determined_by).encode()).hexdigest()[:12]
    name = f"{models.short_name(workload.teacher)}-{dataset.name}-{key}.pt"
    return Path(workload.data_dir, "teachers", name)


def find_teacher(workload: Workload, dataset: Dataset) -> nn.Module | None:
    """The teacher of a given checkpoint, else one trained earlier, else None.

    Raises models.CheckpointError.
    """
    path = workload.teacher_checkpoint or kept_teacher(workload, dataset)
    if workload.teacher_checkpoint is None and not Path(path).exists():
        return None
    return frozen(models.load_checkpoint(path, workload.teacher, dataset.num_classes))


def check_can_keep(workload: Workload, dataset: Dataset) -> None:
    """Raises RequestError where a teacher could be trained but not kept."""
    folder = kept_teacher(workload, dataset).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"{folder}: cannot be written ({error.strerror}); choose another folder with --data-dir"
        ) from error


def write_teacher(storage: Storage, network: nn.Module, name: str = TEACHER_FILE) -> None:
    """Puts a teacher into a folder (by default: into a search's), as a plain state dict."""
    weights = {
        key: value.cpu().contiguous(memory_format=torch.contiguous_format)
        for key, value in network.state_dict().items()
    }
    buffer = io.BytesIO()
    torch.save({"model": weights, "digest": weights_digest(network)}, buffer)
    storage.write(name, buffer.getvalue())


def read_teacher(storage: Storage, name: str, num_classes: int) -> nn.Module:
    """The teacher in a search's folder, frozen. Raises models.CheckpointError."""
    with _local_file(storage) as path:
        return frozen(models.load_checkpoint(path, name, num_classes))


def read_digest(storage: Storage) -> str:
    """What `weights_digest` says of the teacher in a search's folder, without reading all of it."""
    with _local_file(storage) as path:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return str(content["digest"])


def weights_digest(network: nn.Module) -> str:
    """Identifies what a network computes: a hash of its weights and their names."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        if not key.endswith(COUNTER):
            digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def teacher_of(
    name: str,
    network: Callable[[], nn.Module],
    dataset: Dataset,
    device: torch.device,
    **options: Any,
) -> Teacher:
    """A teacher for trainings on some data; `network` is called when it has to compute."""
    untrained = models.build_untrained(name, dataset.num_classes)
    shapes = shapes_of(untrained, dataset.image_size, name)
    return Teacher(name, network, shapes, device=device, **options)


@contextmanager
def _local_file(storage: Storage) -> Iterator[str]:
    if storage.is_local:
        yield storage.path(TEACHER_FILE)
        return
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        file.write(storage.read(TEACHER_FILE))
        file.flush()
        yield file.name
