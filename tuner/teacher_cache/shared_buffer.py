"""The shared buffer: entries in shared memory, for outputs too large to be cached on disk.

Trials that run at the same time pass each other their current batches through it. It is laid
out like the cache, but has a size limit, and its shards have no checksums.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tuner.teacher_cache.shard import unchecked_path, write_shard
from tuner.teacher_cache.store import Entry, shard_files

SHARED_MEMORY = Path("/dev/shm")
LOOKS = 32  # how often a process measures the buffer while it writes `limit_bytes`


def shared_buffer_folder() -> Path:
    """One folder of shared memory per user, so that crashes cannot leave more than one behind."""
    return SHARED_MEMORY / f"tuner-{os.getuid()}"


class SharedEntry(Entry):
    """An entry of the shared buffer; the oldest shards of all entries make room for new ones."""

    def __init__(self, root: Path, about: dict[str, Any], *, limit_bytes: int) -> None:
        """All entries in `root` together take about `limit_bytes` at most."""
        super().__init__(root, about)
        self._limit_bytes = limit_bytes
        self._unseen_bytes = limit_bytes  # written since the buffer was measured last

    def write(self, name: str, epoch_folder: str, number: str, values: np.ndarray) -> None:
        """Stores a shard [rows, ...] whose lock the caller holds. Raises OSError on failure."""
        folder = self.folder / name / epoch_folder
        folder.mkdir(parents=True, exist_ok=True)
        self._make_room(values.nbytes)
        write_shard(folder, number, name, values, check=False)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Protects the entry from being pruned. Raises OSError if memory is not writable."""
        self.root.mkdir(mode=0o700, exist_ok=True)  # other users cannot read it
        with super().in_use():
            yield

    def _find(self, folder: Path, number: str) -> Path:
        return unchecked_path(folder, number)

    def _make_room(self, num_bytes: int) -> None:
        """Deletes the oldest shards; a process that has one mapped keeps its memory.

        Measures the buffer only now and then, so several processes may slightly exceed the
        limit.
        """
        self._unseen_bytes += num_bytes
        slack = self._limit_bytes // LOOKS
        if self._unseen_bytes <= slack:
            return
        self._unseen_bytes = 0
        files = sorted(shard_files(self.root), key=lambda file: file[1].st_mtime_ns)
        excess = sum(status.st_size for _, status in files) + num_bytes + slack - self._limit_bytes
        for path, status in files:
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= status.st_size
