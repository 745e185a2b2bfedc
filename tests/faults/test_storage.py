"""Storage that is away, full or damaged, and clocks that jump: the search ends or resumes."""

import os
import random
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tuner.report
from tests.support.faults import (
    OPTIONS,
    STRAIGHT,
    Watch,
    as_if_nothing_had_happened,
    damage,
    is_in_epoch,
    kill,
    lost_trials,
    record_of,
    repeated_runs,
)
from tests.support.searching import Driver, Searches, local_ray, same_results, teach
from tuner.results.record import Record
from tuner.teacher_cache.store import cache_folder

FaultRow = Callable[..., None]
AWAY_SECONDS = 8.0


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searches]:
    data_dir = str(tmp_path_factory.mktemp("data"))  # its cache will be damaged
    teach(data_dir, limit=300)
    with local_ray():
        searches = Searches(tmp_path_factory.mktemp("faults"), data_dir)
        assert searches.run(STRAIGHT, "--quiet", **OPTIONS) == 0
        yield searches


@pytest.fixture
def told(searches: Searches, fault_row: FaultRow) -> Callable[..., None]:
    """Adds a fault's row and asserts that the search is as if nothing had happened."""

    def tell(
        fault: str, name: str, injected: int, watch: Watch, before: Record | None = None
    ) -> None:
        lost = lost_trials(before, searches.record(name))
        repeated = repeated_runs(searches, name)
        figures = {"injected": injected, "lost": lost, "repeated": repeated}
        fault_row(fault, **figures, recovery_seconds=watch.median)
        assert (lost, repeated) == (0, 0)
        as_if_nothing_had_happened(searches, name)

    return tell


def test_storage_that_is_away_for_a_while_is_waited_for(
    searches: Searches, tmp_path: Path, told: Callable[..., None]
) -> None:
    name = "away"
    watch, folder = Watch(searches, name), searches.folder(name)
    driver = Driver(searches.arguments(name, "--quiet", **OPTIONS), tmp_path)
    moments = [("0000", 1), ("0001", 1), ("0004", 1)]
    try:
        for trial, epoch in moments:
            driver.wait_until(is_in_epoch(searches, name, trial, epoch))
            aside = folder.rename(folder.with_name("aside"))
            time.sleep(AWAY_SECONDS)
            assert not folder.exists()  # nothing is written to where it would be lost
            aside.rename(folder)
            watch.until_it_continues(driver)
        assert driver.wait() == 0, driver.err
    finally:
        driver.reap()
    told(f"storage away for {AWAY_SECONDS:.0f} s", name, len(moments), watch)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mounts a small file system on a folder; skips the test where that is not allowed."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root can make a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(folder: Path) -> Path:
    """A file that leaves no room."""
    path = folder / "full"
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return path


def test_a_disk_that_is_full_is_waited_for_or_ends_the_search_which_then_resumes(
    searches: Searches, tmp_path: Path, told: Callable[..., None]
) -> None:
    name = "full"
    with small_disk(tmp_path / "disk", 32):
        small = Searches(tmp_path / "disk" / "runs", searches.data_dir)
        watch = Watch(small, name)
        arguments = small.arguments(name, "--quiet", **OPTIONS, tracking_uri=searches.tracking_uri)
        impatient = "import tuner.driver.run as run; run.PATIENCE_SECONDS = 3.0"
        driver = Driver(arguments, tmp_path)
        try:
            for trial in ("0000", "0002"):  # for a while: it waits
                driver.wait_until(is_in_epoch(small, name, trial, 1))
                full = fill_up(tmp_path / "disk")
                time.sleep(AWAY_SECONDS)
                full.unlink()
                watch.until_it_continues(driver)
            driver.wait_until(is_in_epoch(small, name, "0003", 1))
        finally:
            kill(driver)
        driver = Driver(small.resume_arguments(name), tmp_path, before=impatient)
        try:
            driver.wait_until(is_in_epoch(small, name, "0004", 1))
            full = fill_up(tmp_path / "disk")  # for good: it gives up
            assert driver.wait() == 1
        finally:
            driver.reap()
        assert "did not come back within" in driver.err
        assert "Traceback" not in driver.out + driver.err
        before = record_of(small, name)
        full.unlink()
        driver = Driver(small.resume_arguments(name), tmp_path)
        try:
            watch.until_it_continues(driver)
            assert driver.wait() == 0, driver.err
        finally:
            driver.reap()
        shutil.copytree(small.folder(name), searches.folder(name))
    told("disk full, for 8 s and for good", name, 3, watch, before)


