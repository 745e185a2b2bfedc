"""Decides, per output of the teacher, whether it is cached, shared or computed live, and says why.

From the outputs' sizes, the budget, and speeds measured on this machine.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.filesize import decimal
from torch import nn

from models import Shapes
from tuner.teacher_cache.plan import CachedOutput, CachePrecision, OutputsPlan
from tuner.teacher_cache.sizes import bytes_per_image
from tuner.teacher_cache.store import SHARED_MEMORY, piece_files

DISK_SHARE = 0.5  # of the free disk: the default budget
MEMORY_SHARE = 0.1  # of the machine's memory: what shared outputs may take
WORTH_IT = 0.5  # reading must take at most this share of the teacher's own time
PROBED_IMAGES = {"cpu": 8, "cuda": 64}  # a GPU with few would be waiting for its orders
PROBED_BYTES = 32 * 2**20
MIN_WINDOW_BATCHES = 4


@dataclass(frozen=True)
class Speeds:
    """Measured on the machine that will train."""

    teacher_seconds: float  # an image
    disk_bytes: float  # read in a second, from the folder of the cache, not from memory
    memory_bytes: float  # copied in a second


@dataclass(frozen=True)
class Demand:
    """What the trainings of a search will ask of the teacher."""

    needs: tuple[tuple[str, ...], ...]  # each combination of outputs that some setting needs
    num_images: int  # of a pass
    num_passes: int  # of each training
    num_seeds: int  # of the final trainings, each of which sees passes of its own
    has_trials: bool  # which see passes of one seed, all the same
    batch_size: int
    max_concurrent: int


@dataclass(frozen=True)
class Room:
    """Bytes that teachers' outputs may take."""

    budget: int  # on disk, beyond what is taken already
    free_memory: int
    window: int  # in shared memory


