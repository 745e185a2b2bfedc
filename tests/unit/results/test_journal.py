"""The journal: a torn last line is dropped, a damaged line is refused, old journals are read."""

import errno
import json
import os
import random
import time

import pytest

from tuner.results import journal as journal_module
from tuner.results.journal import JOURNAL_FILE, DamagedJournalError, Journal, is_held
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

EVENTS = [{"event": "epoch", "trial": f"{n:04d}", "val_accuracy": n / 7} for n in range(40)]


@pytest.fixture
def storage(tmp_path) -> Storage:
    storage = Storage(str(tmp_path / "mine"))
    append(storage, EVENTS)
    return storage


def append(storage: Storage, events: list) -> None:
    journal = Journal(storage)
    journal.open()
    for event in events:
        journal.append(event, sync=False)
    journal.close()


def lines_of(storage: Storage) -> list[bytes]:
    return storage.read(JOURNAL_FILE).splitlines(keepends=True)


def without_checksum(line: bytes) -> bytes:
    """As earlier versions wrote it."""
    event = json.loads(line)
    del event["crc"]
    return json.dumps(event).encode() + b"\n"


def damaged(content: bytes, draw: random.Random) -> bytes:
    """A flipped bit, a block of zeros, bytes that are missing or too many; not in the last line."""
    place, kind = draw.randrange(content.rindex(b"\n", 0, -1)), draw.randrange(4)
    if kind == 0:
        flipped = bytes([content[place] ^ 1 << draw.randrange(8)])
        return content[:place] + flipped + content[place + 1 :]
    size = draw.randrange(1, 60)
    filling = (b"\0" * size, b"", b"\n{}\n" + content[place : place + size])[kind - 1]
    return content[:place] + filling + content[place + size :]


def test_a_line_is_json_whose_last_key_is_its_checksum(storage):
    line = lines_of(storage)[0]
    event = json.loads(line)
    assert list(event) == [*EVENTS[0], "crc"]
    assert {name: event[name] for name in EVENTS[0]} == EVENTS[0] == Journal(storage).read()[0]


@pytest.mark.parametrize("seed", range(100))
def test_damage_in_the_middle_is_refused_and_nothing_is_touched(storage, seed):
    content = damaged(storage.read(JOURNAL_FILE), random.Random(seed))
    storage.write(JOURNAL_FILE, content)
    with pytest.raises(DamagedJournalError):
        Journal(storage).read()
    journal = Journal(storage)
    journal.open()
    with pytest.raises(DamagedJournalError):
        journal.read()
    journal.close()
    assert storage.read(JOURNAL_FILE) == content


def test_a_refusal_names_the_line_and_the_remedies(storage):
    lines = lines_of(storage)
    lines[3] = lines[3].replace(b"0003", b"0004")
    storage.write(JOURNAL_FILE, b"".join(lines))
    with pytest.raises(RequestError) as raised:
        Journal(storage).read()
    assert str(raised.value) == (
        f"{storage.path(JOURNAL_FILE)} line 4 is damaged; restore the file from a backup, or delete"
        " this line and all after it to resume from there (`tuner report` still reads the tables)"
    )


def test_a_journal_cut_before_its_damaged_line_goes_on_from_there(storage):
    storage.write(JOURNAL_FILE, b"".join(lines_of(storage)[:3]))
    append(storage, EVENTS[3:])
    assert Journal(storage).read() == EVENTS


def test_a_torn_last_line_is_dropped_and_the_next_line_is_whole(storage):
    content = storage.read(JOURNAL_FILE)
    for size in (1, 5, 20):
        storage.write(JOURNAL_FILE, content[:-size])
        assert Journal(storage).read() == EVENTS[:-1]
    append(storage, EVENTS[-1:])
    assert storage.read(JOURNAL_FILE) == content


def test_a_journal_without_checksums_is_read_and_continued_with_them(storage):
    lines = lines_of(storage)
    storage.write(JOURNAL_FILE, b"".join(map(without_checksum, lines)))
    storage.write("journal.copy", b"of an earlier version")
    assert Journal(storage).read() == EVENTS
    append(storage, EVENTS[:2])
    assert Journal(storage).read() == [*EVENTS, *EVENTS[:2]]
    assert lines_of(storage)[-2:] == lines[:2]


def test_after_a_checksum_no_line_may_be_without_one(storage):
    lines = lines_of(storage)
    for number in (1, 20, len(lines) - 1):
        changed = [*lines[:number], without_checksum(lines[number]), *lines[number + 1 :]]
        storage.write(JOURNAL_FILE, b"".join(changed))
        with pytest.raises(RequestError, match=f"line {number + 1} is damaged"):
            Journal(storage).read()


def test_a_damaged_line_without_a_checksum_is_refused(storage):
    lines = list(map(without_checksum, lines_of(storage)))
    lines[3] = b"{broken\n"
    storage.write(JOURNAL_FILE, b"".join(lines))
    with pytest.raises(RequestError, match="line 4 is damaged"):
        Journal(storage).read()


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_line_that_could_not_be_written_is_not_there_and_may_be_written_again(
    storage, monkeypatch, step
):
    journal = Journal(storage)
    journal.open()
    file = journal._writer._file
    with monkeypatch.context() as patch:
        if step == "fsync":
            patch.setattr(os, "fsync", _fail)
        else:
            journal._writer._file = _Full(file)
        with pytest.raises(OSError, match="No space left"):
            journal.append({"event": "end"}, sync=True)
    journal._writer._file = file
    journal.append({"event": "end"}, sync=True)
    journal.close()
    assert Journal(storage).read() == [*EVENTS, {"event": "end"}]


def test_a_local_journal_is_held_by_one_process(storage):
    assert not is_held(storage)
    journal = Journal(storage)
    journal.open()
    assert is_held(storage)
    with pytest.raises(RequestError, match="mine is running in another process"):
        Journal(storage).open()
    journal.close()
    assert not is_held(storage)
    Journal(storage).open()


def test_a_folder_without_a_journal_is_held_by_nobody(tmp_path):
    assert not is_held(Storage(str(tmp_path)))


@pytest.fixture
def store() -> Storage:
    """An object store: it cannot append, and has no locks."""
    storage = Storage("mock:///search")
    storage.filesystem.create_dir("search")
    return storage


def test_what_waits_for_an_object_is_written_soon_and_at_the_end(store, monkeypatch):
    monkeypatch.setattr(journal_module, "REMOTE_PAUSE_SECONDS", 0.3)
    journal = Journal(store)
    journal.append(EVENTS[0], sync=True)
    journal.append(EVENTS[1], sync=False)
    assert Journal(store).read() == EVENTS[:1]
    time.sleep(0.6)
    assert Journal(store).read() == EVENTS[:2]
    journal.append(EVENTS[2], sync=True)
    journal.append(EVENTS[3], sync=False)
    journal.close()
    assert Journal(store).read() == EVENTS[:4]


def test_an_object_is_continued_after_the_lines_that_were_read(store):
    append(store, EVENTS[:2])
    journal = Journal(store)
    assert journal.read() == EVENTS[:2]
    journal.append(EVENTS[2], sync=True)
    assert Journal(store).read() == EVENTS[:3]


def test_an_abandoned_journal_does_not_overwrite_another_processes_object(store):
    journal = Journal(store)
    journal.append(EVENTS[0], sync=True)
    journal.append(EVENTS[1], sync=False)
    store.write(JOURNAL_FILE, b"another's")
    journal.abandon()
    journal.close()
    assert store.read(JOURNAL_FILE) == b"another's"


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
