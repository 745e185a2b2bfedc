"""Which silence of a trial is a hanging trial, and which is not."""

import time
from types import SimpleNamespace

import pytest
import ray

from tuner.orchestration.watchdog import FIRST_SECONDS, MIN_SECONDS, Watchdog


class Loop:
    """Tune's loop with one running trial, its clock, and what was killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit: float | None) -> None:
        self.now, self.killed = 1000.0, []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(ray, "kill", lambda actor, no_restart: self.killed.append(actor))
        state = SimpleNamespace(ray_actor="actor")
        self.trial = SimpleNamespace(trial_id="0000", status="RUNNING", temporary_state=state)
        self.storage_answers, self.told = True, []
        self.watchdog = Watchdog(
            limit, lambda: self.storage_answers, lambda *told: self.told.append(told)
        )
        self.watchdog.on_trial_start(0, [self.trial], self.trial)

    def turn(self, seconds: float) -> None:
        self.now += seconds
        self.watchdog.on_step_end(0, [self.trial])

    def quiet(self, seconds: int) -> None:
        for _ in range(10 * seconds):
            self.turn(0.1)

    def report(self) -> None:
        self.watchdog.on_trial_result(0, [self.trial], self.trial, {})


@pytest.fixture
def loop(monkeypatch):
    return lambda limit=None: Loop(monkeypatch, limit)


def test_a_trial_that_is_silent_for_too_long_is_killed_once(loop):
    loop = loop(5.0)
    loop.quiet(4)
    assert loop.killed == []
    loop.quiet(2)
    assert loop.killed == ["actor"]
    assert loop.told == [("0000", "no report for 5 s; restarted from its last checkpoint")]
    loop.quiet(3)  # it is being begun again
    assert loop.killed == ["actor"]


def test_a_trial_that_reports_is_left_alone(loop):
    loop = loop(5.0)
    for _ in range(5):
        loop.quiet(4)
        loop.report()
    assert loop.killed == []


def test_a_trial_that_is_begun_again_has_its_time_again(loop):
    loop = loop(5.0)
    loop.quiet(4)
    loop.watchdog.on_trial_start(0, [loop.trial], loop.trial)
    loop.quiet(4)
    assert loop.killed == []


def test_a_driver_that_was_held_up_blames_no_trial(loop):
    loop = loop(5.0)
    loop.turn(3600.0)
    loop.turn(0.1)
    assert loop.killed == []


def test_only_running_trials_can_hang(loop):
    loop = loop(5.0)
    loop.trial.status = "PENDING"
    loop.quiet(60)
    assert loop.killed == []


def test_without_a_limit_it_is_what_was_seen_so_far(loop):
    loop = loop()
    assert loop.watchdog.limit_seconds == FIRST_SECONDS
    loop.quiet(2)
    loop.report()
    assert loop.watchdog.limit_seconds == MIN_SECONDS
    loop.quiet(100)
    loop.report()
    loop.report()
    assert loop.watchdog.limit_seconds == pytest.approx(2000.0)


def test_a_trial_that_waits_for_the_storage_does_not_hang(loop):
    loop = loop(5.0)
    loop.storage_answers = False
    loop.quiet(60)
    assert loop.killed == []
    loop.storage_answers = True
    loop.quiet(6)
    assert "actor" in loop.killed
