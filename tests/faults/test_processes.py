"""Drivers and trials that are killed, that hang, that take all memory: nothing is lost by it."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.faults import (
    OPTIONS,
    STRAIGHT,
    Watch,
    as_if_nothing_had_happened,
    is_in_epoch,
    kill,
    lost_trials,
    record_of,
    repeated_runs,
)
from tests.support.searching import (
    Driver,
    Searches,
    TrialProcesses,
    local_ray,
    teach,
    trial_processes,
)
from tuner.results.trial import DONE, FAILED, SEARCH, STOPPED

NUM_KILLS = 20
# Long enough to be killed so often, each time after it has gone on.
LONG = {**OPTIONS, "trials": 14, "epochs": 6}
LONG_STRAIGHT = "long-straight"
FaultRow = Callable[..., None]


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Iterator[Searches]:
    teach(data_dir, limit=300)
    with local_ray():
        searches = Searches(tmp_path_factory.mktemp("faults"), data_dir)
        assert searches.run(STRAIGHT, "--quiet", **OPTIONS) == 0
        trials = searches.record(STRAIGHT).trials_of(SEARCH)
        assert {trial.status for trial in trials} == {DONE, STOPPED}  # else this shows nothing
        yield searches


@pytest.fixture(scope="module")
def long_straight(searches: Searches) -> str:
    assert searches.run(LONG_STRAIGHT, "--quiet", **LONG) == 0
    return LONG_STRAIGHT


def test_a_driver_killed_at_twenty_random_moments_loses_nothing(
    searches: Searches, long_straight: str, tmp_path: Path, fault_row: FaultRow
) -> None:
    name, draw = "driver-killed", random.Random(0)
    watch, lost = Watch(searches, name), 0
    arguments = searches.arguments(name, "--quiet", **LONG)
    total = searches.journal(long_straight).count(b"\n")
    for number in range(NUM_KILLS):
        before = record_of(searches, name)
        driver = Driver(arguments, tmp_path)
        try:
            if number % 4 == 3:  # while it starts: before, within and after Ray's own start
                time.sleep(draw.uniform(0, 10))
            else:
                watch.until_it_continues(driver)
                goal = watch.num_lines + draw.randrange(1 + total // NUM_KILLS)
                driver.wait_until(lambda goal=goal: watch.num_lines >= min(goal, total - 1))
                time.sleep(draw.uniform(0, 0.3))
        finally:
            kill(driver)
        after = record_of(searches, name)
        if after is not None:
            lost += lost_trials(before, after)
            arguments = [*searches.resume_arguments(name), "--quiet"]
    assert searches.resume(name, "--quiet") == 0
    lost += lost_trials(after, searches.record(name))
    repeated = repeated_runs(searches, name)
    fault_row(
        "driver killed (SIGKILL)",
        injected=NUM_KILLS,
        lost=lost,
        repeated=repeated,
        recovery_seconds=watch.median,
    )
    assert (lost, repeated) == (0, 0)
    as_if_nothing_had_happened(searches, name, long_straight)


def test_trial_processes_killed_at_twenty_random_moments_lose_nothing(
    searches: Searches, long_straight: str, fault_row: FaultRow
) -> None:
    name, draw = "trials-killed", random.Random(1)
    watch = Watch(searches, name)
    seen = {"lines": 0, "since": 0.0, "pause": 0.0, "killed": 0.0}

    def is_time_to_kill(num_killed: int) -> bool:
        # Some moments after it has gone on from the time before.
        now, lines = time.monotonic(), watch.num_lines
        if num_killed >= NUM_KILLS or lines < 2:
            return False
        if lines > seen["lines"] and not seen["since"]:
            seen["since"], seen["pause"] = now, draw.uniform(0, 0.25)
            if seen["killed"]:
                watch.seconds.append(now - seen["killed"])
        if not seen["since"] or now < seen["since"] + seen["pause"]:
            return False
        seen.update(lines=watch.num_lines, since=0.0, killed=now)
        return True

    processes = TrialProcesses()
    with processes.watching(is_time_to_kill):
        assert searches.run(name, "--quiet", **LONG) == 0
    record = searches.record(name)
    lost, repeated = lost_trials(None, record), repeated_runs(searches, name)
    fault_row(
        "trial's process killed (SIGKILL)",
        injected=len(processes.killed),
        lost=lost,
        repeated=repeated,
        recovery_seconds=watch.median,
    )
    assert len(processes.killed) == NUM_KILLS
    assert FAILED not in {trial.status for trial in record.trials.values()}
    assert (lost, repeated) == (0, 0)
    as_if_nothing_had_happened(searches, name, long_straight)


def test_a_trial_that_hangs_is_begun_again(
    searches: Searches, tmp_path: Path, fault_row: FaultRow
) -> None:
    name = "hanging"
    watch = Watch(searches, name)
    driver = Driver(searches.arguments(name, "--quiet", **OPTIONS, hang_timeout="20s"), tmp_path)
    try:
        for trial in ("0000", "0003"):
            driver.wait_until(is_in_epoch(searches, name, trial, 1))
            for pid in trial_processes(driver.process.pid):
                os.kill(pid, signal.SIGSTOP)  # as one that waits for a lock or a dead disk
            time.sleep(0.5)  # what was on its way arrives
            watch.until_it_continues(driver)
        assert driver.wait() == 0, driver.err
    finally:
        driver.reap()
    lost, repeated = lost_trials(None, searches.record(name)), repeated_runs(searches, name)
    fault_row(
        "trial hangs (SIGSTOP; --hang-timeout 20s)",
        injected=2,
        lost=lost,
        repeated=repeated,
        recovery_seconds=watch.median,
    )
    assert (lost, repeated) == (0, 0)
    as_if_nothing_had_happened(searches, name)


HUNGRY = '''
import time

import torch

from losses import DistillationLoss
from search_spaces import Float, Space
from search_spaces.common import common


class Hungry(DistillationLoss):
    """Takes all memory that there is, with a weight of 1."""

    needs = ("embedding",)

    def __init__(self, student, teacher, *, weight):
        super().__init__()
        self.weight, self.eaten = weight, []

    def forward(self, student, teacher, batch):
        while self.weight == 1.0:
            self.eaten.append(torch.ones(2**25))  # 128 MiB
            time.sleep(0.02)
        return {"hungry": self.weight * student.embedding.square().mean()}


LOSS = Hungry
SPACE = Space(
    method="hungry",
    params=(Float("weight", 0.1, 1.0, grid=(0.1, 0.5, 1.0), published=0.1), *common()),
)
'''


def test_a_trial_that_takes_all_memory_fails_alone(
    searches: Searches, tmp_path: Path, fault_row: FaultRow
) -> None:
    (tmp_path / "hungry.py").write_text(HUNGRY)
    grid = {**OPTIONS, "space": tmp_path / "hungry.py", "algo": "grid", "scheduler": "none"}
    grid |= {"trials": 3, "epochs": 1}
    modest = {**grid, "set": "weight=0.1:0.5", "trials": 2}
    assert searches.run("modest", "--quiet", **modest) == 0
    # Ray ends who is largest when the machine is so full: here when 3 GB more are taken.
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(meminfo[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
    threshold = (total - free + 3 * 2**20) / total
    monitor = {
        "RAY_memory_usage_threshold": f"{threshold:.3f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    driver = Driver(searches.arguments("hungry", "--quiet", **grid), tmp_path, variables=monitor)
    try:
        assert driver.wait() == 0, driver.err
    finally:
        driver.reap()
    record = searches.record("hungry")
    failed = [trial for trial in record.trials_of(SEARCH) if trial.status == FAILED]
    lost, repeated = lost_trials(None, record), repeated_runs(searches, "hungry")
    fault_row(
        "a trial takes all memory (it fails, with its reason)",
        injected=len(failed),
        lost=lost,
        repeated=repeated,
        recovery_seconds=None,
    )
    assert [trial.setting["weight"] for trial in failed] == [1.0]
    assert "memory" in failed[0].reason
    assert (lost, repeated) == (0, 0)

    def curves(name: str) -> dict[float, list[float]]:
        trials = searches.record(name).trials_of(SEARCH)
        return {t.setting["weight"]: [e["val_loss"] for e in t.epochs] for t in trials if t.epochs}

    assert curves("hungry") == curves("modest")
