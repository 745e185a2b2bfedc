"""The journal's second copy: what is damaged in one file is read from the other, and mended."""

import errno
import os
import random
import time

import pytest

from tuner.results import journal as journal_module
from tuner.results.journal import COPY_FILE, JOURNAL_FILE, Journal
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

EVENTS = [{"event": "epoch", "trial": f"{n:04d}", "val_accuracy": n / 7} for n in range(40)]


@pytest.fixture
def storage(tmp_path) -> Storage:
    storage = Storage(str(tmp_path / "mine"))
    journal = Journal(storage)
    for event in EVENTS:
        journal.append(event, sync=False)
    journal.close()
    return storage


def reopened(storage: Storage) -> list:
    """What a later session reads; it mends what it finds."""
    journal = Journal(storage)
    journal.open()
    try:
        return journal.read()
    finally:
        journal.close()


def both(storage: Storage) -> tuple[bytes, bytes]:
    return storage.read(JOURNAL_FILE), storage.read(COPY_FILE)


def damaged(content: bytes, draw: random.Random) -> bytes:
    """A flipped bit, a block of zeros, bytes that are gone or that are too many."""
    place, kind = draw.randrange(len(content)), draw.randrange(4)
    if kind == 0:
        return (
            content[:place]
            + bytes([content[place] ^ 1 << draw.randrange(8)])
            + content[place + 1 :]
        )
    size = draw.randrange(1, 200)
    filling = (b"\0" * size, b"", b"\n{}\n" + content[place : place + size])[kind - 1]
    return content[:place] + filling + content[place + size :]


@pytest.mark.parametrize("file", [JOURNAL_FILE, COPY_FILE])
@pytest.mark.parametrize("seed", range(50))
def test_what_is_damaged_in_one_file_is_read_from_the_other(storage, file, seed):
    before = both(storage)
    storage.write(file, damaged(storage.read(file), random.Random(seed)))
    assert Journal(storage).read() == EVENTS  # to look at, without a lock
    assert reopened(storage) == EVENTS
    assert both(storage) == before


@pytest.mark.parametrize("file", [JOURNAL_FILE, COPY_FILE])
def test_a_lost_or_empty_copy_is_made_again(storage, file):
    before = both(storage)
    storage.write(file, b"")
    assert reopened(storage) == EVENTS
    assert both(storage) == before


def test_different_lines_of_both_may_be_damaged(storage):
    before = both(storage)
    for file, number in ((JOURNAL_FILE, 4), (COPY_FILE, 30)):
        lines = storage.read(file).splitlines(keepends=True)
        lines[number] = b"?" * (len(lines[number]) - 1) + b"\n"
        storage.write(file, b"".join(lines))
    assert reopened(storage) == EVENTS
    assert both(storage) == before


def test_a_line_that_is_damaged_in_both_is_named_and_nothing_is_touched(storage):
    for file in (JOURNAL_FILE, COPY_FILE):
        lines = storage.read(file).splitlines(keepends=True)
        lines[3] = b"{broken\n"
        storage.write(file, b"".join(lines))
    before = both(storage)
    with pytest.raises(RequestError, match=r"journal\.jsonl line 4: is damaged; restore"):
        reopened(storage)
    assert both(storage) == before


def test_lines_that_the_copy_lacks_are_taken_from_the_journal(storage):
    before = both(storage)
    lines = storage.read(COPY_FILE).splitlines(keepends=True)
    storage.write(COPY_FILE, b"".join(lines[:25]) + lines[25][:9])  # a power cut
    assert reopened(storage) == EVENTS
    assert both(storage) == before


def test_a_journal_without_a_copy_is_read_and_gets_one(storage):
    before = both(storage)
    storage.delete(COPY_FILE)
    assert reopened(storage) == EVENTS
    assert both(storage) == before


@pytest.mark.parametrize("step", ["journal", "copy", "fsync"])
def test_a_line_that_could_not_be_written_is_not_there_and_may_be_written_again(
    storage, monkeypatch, step
):
    journal = Journal(storage)
    journal.open()
    journal.read()
    with monkeypatch.context() as patch:
        if step == "fsync":
            patch.setattr(os, "fsync", _fail)
        else:
            number = ("journal", "copy").index(step)
            journal._files[number] = _Full(journal._files[number])
        with pytest.raises(OSError, match="No space left"):
            journal.append({"event": "end"}, sync=True)
    journal._files = [getattr(file, "file", file) for file in journal._files]
    journal.append({"event": "end"}, sync=True)
    journal.close()
    assert Journal(storage).read() == [*EVENTS, {"event": "end"}]


def test_equal_lines_at_the_end_are_not_taken_for_each_other(storage):
    note = {"event": "note", "text": "the same"}
    journal = Journal(storage)
    journal.open()
    journal.read()
    for event in (note, EVENTS[0], note, EVENTS[1]):
        journal.append(event, sync=False)
    journal.close()
    lines = storage.read(COPY_FILE).splitlines(keepends=True)
    storage.write(COPY_FILE, b"".join(lines[: len(EVENTS) + 1]))  # a power cut behind the note
    assert reopened(storage) == [*EVENTS, note, EVENTS[0], note, EVENTS[1]]


def test_a_journal_damaged_where_its_copy_ends_loses_nothing_behind(storage):
    lines = storage.read(COPY_FILE).splitlines(keepends=True)
    storage.write(COPY_FILE, b"".join(lines[:30]))
    own = storage.read(JOURNAL_FILE).splitlines(keepends=True)
    own[29] = b"?" * (len(own[29]) - 1) + b"\n"
    storage.write(JOURNAL_FILE, b"".join(own))
    assert reopened(storage) == EVENTS


def test_what_the_disk_did_not_let_be_cut_off_is_cut_off_later(storage, monkeypatch):
    journal = Journal(storage)
    journal.open()
    journal.read()
    journal._files[1] = _Full(journal._files[1])  # the journal has the line already
    with pytest.raises(OSError, match="No space left"):
        journal.append({"event": "end"}, sync=True)
    journal._files[1] = journal._files[1].file
    journal.append({"event": "end"}, sync=True)
    journal.close()
    assert reopened(storage) == [*EVENTS, {"event": "end"}]
    assert storage.read(JOURNAL_FILE).count(b'"end"') == 1


def test_what_waits_for_an_object_is_written_soon_and_at_the_end(monkeypatch):
    monkeypatch.setattr(journal_module, "REMOTE_PAUSE_SECONDS", 0.3)
    storage = Storage("mock:///late")
    storage.filesystem.create_dir("late")
    journal = Journal(storage)
    journal.append(EVENTS[0], sync=True)
    journal.append(EVENTS[1], sync=False)
    assert Journal(storage).read() == EVENTS[:1]
    time.sleep(0.6)
    assert Journal(storage).read() == EVENTS[:2]
    journal.append(EVENTS[2], sync=True)
    journal.append(EVENTS[3], sync=False)
    journal.close()
    assert Journal(storage).read() == EVENTS[:4]


def test_an_object_store_holds_one_object():
    storage = Storage("mock:///search")
    storage.filesystem.create_dir("search")
    Journal(storage).append(EVENTS[0], sync=True)
    assert Journal(storage).read() == EVENTS[:1]
    assert not storage.exists(COPY_FILE)


class _Full:
    """A file on a disk that takes a part of what is written, then no more."""

    def __init__(self, file) -> None:
        self.file = file

    def write(self, content: bytes) -> int:
        return self.file.write(content[:5])

    def __getattr__(self, name: str):
        return getattr(self.file, name)


def _fail(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")
