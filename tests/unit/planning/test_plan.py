"""What a search trains, in which order, and which trial wins."""

import random

import pytest

from tests.support.by_hand import (
    METRIC,
    SPACE,
    begin,
    make_plan,
    make_sampler,
    new_record,
    reloaded,
    run,
)
from tuner.planning.plan import Budget, FinalTraining, FixedPlan
from tuner.planning.rungs import trained_epochs
from tuner.results.record import Record, winner
from tuner.results.trial import (
    COOLDOWN_ACCURACY,
    DONE,
    FAILED,
    FINAL,
    SEARCH,
    STOPPED,
    TEACHER,
    Trial,
)


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def finish_search(plan, accuracies=(50.0, 70.0, 60.0, 40.0)) -> None:
    """Runs the search trials one after the other, to these accuracies."""
    for accuracy in accuracies:
        trial = plan.next()
        assert trial.role == SEARCH
        run(plan.record, trial.name, [accuracy] * 3)


def finish_finals(plan) -> list[str]:
    names = []
    while (trial := plan.next()) is not None:
        names.append(trial.name)
        run(plan.record, trial.name, [80.0] * 3)
    return names


def test_the_published_setting_is_the_first_trial(record):
    plan = make_plan(record)
    first, second = plan.next(), plan.next()
    assert (first.name, first.setting_label, first.setting) == (
        "0000",
        "published",
        SPACE.published(),
    )
    assert (second.name, second.setting_label) == ("0001", "")
    assert second.setting != SPACE.published()
    assert (first.seed, first.num_epochs, first.role) == (5, 3, SEARCH)


def test_a_first_trial_that_is_not_the_published_setting_is_not_called_so(record):
    assert make_plan(record, published={"weight": 99.0}).next().setting_label == ""


def test_no_more_trials_are_live_than_may_be(record):
    plan = make_plan(record, max_concurrent=2)
    plan.next()
    plan.next()
    assert plan.next() is None
    run(record, "0001", [1.0, 1.0, 1.0])
    assert plan.next().name == "0002"
    assert plan.next() is None


def test_the_teacher_is_trained_before_any_trial(record):
    plan = make_plan(record, num_teacher_epochs=7)
    teacher = plan.next()
    assert (teacher.name, teacher.role, teacher.method) == ("teacher", TEACHER, "plain")
    assert (teacher.num_epochs, teacher.seed) == (7, 5)
    assert plan.next() is None
    assert not plan.is_finished
    run(record, "teacher", [90.0] * 7)
    assert plan.next().name == "0000"


def test_a_search_without_a_teacher_ends(record):
    plan = make_plan(record, num_teacher_epochs=7)
    plan.next()
    record.end("teacher", FAILED, "diverged")
    assert plan.next() is None
    assert plan.is_finished
    assert list(record.trials) == ["teacher"]


def test_a_teacher_that_was_interrupted_goes_on(record):
    make_plan(record, num_teacher_epochs=7).next()
    resumed = make_plan(record, num_teacher_epochs=7)
    assert resumed.next().name == "teacher"
    assert resumed.next() is None


def test_a_trial_begins_only_if_it_fits_into_the_epochs(record):
    plan = make_plan(record, num_trials=9, max_concurrent=3, search_epochs=7)
    assert [plan.next().name, plan.next().name] == ["0000", "0001"]
    assert plan.next() is None  # both may run for three epochs
    run(record, "0000", [50.0])  # it was stopped, and leaves two
    assert plan.next().name == "0002"
    assert plan.next() is None
    run(record, "0001", [60.0] * 3)
    run(record, "0002", [70.0] * 3)
    assert plan.next().role == FINAL


