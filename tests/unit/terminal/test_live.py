"""What a person sees of a record while it grows."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from tests.support.by_hand import METRIC, begin, make_plan, make_sampler, new_record, run
from tuner.planning.plan import FinalTraining, FixedPlan
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED, FINAL, STOPPED, TEACHER
from tuner.terminal.live import LiveView


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def set_clock(monkeypatch, now: float) -> list[float]:
    """A clock that stands still until it is set."""
    clock = [now]
    monkeypatch.setattr("tuner.terminal.live.time.monotonic", lambda: clock[0])
    return clock


def view_of(
    record: Record, mode: str = "auto", problem: str = "", part: str = "", **budget
) -> LiveView:
    return LiveView(
        record,
        make_plan(record, make_sampler(algo="grid"), **budget),
        metric=METRIC,
        searched=["weight", "kernel"],
        mode=mode,
        problem=lambda: problem,
        part=part,
    )


def view_of_fixed(record: Record, num_trainings: int) -> LiveView:
    """Of a table's trainings, all of the same length."""
    trainings = [FinalTraining(f"a-{n}", "a", "itrd", {}, n) for n in range(1, num_trainings + 1)]
    budget = make_plan(record, make_sampler(algo="grid"), num_trials=0).budget
    plan = FixedPlan(record, trainings, budget, find=lambda training: None)
    return LiveView(
        record, plan, metric=METRIC, searched=[], mode="auto", problem=lambda: "", part=""
    )


def stripped(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


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
    begin(record, "0000", setting_label="published", setting={"weight": 1.0, "kernel": None})
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
    begin(record, "teacher", TEACHER, setting_label="teacher", num_epochs=5)
    assert "training the teacher, once: epoch 0/5\n" in stripped(shown(view))
    for epoch in (1, 2):
        record.epoch("teacher", {"epoch": float(epoch), METRIC: 50.0, "seconds": 60.0})
    assert "training the teacher, once: epoch 2/5  (about 3 min left)" in shown(view)
    run(record, "teacher", [50.0] * 3)
    assert "training the teacher, once" not in shown(view)


def test_the_pace_of_the_teacher_is_not_that_of_the_students(record, monkeypatch):
    clock = set_clock(monkeypatch, 0.0)
    view = view_of(record, num_teacher_epochs=5)
    begin(record, "teacher", TEACHER, setting_label="teacher", num_epochs=5)
    run(record, "teacher", [50.0] * 5)
    clock[0] = 1000.0
    view._new_pace({"event": "end"}, record.trials["teacher"])
    begin(record, "0000")
    run(record, "0000", [50.0] * 3)
    clock[0] = 1003.0
    # A second an epoch: three trials and six final trainings of three epochs.
    assert view._progress(list(record.trials.values()))[1] == pytest.approx(27.0)


def test_trainings_that_were_decided_on_are_counted_as_such(record):
    view = view_of_fixed(record, 5)
    begin(record, "a-1", FINAL)
    assert "0/5 trainings: 1 running  0 done  0 failed" in shown(view)
    run(record, "a-1", [50.0] * 3)
    assert "1/5 trainings: 0 running  1 done  0 failed" in shown(view)
    assert "trials" not in shown(view)


def test_trainings_of_other_searches_are_no_pace(record):
    view = view_of_fixed(record, 5)
    begin(record, "a-1", FINAL)
    run(record, "a-1", [50.0] * 3)
    made = replace(record.trials["a-1"], name="a-2", started=1.0, ended=2.0)
    before = view._num_made()
    record.import_finished(made)
    assert view._num_made() == before
    assert view._progress(list(record.trials.values()))[0] == pytest.approx(6 / 15)


def test_final_trainings_are_counted(record):
    view = view_of(record)
    some_trials(record)
    begin(record, "plain-1", FINAL)
    assert "final trainings: 0/6 done" in shown(view)
    run(record, "plain-1", [50.0] * 3)
    assert "final trainings: 1/6 done" in shown(view)


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
    done, stopped, failed = (line.partition("  (about ")[0] for line in (done, stopped, failed))
    assert done.split() == ["0000", DONE, "3", "epochs", METRIC, "70.12", "%", "weight=1"]
    assert STOPPED in stopped
    assert stopped.endswith("weight=0.1235  kernel=rbf")
    assert failed.split()[:3] == ["0002", FAILED, "0"]
    assert "(the term 'ce' became nan)" in failed


def test_without_a_terminal_a_line_says_what_is_left_and_of_what(record, capsys, monkeypatch):
    clock = set_clock(monkeypatch, 0.0)
    with view_of(record, part="kd"):
        clock[0] = 180.0
        some_trials(record)
    done, *_ = capsys.readouterr().out.splitlines()
    # Three of 30 epochs in three minutes.
    assert done.endswith("weight=1  (about 27 min left of kd)")


def test_without_a_terminal_the_teacher_is_told_of_now_and_then(record, capsys, monkeypatch):
    clock = set_clock(monkeypatch, 0.0)
    with view_of(record, num_teacher_epochs=40):
        begin(record, "teacher", TEACHER, setting_label="teacher", num_epochs=40)
        for epoch in range(1, 41):
            clock[0] += 60.0
            record.epoch("teacher", {"epoch": float(epoch), METRIC: 50.0, "seconds": 60.0})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].split() == ["teacher", "epoch", "4/40", "(about", "36", "min", "left)"]


def test_without_a_terminal_trials_that_do_not_end_are_told_of_too(record, capsys, monkeypatch):
    clock = set_clock(monkeypatch, 0.0)
    with view_of(record, num_trials=1, num_seeds=0):
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
