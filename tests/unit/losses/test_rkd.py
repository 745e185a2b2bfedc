import math

import pytest
import torch
from torch import Tensor

from losses import LossError
from losses.rkd import RKD
from tests.support.loss_inputs import make_batch, outputs_of, shapes


def make(student_width: int, teacher_width: int, **changes: float) -> RKD:
    setting = {"distance_weight": 1.0, "angle_weight": 1.0} | changes
    return RKD(shapes(student_width), shapes(teacher_width), **setting)


def terms_of(student: Tensor, teacher: Tensor, **changes: float) -> dict[str, Tensor]:
    loss = make(student.shape[1], teacher.shape[1], **changes)
    networks = outputs_of(embedding=student), outputs_of(embedding=teacher)
    return loss(*networks, make_batch(len(student)))


def test_a_translated_rotated_and_scaled_copy_has_no_loss():
    torch.manual_seed(0)
    teacher = torch.randn(7, 4, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))
    for term in terms_of(3.0 * teacher @ rotation + 5.0, teacher).values():
        torch.testing.assert_close(term, torch.zeros_like(term), rtol=0, atol=1e-14)


def test_two_images_have_one_distance_and_no_angle():
    student = torch.randn(2, 4, requires_grad=True)
    terms = terms_of(student, torch.randn(2, 9))
    torch.testing.assert_close(torch.stack(list(terms.values())), torch.zeros(2))


def test_angles_are_measured_at_the_first_image():
    """A right angle at the corner, 45 degrees at the two ends; the teacher has a line."""
    corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    # Ordered pairs (j, k) at the corners: cosines 0, 1/sqrt 2, 1/sqrt 2 against 1, -1, 1.
    errors = [1.0, 1.0 + math.sqrt(0.5), 1.0 - math.sqrt(0.5)]
    smooth = [e - 0.5 if e >= 1 else e**2 / 2 for e in errors]
    expected = torch.tensor(2 * sum(smooth) / 27, dtype=torch.float64)
    torch.testing.assert_close(terms_of(corner, line)["angle"], expected)


def coincident_students(student: Tensor, teacher: Tensor) -> None:
    student[1] = student[0].clone()


def coincident_teachers(student: Tensor, teacher: Tensor) -> None:
    teacher[1] = teacher[0].clone()


def collapsed_student(student: Tensor, teacher: Tensor) -> None:
    student[:] = student[0].clone()


def collapsed_teacher(student: Tensor, teacher: Tensor) -> None:
    teacher[:] = teacher[0].clone()


@pytest.mark.parametrize("num_images", [2, 8])
@pytest.mark.parametrize(
    "spoil", [coincident_students, coincident_teachers, collapsed_student, collapsed_teacher]
)
def test_coinciding_embeddings_keep_the_gradient_small(spoil, num_images):
    torch.manual_seed(0)
    student, teacher = torch.randn(num_images, 6), torch.randn(num_images, 9)
    spoil(student, teacher)
    student.requires_grad_()
    terms = terms_of(student, teacher)
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    # Far below the 1e6 that a division by the smallest distance would leave.
    assert student.grad.abs().max() < 10.0


def test_a_term_of_weight_zero_is_left_out():
    student, teacher = torch.randn(5, 6), torch.randn(5, 9)
    assert list(terms_of(student, teacher, distance_weight=0.0)) == ["angle"]
    assert list(terms_of(student, teacher, angle_weight=0.0)) == ["distance"]
    assert make(6, 9, distance_weight=0.0, angle_weight=0.0).needs == ()
    assert terms_of(student, teacher, distance_weight=0.0, angle_weight=0.0) == {}


def test_a_diverged_student_is_not_hidden():
    terms = terms_of(torch.full((4, 6), torch.nan), torch.randn(4, 9))
    assert all(term.isnan() for term in terms.values())


def test_rkd_refuses_a_batch_of_one():
    with pytest.raises(ValueError, match="rkd: a batch of 1 has no distances; use batch_size >= 2"):
        terms_of(torch.randn(1, 6), torch.randn(1, 9))


@pytest.mark.parametrize("name", ["distance_weight", "angle_weight"])
def test_rkd_refuses(name):
    with pytest.raises(LossError, match=rf"rkd: {name} is -1\.0; give 0 or more"):
        make(6, 9, **{name: -1.0})
