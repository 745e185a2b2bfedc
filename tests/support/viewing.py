"""A search that is watched: a clock that stands still, a plan of fixed trainings, some trials."""

import pytest

from tests.support.by_hand import begin, make_plan, make_sampler, run
from tuner.planning.plan import FinalTraining, FixedPlan
from tuner.results.record import Record
from tuner.results.trial import FAILED


def set_clock(monkeypatch: pytest.MonkeyPatch, now: float) -> list[float]:
    """A clock that stands still until its one element is set."""
    clock = [now]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    return clock


def fixed_plan(record: Record, num_trainings: int) -> FixedPlan:
    """Trainings that are fixed beforehand, all of the same length."""
    trainings = [FinalTraining(f"a-{n}", "a", "itrd", {}, n) for n in range(1, num_trainings + 1)]
    sampler = make_sampler(algo="grid")
    budget = make_plan(record, sampler, num_trials=0, num_finals=num_trainings).budget
    return FixedPlan(record, trainings, budget, lambda training: None)


def some_trials(record: Record) -> None:
    """One trial that ran to the end, one stopped early, one that failed, one that is running."""
    begin(record, "0000", setting_label="published", setting={"weight": 1.0, "kernel": None})
    run(record, "0000", [50.0, 60.0, 70.125])
    begin(record, "0001", setting={"weight": 0.123456, "kernel": "rbf"})
    run(record, "0001", [90.0])
    begin(record, "0002")
    record.end("0002", FAILED, "the term 'ce' became nan")
    begin(record, "0003")
