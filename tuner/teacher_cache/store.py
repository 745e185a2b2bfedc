"""The cache on disk: one folder per teacher and view of the data, shards inside.

ENTRY/about.json says in words what the entry's name is a hash of;
ENTRY/OUTPUT.PRECISION.ROWS/EPOCH/NUMBER-CRC32.arrow holds that many rows of one output.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from models import identity
from tuner.data import Views
from tuner.storage.folder import Storage
from tuner.teacher_cache.lock import try_lock
from tuner.teacher_cache.shard import (
    FORMAT_VERSION,
    DamagedShardError,
    find_shard,
    read_shard,
    write_shard,
)

ABOUT_FILE = "about.json"
CACHE_FOLDER = "teacher-outputs"  # in the data folder
LOCK_FOLDER = "claims"  # in an entry


def cache_folder(data_dir: str) -> Path:
    """The folder of the teacher outputs that later searches can read."""
    return Path(data_dir, CACHE_FOLDER)


def describe_entry(teacher: str, digest: str, views: Views) -> dict[str, Any]:
    """Everything that determines a teacher's outputs for all augmented epochs.

    `digest` identifies the weights. For a network from the user's own file that includes
    the code in it.
    """
    return {
        "format_version": FORMAT_VERSION,
        "teacher": identity(teacher),
        "weights": digest,
        "data": views.dataset.name,
        "fingerprint": views.dataset.fingerprint,
        "num_images": len(views.rows),
        "rows": hashlib.sha256(np.ascontiguousarray(views.rows).data).hexdigest(),
        "seed": views.seed,
        "crop_padding": views.padding,
        "flip": views.flip,
    }


def entry_key(about: dict[str, Any]) -> str:
    """The name of an entry's folder: 16 hexadecimal digits."""
    # The name of the data is for people: equal content gets an equal key.
    content = {key: value for key, value in about.items() if key != "data"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def lock_path(folder: Path, kind: str, epoch_folder: str, number: str) -> Path:
    """The file that a process locks while it computes a shard of the entry in `folder`."""
    return folder / LOCK_FOLDER / f"{kind}-{epoch_folder}-{number}"


class Entry:
    """The outputs of one teacher for all augmented epochs of one view of the data."""

    def __init__(self, root: Path, about: dict[str, Any]) -> None:
        self.root, self.folder = root, root / entry_key(about)
        self._about = about

    def read(self, name: str, epoch_folder: str, number: str) -> np.ndarray | None:
        """A shard [rows, ...], or None if it does not exist.

        Deletes a damaged shard and raises DamagedShardError; raises OSError if it can be
        neither read nor deleted.
        """
        path = self._find(self.folder / name / epoch_folder, number)
        try:
            return None if path is None else read_shard(path)
        except FileNotFoundError:
            return None
        except DamagedShardError:
            if path is not None:
                path.unlink(missing_ok=True)
            raise

    def present(self, name: str, epoch_folder: str) -> set[str]:
        """The numbers of an augmented epoch's shards that exist; they are not read."""
        try:
            files = os.listdir(self.folder / name / epoch_folder)
        except (FileNotFoundError, NotADirectoryError):
            return set()
        return {file.partition("-")[0] for file in files if file.endswith(".arrow")}

    @contextmanager
    def try_lock(self, kind: str, epoch_folder: str, number: str) -> Iterator[bool]:
        """Yields whether this process is to compute a shard; `kind` is `ShardLayout.kind`.

        Raises OSError if the entry is not writable.
        """
        path = lock_path(self.folder, kind, epoch_folder, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        with try_lock(path) as is_ours:
            yield is_ours

    def write(self, name: str, epoch_folder: str, number: str, values: np.ndarray) -> None:
        """Stores a shard [rows, ...] whose lock the caller holds.

        Raises OSError if it cannot be written, for example because the disk is full.
        """
        folder = self.folder / name / epoch_folder
        folder.mkdir(parents=True, exist_ok=True)
        write_shard(folder, number, name, values, check=True)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Protects the entry from being pruned, and records when it was used last.

        Raises OSError if the entry is not writable.
        """
        path = self.folder / ABOUT_FILE
        while True:
            if not path.exists():
                about = json.dumps(self._about).encode()
                Storage(str(self.folder)).write(ABOUT_FILE, about, sync=False)
            with suppress(FileNotFoundError), path.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                # The entry may have been pruned between our open and our lock.
                if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                    os.utime(path)
                    yield
                    return

    def _find(self, folder: Path, number: str) -> Path | None:
        return find_shard(folder, number)


def shard_files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All shards of all entries in `root`, without those deleted meanwhile."""
    for folder, _, names in os.walk(root):
        for name in names:
            if name.endswith(".arrow"):
                path = Path(folder, name)
                with suppress(FileNotFoundError):
                    yield path, path.stat()
