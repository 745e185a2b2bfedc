"""Compares a search that a fault disturbed with one that ran undisturbed."""

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.support.searching import Driver, Searches, same_mlflow_runs, same_results
from tuner.results.record import Record

# One trial at a time, so that the request determines all that happens: 8 trials, of which ASHA
# stops some, then 3 final trainings.
OPTIONS = {"trials": 8, "epochs": 4, "limit": 300}
STRAIGHT = "straight"


class Watch:
    """Measures how long a search takes to continue after each fault, in seconds."""

    def __init__(self, searches: Searches, name: str) -> None:
        self._searches, self._name = searches, name
        self.seconds: list[float] = []

    @property
    def num_lines(self) -> int:
        return self._searches.journal(self._name).count(b"\n")

    def until_it_continues(self, driver: Driver) -> None:
        begin, before = time.monotonic(), self.num_lines
        driver.wait_until(lambda: self.num_lines > before)
        self.seconds.append(time.monotonic() - begin)

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None


def record_of(searches: Searches, name: str) -> Record | None:
    """The record at this moment; None if there is no journal."""
    return searches.record(name) if searches.journal(name) else None


def is_in_epoch(searches: Searches, name: str, trial: str, epoch: int) -> Callable[[], bool]:
    """A function that says whether a trial has reported so many epochs."""

    def is_so() -> bool:
        record = record_of(searches, name)
        found = record and record.trials.get(trial)
        return bool(found and len(found.epochs) >= epoch)

    return is_so


def kill(driver: Driver) -> None:
    """Kills the driver and all its processes."""
    driver.process.kill()
    driver.reap(seconds=0)


def lost_trials(before: Record | None, after: Record) -> int:
    """Counts ended trials that are missing or changed, and trials that began or ended twice."""
    lost = 0
    if before is not None:
        for name, trial in before.trials.items():
            lost += trial.ended is not None and after.trials.get(name) != trial
    for kind in ("begin", "end"):
        counts = Counter(event["trial"] for event in after.events if event["event"] == kind)
        lost += sum(count - 1 for count in counts.values())
    return lost


def repeated_runs(searches: Searches, name: str) -> int:
    """Counts duplicate MLflow runs."""
    runs = Counter(run.data.tags["tuner.trial"] for run in searches.mlflow_runs(name))
    return sum(count - 1 for count in runs.values())


def as_if_nothing_had_happened(searches: Searches, name: str, straight: str = STRAIGHT) -> None:
    """Asserts equal trials, epochs and settings, bit for bit, and one MLflow run for each."""
    same_results(searches, straight, name)
    same_mlflow_runs(searches, name)


def damage(path: Path, draw: random.Random) -> None:
    """Flips a bit of a file, overwrites a part with zeros, or cuts off its end."""
    content = bytearray(path.read_bytes())
    place = draw.randrange(len(content))
    kind = draw.choice(("bit", "zeros", "end"))
    if kind == "bit":
        content[place] ^= 1 << draw.randrange(8)
    elif kind == "zeros":
        content[place : place + 64] = bytes(len(content[place : place + 64]))
        content[place] ^= 0xFF
    else:
        del content[place:]
    path.write_bytes(bytes(content))
