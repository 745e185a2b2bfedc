"""Teachers: trained once for a data set and kept, or imported from a checkpoint."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import models
from models import shapes_of
from models.checkpoint import COUNTER
from tuner.config.workload import Workload
from tuner.data import Dataset
from tuner.storage import checkpoint
from tuner.storage.folder import Storage
from tuner.teacher_cache import Teacher
from tuner.text.errors import RequestError
from tuner.training.seeding import frozen

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

    One that was kept but is damaged is trained again. Raises models.CheckpointError.
    """
    name, num_classes = workload.teacher, dataset.num_classes
    if workload.teacher_checkpoint is not None:
        given = workload.teacher_checkpoint
        if models.is_pretrained(name, given):
            return frozen(models.load_pretrained(name, given, num_classes))
        return frozen(models.load_checkpoint(given, name, num_classes))
    path = kept_teacher(workload, dataset)
    try:
        return read_teacher(Storage(str(path.parent)), name, num_classes, path.name)
    except (FileNotFoundError, checkpoint.DamagedCheckpointError):
        return None


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
    content = checkpoint.dump({"model": weights, "digest": weights_digest(network)})
    storage.write(name, content)


def read_teacher(
    storage: Storage, name: str, num_classes: int, file: str = TEACHER_FILE
) -> nn.Module:
    """A teacher that `write_teacher` wrote, frozen.

    Raises FileNotFoundError and DamagedCheckpointError.
    """
    network = models.build(name, num_classes)
    network.load_state_dict(checkpoint.load(storage.read(file))["model"])
    return frozen(network)


def read_digest(storage: Storage) -> str:
    """What `weights_digest` says of the teacher in a search's folder.

    Raises FileNotFoundError and DamagedCheckpointError.
    """
    return str(checkpoint.load(storage.read(TEACHER_FILE))["digest"])


def digest_if_whole(storage: Storage) -> str | None:
    """The same, or None where a search's folder has no teacher, or a damaged one."""
    try:
        return read_digest(storage)
    except (FileNotFoundError, checkpoint.DamagedCheckpointError):
        return None


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
