import numpy as np
import pytest
import torch
from torch import Tensor

from losses import LossError
from losses.dist import DIST, correlation
from models.outputs import Outputs
from tests.support.golden_cases import make_batch, shapes

SETTING = {"beta": 2.0, "gamma": 2.0, "dist_temperature": 4.0}


def outputs(logits: Tensor) -> Outputs:
    return Outputs(logits, logits.new_zeros(len(logits), 3), {}, {})


def make(classes: int = 10, **changes: float) -> DIST:
    network = shapes(3, classes=classes)
    return DIST(network, network, **SETTING | changes)


def terms_of(student: Tensor, teacher: Tensor, **changes: float) -> dict[str, Tensor]:
    loss = make(student.shape[1], **changes)
    return loss(outputs(student), outputs(teacher), make_batch(len(student)))


def softened(logits: np.ndarray, temperature: float) -> np.ndarray:
    powers = np.exp(logits / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def expected_terms(student: np.ndarray, teacher: np.ndarray, temperature: float) -> list[float]:
    """The mean distance of rows and of columns, times T**2; with NumPy's own correlation."""
    own, wanted = softened(student, temperature), softened(teacher, temperature)
    terms = []
    for pairs in (zip(own, wanted, strict=True), zip(own.T, wanted.T, strict=True)):
        distances = [1.0 - np.corrcoef(x, y)[0, 1] for x, y in pairs]
        terms.append(temperature**2 * float(np.mean(distances)))
    return terms


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(("num_images", "classes"), [(6, 10), (64, 100), (2, 3)])
def test_dist_is_pearsons_distance(num_images, classes, temperature, dtype):
    """But for the code's 1e-8 beside the product of norms, hence the tolerance."""
    generator = np.random.default_rng(0)
    student, teacher = 3 * generator.standard_normal((2, num_images, classes))
    terms = terms_of(
        torch.from_numpy(student).to(dtype),
        torch.from_numpy(teacher).to(dtype),
        beta=1.5,
        gamma=0.5,
        dist_temperature=temperature,
    )
    inter, intra = expected_terms(student, teacher, temperature)
    assert terms["inter"].item() == pytest.approx(1.5 * inter, rel=1e-4)
    assert terms["intra"].item() == pytest.approx(0.5 * intra, rel=1e-4)


def test_the_codes_epsilon_is_beside_the_product_of_norms():
    own, wanted = np.random.default_rng(1).standard_normal((2, 5, 7)) * 1e-4
    x, y = own - own.mean(1, keepdims=True), wanted - wanted.mean(1, keepdims=True)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    expected = torch.from_numpy((x * y).sum(1) / (norms + 1e-8))
    actual = correlation(torch.from_numpy(own), torch.from_numpy(wanted), dim=1)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    transposed = correlation(torch.from_numpy(own.T), torch.from_numpy(wanted.T), dim=0)
    torch.testing.assert_close(transposed, expected, rtol=1e-12, atol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    student = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(5, 7, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: sum(terms_of(x, teacher).values()), (student,))


@pytest.mark.parametrize("dim", [0, 1])
def test_scaling_and_shifting_probabilities_changes_no_correlation(dim):
    torch.manual_seed(0)
    own, wanted = torch.rand(2, 6, 10, dtype=torch.float64)
    shape = [1, 1]
    shape[1 - dim] = own.shape[1 - dim]
    scale, shift = torch.rand(2, *shape, dtype=torch.float64)
    torch.testing.assert_close(
        correlation((0.5 + scale) * own + shift, wanted, dim),
        correlation(own, wanted, dim),
        rtol=1e-6,
        atol=1e-6,
    )


def test_an_equal_student_is_at_distance_zero_and_an_opposite_one_at_two():
    values = torch.rand(5, 7, dtype=torch.float64)
    for dim in (0, 1):
        one = torch.ones(values.shape[1 - dim], dtype=torch.float64)
        torch.testing.assert_close(correlation(values, values, dim), one)
        torch.testing.assert_close(correlation(values, -values, dim), -one)


@pytest.mark.parametrize("spoilt", ["student", "teacher", "both"])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3])
def test_a_row_without_variance_has_correlation_zero_and_leaves_the_others_alone(spoilt, value):
    torch.manual_seed(0)
    student, teacher = torch.randn(6, 10), torch.randn(6, 10)
    whole = correlation(student.softmax(dim=1), teacher.softmax(dim=1), dim=1)
    for name, logits in (("student", student), ("teacher", teacher)):
        if spoilt in (name, "both"):
            logits[2] = value
    student.requires_grad_()
    found = correlation(student.softmax(dim=1), teacher.softmax(dim=1), dim=1)
    assert found[2] == 0.0
    kept = [0, 1, 3, 4, 5]
    torch.testing.assert_close(found[kept], whole[kept], rtol=0, atol=0)
    found.sum().backward()
    assert student.grad.abs().max() < 1e2
    assert student.grad[2].abs().max() == 0.0


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_columns_without_variance_are_finite_with_finite_gradients(temperature):
    """A network that says the same of every image, as one with a classifier of zeros does."""
    torch.manual_seed(0)
    for same in (torch.zeros(10), torch.randn(10)):
        student = same.repeat(6, 1).requires_grad_()
        terms = terms_of(student, torch.randn(6, 10), dist_temperature=temperature)
        assert terms["intra"] == 2.0 * temperature**2
        sum(terms.values()).backward()
        assert student.grad.abs().max() < 1e2


def test_a_batch_of_one_has_no_relation_between_images():
    student = torch.randn(1, 10, requires_grad=True)
    terms = terms_of(student, torch.randn(1, 10))
    assert terms["intra"] == 32.0
    sum(terms.values()).backward()
    assert student.grad.isfinite().all()


def test_very_confident_networks_stay_finite():
    student = (1e6 * torch.eye(4)).requires_grad_()
    terms = terms_of(student, 1e6 * torch.eye(4).flip(0))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert student.grad.isfinite().all()


def test_a_diverged_student_is_not_taken_for_a_constant_one():
    terms = terms_of(torch.full((4, 10), torch.nan), torch.randn(4, 10))
    assert all(term.isnan() for term in terms.values())


def test_a_term_of_weight_zero_is_left_out():
    student, teacher = torch.randn(4, 10), torch.randn(4, 10)
    assert list(terms_of(student, teacher, beta=0.0)) == ["intra"]
    assert list(terms_of(student, teacher, gamma=0.0)) == ["inter"]
    assert make(beta=0.0, gamma=0.0).needs == ()
    assert terms_of(student, teacher, beta=0.0, gamma=0.0) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta": -1.0}, r"dist: beta is -1\.0; give 0 or more"),
        ({"gamma": -1.0}, r"dist: gamma is -1\.0; give 0 or more"),
        ({"dist_temperature": 0.0}, r"dist: dist_temperature is 0\.0; give a number above 0"),
    ],
)
def test_dist_refuses(changes, message):
    with pytest.raises(LossError, match=message):
        make(**changes)


def test_dist_refuses_networks_of_different_classes():
    message = "dist: the student has 10 classes and the teacher 100; choose networks with the same"
    with pytest.raises(LossError, match=message):
        DIST(shapes(3, classes=10), shapes(3, classes=100), **SETTING)
