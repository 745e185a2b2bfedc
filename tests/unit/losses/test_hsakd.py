from typing import Any

import pytest
import torch
from torch import Tensor, nn

from losses import LossError
from losses.hsakd import HSAKD, decay_epochs, joint_labels
from models.outputs import Outputs, Shapes, rotations
from tests.support.golden_cases import Case
from tests.support.loss_inputs import make_batch, network_shapes, random_outputs, shapes

STUDENT, TEACHER = network_shapes("wrn_10_1"), network_shapes("resnet8")
PUBLISHED = {
    "branch_weight": 1.0,
    "logit_weight": 1.0,
    "hsakd_temperature": 3.0,
    "initial_epochs": 100,
    "initial_lr": 0.05,
}


def make(student: Shapes = STUDENT, teacher: Shapes = TEACHER, **changes: Any) -> HSAKD:
    torch.manual_seed(0)
    return HSAKD(student, teacher, **{**PUBLISHED, **changes})


def outputs(shapes: Shapes, seed: int, num_images: int = 3) -> Outputs:
    return random_outputs(shapes, 4 * num_images, seed, train=True)


def run(loss: HSAKD) -> dict[str, Tensor]:
    return loss(outputs(STUDENT, 0), outputs(TEACHER, 1), make_batch(3))


def state(branches: nn.Module) -> list[Tensor]:
    return [x.clone() for x in branches.state_dict().values()]


def unchanged(branches: nn.Module, before: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(state(branches), before, strict=True))


def test_images_are_rotated_and_labelled_as_in_the_reference():
    case = Case("hsakd", "offline_loss")
    torch.testing.assert_close(rotations(case["image"]), case["rotated_batch"], rtol=0, atol=0)
    assert torch.equal(joint_labels(case["labels"]), case["joint_labels"])


def test_the_terms_are_weighted():
    once, more = run(make()), run(make(branch_weight=2.0, logit_weight=3.0))
    torch.testing.assert_close(more["branches"], 2 * once["branches"])
    torch.testing.assert_close(more["logits"], 3 * once["logits"])


def test_a_term_of_weight_zero_is_left_out():
    loss = make(logit_weight=0.0)
    assert list(run(loss)) == ["branches"]
    assert "rotations.logits" not in loss.needs
    # Without branches any network will do.
    loss = make(shapes(6), shapes(9), branch_weight=0.0, initial_epochs=0)
    assert loss.needs == ("rotations.logits",)
    assert loss.initial_stage is None
    assert list(loss.parameters()) == []
    assert list(run(loss)) == ["logits"]


def test_the_teachers_branches_learn_in_the_initial_stage_alone():
    loss = make()
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    teacher, batch = outputs(TEACHER, 1), make_batch(3)

    def step(terms: dict[str, Tensor]) -> None:
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()

    mine, teachers = state(loss.student_branches), state(loss.teacher_branches)
    loss.train()
    step(loss.initial_forward(None, teacher, batch))
    assert unchanged(loss.student_branches, mine)
    assert not unchanged(loss.teacher_branches, teachers)
    optimizer.state.clear()
    teachers = state(loss.teacher_branches)
    for _ in range(2):
        loss.train()
        step(loss(outputs(STUDENT, 0), teacher, batch))
    assert not unchanged(loss.student_branches, mine)
    assert unchanged(loss.teacher_branches, teachers)


def test_the_teachers_batch_norms_use_the_batch_in_the_initial_stage_alone():
    loss = make()
    shifted = outputs(TEACHER, 1)
    shifted = shifted._replace(feature_maps={k: x + 5 for k, x in shifted.feature_maps.items()})
    norms = [x for x in loss.teacher_branches.modules() if isinstance(x, nn.BatchNorm2d)]

    def batches_seen() -> set[int]:
        return {int(norm.num_batches_tracked) for norm in norms}

    for mode in (True, False):
        loss.train(mode)
        loss(outputs(STUDENT, 0), shifted, make_batch(3))
        assert batches_seen() == {0}
        assert not any(norm.training for norm in norms)
    loss.initial_forward(None, shifted, make_batch(3))  # in evaluation
    assert batches_seen() == {0}
    loss.train().initial_forward(None, shifted, make_batch(3))
    assert batches_seen() == {1}
    assert not any(norm.training for norm in norms)
    assert all(x.training for x in loss.student_branches.modules())


def test_the_initial_stage_is_the_published_one():
    stage = make().initial_stage
    assert stage.num_epochs == 100
    assert stage.lr == 0.05
    assert stage.lr_decay_epochs == (30, 60, 90)
    assert not stage.trains_student
    assert stage.needs == tuple(f"rotations.feature_maps.stage{k}" for k in (1, 2, 3))


@pytest.mark.parametrize(
    ("num_epochs", "expected"), [(1, ()), (2, (1,)), (4, (1, 2, 3)), (10, (3, 6, 9))]
)
def test_the_rate_drops_in_proportion(num_epochs, expected):
    assert decay_epochs(num_epochs) == expected


def test_branches_are_paired_by_position_up_to_the_shorter_network():
    vgg = network_shapes("vgg8")
    expected = (("stem", "stage1"), ("stage1", "stage2"), ("stage2", "stage3"))
    assert make(student=vgg).pairs == expected
    loss = make(teacher=vgg)
    assert loss.pairs == tuple((s, t) for t, s in expected)
    assert len(loss.student_branches) == len(loss.teacher_branches) == 3
    loss(outputs(STUDENT, 0), outputs(vgg, 1), make_batch(3))


def test_students_branches_reach_every_stage_of_the_student():
    student = outputs(STUDENT, 0)
    loss = make(logit_weight=0.0)
    loss(student, outputs(TEACHER, 1), make_batch(3))["branches"].backward()
    for name in ("stage1", "stage2", "stage3"):
        assert student.feature_maps[name].grad.any()
    assert all(x.grad.any() for x in loss.student_branches.parameters() if x.dim() > 1)
    assert all(x.grad is None for x in loss.teacher_branches.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"student": STUDENT._replace(name="")},
            "hsakd repeats the student's later stages and needs a built-in network, but"
            " the student is unnamed; choose a network of models/",
        ),
        (
            {"teacher": TEACHER._replace(name="mine")},
            "hsakd repeats the teacher's later stages and needs a built-in network, but"
            " the teacher is mine; choose a network of models/",
        ),
        (
            {"student": STUDENT._replace(image=(3, 32, 24))},
            r"hsakd rotates images by 90 degrees and needs square ones, but these are"
            r" 32x24 \(height x width\); give square images or choose another method",
        ),
        ({"initial_epochs": 0}, "hsakd: initial_epochs is 0; give a number above 0"),
        ({"initial_lr": 0.0}, "hsakd: initial_lr is 0.0; give a number above 0"),
        ({"hsakd_temperature": -1.0}, "hsakd: hsakd_temperature is -1.0; give a number above 0"),
    ],
)
def test_hsakd_refuses(changes, message):
    with pytest.raises(LossError, match=message):
        make(**changes)
