"""A driver is seen while it lives, and hears that it is told to stop."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from tuner.results import heartbeat as presence
from tuner.results.heartbeat import (
    DRIVER_FILE,
    STOP_FILE,
    DriverStatus,
    Heartbeat,
    check_not_running,
    is_alive,
    read_driver,
)
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

WRONG = json.dumps(asdict(DriverStatus("", "", "", 1, "", 1, "yesterday", ""))).encode()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(presence, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(presence, "DEAD_AFTER_SECONDS", 1.0)


@pytest.fixture
def storage(tmp_path) -> Storage:
    storage = Storage(str(tmp_path / "mine"))
    storage.write("search.yaml", b"")
    return storage


def write(storage: Storage, driver: DriverStatus) -> None:
    storage.write(DRIVER_FILE, json.dumps(asdict(driver)).encode())


def wait_for(is_so) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_driver_is_seen_from_its_first_moment_to_its_last(storage):
    with Heartbeat(storage):
        wait_for(lambda: read_driver(storage) is not None)
        driver = read_driver(storage)
        assert is_alive(storage, driver)
        wait_for(lambda: read_driver(storage).beat > driver.beat)
    ended = read_driver(storage)
    assert ended.outcome == "done"
    assert not is_alive(storage, ended)


def test_an_error_is_an_outcome_too(storage):
    with pytest.raises(ZeroDivisionError), Heartbeat(storage):
        raise ZeroDivisionError
    assert read_driver(storage).outcome == "failed"


def test_it_hears_that_it_is_told_to_stop_and_not_what_an_earlier_one_was_told(storage):
    storage.write(STOP_FILE, b"")
    with Heartbeat(storage) as driver:
        wait_for(lambda: read_driver(storage) is not None and read_driver(storage).beat > 2)
        assert not driver.is_told_to_stop
        storage.write(STOP_FILE, b"")
        wait_for(lambda: driver.is_told_to_stop)
    assert not storage.exists(STOP_FILE)


def test_a_killed_driver_of_this_machine_is_known_at_once(storage):
    code = (
        "import sys, time; from tuner.results.heartbeat import Heartbeat;"
        "from tuner.storage.folder import Storage; Heartbeat(Storage(sys.argv[1])).__enter__();"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, storage.uri])
    wait_for(lambda: read_driver(storage) is not None)
    assert is_alive(storage, read_driver(storage))
    process.kill()
    process.wait()
    assert not is_alive(storage, read_driver(storage))
    # Another process may get its number.
    reused = replace(read_driver(storage), pid=1)
    assert not is_alive(storage, reused)


def test_a_driver_elsewhere_is_watched_by_its_beats_not_by_a_clock(storage):
    with Heartbeat(storage):
        wait_for(lambda: read_driver(storage) is not None)
        elsewhere = replace(read_driver(storage), machine="elsewhere", time=0.0)
        assert is_alive(storage, elsewhere)
    silent = replace(elsewhere, time=time.time() + 1e6)
    write(storage, silent)
    assert not is_alive(storage, silent)


def test_a_driver_whose_search_was_taken_over_stops(storage):
    with Heartbeat(storage) as first:
        wait_for(lambda: read_driver(storage) is not None)
        with Heartbeat(storage) as second:
            wait_for(lambda: first.is_told_to_stop)
            assert not second.is_told_to_stop
        other = read_driver(storage)
    assert read_driver(storage) == other  # the first leaves no sign over it


def test_a_first_sign_that_cannot_be_written_is_no_takeover(storage, monkeypatch):
    with Heartbeat(storage):
        wait_for(lambda: read_driver(storage) is not None)
    written, fails = Storage.write, [True]

    def write_later(self, name, content, **options):
        if fails:
            fails.pop()
            raise OSError("full")
        written(self, name, content, **options)

    monkeypatch.setattr(Storage, "write", write_later)
    with Heartbeat(storage) as second:
        wait_for(lambda: read_driver(storage).outcome == "")
        assert not second.is_told_to_stop


def test_storage_that_is_away_stops_nothing(storage, monkeypatch):
    monkeypatch.setattr(Storage, "write", _away)
    with Heartbeat(storage) as driver:
        time.sleep(0.2)
        assert not driver.is_told_to_stop
    assert read_driver(storage) is None


def test_an_object_store_has_no_locks_so_the_driver_is_looked_for():
    storage = Storage("mock:///mine")
    storage.filesystem.create_dir("mine")
    storage.write("search.yaml", b"")
    check_not_running(storage)  # nobody has begun it
    with Heartbeat(storage):
        wait_for(lambda: read_driver(storage) is not None)
        with pytest.raises(RequestError, match=r"is running on .* \(process \d+\)"):
            check_not_running(storage)
    check_not_running(storage)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 1}', b"\xff", WRONG])
def test_a_damaged_file_is_no_driver(storage, content):
    storage.write(DRIVER_FILE, content)
    assert read_driver(storage) is None


def _away(*arguments, **options):
    raise OSError("the storage is away")
