"""A training whose student is compiled by torch.compile."""

import pytest

from tests.support.trainings import Data, digits, make_training, metrics_of
from tuner.config.step_mode import Precision, StepMode
from tuner.training.distillation import Distillation


@pytest.fixture(scope="module")
def data(data_dir) -> Data:
    return digits(data_dir, num_images=100)


def make(data: Data, step_mode: StepMode) -> Distillation:
    return make_training(data, "itrd", options={"step_mode": step_mode})


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_compiled_training_is_the_same_but_for_rounding(data: Data, precision: Precision):
    step_mode = StepMode(precision, compiled=True)
    compiled, plain = make(data, step_mode), make(data, StepMode(precision))
    ours, theirs = compiled.run_epoch(), plain.run_epoch()
    tolerance = 1e-3 if precision == "float32" else 0.05
    assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=tolerance)
    # Saved under the names of the network itself, so that any process can continue.
    assert list(compiled.student.state_dict()) == list(plain.student.state_dict())
    state = compiled.state()
    compiled.run_epoch()
    resumed = make(data, step_mode)
    resumed.restore(state)
    resumed.run_epoch()
    assert metrics_of(resumed) == metrics_of(compiled)
