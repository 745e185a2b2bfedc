"""What a person sees of a record while it grows."""

import io
import json

import pytest
from by_hand import METRIC, begin, make_plan, make_sampler, new_record, run
from rich.console import Console

from tuner.live import LiveView
from tuner.orchestration.record import DONE, FAILED, FINAL, STOPPED, TEACHER, Record


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def view_of(record: Record, mode: str = "auto", problem: str = "", **budget) -> LiveView:
    return LiveView(
        record,
        make_plan(record, make_sampler(algo="grid"), **budget),
        metric=METRIC,
        searched=["weight", "kernel"],
        mode=mode,
        problem=lambda: problem,
    )


def shown(view: LiveView) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(view._table())
    return console.file.getvalue()


def rows_of(view: LiveView) -> dict[str, list[str]]:
    """The words of each trial's row, by the trial."""
    lines = [line.split() for line in shown(view).splitlines() if line.strip()]
    header = next(number for number, line in enumerate(lines) if line[0] == "trial")
    return {trial: words for trial, *words in lines[header + 1 :]}


def some_trials(record: Record) -> None:
    begin(record, "0000", label="published", setting={"weight": 1.0, "kernel": None})
    run(record, "0000", [50.0, 60.0, 70.125])
    begin(record, "0001", setting={"weight": 0.123456, "kernel": "rbf"})
    run(record, "0001", [90.0])
    begin(record, "0002")
    record.end("0002", FAILED, "the term 'ce' became nan")
    begin(record, "0003")


def test_the_headline_counts_what_became_of_the_trials(record):
    view = view_of(record, num_trials=9)
    some_trials(record)
    headline, best, progress, *_ = shown(view).splitlines()
    assert headline.startswith("4/9 trials: 1 running  1 done  1 stopped early  1 failed")
    assert best.strip() == "best so far: 70.12 %  weight=1"  # not the 90 % that was stopped
    assert "gone, about " in progress


def test_a_row_a_trial_with_what_is_searched(record):
    view = view_of(record)
    some_trials(record)
    rows = rows_of(view)
    assert rows["0000"] == ["*", "done", "3/3", "70.12", "%", "weight=1"]
    assert rows["0001"] == ["stopped", "early", "1/3", "90.00", "%", "weight=0.1235", "kernel=rbf"]
    assert rows["0002"][:2] == ["failed", "0/3"]
    assert rows["0003"][:2] == ["running", "0/3"]


def test_running_trials_are_never_crowded_out(record):
    view = view_of(record, num_trials=40)
    begin(record, "0000")
    for number in range(1, 31):
        begin(record, f"{number:04d}")
        run(record, f"{number:04d}", [50.0] * 3)
    assert list(rows_of(view)) == [f"{number:04d}" for number in (*range(24, 31), 0)]


def test_the_teachers_training_is_announced(record):
    view = view_of(record, num_teacher_epochs=5)
    begin(record, "teacher", TEACHER, label="teacher", num_epochs=5)
    assert "training the teacher, once" in shown(view)
    run(record, "teacher", [50.0] * 5)
    assert "training the teacher, once" not in shown(view)


def test_final_trainings_are_counted(record):
    view = view_of(record)
    some_trials(record)
    begin(record, "plain-1", FINAL)
    assert "final trainings: 0 done" in shown(view)
    run(record, "plain-1", [50.0] * 3)
    assert "final trainings: 1 done" in shown(view)


def test_a_problem_is_shown_with_what_it_does_not_cost(record):
    assert "MLflow is gone; the results are safe on disk" in shown(
        view_of(record, problem="MLflow is gone")
    )


def test_a_finished_search_has_nothing_left(record):
    view = view_of(record, num_trials=1, num_seeds=1)
    begin(record, "0000")
    assert view._progress(list(record.trials.values())) == (0.0, None)
    run(record, "0000", [1.0] * 3)
    fraction, seconds = view._progress(list(record.trials.values()))
    assert fraction == pytest.approx(3 / 12)
    assert seconds is not None
    for label in ("tuned", "published", "plain"):
        begin(record, f"{label}-1", FINAL)
        run(record, f"{label}-1", [1.0] * 3)
    assert view._progress(list(record.trials.values())) == (1.0, 0.0)


def test_the_pace_is_that_of_this_session(record):
    begin(record, "0000")
    run(record, "0000", [1.0] * 3)
    view = view_of(record)
    assert view._progress(list(record.trials.values()))[1] is None


def test_without_a_terminal_each_ended_trial_is_a_line(record, capsys):
    with view_of(record):
        some_trials(record)
    done, stopped, failed = capsys.readouterr().out.splitlines()
    assert done.split() == ["0000", DONE, "3", "epochs", METRIC, "70.12", "%", "weight=1"]
    assert STOPPED in stopped
    assert stopped.endswith("weight=0.1235  kernel=rbf")
    assert failed.split()[:3] == ["0002", FAILED, "0"]
    assert "(the term 'ce' became nan)" in failed


def test_json_is_an_object_a_line(record, capsys):
    with view_of(record, "json"):
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


def test_quiet_says_nothing(record, capsys):
    with view_of(record, "quiet"):
        some_trials(record)
    assert capsys.readouterr() == ("", "")
