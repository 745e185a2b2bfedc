"""The live table, as text."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.by_hand import METRIC, begin, make_plan, make_sampler, new_record, run
from tests.support.viewing import fixed_plan, some_trials
from tuner.results.record import Record
from tuner.results.trial import FAILED, FINAL, TEACHER
from tuner.terminal.live_table import LiveTable
from tuner.terminal.remaining import Remaining

MARKUP = ["[red]x[bold]", "[/]", "[link=http://x]y[/link]", "\\[red]"]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return new_record(tmp_path)


def table_of(record: Record, plan=None, problem: str = "", **budget) -> LiveTable:
    plan = plan or make_plan(record, make_sampler(algo="grid"), **budget)
    return LiveTable(
        record,
        plan,
        Remaining(record, plan),
        metric=METRIC,
        searched=["weight", "kernel"],
        problem=lambda: problem,
    )


def shown(table: LiveTable) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(table.render())
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def rows_of(table: LiveTable) -> dict[str, list[str]]:
    """The words of each trial's row, by the trial."""
    lines = [line.split() for line in shown(table).splitlines() if line.strip()]
    header = next(number for number, line in enumerate(lines) if line[0] == "trial")
    return {trial: words for trial, *words in lines[header + 1 :]}


def test_the_headline_counts_trials_by_status_and_names_the_best(record):
    table = table_of(record, num_trials=9)
    some_trials(record)
    headline, best, progress, *_ = shown(table).splitlines()
    assert headline.startswith("4/9 trials: 1 running  1 done  1 stopped early  1 failed")
    assert best.strip() == "best so far: 70.12 %  weight=1"  # not the 90 % that was stopped
    assert "elapsed, about " in progress


def test_each_trial_has_a_row_with_what_is_searched(record):
    table = table_of(record)
    some_trials(record)
    rows = rows_of(table)
    assert rows["0000"] == ["*", "done", "3/3", "70.12", "%", "weight=1"]
    assert rows["0001"] == ["stopped", "early", "1/3", "90.00", "%", "weight=0.1235", "kernel=rbf"]
    assert rows["0002"][:2] == ["failed", "0/3"]
    assert rows["0003"][:2] == ["running", "0/3"]


def test_running_trials_are_never_crowded_out(record):
    table = table_of(record, num_trials=40)
    begin(record, "0000")
    for number in range(1, 31):
        begin(record, f"{number:04d}")
        run(record, f"{number:04d}", [50.0] * 3)
    assert list(rows_of(table)) == [f"{number:04d}" for number in (*range(24, 31), 0)]


def test_an_initial_stage_counts_its_own_epochs(record):
    table = table_of(record)
    begin(record, "0000")
    record.initial_epoch("0000", {"initial_epoch": 1.0, "initial_seconds": 1.0})
    assert rows_of(table)["0000"][:3] == ["running", "init", "1"]


def test_the_teachers_training_is_announced(record):
    table = table_of(record, num_teacher_epochs=5)
    begin(record, "teacher", TEACHER, setting_label="teacher", num_epochs=5)
    assert "training the teacher, once: epoch 0/5\n" in shown(table)
    for epoch in (1, 2):
        record.epoch("teacher", {"epoch": float(epoch), METRIC: 50.0, "seconds": 60.0})
    assert "training the teacher, once: epoch 2/5  (about 3 min left)" in shown(table)
    run(record, "teacher", [50.0] * 3)
    assert "training the teacher, once" not in shown(table)


def test_fixed_trainings_are_counted_as_such(record):
    table = table_of(record, fixed_plan(record, 5))
    begin(record, "a-1", FINAL)
    assert "0/5 trainings: 1 running  0 done  0 failed" in shown(table)
    run(record, "a-1", [50.0] * 3)
    assert "1/5 trainings: 0 running  1 done  0 failed" in shown(table)
    assert "trials" not in shown(table)


def test_final_trainings_are_counted(record):
    table = table_of(record)
    some_trials(record)
    begin(record, "plain-1", FINAL)
    assert "final trainings: 0/6 done" in shown(table)
    run(record, "plain-1", [50.0] * 3)
    assert "final trainings: 1/6 done" in shown(table)


def test_a_problem_is_shown_beside_what_it_does_not_affect(record):
    table = table_of(record, problem="MLflow is gone")
    assert "MLflow is gone; the results are safe on disk" in shown(table)


@pytest.mark.parametrize("word", MARKUP)
def test_options_and_notes_are_text_and_no_markup(record, word):
    table = table_of(record)
    begin(record, "0000", setting={"weight": 1.0, "kernel": word})
    record.note("0000", word)
    record.end("0000", FAILED, word)
    assert f"kernel={word}" in shown(table)
    assert f"\n{word}\n" in shown(table)
