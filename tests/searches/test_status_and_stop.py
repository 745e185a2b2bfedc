"""`tuner status` and `tuner stop`, with and without a running search."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import tuner.status
import tuner.stop
from tests.support.by_hand import make_header
from tests.support.faults import is_in_epoch
from tests.support.searching import Driver as Process
from tests.support.searching import Searches
from tuner.results import heartbeat
from tuner.results.heartbeat import DriverStatus, is_alive, read_driver
from tuner.results.journal import Journal
from tuner.results.record import Record
from tuner.results.trial import DONE, FINAL, SEARCH, STOPPED
from tuner.storage.folder import Storage
from tuner.terminal.progress import read_progress


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A search that was killed: its request and its journal."""
    runs = tmp_path / "runs"
    storage = Storage(str(runs / "mine"))
    storage.write("search.yaml", b"space: kd\ntrials: 5\nselect_on: val\n")
    record = Record(storage)
    record.open(make_header())
    common = {"setting_label": "", "method": "kd", "seed": 0, "num_epochs": 2}
    for number, accuracy in enumerate((40.0, 60.0, 50.0)):
        name = f"{number:04d}"
        record.begin(name=name, role=SEARCH, setting={"temperature": 2.0 * number}, **common)
        for epoch in (1, 2):
            metrics = {"epoch": float(epoch), "val_accuracy": accuracy, "seconds": 30.0}
            record.epoch(name, metrics)
            if number == 2:
                break
        record.end(name, STOPPED if number == 2 else DONE)
    record.begin(name="tuned-1", role=FINAL, setting={"temperature": 2.0}, **common)
    record.close()
    return runs


def leave_driver(
    storage: Storage, earlier: DriverStatus | None = None, **values: Any
) -> DriverStatus:
    """A heartbeat, by default of this process."""
    first = DriverStatus("s", socket.gethostname(), os.getpid(), beat=0, time=0.0, outcome="")
    driver = replace(earlier or first, **values)
    driver = replace(driver, beat=driver.beat + 1)
    storage.write("driver.json", json.dumps(asdict(driver)).encode())
    return driver


@pytest.fixture
def held(begun: Path) -> Iterator[Storage]:
    """The same while a driver, this process, runs it and holds its journal."""
    storage = Storage(str(begun / "mine"))
    journal = Journal(storage)
    journal.open()
    yield storage
    journal.close()


def test_a_killed_search_is_described(begun, capsys):
    assert tuner.status.main(["mine", "--runs-dir", str(begun)]) == 0
    out = capsys.readouterr().out
    assert "mine: not running" in out  # no driver has left a status
    assert "2 done, 1 stopped early; 5 planned" in out
    assert "val_accuracy 60.00 % in trial 0001: temperature 2" in out
    assert "trainings: 1 unfinished" in out
    assert "5 epochs, 2 min 30 s" in out


def test_it_is_described_to_programs_too(begun, capsys):
    assert tuner.status.main(["mine", "--runs-dir", str(begun), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["search"], content["running"], content["planned"]) == ("mine", False, 5)
    assert content["trials"] == {"running": 0, "done": 2, "stopped early": 1, "failed": 0}
    assert content["best"] == {
        "trial": "0001",
        "setting": {"temperature": 2.0},
        "val_accuracy": 60.0,
        "of": 2,
    }


def test_of_a_comparison_every_search_that_has_begun_is_described(begun, capsys):
    shutil.copytree(begun / "mine", begun / "both" / "kd")
    (begun / "both" / "search.yaml").write_text("space: kd,crd\n")
    (begun / "both" / "id").write_text("1")
    assert tuner.status.main(["both", "--runs-dir", str(begun), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["search"] == "kd"


def test_a_comparison_of_which_nothing_has_begun_is_no_silence(tmp_path, capsys):
    for name in ("search.yaml", "id"):
        Storage(str(tmp_path)).write(f"both/{name}", b"1")
    assert tuner.status.main(["both", "--runs-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "both: none of its searches has started\n"


def test_trainings_that_were_decided_on_are_no_trials(tmp_path, capsys):
    storage = Storage(str(tmp_path / "runs" / "table"))
    storage.write("search.yaml", b"space: kd\ntrials: 4\nselect_on: val\n")
    record = Record(storage)
    record.open(make_header(fixed_trainings=4))
    record.close()
    arguments = ["table", "--runs-dir", str(tmp_path / "runs")]
    assert tuner.status.main(arguments) == 0
    assert "trainings none has begun, of 4" in capsys.readouterr().out
    record = Record.load(storage)
    for number in (1, 2, 3):
        fields = {
            "setting_label": "kd",
            "method": "kd",
            "setting": {},
            "seed": number,
            "num_epochs": 1,
        }
        record.begin(name=f"kd-{number}", role=FINAL, **fields)
        if number < 3:
            record.epoch(f"kd-{number}", {"epoch": 1.0, "val_accuracy": 1.0, "seconds": 30.0})
            record.end(f"kd-{number}", DONE)
    record.close()
    assert tuner.status.main(arguments) == 0
    out = capsys.readouterr().out
    assert "trainings 1 unfinished, 2 done, of 4" in out
    assert "trials" not in out


@pytest.mark.parametrize("command", [tuner.status, tuner.stop])
def test_a_search_that_is_not_there_is_refused(begun, command, capsys):
    assert command.main(["none", "--runs-dir", str(begun)]) == 2
    assert "there is no search named 'none' in " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "search.yaml line 1: not valid YAML"),
        ("space: kd\n", "search.yaml is damaged; restore it from a backup"),
        ("trials: many\nselect_on: val\n", "search.yaml is damaged; restore it from a backup"),
        ("trials: 5\nselect_on: [val]\n", "search.yaml is damaged; restore it from a backup"),
    ],
)
def test_a_damaged_request_is_refused(begun, capsys, text, sentence):
    (begun / "mine" / "search.yaml").write_text(text)
    assert tuner.status.main(["mine", "--runs-dir", str(begun)]) == 2
    assert sentence in capsys.readouterr().err


def test_a_search_that_ends_while_its_heartbeat_is_awaited_has_ended(begun, capsys, monkeypatch):
    storage = Storage(str(begun / "mine"))
    driver = leave_driver(storage, host="another")
    monkeypatch.setattr(
        heartbeat.time, "sleep", lambda seconds: leave_driver(storage, driver, outcome="done")
    )
    assert tuner.status.main(["mine", "--runs-dir", str(begun)]) == 0
    assert "mine: done, " in capsys.readouterr().out


def test_of_the_best_setting_only_what_differs_is_shown(begun, capsys):
    progress = read_progress(Storage(str(begun / "mine")))
    for trial in progress.record.trials.values():
        trial.setting |= {"width": 128}
    assert dict(progress.lines())["best of 2"].endswith("in trial 0001: temperature 2")


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ("interrupted", "mine has stopped; resume with `python -m tuner.search --resume mine"),
        ("done", "mine finished before it could be stopped; see `tuner status mine`"),
        ("failed", "mine failed before it could be stopped; see `tuner status mine`"),
    ],
)
def test_it_reports_how_a_search_ended(begun, held, capsys, monkeypatch, outcome, sentence):
    driver = leave_driver(held)
    monkeypatch.setattr(
        tuner.stop.time, "sleep", lambda seconds: leave_driver(held, driver, outcome=outcome)
    )
    assert tuner.stop.main(["mine", "--runs-dir", str(begun)]) == 0
    assert sentence in capsys.readouterr().err


