import pytest
import torch
from torch import Tensor

from losses import ITRD, LossError
from losses.itrd import (
    correlation_loss,
    mutual_information_loss,
    polynomial_kernel,
    silverman_width,
    unit_correlation,
)
from tests.support.loss_inputs import make_batch, outputs_of, shapes

PUBLISHED = {
    "beta_corr": 2.0,
    "beta_mi": 1.0,
    "alpha": 1.01,
    "kernel": "polynomial",
    "degree": 1,
    "offset": 0.0,
    "sigma": None,
    "h": None,
    "normalise": True,
    "log2": False,
    "form": "stable",
}
RBF = {"kernel": "rbf", "degree": None, "offset": None, "h": 1.0}
# No warning for the deviation of one row, which "official" computes.
pytestmark = pytest.mark.filterwarnings("ignore:std:UserWarning")


def make(student_width: int, teacher_width: int, **changes: object) -> ITRD:
    torch.manual_seed(0)
    return ITRD(shapes(student_width), shapes(teacher_width), **{**PUBLISHED, **changes})


def terms_of(loss: ITRD, student: Tensor, teacher: Tensor) -> dict[str, Tensor]:
    networks = outputs_of(embedding=student), outputs_of(embedding=teacher)
    return loss(*networks, make_batch(len(student)))


@pytest.mark.parametrize("changes", [{}, {"log2": True}, {"degree": 2, "offset": 1.0}, RBF])
@pytest.mark.parametrize("seed", range(5))
def test_stable_equals_official_where_official_is_finite(changes, seed):
    torch.manual_seed(seed)
    values = []
    inputs = torch.randn(16, 6, dtype=torch.float64).relu(), torch.randn(16, 9).double()
    for form in ("stable", "official"):
        loss = make(6, 9, form=form, alpha=1.01 + seed, **changes).double()
        student = inputs[0].clone().requires_grad_()
        terms = terms_of(loss, student, inputs[1])
        (terms["corr"] + terms["mi"]).backward()
        values.append((terms["corr"], terms["mi"], student.grad, loss.embed.weight.grad))
    torch.testing.assert_close(values[0], values[1], rtol=1e-12, atol=1e-12)


def constant_student_unit(student: Tensor, teacher: Tensor) -> None:
    student[:, 0] = 0.1


def constant_teacher_unit(student: Tensor, teacher: Tensor) -> None:
    teacher[:, 0] = 0.1


def dead_teacher_unit(student: Tensor, teacher: Tensor) -> None:
    teacher[:, 2] = 0.0


def student_row_of_zeros(student: Tensor, teacher: Tensor) -> None:
    student[0] = 0.0


def no_teacher_embedding(student: Tensor, teacher: Tensor) -> None:
    teacher[:] = 0.0


def no_student_embedding(student: Tensor, teacher: Tensor) -> None:
    student[:] = 0.0


def identical_students(student: Tensor, teacher: Tensor) -> None:
    student[:] = student[0].clone()


def identical_teachers(student: Tensor, teacher: Tensor) -> None:
    teacher[:] = teacher[0].clone()


def no_image_in_common(student: Tensor, teacher: Tensor) -> None:
    student[:4] = 0.0
    teacher[4:] = 0.0


DEGENERATE = [
    constant_student_unit,
    constant_teacher_unit,
    dead_teacher_unit,
    student_row_of_zeros,
    no_teacher_embedding,
    no_student_embedding,
    identical_students,
    identical_teachers,
    no_image_in_common,
]


@pytest.mark.parametrize("changes", [{}, {"log2": True}, {"degree": 2, "offset": 1.0}, RBF])
@pytest.mark.parametrize("num_images", [1, 8])
@pytest.mark.parametrize("teacher_width", [6, 9])
@pytest.mark.parametrize("spoil", DEGENERATE)
def test_stable_is_finite_with_finite_gradients(spoil, teacher_width, num_images, changes):
    torch.manual_seed(1)
    student, teacher = torch.randn(num_images, 6), torch.randn(num_images, teacher_width)
    spoil(student, teacher)
    student.requires_grad_()
    # Lets the constant unit reach the correlation, as no bias or other unit is mixed in.
    loss = make(6, teacher_width, **changes)
    torch.nn.init.eye_(loss.embed.weight)
    torch.nn.init.zeros_(loss.embed.bias)
    terms = terms_of(loss, student, teacher)
    assert all(term.isfinite() for term in terms.values())
    sum(terms.values()).backward()
    for gradient in (student.grad, loss.embed.weight.grad, loss.embed.bias.grad):
        # Far below what a division by 1e-12 or by a rounding error would leave.
        assert gradient.abs().max() < 1e3