def plan_outputs(
    demand: Demand, shapes: Shapes, precision: CachePrecision, speeds: Speeds, room: Room
) -> tuple[OutputsPlan, tuple[str, ...]]:
    """The plan, and a line for each group of outputs that says what is done with it and why."""
    planned: dict[str, None] = {}
    cached: list[CachedOutput] = []
    shared: list[str] = []
    has_window = False
    lines = []
    left = room.budget
    # Small ones first: who needs a map often needs them too, but not the other way round.
    for needs in sorted(demand.needs, key=lambda names: bytes_per_image(shapes, names, precision)):
        names = tuple(name for name in needs if name not in planned)
        if not names:
            continue
        planned |= dict.fromkeys(names)
        image_bytes = bytes_per_image(shapes, names, precision)
        pass_bytes = image_bytes * demand.num_images
        search_passes = min(demand.num_passes, left // pass_bytes) if demand.has_trials else 0
        final_passes = min(
            demand.num_passes,
            (left - search_passes * pass_bytes) // (pass_bytes * max(1, demand.num_seeds)),
        )
        kept_bytes = pass_bytes * (search_passes + final_passes * demand.num_seeds)
        all_bytes = pass_bytes * demand.num_passes * (demand.has_trials + demand.num_seeds)
        rate = speeds.memory_bytes if kept_bytes < room.free_memory else speeds.disk_bytes
        reading = image_bytes / rate / speeds.teacher_seconds
        if reading <= WORTH_IT and search_passes + final_passes > 0:
            cached += [CachedOutput(name, search_passes, final_passes) for name in names]
            left -= kept_bytes
            size = f"{decimal(kept_bytes)} in all"
            if kept_bytes < all_bytes:
                can_share = _can_share(
                    demand, bytes_per_image(shapes, needs, "float32"), speeds, room
                )
                has_window |= can_share
                of_search = f"{search_passes} of {demand.num_passes} passes of the search and "
                size = (
                    f"{of_search if demand.has_trials else ''}{final_passes} of each "
                    f"{'final seed' if demand.has_trials else 'seed'}, {decimal(kept_bytes)} "
                    f"(all would take {decimal(all_bytes)}), "
                    f"the others {'shared' if can_share else 'live'}"
                )
            lines.append(
                f"{', '.join(names)}: cached in {precision}, {size}, because reading "
                f"{decimal(image_bytes)} an image takes {_percent(reading)} of the teacher's time"
            )
            continue
        why = f"a pass takes {decimal(pass_bytes)}, the cache may take {decimal(left)} more"
        if reading > WORTH_IT:
            why = (
                f"reading {decimal(image_bytes)} an image would take {_percent(reading)} "
                "of the teacher's time"
            )
        if _can_share(demand, bytes_per_image(shapes, needs, "float32"), speeds, room):
            shared += names
            has_window = True
            lines.append(f"{', '.join(names)}: shared by trials that run at the same time; {why}")
        else:
            lines.append(f"{', '.join(names)}: live; {why}")
    plan = OutputsPlan(
        tuple(cached),
        tuple(shared),
        precision,
        window_bytes=room.window if has_window else 0,
        look_ahead=demand.max_concurrent if has_window else 1,
    )
    return plan, tuple(lines)


def _can_share(demand: Demand, image_bytes: int, speeds: Speeds, room: Room) -> bool:
    """Whether handing an image's outputs on is faster than computing them, and has room."""
    batch_bytes = image_bytes * demand.batch_size
    seconds = 2 * image_bytes / speeds.memory_bytes  # one trial writes them, the others read
    return (
        demand.max_concurrent > 1
        and seconds <= WORTH_IT * speeds.teacher_seconds
        and MIN_WINDOW_BATCHES * demand.max_concurrent * batch_bytes <= room.window
    )


def measure_speeds(
    teacher: nn.Module, image_size: tuple[int, int], folder: Path, device: torch.device
) -> Speeds:
    """Runs the teacher twice on a few black images, writes and reads a file in `folder`.

    Takes as long as the teacher takes over 16 images, and a fraction of a second.
    """
    num_images = PROBED_IMAGES.get(device.type, 8)
    images = torch.zeros(num_images, 3, *image_size, device=device)
    network = teacher.to(memory_format=torch.channels_last).to(device).eval()
    with torch.inference_mode():
        for _ in range(2):  # the first one warms up
            begin = time.perf_counter()
            network(images).logits.cpu()  # waits for a GPU
            teacher_seconds = (time.perf_counter() - begin) / num_images
    content = np.random.default_rng(0).bytes(PROBED_BYTES)
    begin = time.perf_counter()
    np.frombuffer(content, np.uint8).copy()
    memory_bytes = PROBED_BYTES / (time.perf_counter() - begin)
    return Speeds(teacher_seconds, min(_disk_bytes(folder, content), memory_bytes), memory_bytes)


def measure_room(
    folder: Path,
    budget: int | None,
    own: Collection[str] = (),
    precision: CachePrecision = "float16",
) -> Room:
    """What `folder` may still take of the budget (default: half of the free disk), and memory.

    `own`: the entries that are asked for, whose pieces in this precision need no new room.
    """
    taken = reused = 0
    for path, status in piece_files(folder):
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
    window = 0
    if SHARED_MEMORY.is_dir():
        physical = page * os.sysconf("SC_PHYS_PAGES")
        window = min(int(MEMORY_SHARE * physical), shutil.disk_usage(SHARED_MEMORY).free // 2)
    return Room(
        budget=max(0, min(budget - taken, free)),
        free_memory=page * os.sysconf("SC_AVPHYS_PAGES"),
        window=window,
    )


def _disk_bytes(folder: Path, content: bytes) -> float:
    """Bytes read in a second from a file that is not in memory any more."""
    try:
        with tempfile.NamedTemporaryFile(dir=_existing(folder)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = time.perf_counter()
            os.pread(file.fileno(), len(content), 0)
            return len(content) / (time.perf_counter() - begin)
    except OSError:  # full, or not ours to write to: nothing will be kept there
        return 1.0


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
