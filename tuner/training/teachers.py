"""Teachers: found, written, read and identified; trained once per data set and kept."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import models
from models import shapes_of
from models.checkpoint import COUNTER
from tuner.config.workload import Workload
from tuner.data import Dataset, evaluation_batches
from tuner.storage import checkpoint
from tuner.storage.folder import Storage
from tuner.teacher_cache import Teacher
from tuner.text.errors import RequestError
from tuner.training.seeding import frozen, seeded

TEACHER_FILE = "teacher.pt"
NORMALISING_IMAGES = 8  # few, so that a step needs more memory


def kept_teacher(workload: Workload, dataset: Dataset) -> Path:
    """The file in which a teacher that is trained here is kept for later searches.

    Its name depends on all that determines the training: network (the code of a custom one),
    data, split, schedule and seed.
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
    """The teacher from the given checkpoint, else the one that was kept, else None.

    A kept teacher that is damaged counts as missing. Raises models.CheckpointError.
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
    """Raises RequestError if a trained teacher could not be kept."""
    folder = kept_teacher(workload, dataset).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"{folder}: cannot be written ({error.strerror}); choose another folder with --data-dir"
        ) from error


def write_network(storage: Storage, network: nn.Module, file: str = TEACHER_FILE) -> None:
    """Writes a network's state dict and digest.

    The default name is that of the teacher in a search's folder.
    """
    weights = {
        key: value.cpu().contiguous(memory_format=torch.contiguous_format)
        for key, value in network.state_dict().items()
    }
    content = checkpoint.dump({"model": weights, "digest": weights_digest(network)})
    storage.write(file, content)


def read_teacher(
    storage: Storage, name: str, num_classes: int, file: str = TEACHER_FILE
) -> nn.Module:
    """Reads a teacher that `write_network` wrote; the network `name`, frozen.

    Raises FileNotFoundError and DamagedCheckpointError.
    """
    network = models.build(name, num_classes)
    network.load_state_dict(checkpoint.load(storage.read(file))["model"])
    return frozen(network)


def read_digest(storage: Storage) -> str:
    """Reads the `weights_digest` of the teacher in a search's folder.

    Raises FileNotFoundError and DamagedCheckpointError.
    """
    return str(checkpoint.load(storage.read(TEACHER_FILE))["digest"])


def digest_if_whole(storage: Storage) -> str | None:
    """As `read_digest`, but None if the teacher is missing or damaged."""
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


def build_teacher(
    name: str,
    load: Callable[[], nn.Module],
    dataset: Dataset,
    device: torch.device,
    **options: Any,
) -> Teacher:
    """Builds the source of a teacher's outputs for trainings on some data.

    `load` returns the frozen network; it is only called if something has to be computed. The
    options are those of `Teacher`.
    """
    untrained = models.build_untrained(name, dataset.num_classes)
    shapes = shapes_of(untrained, dataset.image_size, name)
    return Teacher(name, load, shapes, device=device, **options)


def build_untrained_teacher(name: str, dataset: Dataset, device: torch.device) -> Teacher:
    """Builds a teacher to measure with; it takes as much time and memory as a trained one."""
    network = untrained_network(name, dataset)
    return build_teacher(name, lambda: network, dataset, device)


def untrained_network(name: str, dataset: Dataset) -> nn.Module:
    """A frozen network with random weights, normalised by the first images.

    Otherwise activations would grow with depth, and logits in the hundreds make softened
    probabilities denormal numbers, which slow the processor down.
    """
    network = seeded(0, lambda: models.build(name, dataset.num_classes))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0  # the batch's own statistics, no running mean
    network.train()
    rows = np.arange(min(NORMALISING_IMAGES, dataset.num_train))
    (batch,) = evaluation_batches(dataset, rows, batch_size=len(rows), device=torch.device("cpu"))
    with torch.no_grad():
        network(batch.images)
    return frozen(network)
