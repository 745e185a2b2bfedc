import math

import pytest
import torch

from losses import LossError
from losses.vid import VID, GaussianPrediction
from tests.support.golden_cases import Case
from tests.support.loss_inputs import STUDENT, TEACHER, make_batch, random_outputs, shapes


def test_the_log_scale_starts_where_the_references_does():
    initial = Case("vid", "same").hyperparameters["log_scale_at_init"]
    log_scale = GaussianPrediction(3, 4, 5.0).log_scale
    torch.testing.assert_close(log_scale, torch.full((4,), initial))


@pytest.mark.parametrize("initial", [1e-4, 0.3, 5.0, 1000.0])
def test_the_variance_starts_as_given(initial):
    variance = GaussianPrediction(3, 4, initial).variance()
    torch.testing.assert_close(variance, torch.full((4,), initial))


def test_a_channel_predicted_at_its_variance_costs_half_a_nat_and_its_logarithm():
    prediction = GaussianPrediction(3, 4, 2.0)
    for weight in prediction.mean.parameters():
        torch.nn.init.zeros_(weight)
    loss = prediction(torch.randn(2, 3, 4, 4), torch.full((2, 4, 4, 4), math.sqrt(2.0)))
    torch.testing.assert_close(loss, torch.tensor(0.5 + 0.5 * math.log(2.0)))


def test_every_pair_of_stages_has_a_prediction_and_the_weight_multiplies_their_sum():
    torch.manual_seed(0)
    loss = VID(STUDENT, TEACHER, weight=10.0, initial_variance=5.0)
    assert loss.needs == ("feature_maps.stage1", "feature_maps.stage2")
    student, teacher = (random_outputs(x, 2, 0, train=False) for x in (STUDENT, TEACHER))
    parts = [
        prediction(student.feature_maps[name], teacher.feature_maps[name])
        for prediction, name in zip(loss.predictions, ("stage1", "stage2"), strict=True)
    ]
    term = loss(student, teacher, make_batch(2))["vid"]
    torch.testing.assert_close(term, 10.0 * sum(parts))


def test_vid_refuses_networks_without_stages():
    with pytest.raises(LossError, match=r"vid: the student has no map after a stage \(its maps: "):
        VID(shapes(6), TEACHER, weight=1.0, initial_variance=5.0)


def test_vid_refuses_a_variance_that_it_cannot_have():
    with pytest.raises(
        LossError, match=r"vid: initial_variance is 0\.0; give a number above 1e-05"
    ):
        VID(STUDENT, TEACHER, weight=1.0, initial_variance=0.0)