@pytest.mark.parametrize("seed", range(10))
def test_trials_never_exceed_their_epochs_together(record, seed):
    draw = random.Random(seed)
    plan = make_plan(record, num_trials=99, search_epochs=20, trial_epochs=4)  # one cooldown
    running: list[str] = []
    while True:
        trial = plan.next()
        if trial is not None and trial.role == FINAL:
            break
        if trial is not None:
            running.append(trial.name)
            continue
        name = running.pop(draw.randrange(len(running)))
        length = draw.choice([1, 2, 3])
        for epoch in range(1, length + 1):
            cooled = {COOLDOWN_ACCURACY: 50.0} if epoch == 1 else {}
            record.epoch(name, {"epoch": float(epoch), METRIC: 50.0} | cooled)
        record.end(name, DONE if length == 3 else STOPPED)
    trained = [trained_epochs(trial.epochs) for trial in record.trials_of(SEARCH)]
    assert 16 < sum(trained) <= 20  # less than one trial is left


def test_final_trainings_wait_for_the_last_trial(record):
    plan = make_plan(record)
    finish_search(plan, [50.0, 70.0])
    plan.next()
    plan.next()
    run(record, "0002", [10.0] * 3)
    assert plan.next() is None
    assert not plan.is_finished
    run(record, "0003", [10.0] * 3)
    assert plan.next().role == FINAL


def test_winner_published_and_plain_are_trained_with_fresh_seeds(record):
    plan = make_plan(record)
    finish_search(plan)
    names = finish_finals(plan)
    assert names == ["tuned-1", "published-1", "plain-1", "tuned-2", "published-2", "plain-2"]
    assert plan.is_finished
    finals = record.trials_of(FINAL)
    assert [trial.seed for trial in finals] == [6, 6, 6, 7, 7, 7]
    tuned, published, plain = finals[:3]
    assert tuned.setting == record.trials["0001"].setting
    assert (published.setting, published.method) == (SPACE.published(), "itrd")
    assert (plain.setting, plain.method) == ({}, "plain")


def test_a_published_setting_that_wins_is_trained_once(record):
    plan = make_plan(record)
    finish_search(plan, [90.0, 70.0, 60.0, 40.0])
    assert finish_finals(plan) == ["published-1", "plain-1", "published-2", "plain-2"]


def test_a_search_in_which_every_trial_failed_has_no_final_trainings(record):
    plan = make_plan(record)
    for _ in range(4):
        record.end(plan.next().name, FAILED, "diverged")
    assert plan.next() is None
    assert plan.is_finished


def test_a_final_training_that_fails_is_not_tried_again(record):
    plan = make_plan(record, num_seeds=1)
    finish_search(plan)
    while (trial := plan.next()) is not None:
        record.end(trial.name, FAILED, "diverged")
    assert [trial.name for trial in record.trials_of(FINAL)] == [
        "tuned-1",
        "published-1",
        "plain-1",
    ]
    assert plan.is_finished


def test_when_the_time_is_over_no_trial_begins_but_the_final_trainings_do(record):
    plan = make_plan(record, time_seconds=3600.0)
    assert plan.is_searching
    finish_search(plan, [50.0, 70.0])
    live = plan.next()
    plan._began -= 3601  # an hour later
    assert plan.is_over_time
    assert plan.next() is None
    run(record, live.name, [20.0], STOPPED)
    assert finish_finals(plan)[:2] == ["tuned-1", "published-1"]
    assert len(record.trials_of(SEARCH)) == 3


def test_a_search_without_a_time_budget_is_never_over_time(record):
    plan = make_plan(record)
    plan._began -= 10**9
    assert not plan.is_over_time


def test_no_trial_begins_once_the_winner_is_trained_again(record):
    """The next session has new time, but its winner would not be the one that was trained."""
    plan = make_plan(record, time_seconds=3600.0)
    finish_search(plan, [50.0, 70.0])
    plan._began -= 3601
    final = plan.next()
    resumed = make_plan(record, time_seconds=3600.0)
    assert not resumed.is_searching
    assert resumed.next() is final
    assert resumed.next().name == "published-1"


