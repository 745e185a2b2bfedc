import pytest
import torch
from torch import Tensor

from losses import LossError
from losses.ft import FT, Paraphraser, factor_distance
from losses.loss import InitialStage
from models.outputs import Shapes
from tests.support.loss_inputs import make_batch, random_outputs, shapes

STUDENT = shapes(6, stem=(3, 8, 8), stage1=(4, 8, 8), stage2=(6, 4, 4))
TEACHER = shapes(10, stem=(5, 8, 8), stage1=(7, 8, 8), stage2=(10, 4, 4))
PUBLISHED = {
    "weight": 200.0,
    "rate": 0.5,
    "form": "attention",
    "p1": 2,
    "p2": 1,
    "initial_epochs": 30,
    "initial_lr": 0.01,
}


def make(student: Shapes = STUDENT, teacher: Shapes = TEACHER, **changes: object) -> FT:
    torch.manual_seed(0)
    return FT(student, teacher, **{**PUBLISHED, **changes})


def run(loss: FT, student: Shapes = STUDENT) -> Tensor:
    maps = random_outputs(student, 3, 0, train=True), random_outputs(TEACHER, 3, 1, train=False)
    terms = loss(*maps, make_batch(3))
    assert list(terms) == ["ft"]
    return terms["ft"]


def test_the_term_compares_translated_and_paraphrased_maps():
    loss = make()
    student = random_outputs(STUDENT, 3, 0, train=True).feature_maps["stage2"]
    teacher = random_outputs(TEACHER, 3, 1, train=False).feature_maps["stage2"]
    factors = loss.translator(student), loss.paraphraser.encoder(teacher)
    torch.testing.assert_close(run(loss), 200 * factor_distance(*factors, p1=2, p2=1))
    whole = make(form="full", p1=None, p2=2)
    torch.testing.assert_close(run(whole), 200 * factor_distance(*factors, p1=None, p2=2))


def test_the_paraphraser_learns_in_the_initial_stage_and_is_frozen_after_it():
    loss = make()
    assert loss.initial_stage == InitialStage(
        30, ("feature_maps.stage2",), trains_student=False, lr=0.01
    )
    assert loss.needs == ("feature_maps.stage2",)
    run(loss).backward()
    assert all(x.grad is None for x in loss.paraphraser.parameters())
    assert all(x.grad is not None for x in loss.translator.parameters())
    loss.zero_grad()
    teacher = random_outputs(TEACHER, 3, 1, train=False)
    loss.initial_forward(None, teacher, make_batch(3))["reconstruction"].backward()
    assert all(x.grad is not None for x in loss.paraphraser.parameters())
    assert all(x.grad is None for x in loss.translator.parameters())


@pytest.mark.parametrize(("rate", "channels"), [(0.25, 2), (0.5, 5), (0.99, 9), (1.0, 10)])
def test_factors_have_a_fraction_of_the_teachers_channels_rounded_down(rate, channels):
    loss = make(rate=rate)
    assert loss.paraphraser.encoder(torch.zeros(1, 10, 4, 4)).shape == (1, channels, 4, 4)
    assert loss.translator(torch.zeros(2, 6, 4, 4)).shape == (2, channels, 4, 4)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_factors_of_different_sizes_are_pooled_to_match(size):
    student = shapes(6, stage1=(6, size, size))
    assert run(make(student), student).isfinite()


def test_a_paraphraser_keeps_the_shape_of_a_map():
    feature_map = torch.randn(2, 6, 3, 5)
    assert Paraphraser(6, 4)(feature_map).shape == feature_map.shape


@pytest.mark.parametrize("form", ["attention", "full"])
def test_factors_of_zeros_have_finite_gradients(form):
    factor = torch.zeros(2, 3, 4, 4, requires_grad=True)
    p1 = 2 if form == "attention" else None
    factor_distance(factor, torch.randn(2, 3, 4, 4), p1=p1, p2=1).backward()
    assert factor.grad.isfinite().all()


@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_a_network_without_stages_is_refused(whose):
    with pytest.raises(LossError, match=f"ft: the {whose} has no map after a stage"):
        make(**{whose: shapes(6, stem=(3, 8, 8))})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "factor"}, "ft: form is 'factor'; use one of attention, full"),
        ({"weight": 0.0}, "ft: weight is 0.0; give a number above 0"),
        ({"p1": None}, "ft: p1 is None; give a number above 0"),
        ({"p2": 0}, "ft: p2 is 0; give a number above 0"),
        ({"initial_lr": 0.0}, "ft: initial_lr is 0.0; give a number above 0"),
        ({"rate": 0.05}, r"ft: rate is 0.05, which leaves no channel .* give 0.1 or more"),
        ({"initial_epochs": 0}, "ft: initial_epochs is 0, which leaves the paraphraser untrained"),
    ],
)
def test_ft_refuses(changes, message):
    with pytest.raises(LossError, match=message):
        make(**changes)