def test_of_a_comparison_the_next_method_is_stopped_if_one_ends_meanwhile(
    begun, capsys, monkeypatch
):
    comparison = Storage(str(begun / "both"))
    for name in ("search.yaml", "id", "kd/search.yaml"):
        comparison.write(name, b"1")
    first, second = comparison.sub("kd"), comparison.sub("crd")
    driver = leave_driver(first)
    journal = Journal(first)
    journal.open()

    def go_on(seconds: float) -> None:
        if not second.exists():
            leave_driver(first, driver, outcome="done")
            second.write("search.yaml", b"1")
            leave_driver(second)
        elif second.exists("stop"):
            leave_driver(second, outcome="interrupted")

    monkeypatch.setattr(tuner.stop.time, "sleep", go_on)
    assert tuner.stop.main(["both", "--runs-dir", str(begun)]) == 0
    journal.close()
    assert (
        "both has stopped; resume with `python -m tuner.search --resume both"
        in capsys.readouterr().err
    )
    assert not first.exists("stop")
    assert second.exists("stop")


def test_a_damaged_status_is_none(begun, capsys):
    storage = Storage(str(begun / "mine"))
    driver = leave_driver(storage)
    storage.write("driver.json", json.dumps(asdict(driver) | {"time": "x"}).encode())
    assert tuner.status.main(["mine", "--runs-dir", str(begun)]) == 0
    assert "mine: not running" in capsys.readouterr().out


def test_what_does_not_run_cannot_be_stopped(begun, capsys):
    assert tuner.stop.main(["mine", "--runs-dir", str(begun)]) == 2
    assert "mine is not running; there is nothing to stop" in capsys.readouterr().err
    assert not (begun / "mine" / "stop").exists()


def test_a_driver_that_was_killed_on_this_machine_is_known_at_once(begun, capsys):
    storage = Storage(str(begun / "mine"))
    code = (
        "import sys, time; from tuner.results.heartbeat import Heartbeat;"
        "from tuner.results.record import Record; from tuner.storage.folder import Storage;"
        "storage = Storage(sys.argv[1]); record = Record.load(storage, lock=True);"
        "Heartbeat(storage).__enter__(); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, storage.uri])
    deadline = time.monotonic() + 30
    while read_driver(storage) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert is_alive(storage, read_driver(storage))
    process.kill()
    process.wait()
    begin = time.monotonic()
    assert tuner.status.main(["mine", "--runs-dir", str(begun)]) == 0
    assert f"killed on {socket.gethostname()} (process {process.pid})" in capsys.readouterr().out
    assert time.monotonic() - begin < heartbeat.DEAD_AFTER_SECONDS / 4


def test_a_running_search_is_shown_stopped_and_resumed_later(
    tmp_path: Path, data_dir: str, capsys: pytest.CaptureFixture[str]
) -> None:
    searches = Searches(tmp_path / "runs", data_dir)
    runs = ["--runs-dir", str(searches.runs)]
    driver = Process(searches.arguments("mine", "--quiet", trials=30, scheduler="none"), tmp_path)
    try:
        driver.wait_until(is_in_epoch(searches, "mine", "0001", 1))
        assert tuner.status.main(["mine", *runs]) == 0
        assert (
            f"running on {socket.gethostname()} (process {driver.process.pid})"
            in capsys.readouterr().out
        )
        assert tuner.stop.main(["mine", *runs]) == 0
        assert driver.wait() == 130
    finally:
        left = driver.reap()
    assert left == []
    assert "resume with" in driver.err
    capsys.readouterr()
    assert tuner.status.main(["mine", *runs]) == 0
    assert "interrupted, " in capsys.readouterr().out
    ended = [trial for trial in searches.record("mine").trials_of(SEARCH) if trial.ended]
    assert 1 <= len(ended) < 30
