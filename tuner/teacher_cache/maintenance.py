"""What a person does to the cache: looks at it, checks it, makes room.

Nothing here disturbs a search that runs: what is damaged is computed again, and an entry
in use is left alone.
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
from tuner.teacher_cache.claim import claimed
from tuner.teacher_cache.piece import DamagedPieceError, read_piece
from tuner.teacher_cache.store import ABOUT_FILE, claim_path, window_folder

PIECES = "*/*/*.arrow"  # in an entry: OUTPUT.PRECISION.ROWS/PASS/NUMBER-CRC32.arrow


@dataclass(frozen=True)
class KeptOutput:
    """One output of a teacher, as it is kept."""

    name: str
    precision: str
    piece_rows: int
    num_passes: int  # of which every piece is there
    num_begun: int  # of which some pieces are there
    num_bytes: int


@dataclass(frozen=True)
class KeptEntry:
    """The outputs of one teacher for all passes over one view of the data."""

    folder: Path
    about: dict[str, Any]  # empty where the file that says it is lost
    outputs: tuple[KeptOutput, ...]
    last_used: float  # seconds since 1970

    @property
    def num_bytes(self) -> int:
        """Of all that is kept."""
        return sum(output.num_bytes for output in self.outputs)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": self.folder.name,
            "about": self.about,
            "outputs": [vars(output) for output in self.outputs],
            "bytes": self.num_bytes,
            "last_used": self.last_used,
        }


@dataclass(frozen=True)
class Pruned:
    """What was deleted, and what was left although it should go, with the reason."""

    deleted: tuple[KeptEntry, ...]
    left: tuple[tuple[KeptEntry, str], ...]


@dataclass(frozen=True)
class CheckedPiece:
    """A piece that was read."""

    path: Path
    num_bytes: int
    is_damaged: bool


def read_entries(root: Path) -> tuple[KeptEntry, ...]:
    """All that is kept in a folder, the most recently used first."""
    entries = []
    for folder in _folders(root):
        with suppress(FileNotFoundError):  # another process prunes
            entries.append(_read_entry(folder))
    return tuple(sorted(entries, key=lambda entry: -entry.last_used))


def check_pieces(root: Path, *, dry_run: bool) -> Iterator[CheckedPiece]:
    """Reads every piece, and deletes those that are not what was written."""
    for path in sorted(path for folder in _folders(root) for path in folder.glob(PIECES)):
        try:
            num_bytes = path.stat().st_size
            read_piece(path)
        except FileNotFoundError:
            continue  # a trial has just found it damaged, or it was pruned
        except DamagedPieceError:
            if not dry_run:
                path.unlink(missing_ok=True)
            yield CheckedPiece(path, num_bytes, is_damaged=True)
        else:
            yield CheckedPiece(path, num_bytes, is_damaged=False)


def remove_stale(root: Path) -> int:
    """Removes the claims and half-written pieces of processes that died; returns how many."""
    num_removed = 0
    for folder in _folders(root):
        for partial in folder.glob("*/*/*.partial"):
            kind = ".".join(partial.parent.parent.name.split(".")[-2:])
            claim = claim_path(folder, kind, partial.parent.name, partial.stem)
            claim.parent.mkdir(exist_ok=True)
            # While the claim is another's, that process is writing.
            with claimed(claim) as is_ours:
                if is_ours:
                    partial.unlink(missing_ok=True)
                    num_removed += 1
        for claim in folder.glob("claims/*"):
            with claimed(claim) as is_ours:  # which removes it
                num_removed += is_ours
    for folder in root.glob(".*.deleted"):
        shutil.rmtree(folder, ignore_errors=True)
        num_removed += 1
    return num_removed


def prune(
    root: Path, *, keep_bytes: int = 0, older_than_seconds: float = 0.0, dry_run: bool
) -> Pruned:
    """Deletes entries, the least recently used first, until the others take `keep_bytes`.

    Only those that were not used for so many seconds; none that a trial is reading.
    """
    entries = read_entries(root)
    excess = sum(entry.num_bytes for entry in entries) - keep_bytes
    deleted, left = [], []
    for entry in reversed(entries):
        if time.time() - entry.last_used < older_than_seconds or (keep_bytes and excess <= 0):
            continue
        with _unused(entry.folder) as is_unused:
            if not is_unused:
                left.append((entry, "a running trial reads it"))
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


def empty_window() -> None:
    """Frees the shared memory that no trial is using at this moment; never fails."""
    with suppress(OSError):
        prune(window_folder(), dry_run=False)


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _read_entry(folder: Path) -> KeptEntry:
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
    return KeptEntry(folder, about, tuple(outputs), last_used)


def _read_output(folder: Path, num_images: int) -> KeptOutput:
    name, precision, piece_rows = folder.name.rsplit(".", 2)
    num_pieces = num_batches(num_images, int(piece_rows))
    num_passes = num_begun = num_bytes = 0
    for sizes in (_sizes(path) for path in folder.iterdir()):
        is_complete = 0 < num_pieces <= len(sizes)
        num_passes += is_complete
        num_begun += bool(sizes) and not is_complete
        num_bytes += sum(sizes)
    return KeptOutput(name, precision, int(piece_rows), num_passes, num_begun, num_bytes)


def _sizes(folder: Path) -> list[int]:
    """Bytes of each piece of a pass."""
    sizes = []
    for path in folder.glob("*.arrow"):
        with suppress(FileNotFoundError):  # trials delete from memory what is old
            sizes.append(path.stat().st_size)
    return sizes


@contextmanager
def _unused(folder: Path) -> Iterator[bool]:
    """Whether no trial has the entry open; none can open it meanwhile."""
    try:
        file = (folder / ABOUT_FILE).open("r+b")
    except FileNotFoundError:
        yield True  # nobody got as far as to use it
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _delete(folder: Path) -> None:
    """Gone at once for whoever looks for it; a trial that begins now makes it anew."""
    away = folder.with_name(f".{folder.name}.deleted")
    shutil.rmtree(away, ignore_errors=True)
    folder.rename(away)
    shutil.rmtree(away)
