"""The journal of a search: `journal.jsonl`, one event per line, each line with its checksum.

A line is a JSON object whose last key, "crc", is the CRC-32 of the line without that key. Lines
of earlier versions have none; they may only stand before the first line that has one.
"""

import errno
import fcntl
import json
import os
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

JOURNAL_FILE = "journal.jsonl"
Event = dict[str, Any]
# Each write to an object store replaces the whole object: epochs may wait this long, ends may not.
REMOTE_PAUSE_SECONDS = 5.0
_END_BYTES = len(b', "crc": "00000000"}')


class DamagedJournalError(RequestError):
    """A journal with a line that is not what was written; `place` names the file and line."""

    def __init__(self, place: str, number: int, problem: str) -> None:
        self.place = f"{place} line {number}"
        super().__init__(
            f"{self.place} {problem}; restore the file from a backup, or delete this line and all"
            " after it to resume from there (`tuner report` still reads the tables)"
        )


class Journal:
    """Reads and appends the events of a search."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._writer = _FileWriter(storage) if storage.is_local else _ObjectWriter(storage)

    def read(self) -> list[Event]:
        """The events so far, without a torn last line. Raises DamagedJournalError."""
        exists = self._storage.exists(JOURNAL_FILE)
        # What follows the last newline is being written, or was when the process died.
        lines = self._storage.read(JOURNAL_FILE).split(b"\n")[:-1] if exists else []
        events, may_be_old = [], True
        for number, line in enumerate(lines, start=1):
            try:
                event, may_be_old = _decoded(line, may_be_old=may_be_old)
            except ValueError:
                raise self.damaged(number, "is damaged") from None
            events.append(event)
        self._writer.append_to(lines)
        return events

    def damaged(self, number: int, problem: str) -> DamagedJournalError:
        """The error for a line, counted from 1."""
        return DamagedJournalError(self._storage.path(JOURNAL_FILE), number, problem)

    def open(self) -> None:
        """Locks the journal for this process; an object store has no locks.

        Raises RequestError while another process holds it.
        """
        self._writer.open()

    def append(self, event: Event, *, sync: bool) -> None:
        """Writes a line; with `sync` it also survives a power cut.

        Raises OSError, after which a local file lacks the line, so that it can be appended again;
        an object store gets it with the lines that follow.
        """
        self._writer.append(_encoded(json.dumps(event).encode()), sync=sync)

    def close(self) -> None:
        """Releases the journal for a later session, also one of this process. Raises OSError."""
        self._writer.close()

    def abandon(self) -> None:
        """Drops lines that wait for an object store: another process writes the journal now."""
        self._writer.abandon()


def is_held(storage: Storage) -> bool:
    """Whether a process holds the journal of a local folder."""
    with suppress(OSError), Path(storage.base, JOURNAL_FILE).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _encoded(text: bytes) -> bytes:
    """A JSON object with its checksum as the last key."""
    return b'%s, "crc": "%08x"}' % (text[:-1], zlib.crc32(text))


def _decoded(line: bytes, *, may_be_old: bool) -> tuple[Event, bool]:
    """An event, and whether its line is an earlier version's. Raises ValueError if damaged."""
    text, end = line[:-_END_BYTES] + b"}", line[-_END_BYTES:]
    if line == _encoded(text):
        return json.loads(text), False
    if not may_be_old or b'"crc"' in end:
        raise ValueError("the checksum differs")
    return json.loads(line), True


class _FileWriter:
    """Appends lines to a local file, under a lock."""

    def __init__(self, storage: Storage) -> None:
        self._folder = Path(storage.base)
        self._file: BinaryIO | None = None
        self._size = 0  # of its whole lines

    def append_to(self, lines: list[bytes]) -> None:
        pass  # they are in the file

    def open(self) -> None:
        if self._file is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / JOURNAL_FILE
        file = path.open("ab", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise RequestError(
                f"{self._folder.name} is running in another process; "
                "wait for its end, or stop it first"
            ) from None
        self._file, self._size = file, path.read_bytes().rfind(b"\n") + 1

    def append(self, line: bytes, *, sync: bool) -> None:
        self.open()
        assert self._file is not None
        line += b"\n"
        # A torn line, or the rest of a failed attempt.
        if os.fstat(self._file.fileno()).st_size != self._size:
            self._file.truncate(self._size)
        if self._file.write(line) != len(line):  # a nearly full disk accepts only part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        if sync:
            os.fsync(self._file.fileno())
        self._size += len(line)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def abandon(self) -> None:
        pass


class _ObjectWriter:
    """Replaces an object by all lines so far, as an object store cannot append."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lines: list[bytes] = []
        self._num_written, self._written = 0, 0.0  # lines in the object; when
        self._timer: threading.Timer | None = None
        self._flushing = threading.Lock()
        self._has_failed = self._is_abandoned = False

    def append_to(self, lines: list[bytes]) -> None:
        self._lines, self._num_written = lines, len(lines)

    def open(self) -> None:
        pass

    def append(self, line: bytes, *, sync: bool) -> None:
        self._lines.append(line)
        if sync or time.monotonic() - self._written > REMOTE_PAUSE_SECONDS:
            self._flush()
        elif self._timer is None:
            self._timer = threading.Timer(REMOTE_PAUSE_SECONDS, self._flush_later)
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._has_failed:  # that write was retried long enough
            self._flush()

    def abandon(self) -> None:
        self._is_abandoned = True

    def _flush(self) -> None:
        with self._flushing:
            lines = self._lines.copy()
            if self._is_abandoned or len(lines) == self._num_written:
                return
            self._has_failed = True
            self._storage.write(JOURNAL_FILE, b"".join(line + b"\n" for line in lines))
            self._has_failed = False
            self._num_written, self._written = len(lines), time.monotonic()

    def _flush_later(self) -> None:
        self._timer = None
        with suppress(OSError):  # the next line tries again
            self._flush()
