"""Claims: of several processes that want the same piece, one computes it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Yields whether the claim is ours; it is another's while False.

    The system releases the claim of a process that dies. Raises OSError where the
    folder cannot be written.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        if not _locked(descriptor, path):
            yield False
            return
        try:
            yield True
        finally:
            # Before the lock is released: whoever opened this file sees that it is gone.
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, path: Path) -> bool:
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A claim that was released between opening and locking is not this file any more.
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    return False
