"""How much is left of a search, and how long that takes."""

from dataclasses import replace

import pytest

from tests.support.by_hand import METRIC, begin, make_plan, make_sampler, new_record, run
from tests.support.viewing import fixed_plan, set_clock
from tuner.results.record import Record
from tuner.results.trial import FINAL, TEACHER
from tuner.terminal.remaining import Remaining


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def remaining_of(record: Record, part: str = "", **budget) -> Remaining:
    plan = make_plan(record, make_sampler(algo="grid"), **budget)
    remaining = Remaining(record, plan, part)
    record.listeners.append(remaining.on_event)
    return remaining


def test_the_pace_of_the_teacher_is_not_that_of_the_students(record, monkeypatch):
    clock = set_clock(monkeypatch, 0.0)
    remaining = remaining_of(record, num_teacher_epochs=5)
    begin(record, "teacher", TEACHER, setting_label="teacher", num_epochs=5)
    clock[0] = 1000.0
    run(record, "teacher", [50.0] * 5)
    begin(record, "0000")
    run(record, "0000", [50.0] * 3)
    clock[0] = 1003.0
    # One second per epoch: three trials and six final trainings of three epochs.
    assert remaining.estimate()[1] == pytest.approx(27.0)
    assert remaining.elapsed_seconds == 1003.0


def test_while_the_teacher_trains_the_time_left_is_unknown(record):
    remaining = remaining_of(record, num_teacher_epochs=5)
    begin(record, "teacher", TEACHER, setting_label="teacher", num_epochs=5)
    for epoch in range(1, 5):
        record.epoch("teacher", {"epoch": float(epoch), METRIC: 50.0})
    assert remaining.estimate()[1] is None
    assert remaining.text() == ""


def test_trainings_of_other_searches_are_no_pace(record):
    remaining = Remaining(record, fixed_plan(record, 5))
    begin(record, "a-1", FINAL)
    run(record, "a-1", [50.0] * 3)
    imported = replace(record.trials["a-1"], name="a-2", started=1.0, ended=2.0)
    record.import_finished(imported)
    fraction, seconds = remaining.estimate()
    assert fraction == pytest.approx(6 / 15)
    assert seconds is not None


def test_imported_trainings_alone_leave_the_pace_unknown(record):
    remaining = Remaining(record, fixed_plan(record, 5))
    begin(record, "a-1", FINAL)
    record.end("a-1", "failed", "diverged")
    trial = record.trials["a-1"]
    epochs = [{"epoch": float(epoch), METRIC: 50.0} for epoch in (1, 2, 3)]
    record.import_finished(replace(trial, name="a-2", started=1.0, ended=2.0, epochs=epochs))
    assert remaining.estimate()[1] is None


def test_a_finished_search_has_nothing_left(record):
    remaining = remaining_of(record, num_trials=1, num_seeds=1)
    begin(record, "0000")
    assert remaining.estimate() == (0.0, None)
    run(record, "0000", [1.0] * 3)
    fraction, seconds = remaining.estimate()
    assert fraction == pytest.approx(3 / 12)
    assert seconds is not None
    for label in ("tuned", "published", "plain"):
        begin(record, f"{label}-1", FINAL)
        run(record, f"{label}-1", [1.0] * 3)
    assert remaining.estimate() == (1.0, 0.0)
    assert remaining.text() == ""


def test_the_pace_is_that_of_this_session(record):
    begin(record, "0000")
    run(record, "0000", [1.0] * 3)
    assert remaining_of(record).estimate()[1] is None


def test_the_time_left_names_the_search_that_is_one_of_several(record, monkeypatch):
    clock = set_clock(monkeypatch, 0.0)
    remaining = remaining_of(record, part="kd")
    clock[0] = 180.0
    begin(record, "0000")
    run(record, "0000", [1.0] * 3)
    # Three of 30 epochs in three minutes.
    assert remaining.text() == "about 27 min left for kd"