@pytest.mark.parametrize("spoil", [constant_student_unit, dead_teacher_unit])
def test_official_is_nan_for_a_constant_unit(spoil):
    torch.manual_seed(1)
    student, teacher = torch.randn(8, 6), torch.randn(8, 6)
    spoil(student, teacher)
    if spoil is constant_student_unit:
        student[:, 0] = 0.0
    loss = make(6, 6, form="official")
    torch.nn.init.eye_(loss.embed.weight)
    torch.nn.init.zeros_(loss.embed.bias)
    assert terms_of(loss, student, teacher)["corr"].isnan()


def test_official_is_nan_for_a_batch_of_one():
    loss = make(6, 9, form="official")
    assert terms_of(loss, torch.randn(1, 6), torch.randn(1, 9))["corr"].isnan()


def test_a_constant_unit_has_correlation_zero_and_leaves_the_others_alone():
    torch.manual_seed(0)
    student, teacher = torch.randn(8, 5), torch.randn(8, 5)
    whole = unit_correlation(student, teacher, stable=True)
    student[:, 1], teacher[:, 3] = 0.3, -7.0
    spoilt = unit_correlation(student, teacher, stable=True)
    assert spoilt[1] == spoilt[3] == 0.0
    torch.testing.assert_close(spoilt[[0, 2, 4]], whole[[0, 2, 4]], rtol=0, atol=0)


def test_a_perfect_match_has_correlation_n_minus_1_over_n():
    embedding = torch.randn(8, 5, dtype=torch.float64)
    correlation = unit_correlation(embedding, embedding, stable=True)
    torch.testing.assert_close(correlation, torch.full_like(correlation, 7 / 8))


def test_a_diverged_student_is_not_taken_for_a_constant_one():
    terms = terms_of(make(6, 9), torch.full((8, 6), torch.nan), torch.randn(8, 9))
    assert terms["corr"].isnan()
    assert terms["mi"].isnan()


def test_tiny_correlation_errors_survive_float32():
    errors = torch.full((4,), 2.0**-9)
    assert correlation_loss(1 - errors, 10.0, stable=False) == -torch.inf
    expected = torch.tensor(2.0 - 20 * 9)
    torch.testing.assert_close(correlation_loss(1 - errors, 10.0, stable=True), expected)


@pytest.mark.parametrize("log2", [False, True])
def test_nothing_in_common_is_a_mutual_information_loss_of_zero(log2):
    zeros = torch.zeros(4, 4)
    gram = polynomial_kernel(torch.randn(4, 3), 2, 0.0)
    assert mutual_information_loss(gram, zeros, log2=log2, stable=True) == 0.0
    assert mutual_information_loss(gram, zeros, log2=log2, stable=False).isnan()


def test_silverman_width_is_nearly_h_for_wide_embeddings():
    assert silverman_width(5.0, 64, 64) == pytest.approx(5.0 * 64 ** (-1 / 68))


def test_a_given_sigma_replaces_silvermans_rule():
    student, teacher = torch.randn(8, 6), torch.randn(8, 6)
    by_rule = terms_of(make(6, 6, beta_corr=0.0, **RBF), student, teacher)
    sigma = silverman_width(1.0, 8, 6)
    given = terms_of(
        make(6, 6, beta_corr=0.0, **RBF | {"sigma": sigma, "h": None}), student, teacher
    )
    assert by_rule["mi"] == given["mi"]


def test_equal_widths_embed_for_the_correlation_only():
    teacher = torch.randn(8, 6)
    loss = make(6, 6, beta_corr=0.0)
    assert loss.embed is None
    torch.testing.assert_close(
        terms_of(loss, teacher, teacher)["mi"], terms_of(make(6, 6), teacher, teacher)["mi"]
    )


def test_a_term_of_weight_zero_is_left_out():
    student, teacher = torch.randn(8, 6), torch.randn(8, 9)
    assert list(terms_of(make(6, 9, beta_mi=0.0), student, teacher)) == ["corr"]
    assert list(terms_of(make(6, 9, beta_corr=0.0), student, teacher)) == ["mi"]
    nothing = make(6, 9, beta_corr=0.0, beta_mi=0.0)
    assert nothing.needs == ()
    assert list(nothing.parameters()) == []


def test_imagenet_resnet18_gets_a_head_of_512_by_512():
    assert sum(p.numel() for p in make(512, 512).parameters()) == 262_656


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": "rfb"}, "itrd: kernel is 'rfb'; use one of polynomial, rbf"),
        ({"form": "paper"}, "itrd: form is 'paper'; use one of stable, official"),
        ({"degree": None}, "itrd: degree is None; give a number above 0"),
        (RBF | {"sigma": 0.0}, "itrd: sigma is 0.0; give a number above 0"),
        (RBF | {"h": None}, "itrd: h is None; give a number above 0"),
    ],
)
def test_itrd_refuses(changes, message):
    with pytest.raises(LossError, match=message):
        make(6, 9, **changes)
