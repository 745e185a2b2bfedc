"""What an estimate makes of step times."""

import pytest

from tuner.planning.estimate import (
    Estimate,
    Machines,
    StepTimes,
    TeacherWork,
    TrainingGroup,
    makespan,
    mean_epochs,
)

TIMES = StepTimes(step=0.1, teacher=0.5, validation=2.0, teacher_step=0.3)
TRIALS = TrainingGroup(8, epochs=20, mean_epochs=5.0, times=TIMES)
FINALS = TrainingGroup(4, epochs=20, mean_epochs=20.0, times=TIMES)


def estimated(
    *stages: tuple[TrainingGroup, ...],
    gpus_per_trial: float = 0.5,
    teacher_epochs: int = 0,
    shared_batches: int = 0,
    batches_per_epoch: float = 0.0,
) -> Estimate:
    return Estimate(
        machines=Machines(
            num_machines=2,
            cpus=8.0,
            gpus=2.0,
            cpus_per_trial=2.0,
            gpus_per_trial=gpus_per_trial,
            num_at_once=4,
        ),
        stages=stages or ((TRIALS,), (FINALS,)),
        teacher=TeacherWork(teacher_epochs, shared_batches, batches_per_epoch),
        steps_per_epoch=10,
    )


def test_a_training_is_its_steps_and_its_validations():
    assert estimated().training_seconds(TRIALS) == pytest.approx(20 * (10 * 0.1 + 2.0))
    assert estimated().training_seconds(TRIALS, stops_early=True) == pytest.approx(15.0)


def test_a_search_is_its_trainings_side_by_side():
    assert estimated().seconds() == pytest.approx(2 * 60.0 + 1 * 60.0)
    assert estimated().seconds(stops_early=True) == pytest.approx(2 * 15.0 + 1 * 60.0)


def test_more_slots_than_trainings_make_no_training_shorter():
    few = TrainingGroup(2, epochs=20, mean_epochs=5.0, times=TIMES)
    one = TrainingGroup(1, epochs=20, mean_epochs=20.0, times=TIMES)
    assert estimated((few,), (one,)).seconds() == pytest.approx(60.0 + 60.0)


def test_trainings_of_several_methods_share_the_slots():
    slow = TrainingGroup(2, 20, 20.0, StepTimes(0.4, 0.5, 2.0, 0.0))
    # Two of 120 s and four of 60 s on four slots.
    assert estimated((slow, FINALS)).seconds() == pytest.approx(120.0)
    assert estimated((FINALS, slow)).seconds() == pytest.approx(180.0)


def test_each_training_begins_as_soon_as_a_slot_is_free():
    assert makespan([], 2) == 0.0
    assert makespan([3.0, 1.0, 1.0], 2) == 3.0
    assert makespan([1.0, 1.0, 3.0], 2) == 4.0


def test_a_teacher_is_trained_alone_first():
    more = estimated(teacher_epochs=5).seconds() - estimated().seconds()
    assert more == pytest.approx(5 * (10 * 0.3 + 2.0))


def test_the_teachers_outputs_are_computed_once_or_by_each_training():
    once = estimated(shared_batches=40).seconds() - estimated().seconds()
    assert once == pytest.approx(40 * 0.5 / 4)
    each = estimated(batches_per_epoch=2.0)
    more = each.training_seconds(TRIALS) - estimated().training_seconds(TRIALS)
    assert more == pytest.approx(20 * 2.0 * 0.5)
    assert each.seconds() - estimated().seconds() == pytest.approx(3 * more)


def test_shared_outputs_take_the_slowest_methods_time():
    slow = TrainingGroup(1, 20, 20.0, StepTimes(0.1, 0.8, 2.0, 0.0))
    stage = (FINALS, slow)
    more = estimated(stage, shared_batches=40).seconds() - estimated(stage).seconds()
    assert more == pytest.approx(40 * 0.8 / 4)


def test_hours_are_of_gpus_or_else_of_cores():
    hours = 12 * 60.0 / 3600
    assert estimated().device_hours() == pytest.approx(hours * 0.5)
    assert estimated(gpus_per_trial=0.0).device_hours() == pytest.approx(hours * 2.0)
    likely = (8 * 15.0 + 4 * 60.0) / 3600 * 0.5
    assert estimated().device_hours(stops_early=True) == pytest.approx(likely)


@pytest.mark.parametrize(
    ("scheduler", "epochs", "expected"),
    [
        ("none", 240, 240.0),
        ("median", 240, 240.0),
        ("asha", 1, 1.0),
        # Rungs after 1 and 3: a third goes on to the third epoch, a ninth to the fourth.
        ("asha", 4, 1 + 2 / 3 + 1 / 9),
        # Rungs after 24 and 48, each with an epoch of a cooldown.
        ("cooldown", 240, 25 + 25 / 3 + 192 / 9),
        ("cooldown", 3, 2 + 2 / 3),
        ("cooldown", 1, 1.0),
        ("hyperband", 90, 9 + 18 / 3 + 54 / 9 + 9 / 27),
    ],
)
def test_the_mean_length_of_a_trial_is_what_the_rungs_leave(scheduler, epochs, expected):
    assert mean_epochs(scheduler, epochs) == pytest.approx(expected)
