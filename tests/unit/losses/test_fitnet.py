import pytest
import torch

from losses import LossError
from losses.fitnet import FitNet
from losses.parts.regressor import connector
from tests.support.loss_inputs import make_batch, random_outputs, shapes

TEACHER = shapes(9, stem=(5, 32, 32), stage1=(7, 32, 32), stage2=(9, 16, 16))


def make(student, teacher, **changes: object) -> FitNet:
    torch.manual_seed(0)
    return FitNet(student, teacher, **{"weight": 1.0, "layer": "stage1"} | changes)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ((6, 8, 8), (10, 8, 8)),
        ((6, 16, 12), (10, 8, 6)),
        ((6, 4, 3), (10, 8, 6)),
        ((6, 6, 9), (10, 4, 8)),
        ((6, 8, 4), (10, 4, 4)),
        ((6, 7, 7), (10, 1, 1)),
    ],
)
@pytest.mark.parametrize("relu", [True, False])
def test_a_connector_gives_the_teachers_shape(student, teacher, relu):
    connected = connector("fitnet", student, teacher, relu=relu)(torch.randn(2, *student))
    assert connected.shape == (2, *teacher)
    assert (connected.min() >= 0) == relu


@pytest.mark.parametrize("student", [(6, 3, 3), (6, 2, 4), (6, 16, 4)])
def test_a_connector_refuses_what_is_smaller_and_not_half(student):
    with pytest.raises(LossError, match=r"ab: the student's map of 6x.* teacher's of 9x8x8;"):
        connector("ab", student, (9, 8, 8), relu=False)


def test_only_the_chosen_layer_is_needed():
    student = shapes(6, stem=(3, 8, 8), stage1=(4, 8, 8))
    assert make(student, student).needs == ("feature_maps.stage1",)
    assert make(student, student, layer="stem").needs == ("feature_maps.stem",)


def test_the_weight_multiplies_the_error():
    outputs = random_outputs(TEACHER, 4, 0, train=False)
    single, triple = (
        make(TEACHER, TEACHER, weight=weight)(outputs, outputs, make_batch(4))["fitnet"]
        for weight in (1.0, 3.0)
    )
    torch.testing.assert_close(triple, 3.0 * single)


def test_fitnet_refuses_a_layer_that_a_network_lacks_and_names_those_it_has():
    student = shapes(6, stem=(3, 32, 32), stage1=(4, 16, 16))
    message = (
        "fitnet: layer 'stage2' must be a map of both networks, .*"
        r"\(student: stem 3x32x32, stage1 4x16x16; teacher: stem 5x32x32, .*\);"
        " use layer stem or stage1$"
    )
    with pytest.raises(LossError, match=message):
        make(student, TEACHER, layer="stage2")


def test_fitnet_refuses_a_student_that_is_much_smaller_and_names_layers_that_fit():
    student = shapes(6, stem=(3, 16, 16), stage1=(4, 8, 8), stage2=(6, 4, 4))
    with pytest.raises(LossError, match=r"fitnet: layer 'stage2' .* use layer stem$"):
        make(student, TEACHER, layer="stage2")
    with pytest.raises(LossError, match="choose other networks"):
        make(shapes(6), TEACHER)
