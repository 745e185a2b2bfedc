"""Folders of pieces: the cache on disk, and the window of shared memory that it resembles.

ENTRY/about.json says in words what the entry's address is a hash of;
ENTRY/OUTPUT.PRECISION.ROWS/PASS/NUMBER-CRC32.arrow holds that many rows of one output.
"""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tuner.data import Views
from tuner.teacher_cache.claim import claimed
from tuner.teacher_cache.piece import (
    FORMAT_VERSION,
    DamagedPieceError,
    find_piece,
    read_piece,
    write_piece,
)

ABOUT_FILE = "about.json"
CACHE_FOLDER = "teacher-outputs"  # in the data folder
SHARED_MEMORY = Path("/dev/shm")


def cache_folder(data_dir: str) -> Path:
    """Where teachers' outputs are kept for later searches."""
    return Path(data_dir, CACHE_FOLDER)


def window_folder() -> Path:
    """One folder of shared memory for each user: whatever dies, no more than it is left behind."""
    return SHARED_MEMORY / f"tuner-{os.getuid()}"


def describe_entry(teacher: str, digest: str, views: Views) -> dict[str, Any]:
    """Everything that a teacher's outputs for all passes are determined by."""
    return {
        "format_version": FORMAT_VERSION,
        "teacher": teacher,
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
    """The name of an entry's folder."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


class Entry:
    """The outputs of one teacher for all passes over one view of the data."""

    def __init__(self, root: Path, about: dict[str, Any], *, limit_bytes: int | None) -> None:
        """`limit_bytes`: more than that in `root`, and the oldest pieces go (a window of memory).

        Without it pieces are kept, and checked when they are opened.
        """
        self.folder = root / entry_key(about)
        self._root, self._about, self._limit_bytes = root, about, limit_bytes

    def read(self, name: str, pass_name: str, number: str) -> np.ndarray | None:
        """A piece, or None if it is not there.

        Raises DamagedPieceError, once: it is gone then; OSError where it cannot be removed.
        """
        path = find_piece(self.folder / name / pass_name, number)
        if path is None:
            return None
        try:
            return read_piece(path)
        except FileNotFoundError:
            return None
        except DamagedPieceError:
            path.unlink(missing_ok=True)
            raise

    def present(self, name: str, pass_name: str) -> set[str]:
        """The numbers of the pieces of a pass that are there, unread."""
        try:
            files = os.listdir(self.folder / name / pass_name)
        except (FileNotFoundError, NotADirectoryError):
            return set()
        return {file.partition("-")[0] for file in files if file.endswith(".arrow")}

    @contextmanager
    def claimed(self, pass_name: str, number: str) -> Iterator[bool]:
        """Whether this process shall compute a piece. Raises OSError where it cannot be kept."""
        path = self.folder / "claims" / f"{pass_name}-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with claimed(path) as is_ours:
            yield is_ours

    def write(self, name: str, pass_name: str, number: str, values: np.ndarray) -> None:
        """Keeps a piece; the caller has claimed it. Raises OSError, as when the disk is full."""
        folder = self.folder / name / pass_name
        folder.mkdir(parents=True, exist_ok=True)
        if self._limit_bytes is not None:
            self._make_room(values.nbytes)
        write_piece(folder, number, name, values, check=self._limit_bytes is None)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keeps the entry from being pruned, and notes that it was used."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / ABOUT_FILE
        if not path.exists():
            _write_about(path, self._about)
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            os.utime(path)
            yield

    def _make_room(self, num_bytes: int) -> None:
        """Deletes the oldest pieces of all entries; who reads one keeps its memory."""
        assert self._limit_bytes is not None
        files = []
        for path in self._root.glob("*/*/*/*.arrow"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            files.append((status.st_mtime_ns, status.st_size, path))
        excess = sum(size for _, size, _ in files) + num_bytes - self._limit_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


def _write_about(path: Path, about: dict[str, Any]) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        json.dump(about, file)
    os.replace(temporary, path)
