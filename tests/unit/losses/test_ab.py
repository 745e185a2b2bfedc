import pytest
import torch
from torch import Tensor

import models
from losses import LossError
from losses.ab import AB, hinge
from losses.loss import InitialStage
from models.outputs import Outputs, Shapes, shapes_from
from tests.support.golden_cases import Case
from tests.support.loss_inputs import (
    STUDENT,
    TEACHER,
    make_batch,
    random_outputs,
    shapes,
)

PUBLISHED = {"weight": 0.0, "margin": 1.0, "initial_epochs": 30}


def make(student: Shapes = STUDENT, teacher: Shapes = TEACHER, **changes: object) -> AB:
    torch.manual_seed(0)
    return AB(student, teacher, **{**PUBLISHED, **changes})


def initial_term(loss: AB, student: Outputs, teacher: Outputs) -> Tensor:
    terms = loss.initial_forward(student, teacher, make_batch(len(teacher.logits)))
    assert list(terms) == ["ab"]
    return terms["ab"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_loss_of_each_level_matches_the_reference(dtype):
    case = Case("ab", "margin1p0", dtype)
    levels = [hinge(case[f"s{i}"], case[f"t{i}"], 1.0) * 2.0 ** (i - 2) for i in range(3)]
    case.compare("loss_levels", torch.stack(levels))


@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_a_unit_beyond_the_margin_on_the_teachers_side_has_no_error(margin):
    student = torch.tensor([-2.0, -1.0, -0.25, 0.0, 0.25, 1.0, 2.0])[None]
    below = (student + margin).clamp_min(0).square()
    above = (margin - student).clamp_min(0).square()
    for teacher, expected in ((-3.0, below), (0.0, below), (1e-6, above)):
        actual = hinge(student, torch.full_like(student, teacher), margin)
        torch.testing.assert_close(actual, 3 / 1000 * expected.sum())


def test_the_published_setting_has_an_initial_stage_and_no_term_after_it():
    loss = make()
    maps = ("pre_activation_maps.stage1", "pre_activation_maps.stage2")
    assert loss.initial_stage == InitialStage(30, maps, trains_student=True, lr=None)
    assert loss.needs == ()
    empty = Outputs(torch.zeros(2, 10), torch.zeros(2, 9), {}, {})
    assert loss(random_outputs(STUDENT, 2, 0, train=True), empty, make_batch(2)) == {}


def test_a_joint_use_weighs_the_same_loss():
    student = random_outputs(STUDENT, 4, 0, train=True)
    teacher = random_outputs(TEACHER, 4, 1, train=False)
    loss = make(weight=0.5, initial_epochs=0)
    assert loss.initial_stage is None
    assert loss.needs == ("pre_activation_maps.stage1", "pre_activation_maps.stage2")
    term = loss(student, teacher, make_batch(4))["ab"]
    torch.testing.assert_close(term, 0.5 * initial_term(loss, student, teacher))


def test_the_initial_stage_reaches_the_student_before_its_embedding():
    torch.manual_seed(0)
    network = models.build("resnet8", 10)
    student = network(torch.randn(2, 3, 32, 32))
    maps = {name: torch.randn_like(x) for name, x in student.pre_activation_maps.items()}
    teacher = student._replace(pre_activation_maps=maps)
    loss = make(shapes_from(student), shapes_from(teacher))
    initial_term(loss, student, teacher).backward()
    without = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert without == {"fc.weight", "fc.bias"}


def test_a_student_of_half_the_teachers_size_gets_a_larger_map():
    student = shapes(6, stage1=(4, 4, 4), stage2=(6, 2, 2))
    loss = make(student)
    maps = random_outputs(student, 2, 0, train=True)
    assert initial_term(loss, maps, random_outputs(TEACHER, 2, 1, train=False)).isfinite()


@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_a_network_without_pre_activation_maps_is_refused(whose):
    without = {"student": STUDENT, "teacher": TEACHER}
    without[whose] = without[whose]._replace(pre_activation_maps={}, name="mine")
    with pytest.raises(LossError, match=f"ab: the {whose} mine has no pre-activation maps"):
        make(**without)


def test_different_numbers_of_stages_are_refused():
    deeper = shapes(9, stem=(5, 8, 8), stage1=(7, 8, 8), stage2=(9, 4, 4), stage3=(9, 2, 2))
    with pytest.raises(LossError, match="ab: the student has 2 stages and the teacher 3"):
        make(teacher=deeper)


def test_a_student_map_that_no_connector_can_enlarge_is_refused():
    student = shapes(6, stage1=(4, 2, 2), stage2=(6, 2, 2))
    with pytest.raises(LossError, match="ab: the student's map of 4x2x2"):
        make(student)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": 0.0}, "ab: margin is 0.0; give a number above 0"),
        ({"weight": -1.0}, "ab: weight is -1.0; give 0 or more"),
        ({"initial_epochs": -1}, "ab: initial_epochs is -1; give 0 or more"),
        ({"initial_epochs": 0}, "ab: weight and initial_epochs are both 0"),
    ],
)
def test_ab_refuses(changes, message):
    with pytest.raises(LossError, match=message):
        make(**changes)
