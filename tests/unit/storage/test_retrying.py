"""Storage operations are retried while the storage is unavailable, and its answers are believed."""

import errno
import threading
import time

import pytest

from tests.support.by_hand import make_header
from tuner.results.record import Record
from tuner.results.trial import SEARCH
from tuner.storage import folder, retrying
from tuner.storage.folder import Storage
from tuner.storage.retrying import LostStorageError
from tuner.text.errors import RequestError

PATIENCE = 0.3


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def storage(tmp_path) -> Storage:
    (tmp_path / "mine").mkdir()
    return Storage(str(tmp_path / "mine"), patience=PATIENCE)


class Away:
    """An operation that fails so many times."""

    def __init__(self, times: int, number: int = errno.ENOSPC) -> None:
        self.left, self.number = times, number

    def __call__(self, *arguments, **options) -> str:
        if self.left:
            self.left -= 1
            raise OSError(self.number, "away")
        return "here"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_what_fails_for_a_while_succeeds_in_the_end(storage, caplog, number):
    assert storage.patiently(Away(3, number)) == "here"
    assert len(caplog.records) == 1  # reported once
    assert "waiting up to" in caplog.text


def test_what_fails_for_too_long_is_an_error_that_names_the_place(storage):
    with pytest.raises(LostStorageError, match=r"mine did not come back within .* \(.*away"):
        storage.patiently(Away(10**6))


def test_a_storage_without_patience_fails_at_once(tmp_path):
    with pytest.raises(OSError, match="away") as raised:
        Storage(str(tmp_path)).patiently(Away(1))
    assert not isinstance(raised.value, LostStorageError)


def test_a_store_that_cannot_be_opened_for_a_while_is_opened_in_the_end(monkeypatch):
    away, open_store = Away(2), folder.open_store

    def open_later(location):
        away()
        return open_store(location)

    monkeypatch.setattr(folder, "open_store", open_later)
    assert Storage("mock:///runs", patience=PATIENCE).base == "runs"
    away.left = 10**6
    with pytest.raises(LostStorageError, match="mock:///runs did not come back"):
        Storage("mock:///runs", patience=PATIENCE)
    with pytest.raises(RequestError, match="cannot open 'mock:///runs'"):
        Storage("mock:///runs")


def test_a_folder_inside_is_as_patient(storage, tmp_path):
    (tmp_path / "mine" / "inner").mkdir()
    assert storage.sub("inner").patience == PATIENCE


def test_a_file_that_is_not_there_is_an_answer(storage):
    begin = time.monotonic()
    with pytest.raises(FileNotFoundError):
        storage.read("none")
    assert not storage.exists("none")
    storage.delete("none")
    assert storage.files("none") == []
    assert time.monotonic() - begin < 0.2


def test_a_folder_that_is_gone_is_awaited_and_not_created(storage, tmp_path):
    (tmp_path / "mine").rename(tmp_path / "aside")
    threading.Timer(0.1, lambda: (tmp_path / "aside").rename(tmp_path / "mine")).start()
    storage.write("f", b"1")
    assert (tmp_path / "mine" / "f").read_bytes() == b"1"
    (tmp_path / "mine").rename(tmp_path / "aside")
    for action in (lambda: storage.write("f", b"2"), lambda: storage.read("f"), storage.exists):
        with pytest.raises(LostStorageError):
            action()
    assert not (tmp_path / "mine").exists()


def test_a_record_waits_and_writes_each_event_once(storage, monkeypatch):
    record = Record(storage)
    record.open(make_header())
    away, append = Away(3), record._journal.append

    def fails_first(event, *, sync):
        away()
        append(event, sync=sync)

    monkeypatch.setattr(record._journal, "append", fails_first)
    common = {"role": SEARCH, "setting_label": "", "method": "kd", "setting": {}, "seed": 0}
    record.begin(name="0000", num_epochs=1, **common)
    assert record.failure is None
    assert [event["event"] for event in Record.load(Storage(storage.uri)).events] == ["begin"]
