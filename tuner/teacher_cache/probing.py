"""Measures the speeds and the free space on which the cache's plan depends."""

import os
import shutil
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tuner.teacher_cache.plan import CachePrecision
from tuner.teacher_cache.shared_buffer import SHARED_MEMORY
from tuner.teacher_cache.store import shard_files

DISK_SHARE = 0.5  # of the free disk: the default budget
MEMORY_SHARE = 0.1  # of the machine's memory: the largest shared buffer
PROBED_IMAGES = {"cpu": 8, "cuda": 64}  # with fewer, a GPU would mostly wait for launches
PROBED_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Speeds:
    """Speeds of the machine that will train."""

    teacher_seconds: float  # per image
    disk_bytes: float  # per second, read from the cache's folder and not from memory
    memory_bytes: float  # per second, copied


@dataclass(frozen=True)
class Capacity:
    """Bytes that teacher outputs may take."""

    budget: int  # on disk, beyond what is taken already
    free_memory: int
    buffer: int  # in shared memory


def measure_speeds(
    teacher: nn.Module, image_size: tuple[int, int], folder: Path, device: torch.device
) -> Speeds:
    """Runs the teacher twice on a few black images; writes and reads a file in `folder`.

    `image_size` is (height, width). Takes as long as the teacher takes for 16 images (on a GPU
    128), and a fraction of a second.
    """
    num_images = PROBED_IMAGES[device.type]
    images = torch.zeros(num_images, 3, *image_size, device=device)
    network = teacher.to(memory_format=torch.channels_last).to(device).eval()
    with torch.inference_mode():
        for _ in range(2):  # the first run warms up
            begin = time.perf_counter()
            network(images).logits.cpu()  # waits for a GPU
            teacher_seconds = (time.perf_counter() - begin) / num_images
    content = np.random.default_rng(0).bytes(PROBED_BYTES)
    begin = time.perf_counter()
    np.frombuffer(content, np.uint8).copy()
    memory_bytes = PROBED_BYTES / (time.perf_counter() - begin)
    return Speeds(teacher_seconds, min(_disk_bytes(folder, content), memory_bytes), memory_bytes)


def measure_capacity(
    folder: Path,
    budget: int | None,
    own: Collection[str] = (),
    precision: CachePrecision = "float16",
) -> Capacity:
    """What `folder` may still take of the budget (default: half of the free disk), and memory.

    `own`: the entries that will be read, whose shards in this precision need no new space.
    """
    taken = reused = 0
    for path, status in shard_files(folder):
        entry, output, *_ = path.relative_to(folder).parts
        if entry in own and f".{precision}." in output:
            reused += status.st_size
        else:
            taken += status.st_size
    place = _existing(folder)
    free = shutil.disk_usage(place).free + reused
    if not os.access(place, os.W_OK):
        free = 0
    if budget is None:
        budget = int(DISK_SHARE * (free + taken))
    page = os.sysconf("SC_PAGE_SIZE")
    buffer = 0
    if SHARED_MEMORY.is_dir():
        physical = page * os.sysconf("SC_PHYS_PAGES")
        buffer = min(int(MEMORY_SHARE * physical), shutil.disk_usage(SHARED_MEMORY).free // 2)
    return Capacity(
        budget=max(0, min(budget - taken, free)),
        free_memory=page * os.sysconf("SC_AVPHYS_PAGES"),
        buffer=buffer,
    )


def _disk_bytes(folder: Path, content: bytes) -> float:
    """Bytes per second, read from a file that has been dropped from the page cache."""
    try:
        with tempfile.NamedTemporaryFile(dir=_existing(folder)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = time.perf_counter()
            os.pread(file.fileno(), len(content), 0)
            return len(content) / (time.perf_counter() - begin)
    except OSError:  # full or not writable: nothing will be stored there
        return 1.0


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())
