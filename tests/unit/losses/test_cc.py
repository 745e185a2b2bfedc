import pytest
import torch

from losses import LossError
from losses.cc import CC, congruence
from tests.support.loss_inputs import make_batch, outputs_of, shapes


def make(student_width: int = 6, teacher_width: int = 9, **changes: float) -> CC:
    torch.manual_seed(0)
    setting = {"weight": 1.0, "width": 5} | changes
    return CC(shapes(student_width), shapes(teacher_width), **setting)


def test_both_heads_have_the_published_width():
    loss = make(64, 256, width=128)
    assert loss.student_head.weight.shape == (128, 64)
    assert loss.teacher_head.weight.shape == (128, 256)


def test_one_image_that_errs_alone_costs_nothing():
    teacher = torch.randn(5, 4)
    student = teacher.clone()
    student[2] += 1.0
    assert congruence(student, teacher) == 0.0
    student[3] -= 0.5
    torch.testing.assert_close(congruence(student, teacher), torch.tensor(4 * 0.5 / 4))


def test_the_term_is_weighted():
    networks = outputs_of(embedding=torch.randn(5, 6)), outputs_of(embedding=torch.randn(5, 9))
    once, weighted = (make(weight=x)(*networks, make_batch(5))["cc"] for x in (1.0, 0.02))
    torch.testing.assert_close(weighted, 0.02 * once)


def test_cc_refuses_a_batch_of_one():
    networks = outputs_of(embedding=torch.randn(1, 6)), outputs_of(embedding=torch.randn(1, 9))
    with pytest.raises(ValueError, match="cc: a batch of 1 has no neighbours; use batch_size >= 2"):
        make()(*networks, make_batch(1))


@pytest.mark.parametrize("name", ["weight", "width"])
def test_cc_refuses(name):
    with pytest.raises(LossError, match=f"cc: {name} is 0; give a number above 0"):
        make(**{name: 0})
