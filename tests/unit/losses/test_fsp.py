import pytest
import torch

import models
from losses import LossError
from losses.fsp import FSP, flow_matrices, flow_matrix
from models.outputs import shapes_from
from tests.support.golden_cases import Case
from tests.support.loss_inputs import make_batch, outputs_of, shapes

MAPS = {"stem": (4, 8, 8), "stage1": (4, 8, 8), "stage2": (6, 4, 4)}
NAMES = ("feature_maps.stem", "feature_maps.stage1", "feature_maps.stage2")


def test_each_pair_of_consecutive_maps_matches_the_reference():
    case = Case("fsp", "stages")
    of_student, of_teacher = (flow_matrices(case.maps(whose)) for whose in "st")
    levels = [(s - t).square().mean() for s, t in zip(of_student, of_teacher, strict=True)]
    case.compare("loss_levels", torch.stack(levels))


def test_the_joint_form_has_the_initial_stages_loss_weighted():
    case = Case("fsp", "stages")
    student, teacher = (outputs_of(maps=case.maps(whose)) for whose in "st")
    loss = FSP(shapes_from(student), shapes_from(teacher), weight=50.0, initial_epochs=0)
    assert loss.initial_stage is None
    term = loss(student, teacher, make_batch(4))["fsp"]
    torch.testing.assert_close(term, 50.0 * case["loss"], rtol=1e-7, atol=0)


def test_as_published_the_loss_is_not_used_after_the_initial_stage():
    loss = FSP(shapes(6, **MAPS), shapes(9, **MAPS), weight=0.0, initial_epochs=30)
    assert loss.needs == ()
    assert loss.initial_stage.num_epochs == 30
    assert loss.initial_stage.trains_student
    assert loss.initial_stage.needs == NAMES
    assert loss(None, None, None) == {}


def test_a_weight_needs_the_maps_after_the_initial_stage_too():
    loss = FSP(shapes(6, **MAPS), shapes(9, **MAPS), weight=1.0, initial_epochs=30)
    assert loss.needs == loss.initial_stage.needs == NAMES


def test_a_flow_matrix_is_the_mean_product_of_channels_over_locations():
    first, second = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)
    pooled = first.unflatten(3, (2, 2)).unflatten(2, (2, 2)).mean(dim=(3, 5))
    expected = torch.einsum("bchw,bdhw->bcd", pooled, second) / 4
    torch.testing.assert_close(flow_matrix(first, second), expected)
    torch.testing.assert_close(flow_matrix(second, first), expected.transpose(1, 2))


@pytest.mark.parametrize(
    ("teacher", "student"),
    [("wrn_40_2", "wrn_16_2"), ("resnet56", "resnet20"), ("vgg13", "vgg8")],
)
def test_fsp_joins_depths_of_one_family_and_width(teacher, student):
    FSP(shapes_of(student), shapes_of(teacher), weight=0.0, initial_epochs=30)


def shapes_of(name: str) -> models.Shapes:
    return models.shapes_of(models.build_untrained(name, 10), (32, 32))


@pytest.mark.parametrize(
    "maps",
    [
        {"stem": (4, 8, 8), "stage1": (4, 8, 8), "stage2": (8, 4, 4)},
        {"stem": (4, 8, 8), "stage1": (4, 8, 8), "stage2": (6, 2, 2)},
        {"stem": (4, 8, 8), "stage1": (4, 8, 8)},
    ],
    ids=["channels", "size", "number"],
)
def test_fsp_refuses_unequal_maps(maps):
    message = (
        r"fsp: the networks must have two or more maps .* \(student: stem 4x8x8, .*;"
        r" teacher: stem 4x8x8, stage1 4x8x8, stage2 6x4x4\); choose .* wrn_40_2 and wrn_16_2,"
    )
    with pytest.raises(LossError, match=message):
        FSP(shapes(6, **maps), shapes(9, **MAPS), weight=0.0, initial_epochs=30)


def test_fsp_refuses_a_single_map():
    single = shapes(6, stem=(4, 8, 8))
    with pytest.raises(LossError, match="two or more maps"):
        FSP(single, single, weight=0.0, initial_epochs=30)


def test_fsp_refuses_to_distil_nothing():
    with pytest.raises(LossError, match="fsp: initial_epochs and weight are both 0"):
        FSP(shapes(6, **MAPS), shapes(9, **MAPS), weight=0.0, initial_epochs=0)
    with pytest.raises(LossError, match="fsp: initial_epochs is -1; give 0 or more"):
        FSP(shapes(6, **MAPS), shapes(9, **MAPS), weight=0.0, initial_epochs=-1)
