"""What is printed without a terminal: lines, and JSON."""

import json

import pytest

from tests.support.by_hand import METRIC, begin, make_plan, make_sampler, new_record
from tests.support.viewing import set_clock, some_trials
from tests.unit.terminal.test_live_table import MARKUP
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED, STOPPED, TEACHER
from tuner.terminal.event_lines import EventLines, JsonLines
from tuner.terminal.remaining import Remaining


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def print_lines(record: Record, part: str = "", **budget) -> None:
    plan = make_plan(record, make_sampler(algo="grid"), **budget)
    remaining = Remaining(record, plan, part)
    lines = EventLines(remaining, metric=METRIC, searched=["weight", "kernel"])
    record.listeners += [lines, remaining.on_event]


def test_each_ended_trial_is_a_line(record, capsys):
    print_lines(record)
    some_trials(record)
    done, stopped, failed = capsys.readouterr().out.splitlines()
    done, stopped, failed = (line.partition("  (about ")[0] for line in (done, stopped, failed))
    assert done.split() == ["0000", DONE, "3", "epochs", METRIC, "70.12", "%", "weight=1"]
    assert STOPPED in stopped
    assert stopped.endswith("weight=0.1235  kernel=rbf")
    assert failed.split()[:3] == ["0002", FAILED, "0"]
    assert "(the term 'ce' became nan)" in failed


def test_a_line_says_how_long_the_rest_takes(record, capsys, monkeypatch):
    clock = set_clock(monkeypatch, 0.0)
    print_lines(record, part="kd")
    clock[0] = 180.0
    some_trials(record)
    done, *_ = capsys.readouterr().out.splitlines()
    # Three of 30 epochs in three minutes.
    assert done.endswith("weight=1  (about 27 min left for kd)")


def test_a_note_is_printed_once(record, capsys):
    print_lines(record)
    begin(record, "0000")
    for _ in range(2):
        record.note("0000", "bfloat16 is not faster here")
    assert capsys.readouterr().out == "        0000  bfloat16 is not faster here\n"


def test_the_teacher_is_reported_at_each_tenth(record, capsys, monkeypatch):
    clock = set_clock(monkeypatch, 0.0)
    print_lines(record, num_teacher_epochs=40)
    begin(record, "teacher", TEACHER, setting_label="teacher", num_epochs=40)
    for epoch in range(1, 41):
        clock[0] += 60.0
        record.epoch("teacher", {"epoch": float(epoch), METRIC: 50.0, "seconds": 60.0})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].split() == ["teacher", "epoch", "4/40", "(about", "36", "min", "left)"]


def test_trials_that_do_not_end_are_reported_now_and_then(record, capsys, monkeypatch):
    clock = set_clock(monkeypatch, 0.0)
    print_lines(record, num_trials=1, num_seeds=0)
    begin(record, "0000", num_epochs=10)
    for epoch in range(1, 8):
        clock[0] += 250.0
        record.epoch("0000", {"epoch": float(epoch), METRIC: 50.0})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["0000", "epoch", "3/10"],
        ["0000", "epoch", "6/10"],
    ]
    assert "left)" in lines[0]


def test_without_a_pace_nothing_is_said_of_the_time_left(record, capsys, monkeypatch):
    clock = set_clock(monkeypatch, 0.0)
    print_lines(record)
    begin(record, "0000", num_epochs=10)
    clock[0] = 700.0
    record.epoch("0000", {"epoch": 1.0, METRIC: 50.0})
    assert capsys.readouterr().out == "        0000  epoch 1/10\n"


@pytest.mark.parametrize("word", MARKUP)
def test_options_and_reasons_are_printed_as_they_are(record, capsys, word):
    print_lines(record)
    begin(record, "0000", setting={"weight": 1.0, "kernel": word})
    record.end("0000", FAILED, word)
    out = capsys.readouterr().out
    assert f"kernel={word}" in out
    assert f"({word})" in out


def test_json_is_one_object_per_line(record, capsys):
    record.listeners.append(JsonLines(METRIC))
    some_trials(record)
    captured = capsys.readouterr()
    done, _, failed = map(json.loads, captured.out.splitlines())
    assert done == {
        "trial": "0000",
        "kind": "search",
        "method": "itrd",
        "status": DONE,
        "reason": "",
        "setting": {"weight": 1.0, "kernel": None},
        "seed": 0,
        "epochs": 3,
        METRIC: 70.125,
    }
    assert (failed["reason"], failed[METRIC]) == ("the term 'ce' became nan", None)
    assert captured.err == ""
