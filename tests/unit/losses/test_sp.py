import pytest
import torch
import torch.nn.functional as F

from losses import LossError
from losses.sp import SP, similarity_distance
from models.outputs import shapes_from
from tests.support.golden_cases import Case
from tests.support.loss_inputs import make_batch, outputs_of, shapes


def test_sp_compares_the_last_maps():
    case = Case("sp", "two_levels")
    student, teacher = (outputs_of(maps=case.maps(whose)) for whose in "st")
    loss = SP(shapes_from(student), shapes_from(teacher), weight=3000.0)
    assert loss.needs == ("feature_maps.stage2",)
    term = loss(student, teacher, make_batch(5))["sp"]
    torch.testing.assert_close(term, 3000.0 * case["loss_levels"][1], rtol=1e-7, atol=0)


def test_the_last_maps_may_be_of_different_stages():
    student = shapes(6, stem=(3, 8, 8), stage1=(4, 8, 8))
    teacher = shapes(9, stage1=(7, 8, 8), stage2=(9, 4, 4), stage3=(9, 2, 2))
    assert SP(student, teacher, weight=1.0).needs == ("feature_maps.stage3",)


def by_definition(student, teacher):
    """The distance as the reference has it."""
    rows = (x.flatten(1) @ x.flatten(1).T for x in (student, teacher))
    difference = torch.sub(*(F.normalize(x, dim=1) for x in rows))
    return difference.square().sum() / len(student) ** 2


def test_an_image_without_activations_has_no_large_gradient_and_leaves_the_others_alone():
    torch.manual_seed(0)
    teacher = torch.randn(5, 3, 4, 4)
    student = torch.randn(5, 3, 4, 4)
    student[2] = 0.0
    student.requires_grad_()
    losses = similarity_distance(student, teacher), by_definition(student, teacher)
    torch.testing.assert_close(*losses)
    ours, reference = (torch.autograd.grad(x, student)[0] for x in losses)
    # The reference divides by 1e-12 there.
    assert reference[2].abs().max() > 1e9
    assert ours[2].abs().max() < 1.0
    others = [0, 1, 3, 4]
    torch.testing.assert_close(ours[others], reference[others])


def test_sp_refuses_networks_without_stages():
    with pytest.raises(LossError, match=r"sp: the student has no map after a stage \(its maps: "):
        SP(shapes(6, stem=(3, 8, 8)), shapes(9, stage1=(7, 8, 8)), weight=1.0)
