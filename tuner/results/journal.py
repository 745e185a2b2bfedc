"""The journal of a search: an event a line, kept twice.

`journal.jsonl` is what a person reads; `journal.copy` has the same lines again, each with its
checksum and number. What is damaged in one is read from the other, and mended when the
search goes on. An object store replaces whole objects and keeps checksums of its own, so
there one object is enough.
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

JOURNAL_FILE, COPY_FILE = "journal.jsonl", "journal.copy"
Event = dict[str, Any]
# An object store is written whole each time; epochs may wait this long, ends may not.
REMOTE_PAUSE_SECONDS = 5.0


class Journal:
    """Appends JSON lines: to a local file, or by replacing an object whose store cannot append."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lines: list[bytes] = []
        self._was_read = False
        self._written = 0.0
        self._files: list[BinaryIO] = []  # the journal and its copy, while they are ours
        self._sizes: list[int] = []  # of both, without what an attempt that failed has left
        self._num_written = 0  # of an object's lines
        self._timer: threading.Timer | None = None
        self._flushing = threading.Lock()
        self._has_failed = self._is_abandoned = False

    def read(self) -> list[Event]:
        """The events so far, without a torn last line. Raises RequestError for a lost one."""
        self._lines = self._whole_lines()
        events = []
        for number, line in enumerate(self._lines, start=1):
            try:
                events.append(json.loads(line))
            except ValueError:
                raise RequestError(
                    f"{self._storage.path(JOURNAL_FILE)} line {number}: is damaged; "
                    "restore the file from a copy, or start a new search"
                ) from None
        self._was_read = True
        self._num_written = len(self._lines)
        self._mend()
        return events

    def _whole_lines(self) -> list[bytes]:
        """The lines as they were written, from whichever file has them; a lost one is empty."""
        # What follows the last newline is being written, or was when the process died.
        own = self._content(JOURNAL_FILE).split(b"\n")[:-1]
        copied = _checked(self._content(COPY_FILE) if self._storage.is_local else b"")
        if not copied:
            return [line + b"\n" for line in own]
        last = max(copied)
        lines = [copied.get(number) or _between(own, copied, number) for number in range(last + 1)]
        lines += _behind(own, copied, last)
        return [line + b"\n" for line in lines]

    def _content(self, name: str) -> bytes:
        return self._storage.read(name) if self._storage.exists(name) else b""

    def open(self) -> None:
        """Takes the journal for this process, without a torn last line.

        Raises RequestError while another process writes it. (An object store has no locks.)
        """
        if not self._storage.is_local or self._files:
            return
        folder = Path(self._storage.base)
        folder.mkdir(parents=True, exist_ok=True)
        journal = (folder / JOURNAL_FILE).open("ab", buffering=0)
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            journal.close()
            raise RequestError(
                f"{folder.name} is running in another process; wait for its end, or stop it first"
            ) from None
        self._files = [journal, (folder / COPY_FILE).open("ab", buffering=0)]
        self._sizes = [os.fstat(file.fileno()).st_size for file in self._files]
        self._mend()

    def close(self) -> None:
        """Leaves it to a later session, which may be one of this process. Raises OSError."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._has_failed:  # it was waited for already
            self._flush()
        for file in reversed(self._files):  # the lock last
            file.close()  # for good: opened again, it would be cut to what was read

    def abandon(self) -> None:
        """What waits for an object is not written any more."""
        self._is_abandoned = True

    def append(self, event: Event, *, sync: bool) -> None:
        """Writes a line; `sync` also survives a power cut.

        Raises OSError. Of a file the line is then not there, and may be appended again. To an
        object it is written later, with what follows.
        """
        line = json.dumps(event).encode() + b"\n"
        if self._storage.is_local:
            self.open()
            self._append_to_files(line, sync=sync)
            self._lines.append(line)
            return
        self._lines.append(line)
        if sync or time.monotonic() - self._written > REMOTE_PAUSE_SECONDS:
            self._flush()
        elif self._timer is None:
            self._timer = threading.Timer(REMOTE_PAUSE_SECONDS, self._flush_later)
            self._timer.daemon = True
            self._timer.start()

    def _flush(self) -> None:
        """Replaces the object, where lines wait for it."""
        with self._flushing:
            lines = self._lines.copy()
            if self._storage.is_local or self._is_abandoned or len(lines) == self._num_written:
                return
            self._has_failed = True
            self._storage.write(JOURNAL_FILE, b"".join(lines))
            self._has_failed = False
            self._num_written, self._written = len(lines), time.monotonic()

    def _flush_later(self) -> None:
        self._timer = None
        with suppress(OSError):  # the next line tries it again
            self._flush()

    def _append_to_files(self, line: bytes, *, sync: bool) -> None:
        texts = (line, self._copy_of(line))
        for number, (file, size) in enumerate(zip(self._files, self._sizes, strict=True)):
            # What an attempt before has left, if the disk did not even let it be cut off.
            if os.fstat(file.fileno()).st_size != size:
                file.truncate(size)
            _write(file, texts[number])
        if sync:  # of the copy a power cut may take the end, which the journal has
            os.fsync(self._files[0].fileno())
        self._sizes = [size + len(text) for size, text in zip(self._sizes, texts, strict=True)]

    def _copy_of(self, line: bytes, number: int | None = None) -> bytes:
        number = len(self._lines) if number is None else number
        numbered = b"%d %s" % (number, line)
        return b"%08x %s" % (zlib.crc32(numbered), numbered)

    def _mend(self) -> None:
        """Both files hold what was read, and nothing else, before a line is appended."""
        if not (self._files and self._was_read):
            return
        journal, copy = self._files
        copies = b"".join(self._copy_of(line, number) for number, line in enumerate(self._lines))
        # The copy first: it may lack lines that only the journal has.
        _make(copy, copies)
        _make(journal, b"".join(self._lines))
        self._sizes = [os.fstat(file.fileno()).st_size for file in self._files]


def _make(file: BinaryIO, expected: bytes) -> None:
    """Gives a file the content that it should have, touching no more of it than it must."""
    content = Path(file.name).read_bytes()
    if content == expected:
        return
    pairs = enumerate(zip(content, expected, strict=False))
    size = next((place for place, (a, b) in pairs if a != b), min(len(content), len(expected)))
    file.truncate(size)
    _write(file, expected[size:])
    os.fsync(file.fileno())


def _write(file: BinaryIO, content: bytes) -> None:
    if file.write(content) != len(content):  # of a disk that is nearly full it takes a part
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)


def _between(own: list[bytes], copied: dict[int, bytes], number: int) -> bytes:
    """The journal's own line, if the next ones on both sides that the copy has are in step."""
    before = max((other for other in copied if other < number), default=None)
    after = min(other for other in copied if other > number)
    in_step = all(
        own[place : place + 1] == [copied[place]] for place in (before, after) if place is not None
    )
    return own[number] if in_step else b""


def _behind(own: list[bytes], copied: dict[int, bytes], last: int) -> list[bytes]:
    """The journal's lines that the copy may lack, as it is written second; a lost one is empty."""
    if own[last : last + 1] == [copied[last]]:
        return own[last + 1 :]
    if own.count(copied[last]) == 1:  # lines before it are lost, or too many
        return own[own.index(copied[last]) + 1 :]
    # The journal is damaged just there: what follows is whole events, or what the damage left.
    behind = own[last + 1 :]
    are_events = [_is_event(line) for line in behind]
    if all(are_events):
        return behind
    return [b""] if any(are_events) else []


def _is_event(line: bytes) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return False
    return isinstance(event, dict) and "event" in event


def _checked(content: bytes) -> dict[int, bytes]:
    """The copy's lines whose checksums are right, by their numbers from 0."""
    lines = {}
    for text in content.split(b"\n")[:-1]:
        checksum, _, numbered = text.partition(b" ")
        if checksum == b"%08x" % zlib.crc32(numbered + b"\n"):
            number, _, line = numbered.partition(b" ")
            lines[int(number)] = line
    return lines