def test_damaged_checkpoints_are_noticed_and_their_trials_begun_again(
    searches: Searches, tmp_path: Path, told: Callable[..., None]
) -> None:
    name, draw = "checkpoint", random.Random(2)
    watch, arguments = Watch(searches, name), searches.arguments(name, "--quiet", **OPTIONS)
    num_damaged, before = 0, None
    for trial in ("0000", "0003", "0004", "0007"):
        driver = Driver(arguments, tmp_path)
        try:
            driver.wait_until(is_in_epoch(searches, name, trial, 1))
        finally:
            kill(driver)
        before = record_of(searches, name)
        for path in (searches.folder(name) / "checkpoints").glob("*.pt"):
            if searches.record(name).trials[path.stem].ended is None:
                damage(path, draw)
                num_damaged += 1
        arguments = [*searches.resume_arguments(name), "--quiet"]
    driver = Driver(arguments, tmp_path)
    try:
        watch.until_it_continues(driver)
        assert driver.wait() == 0, driver.err
    finally:
        driver.reap()
    assert num_damaged >= 3
    notes = [event for event in searches.record(name).events if event["event"] == "note"]
    assert len(notes) == num_damaged
    told("checkpoint damaged", name, num_damaged, watch, before)


def test_damaged_shards_of_the_cache_are_computed_again(
    searches: Searches, told: Callable[..., None]
) -> None:
    name, draw = "cache", random.Random(3)
    stop, damaged = threading.Event(), []

    def damage_one() -> None:
        # A stored shard, while trials read it.
        while not stop.wait(0.5):
            shards = sorted(Path(cache_folder(searches.data_dir)).rglob("*.arrow"))
            if shards:
                damaged.append(draw.choice(shards))
                damage(damaged[-1], draw)

    thread = threading.Thread(target=damage_one)
    thread.start()
    try:
        assert searches.run(name, "--quiet", **OPTIONS) == 0
    finally:
        stop.set()
        thread.join()
    notes = [event for event in searches.record(name).events if event["event"] == "note"]
    assert any("recomputing a damaged shard" in note["text"] for note in notes)
    told("cache shard damaged", name, len(damaged), Watch(searches, name))


def test_damaged_tables_and_teachers_are_made_again_from_the_journal(
    searches: Searches, tmp_path: Path, told: Callable[..., None]
) -> None:
    name, draw = "results", random.Random(4)
    watch, arguments = Watch(searches, name), searches.arguments(name, "--quiet", **OPTIONS)
    files = ("trials.parquet", "epochs.parquet", "teacher.pt")
    num_damaged, before = 0, None
    trials = ("0000", "0002", "0003", "0005", "0007", "tuned-1")
    for trial in trials:
        driver = Driver(arguments, tmp_path)
        try:
            driver.wait_until(is_in_epoch(searches, name, trial, 1))
        finally:
            kill(driver)
        before = record_of(searches, name)
        for file in files:
            if (searches.folder(name) / file).exists():
                damage(searches.folder(name) / file, draw)
                num_damaged += 1
        arguments = [*searches.resume_arguments(name), "--quiet"]
    driver = Driver(arguments, tmp_path)
    try:
        watch.until_it_continues(driver)
        assert driver.wait() == 0, driver.err
    finally:
        driver.reap()
    told("results file damaged (tables, teacher)", name, num_damaged, watch, before)


