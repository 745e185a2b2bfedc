"""What a search shows while it runs, by mode."""

import json

import pytest

from tests.support.by_hand import METRIC, make_plan, make_sampler, new_record
from tests.support.viewing import some_trials
from tuner.results.record import Record
from tuner.results.trial import DONE
from tuner.terminal.live import LiveView


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def view_of(record: Record, mode: str) -> LiveView:
    plan = make_plan(record, make_sampler(algo="grid"))
    return LiveView(record, plan, metric=METRIC, searched=["weight"], mode=mode, problem=lambda: "")


def test_without_a_terminal_there_are_lines(record, capsys):
    with view_of(record, "auto"):
        some_trials(record)
    done, *others = capsys.readouterr().out.splitlines()
    assert done.split()[:2] == ["0000", DONE]
    assert len(others) == 2


def test_on_a_terminal_there_is_a_table(record, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich's sign of a terminal
    monkeypatch.setenv("TERM", "xterm")
    with view_of(record, "auto"):
        some_trials(record)
    out = capsys.readouterr().out
    assert "trials:" in out
    assert "elapsed" in out
    assert "3 epochs" not in out


def test_json_is_one_object_per_training(record, capsys):
    with view_of(record, "json"):
        some_trials(record)
    assert [json.loads(line)["trial"] for line in capsys.readouterr().out.splitlines()] == [
        "0000",
        "0001",
        "0002",
    ]


def test_quiet_says_nothing(record, capsys):
    with view_of(record, "quiet"):
        some_trials(record)
    assert capsys.readouterr() == ("", "")
