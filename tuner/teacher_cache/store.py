"""Folders of pieces: the cache on disk, and the window of shared memory that it resembles.

ENTRY/about.json says in words what the entry's address is a hash of;
ENTRY/OUTPUT.PRECISION.ROWS/PASS/NUMBER-CRC32.arrow holds that many rows of one output.
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
from tuner.teacher_cache.claim import claimed
from tuner.teacher_cache.piece import (
    FORMAT_VERSION,
    DamagedPieceError,
    find_piece,
    read_piece,
    unchecked,
    write_piece,
)

ABOUT_FILE = "about.json"
LOOKS = 32  # at the window while as much is written as it holds
CACHE_FOLDER = "teacher-outputs"  # in the data folder
SHARED_MEMORY = Path("/dev/shm")


def cache_folder(data_dir: str) -> Path:
    """Where teachers' outputs are kept for later searches."""
    return Path(data_dir, CACHE_FOLDER)


def window_folder() -> Path:
    """One folder of shared memory for each user: whatever dies, no more than it is left behind."""
    return SHARED_MEMORY / f"tuner-{os.getuid()}"


def describe_entry(teacher: str, digest: str, views: Views) -> dict[str, Any]:
    """Everything that a teacher's outputs for all passes are determined by.

    Of a network in a person's own file that is its code too, beside name and weights.
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
    """The name of an entry's folder."""
    # The data's name is for people: equal content, equal address.
    content = {key: value for key, value in about.items() if key != "data"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def claim_path(folder: Path, kind: str, pass_name: str, number: str) -> Path:
    """The file that a process locks while it computes a piece of an entry."""
    return folder / "claims" / f"{kind}-{pass_name}-{number}"


class Entry:
    """The outputs of one teacher for all passes over one view of the data."""

    def __init__(self, root: Path, about: dict[str, Any], *, limit_bytes: int | None) -> None:
        """`limit_bytes`: more than that in `root`, and the oldest pieces go (a window of memory).

        Without it pieces are kept, and checked when they are opened.
        """
        self.folder = root / entry_key(about)
        self.root, self._about, self._limit_bytes = root, about, limit_bytes
        self._unseen_bytes = limit_bytes or 0  # written since the window was last looked at

    def read(self, name: str, pass_name: str, number: str) -> np.ndarray | None:
        """A piece, or None if it is not there.

        Raises DamagedPieceError, once: it is gone then; OSError where it cannot be removed.
        """
        folder = self.folder / name / pass_name
        path = (
            find_piece(folder, number) if self._limit_bytes is None else unchecked(folder, number)
        )
        try:
            return None if path is None else read_piece(path)
        except FileNotFoundError:
            return None
        except DamagedPieceError:
            if path is not None:
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
    def claimed(self, kind: str, pass_name: str, number: str) -> Iterator[bool]:
        """Whether this process shall compute a piece. Raises OSError where it cannot be kept.

        `kind`: precision and rows of a piece, as they are computed independently.
        """
        path = claim_path(self.folder, kind, pass_name, number)
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
        if self._limit_bytes is not None:
            self.root.mkdir(mode=0o700, exist_ok=True)  # memory is no other user's business
        path = self.folder / ABOUT_FILE
        while True:
            if not path.exists():
                about = json.dumps(self._about).encode()
                Storage(str(self.folder)).write(ABOUT_FILE, about, sync=False)
            with suppress(FileNotFoundError), path.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                # What was pruned between opening and locking is not this entry any more.
                if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                    os.utime(path)
                    yield
                    return

    def _make_room(self, num_bytes: int) -> None:
        """Deletes the oldest pieces of all entries; who reads one keeps its memory.

        Looks only now and then, so several processes may be over the limit by a little.
        """
        assert self._limit_bytes is not None
        self._unseen_bytes += num_bytes
        slack = self._limit_bytes // LOOKS
        if self._unseen_bytes <= slack:
            return
        self._unseen_bytes = 0
        files = sorted(piece_files(self.root), key=lambda file: file[1].st_mtime_ns)
        excess = sum(status.st_size for _, status in files) + num_bytes + slack - self._limit_bytes
        for path, status in files:
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= status.st_size


def piece_files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All pieces of all entries; what is deleted meanwhile is left out."""
    for folder, _, names in os.walk(root):
        for name in names:
            if name.endswith(".arrow"):
                path = Path(folder, name)
                with suppress(FileNotFoundError):
                    yield path, path.stat()