def test_trials_that_were_interrupted_go_on_first_and_once(record):
    plan = make_plan(record, max_concurrent=3)
    for _ in range(3):
        plan.next()
    run(record, "0001", [50.0] * 3)
    sampler = make_sampler()
    sampler.recall(record)
    resumed = make_plan(record, sampler, max_concurrent=3)
    assert not resumed.is_finished
    assert [resumed.next().name for _ in range(3)] == ["0000", "0002", "0003"]
    assert resumed.next() is None


def test_a_deterministic_search_begins_a_batch_when_the_one_before_has_ended(record):
    plan = make_plan(record, make_sampler(ask_in_batches=2), ask_in_batches=2)
    plan.next()
    plan.next()
    run(record, "0001", [1.0] * 3)
    assert plan.next() is None
    run(record, "0000", [1.0] * 3)
    assert [plan.next().name, plan.next().name] == ["0002", "0003"]


@pytest.mark.parametrize("order", [("0000", "0001", "0002"), ("0002", "0000", "0001")])
def test_a_deterministic_search_does_not_depend_on_who_finishes_first(tmp_path, order):
    settings = []
    for folder, names in (("a", ("0001", "0002", "0000")), ("b", order)):
        record = new_record(tmp_path / folder)
        sampler = make_sampler(algo="tpe", num_trials=9, ask_in_batches=3)
        plan = make_plan(record, sampler, num_trials=9, max_concurrent=3, ask_in_batches=3)
        for batch in range(3):
            for _ in range(3):
                plan.next()
            for name in names:
                trial = f"{int(name) + 3 * batch:04d}"
                run(record, trial, [40.0 + record.trials[trial].setting["weight"]] * 3)
        settings.append([trial.setting for trial in record.trials_of(SEARCH)])
    assert settings[0] == settings[1]


# The winner


def test_a_stopped_trial_never_wins_against_one_that_ran_to_the_end(record):
    for trial, accuracies in {"0000": [10, 20, 30], "0001": [99], "0002": [98, 99]}.items():
        begin(record, trial)
        run(record, trial, accuracies)
    assert winner(record, METRIC).name == "0000"


def test_the_last_epoch_counts_not_the_best(record):
    for trial, accuracies in {"0000": [10, 99, 30], "0001": [10, 20, 31]}.items():
        begin(record, trial)
        run(record, trial, accuracies)
    assert winner(record, METRIC).name == "0001"


def test_of_equals_the_earlier_trial_wins(record):
    for trial in ("0000", "0001", "0002"):
        begin(record, trial)
    for trial, last in (("0002", 50), ("0001", 50), ("0000", 40)):
        run(record, trial, [1, 2, last])
    assert winner(record, METRIC).name == "0001"


def test_where_none_ran_to_the_end_none_wins(record):
    begin(record, "0000")
    run(record, "0000", [90])
    assert record.trials["0000"].status == STOPPED
    assert winner(record, METRIC) is None


def test_neither_failed_nor_running_nor_final_trials_win(record):
    for trial in ("0000", "0001"):
        begin(record, trial)
        record.epoch(trial, {"epoch": 1.0, METRIC: 99.0})
    record.end("0000", FAILED, "diverged")
    begin(record, "tuned-1", FINAL)
    run(record, "tuned-1", [99.0] * 3, DONE)
    assert winner(record, METRIC) is None
    begin(record, "0002")
    run(record, "0002", [0.0] * 3)
    assert winner(record, METRIC).name == "0002"


def test_a_final_training_that_is_known_is_not_made_again(tmp_path):
    other = new_record(tmp_path / "other")
    other.begin(
        name="plain-1",
        role=FINAL,
        setting_label="plain",
        method="plain",
        setting={},
        seed=6,
        num_epochs=3,
    )
    run(other, "plain-1", [40.0, 50.0, 60.0])
    record = new_record(tmp_path / "ours")
    plan = make_plan(record, find=lambda training: other.trials.get(training.name))
    finish_search(plan)
    begun = finish_finals(plan)
    assert "plain-1" not in begun
    assert "plain-2" in begun
    assert record.trials["plain-1"] == other.trials["plain-1"]
    assert plan.is_finished


