"""File locks that decide which of several processes computes a shard."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Yields True while this process holds the lock, False if another one does; never waits.

    The operating system releases the lock when its process dies. Raises OSError if the
    folder is not writable.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        if not _is_locked(descriptor, path):
            yield False
            return
        try:
            yield True
        finally:
            # Deleted before the lock is released: whoever holds the deleted file open notices.
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int, path: Path) -> bool:
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The previous holder may have deleted this file between our open and our lock.
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    return False
