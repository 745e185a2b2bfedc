"""The learning-rate rule, and the stages that it is used in."""

import pytest

from losses import InitialStage
from tests.support.trainings import digits, make_training
from tuner.training.schedule import StepSchedule
from tuner.training.stages import INITIAL, TRAINING, stages_of


@pytest.mark.parametrize(
    ("drops", "rates"),
    [
        ((), [0.05] * 4),
        ((2,), [0.05, 0.05, 0.005, 0.005]),
        ((1, 3), [0.05, 0.005, 0.005, 0.0005]),
        ((0, 2, 2), [0.005, 0.005, 0.00005, 0.00005]),
    ],
)
def test_the_learning_rate_drops_after_the_given_epochs(drops, rates):
    schedule = StepSchedule(4, 0.05, drops, 0.1)
    assert [schedule.lr_at(epoch) for epoch in range(1, 5)] == pytest.approx(rates)


def test_a_method_without_an_initial_stage_has_one_stage(data_dir):
    training = make_training(digits(data_dir), "kd")
    (stage,) = training.stages
    assert (stage.name, stage.needs) == (TRAINING, ("logits",))
    assert stage.trains_student


@pytest.mark.parametrize(("lr", "expected"), [(None, 0.05), (0.3, 0.3)])
def test_an_initial_stage_has_the_students_rate_unless_it_has_its_own(data_dir, lr, expected):
    objective = make_training(digits(data_dir), "kd").objective
    objective.loss.initial_stage = InitialStage(4, ("embedding",), False, lr, (2,))
    schedule = StepSchedule(9, 0.05, (5,), 0.2)
    initial, training = stages_of(objective, schedule)
    assert initial.name == INITIAL
    assert initial.needs == ("embedding",)
    assert not initial.trains_student
    assert initial.schedule == StepSchedule(4, expected, (2,), 0.1)
    assert training.schedule == schedule
