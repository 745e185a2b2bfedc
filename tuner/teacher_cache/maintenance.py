"""Maintains the cache: lists entries, checks shards, deletes what is damaged or old.

A running search is never disturbed: it recomputes damaged shards, and an entry in use is not
deleted.
"""

import fcntl
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner.data import num_batches
from tuner.teacher_cache.lock import try_lock
from tuner.teacher_cache.shard import DamagedShardError, read_shard
from tuner.teacher_cache.shared_buffer import shared_buffer_folder
from tuner.teacher_cache.store import ABOUT_FILE, LOCK_FOLDER, lock_path

SHARDS = "*/*/*.arrow"  # in an entry: OUTPUT.PRECISION.ROWS/EPOCH/NUMBER-CRC32.arrow


@dataclass(frozen=True)
class StoredOutput:
    """One output of a teacher in one precision."""

    name: str
    precision: str
    shard_rows: int
    num_complete: int  # augmented epochs of which every shard is stored
    num_partial: int  # augmented epochs of which some shards are stored
    num_bytes: int

    def as_json(self) -> dict[str, Any]:
        """For programs; the keys are those of the first version."""
        return {
            "name": self.name,
            "precision": self.precision,
            "piece_rows": self.shard_rows,
            "num_passes": self.num_complete,
            "num_begun": self.num_partial,
            "num_bytes": self.num_bytes,
        }


@dataclass(frozen=True)
class StoredEntry:
    """The outputs of one teacher for all augmented epochs of one view of the data."""

    folder: Path
    about: dict[str, Any]  # empty if the file is lost
    outputs: tuple[StoredOutput, ...]
    last_used: float  # seconds since 1970

    @property
    def num_bytes(self) -> int:
        """Size of all its outputs."""
        return sum(output.num_bytes for output in self.outputs)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": self.folder.name,
            "about": self.about,
            "outputs": [output.as_json() for output in self.outputs],
            "bytes": self.num_bytes,
            "last_used": self.last_used,
        }


@dataclass(frozen=True)
class Pruned:
    """The entries that were deleted, and those that could not be, with the reason."""

    deleted: tuple[StoredEntry, ...]
    left: tuple[tuple[StoredEntry, str], ...]


@dataclass(frozen=True)
class CheckedShard:
    """A shard that was read."""

    path: Path
    num_bytes: int
    is_damaged: bool


def read_entries(root: Path) -> tuple[StoredEntry, ...]:
    """All entries in a folder, the most recently used first."""
    entries = []
    for folder in _folders(root):
        with suppress(FileNotFoundError):  # another process may be pruning
            entries.append(_read_entry(folder))
    return tuple(sorted(entries, key=lambda entry: -entry.last_used))


def check_shards(root: Path, *, dry_run: bool) -> Iterator[CheckedShard]:
    """Reads every shard and deletes the damaged ones (not in a dry run)."""
    for path in sorted(path for folder in _folders(root) for path in folder.glob(SHARDS)):
        try:
            num_bytes = path.stat().st_size
            read_shard(path)
        except FileNotFoundError:
            continue  # a trial has just found it damaged, or it was pruned
        except DamagedShardError:
            if not dry_run:
                path.unlink(missing_ok=True)
            yield CheckedShard(path, num_bytes, is_damaged=True)
        else:
            yield CheckedShard(path, num_bytes, is_damaged=False)


def remove_stale(root: Path) -> int:
    """Removes the locks and half-written shards of dead processes; returns how many files."""
    num_removed = 0
    for folder in _folders(root):
        for partial in folder.glob("*/*/*.partial"):
            kind = ".".join(partial.parent.parent.name.split(".")[-2:])
            lock = lock_path(folder, kind, partial.parent.name, partial.stem)
            lock.parent.mkdir(exist_ok=True)
            # If another process holds the lock it is writing the shard.
            with try_lock(lock) as is_ours:
                if is_ours:
                    partial.unlink(missing_ok=True)
                    num_removed += 1
        for lock in folder.glob(f"{LOCK_FOLDER}/*"):
            with try_lock(lock) as is_ours:  # which removes the file
                num_removed += is_ours
    for folder in root.glob(".*.deleted"):
        shutil.rmtree(folder, ignore_errors=True)
        num_removed += 1
    return num_removed


def prune(
    root: Path, *, keep_bytes: int = 0, older_than_seconds: float = 0.0, dry_run: bool
) -> Pruned:
    """Deletes entries, the least recently used first, until the rest takes `keep_bytes`.

    Keeps entries that were used in the last `older_than_seconds` or are being read by a trial.
    """
    entries = read_entries(root)
    excess = sum(entry.num_bytes for entry in entries) - keep_bytes
    deleted, left = [], []
    for entry in reversed(entries):
        if time.time() - entry.last_used < older_than_seconds or (keep_bytes and excess <= 0):
            continue
        with _unused(entry.folder) as is_unused:
            if not is_unused:
                left.append((entry, "a running trial is reading it"))
                continue
            try:
                if not dry_run:
                    _delete(entry.folder)
            except OSError as error:
                left.append((entry, f"it cannot be deleted ({error.strerror})"))
                continue
        deleted.append(entry)
        excess -= entry.num_bytes
    return Pruned(tuple(deleted), tuple(left))


def empty_shared_buffer() -> None:
    """Frees the shared memory that no trial is using now; never fails."""
    with suppress(OSError):
        prune(shared_buffer_folder(), dry_run=False)


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _read_entry(folder: Path) -> StoredEntry:
    try:
        about = json.loads((folder / ABOUT_FILE).read_bytes())
        last_used = (folder / ABOUT_FILE).stat().st_mtime
    except (OSError, ValueError):
        about, last_used = {}, folder.stat().st_mtime
    outputs = [
        _read_output(path, about.get("num_images", 0))
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name.count(".") >= 2
    ]
    return StoredEntry(folder, about, tuple(outputs), last_used)


def _read_output(folder: Path, num_images: int) -> StoredOutput:
    name, precision, shard_rows = folder.name.rsplit(".", 2)
    num_shards = num_batches(num_images, int(shard_rows))
    num_complete = num_partial = num_bytes = 0
    for sizes in (_sizes(path) for path in folder.iterdir()):
        is_complete = 0 < num_shards <= len(sizes)
        num_complete += is_complete
        num_partial += bool(sizes) and not is_complete
        num_bytes += sum(sizes)
    return StoredOutput(name, precision, int(shard_rows), num_complete, num_partial, num_bytes)


def _sizes(folder: Path) -> list[int]:
    """Bytes of each shard of an augmented epoch."""
    sizes = []
    for path in folder.glob("*.arrow"):
        with suppress(FileNotFoundError):  # trials delete old shards from shared memory
            sizes.append(path.stat().st_size)
    return sizes


@contextmanager
def _unused(folder: Path) -> Iterator[bool]:
    """Yields whether no trial has the entry open; none can open it meanwhile."""
    try:
        file = (folder / ABOUT_FILE).open("r+b")
    except FileNotFoundError:
        yield True  # it was never used
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _delete(folder: Path) -> None:
    """Hides the entry at once by renaming it; a trial that starts now creates a new one."""
    away = folder.with_name(f".{folder.name}.deleted")
    shutil.rmtree(away, ignore_errors=True)
    folder.rename(away)
    shutil.rmtree(away)