def make_fixed(record: Record, known: dict[str, Trial] | None = None, **budget) -> FixedPlan:
    """Two settings with two seeds each; `known` are trainings that were made before."""
    trainings = [
        FinalTraining(f"{label}-{seed}", label, "itrd", {"weight": weight}, seed)
        for seed in (1, 2)
        for label, weight in (("low", 1.0), ("high", 2.0))
    ]
    values = {"num_trials": 0, "num_finals": 4, "num_epochs": 3, "num_teacher_epochs": 0}
    values |= {
        "num_seeds": 2,
        "max_concurrent": 2,
        "time_seconds": None,
        "seed": 5,
        "ask_in_batches": None,
        "search_epochs": None,
        "trial_epochs": 3,
    }
    known = known or {}
    return FixedPlan(
        record, trainings, Budget(**(values | budget)), lambda one: known.get(one.name)
    )


def made_before(trial: str) -> Trial:
    epochs = [{"epoch": float(number), METRIC: 90.0} for number in (1, 2, 3)]
    return Trial(
        name=trial, role=FINAL, setting_label=trial.partition("-")[0], method="itrd",
        setting={"weight": 1.0}, seed=1, num_epochs=3, started=10.0, status=DONE, ended=20.0,
        epochs=epochs,
    )  # fmt: skip


def test_a_fixed_plan_trains_its_list_in_order(record):
    plan = make_fixed(record)
    assert finish_finals(plan) == ["low-1", "high-1", "low-2", "high-2"]
    assert plan.is_finished
    assert {trial.role for trial in record.trials.values()} == {FINAL}
    assert record.trials["high-2"].setting == {"weight": 2.0}
    assert (record.trials["high-2"].seed, record.trials["high-2"].num_epochs) == (2, 3)


def test_a_fixed_plan_keeps_to_what_may_run_at_a_time(record):
    plan = make_fixed(record)
    assert [plan.next().name, plan.next().name, plan.next()] == ["low-1", "high-1", None]
    assert not plan.is_finished


def test_a_fixed_plan_takes_over_what_was_made_before(record):
    plan = make_fixed(record, {name: made_before(name) for name in ("low-1", "high-2")})
    assert finish_finals(plan) == ["high-1", "low-2"]
    assert plan.is_finished
    taken = record.trials["low-1"]
    assert (taken.started, taken.ended, taken.last(METRIC)) == (10.0, 20.0, 90.0)


def test_a_fixed_plan_of_which_all_was_made_before_trains_nothing(record):
    names = ("low-1", "high-1", "low-2", "high-2")
    plan = make_fixed(record, {name: made_before(name) for name in names})
    assert plan.next() is None
    assert plan.is_finished
    assert all(trial.is_full_length for trial in record.trials_of(FINAL))


def test_a_fixed_plan_trains_its_teacher_first_and_not_without_it(record):
    plan = make_fixed(record, num_teacher_epochs=7)
    assert plan.next().role == TEACHER
    assert plan.next() is None
    record.end("teacher", FAILED, "diverged")
    assert plan.next() is None
    assert plan.is_finished


def test_a_failed_training_of_a_fixed_plan_is_not_begun_again(record):
    plan = make_fixed(record)
    plan.next()
    record.end("low-1", FAILED, "loss became nan")
    again = make_fixed(reloaded(record))
    assert finish_finals(again) == ["high-1", "low-2", "high-2"]
    assert again.is_finished


def test_a_fixed_plan_goes_on_with_what_was_interrupted(record):
    make_fixed(record).next()
    again = make_fixed(reloaded(record))
    assert finish_finals(again) == ["low-1", "high-1", "low-2", "high-2"]
