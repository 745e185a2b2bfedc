"""What `--dry-run --address` predicts: by scripted paces, and by real steps of a trial."""

import pytest

from losses import ITRD
from search_spaces import SPACES
from tuner.config.workload import resolve
from tuner.orchestration.estimate import measure_step_times
from tuner.planning.estimate import Amount, Estimate, StepTimes, mean_epochs

PACE = StepTimes(step=0.1, teacher=0.5, validation=2.0, teacher_step=0.3)
AMOUNT = Amount(
    steps_per_epoch=10,
    epochs=20,
    num_trials=8,
    num_finals=4,
    teacher_epochs=0,
    teacher_batches_once=0,
    teacher_batches_per_training=0,
    mean_epochs=5.0,
)


def estimated(gpus_per_trial: float = 0.5, **changes: float) -> Estimate:
    return Estimate(
        num_machines=2,
        cpus=8.0,
        gpus=2.0,
        cpus_per_trial=2.0,
        gpus_per_trial=gpus_per_trial,
        num_at_once=4,
        pace=PACE,
        amount=Amount(**{**vars(AMOUNT), **changes}),
        reasons=(),
    )


def test_a_training_is_its_steps_and_its_validations():
    assert estimated().training_seconds == pytest.approx(20 * (10 * 0.1 + 2.0))


def test_a_search_is_its_trainings_side_by_side():
    assert estimated().most_seconds == pytest.approx(2 * 60.0 + 1 * 60.0)
    assert estimated().likely_seconds == pytest.approx(2 * 15.0 + 1 * 60.0)


def test_more_slots_than_trainings_make_no_training_shorter():
    few = estimated(num_trials=2, num_finals=1)
    assert few.most_seconds == pytest.approx(60.0 + 60.0)


def test_a_teacher_is_trained_alone_first():
    more = estimated(teacher_epochs=5).most_seconds - estimated().most_seconds
    assert more == pytest.approx(5 * (10 * 0.3 + 2.0))


def test_the_teachers_answers_are_computed_once_or_by_each():
    once = estimated(teacher_batches_once=40).most_seconds - estimated().most_seconds
    assert once == pytest.approx(40 * 0.5 / 4)
    each = estimated(teacher_batches_per_training=40)
    assert each.training_seconds - estimated().training_seconds == pytest.approx(40 * 0.5)
    assert each.most_seconds - estimated().most_seconds == pytest.approx(3 * 40 * 0.5)


def test_hours_are_of_gpus_or_else_of_cores():
    hours = 12 * 60.0 / 3600
    assert estimated().device_hours(20) == pytest.approx(hours * 0.5)
    assert estimated(gpus_per_trial=0.0).device_hours(20) == pytest.approx(hours * 2.0)
    assert estimated().device_hours(5) == pytest.approx((8 * 15.0 + 4 * 60.0) / 3600 * 0.5)


@pytest.mark.parametrize(
    ("scheduler", "epochs", "expected"),
    [
        ("none", 240, 240.0),
        ("median", 240, 240.0),
        ("asha", 1, 1.0),
        # Rungs after 1 and 3: a third goes on to the third epoch, a ninth to the fourth.
        ("asha", 4, 1 + 2 / 3 + 1 / 9),
        ("hyperband", 90, 9 + 18 / 3 + 54 / 9 + 9 / 27),
    ],
)
def test_the_mean_length_of_a_trial_is_what_the_rungs_leave(scheduler, epochs, expected):
    assert mean_epochs(scheduler, epochs) == pytest.approx(expected)


def test_a_pace_is_measured_on_real_steps(data_dir):
    given = {"data": "digits", "data_dir": data_dir, "teacher": "resnet8", "student": "resnet8"}
    workload = resolve(given | {"limit": 300, "seed": 0})
    setting = SPACES["itrd"].published()
    pace = measure_step_times(workload, ITRD, setting, 1, 0.0, trains_teacher=True)
    assert min(pace.step, pace.teacher, pace.validation, pace.teacher_step) > 0
    without = measure_step_times(workload, ITRD, setting, 1, 0.0, trains_teacher=False)
    assert without.teacher_step == 0.0