def test_damaged_weights_are_not_registered(
    searches: Searches, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(searches.folder(STRAIGHT), searches.folder("weights"))
    for path in searches.folder("weights").glob("checkpoints/*.pt"):
        damage(path, random.Random(6))
    assert searches.resume("weights", "--quiet") == 0
    assert re.search(r"no model is registered: \S+\.pt is damaged", capsys.readouterr().err)
    assert (searches.folder("weights") / "best.yaml").exists()


def test_a_damaged_journal_is_refused_and_resumes_before_its_damaged_line(
    searches: Searches, tmp_path: Path, fault_row: FaultRow, capsys: pytest.CaptureFixture[str]
) -> None:
    name, draw = "journal", random.Random(5)
    watch, arguments = Watch(searches, name), searches.arguments(name, "--quiet", **OPTIONS)
    path, before = searches.folder(name) / "journal.jsonl", None
    trials = ("0002", "0005", "tuned-1")
    for trial in trials:
        driver = Driver(arguments, tmp_path)
        try:
            driver.wait_until(is_in_epoch(searches, name, trial, 1))
        finally:
            kill(driver)
        lines = path.read_bytes().splitlines(keepends=True)
        number = draw.randrange(len(lines) // 2, len(lines))
        hurt = bytearray(lines[number - 1])
        hurt[draw.randrange(len(hurt) - 1)] ^= 1 << draw.randrange(8)
        path.write_bytes(b"".join([*lines[: number - 1], bytes(hurt), *lines[number:]]))
        assert searches.resume(name) == 2
        assert f"{path} line {number} is damaged; restore the file" in capsys.readouterr().err
        assert tuner.report.main([name, "--runs-dir", str(searches.runs)]) == 0
        assert f"line {number} is damaged; the report is built" in capsys.readouterr().err
        path.write_bytes(b"".join(lines[: number - 1]))  # as the refusal proposes
        before = record_of(searches, name)
        arguments = [*searches.resume_arguments(name), "--quiet"]
    driver = Driver(arguments, tmp_path)
    try:
        watch.until_it_continues(driver)
        assert driver.wait() == 0, driver.err
    finally:
        driver.reap()
    lost, repeated = lost_trials(before, searches.record(name)), repeated_runs(searches, name)
    figures = {"injected": len(trials), "lost": lost, "repeated": repeated}
    fault_row("journal damaged", **figures, recovery_seconds=watch.median)
    assert (lost, repeated) == (0, 0)
    # Not compared with MLflow's runs: epochs that are trained again stand there twice.
    same_results(searches, STRAIGHT, name)


# Imported by every Python process that finds it: the driver, its trials, Ray's own. The
# machine's clock itself is not ours to set.
JUMPING_CLOCK = """
import os, time

true_time, file = time.time, os.environ["CLOCK_OFFSET_FILE"]

def jumping_time():
    with open(file) as opened:
        return true_time() + float(opened.read() or 0)

time.time = jumping_time
"""


def test_clocks_that_jump_change_nothing(
    searches: Searches, tmp_path: Path, told: Callable[..., None]
) -> None:
    name, offset = "clock", tmp_path / "offset"
    offset.write_text("0")
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(JUMPING_CLOCK)
    path = os.pathsep.join([str(tmp_path / "clock"), os.environ.get("PYTHONPATH", "")])
    variables = {"PYTHONPATH": path, "CLOCK_OFFSET_FILE": str(offset)}
    watch = Watch(searches, name)
    options = {**OPTIONS, "time_budget": "30m", "hang_timeout": "10m"}  # neither is over
    driver = Driver(searches.arguments(name, "--quiet", **options), tmp_path, variables=variables)
    hour, day = 3600, 86400
    jumps = {"0000": 2 * hour, "0002": -day, "0003": 400 * day, "0006": -5 * hour}
    try:
        for trial, seconds in jumps.items():
            driver.wait_until(is_in_epoch(searches, name, trial, 1))
            offset.write_text(str(seconds))
            watch.until_it_continues(driver)
        assert driver.wait() == 0, driver.err
    finally:
        driver.reap()
    started = [trial.started for trial in searches.record(name).trials.values()]
    assert max(started) - min(started) > 300 * day  # the clock did jump
    told("clock jumps (hours, days, a year; both ways)", name, len(jumps), watch)
