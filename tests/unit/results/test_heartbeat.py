"""A driver is visible while it runs, and stops on request."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest

from tuner.results import heartbeat
from tuner.results.heartbeat import (
    DRIVER_FILE,
    STOP_FILE,
    DriverStatus,
    Heartbeat,
    check_not_running,
    is_alive,
    read_driver,
)
from tuner.results.journal import Journal
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

DRIVER = DriverStatus("s", "elsewhere", 1, 1, 0.0, "")
WRONG = json.dumps(asdict(DRIVER) | {"time": "yesterday"}).encode()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(heartbeat, "DEAD_AFTER_SECONDS", 0.6)
    sleep = time.sleep
    monkeypatch.setattr(heartbeat.time, "sleep", lambda seconds: sleep(min(seconds, 0.1)))


@pytest.fixture
def storage(tmp_path) -> Storage:
    storage = Storage(str(tmp_path / "mine"))
    storage.write("search.yaml", b"")
    return storage


@pytest.fixture
def store() -> Storage:
    """An object store, which has no locks."""
    storage = Storage("mock:///mine")
    storage.filesystem.create_dir("mine")
    storage.write("search.yaml", b"")
    return storage


@pytest.fixture
def journal(storage) -> Iterator[Journal]:
    """A driver holds the journal as long as it runs."""
    journal = Journal(storage)
    journal.open()
    yield journal
    journal.close()


def write(storage: Storage, driver: DriverStatus) -> None:
    storage.write(DRIVER_FILE, json.dumps(asdict(driver)).encode())


def wait_for(is_so) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def begun(storage: Storage) -> DriverStatus:
    """The driver, once it has written its status."""
    wait_for(lambda: read_driver(storage) is not None)
    return read_driver(storage)


def test_a_driver_is_visible_from_its_first_moment_to_its_last(storage, journal):
    with Heartbeat(storage):
        driver = begun(storage)
        assert is_alive(storage, driver)
        wait_for(lambda: read_driver(storage).beat > driver.beat)
    ended = read_driver(storage)
    assert ended.outcome == "done"
    assert not is_alive(storage, ended)


def test_an_error_is_an_outcome_too(storage):
    with pytest.raises(ZeroDivisionError), Heartbeat(storage):
        raise ZeroDivisionError
    assert read_driver(storage).outcome == "failed"


def test_it_stops_on_request_but_not_on_a_request_to_an_earlier_session(storage):
    storage.write(STOP_FILE, b"")
    with Heartbeat(storage) as driver:
        wait_for(lambda: begun(storage).beat > 2)
        assert not driver.stop_requested
        storage.write(STOP_FILE, b"")
        wait_for(lambda: driver.stop_requested)
    assert not storage.exists(STOP_FILE)


def test_a_killed_driver_of_this_machine_is_known_at_once_by_its_lock(storage, journal):
    with Heartbeat(storage):
        driver = begun(storage)
    killed = replace(driver, outcome="")
    write(storage, killed)
    assert is_alive(storage, killed)  # another driver has the lock by now
    journal.close()
    lines: list[str] = []
    assert not is_alive(storage, killed, report=lines.append)
    assert lines == []  # it does not wait


@pytest.mark.parametrize("place", ["folder", "object store"])
def test_a_driver_elsewhere_is_known_by_its_beats_not_by_its_clock(storage, store, place):
    place = {"folder": storage, "object store": store}[place]
    with Heartbeat(place):
        elsewhere = replace(begun(place), host="elsewhere", time=0.0)
        assert is_alive(place, elsewhere)
    silent = replace(elsewhere, time=time.time() + 1e6)
    write(place, silent)
    lines: list[str] = []
    assert not is_alive(place, silent, report=lines.append)
    assert lines == ["waiting up to 1 s for a heartbeat from elsewhere"]


def test_a_driver_whose_search_was_taken_over_stops(storage):
    with Heartbeat(storage) as first:
        begun(storage)
        with Heartbeat(storage) as second:
            wait_for(lambda: first.stop_requested)
            assert not second.stop_requested
        other = read_driver(storage)
    assert read_driver(storage) == other  # the first does not overwrite it


def test_a_first_beat_that_cannot_be_written_is_no_takeover(storage, monkeypatch):
    with Heartbeat(storage):
        begun(storage)
    written, fails = Storage.write, [True]

    def write_later(self, name, content, **options):
        if fails:
            fails.pop()
            raise OSError("full")
        written(self, name, content, **options)

    monkeypatch.setattr(Storage, "write", write_later)
    with Heartbeat(storage) as second:
        wait_for(lambda: read_driver(storage).outcome == "")
        assert not second.stop_requested


def test_storage_that_is_away_stops_nothing(storage, monkeypatch):
    monkeypatch.setattr(Storage, "write", _away)
    with Heartbeat(storage) as driver:
        time.sleep(0.1)
        assert not driver.stop_requested
    assert read_driver(storage) is None


def test_an_object_store_has_no_locks_so_the_driver_is_looked_for(store):
    check_not_running(store)  # nobody has begun it
    with Heartbeat(store):
        begun(store)
        with pytest.raises(RequestError, match=r"is running on .* \(process \d+\)"):
            check_not_running(store)
    check_not_running(store)


def test_a_driver_of_an_earlier_version_is_understood(storage):
    content = asdict(DRIVER) | {"machine": "its boot pid:[1]", "start": "26254"}
    storage.write(DRIVER_FILE, json.dumps(content).encode())
    assert read_driver(storage) == DRIVER


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 1}', b"\xff", WRONG])
def test_a_damaged_file_is_no_driver(storage, content):
    storage.write(DRIVER_FILE, content)
    assert read_driver(storage) is None


def _away(*arguments, **options):
    raise OSError("the storage is away")
