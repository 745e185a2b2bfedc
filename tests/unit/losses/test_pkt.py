import pytest
import torch
from torch import Tensor

from losses import LossError
from losses.pkt import PKT, neighbour_probabilities
from tests.support.loss_inputs import make_batch, outputs_of, random_outputs, shapes


def make(student_width: int, teacher_width: int, weight: float = 1.0) -> PKT:
    return PKT(shapes(student_width), shapes(teacher_width), weight=weight)


def term(student: Tensor, teacher: Tensor, weight: float = 1.0) -> Tensor:
    loss = make(student.shape[1], teacher.shape[1], weight)
    networks = outputs_of(embedding=student), outputs_of(embedding=teacher)
    return loss(*networks, make_batch(len(student)))["pkt"]


def test_the_term_is_weighted():
    student, teacher = torch.randn(6, 4), torch.randn(6, 9)
    torch.testing.assert_close(term(student, teacher, 3e4), 3e4 * term(student, teacher))


def test_probabilities_of_each_image_sum_to_one():
    probabilities = neighbour_probabilities(torch.randn(7, 4, dtype=torch.float64))
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(7, dtype=torch.float64))


def test_the_length_of_an_embedding_does_not_matter():
    student, teacher = torch.randn(6, 4).double(), torch.randn(6, 9).double()
    lengths = torch.linspace(1, 9, 6, dtype=torch.float64)[:, None]
    torch.testing.assert_close(term(lengths * student, teacher), term(student, teacher))


def test_a_batch_of_one_has_nothing_to_compare():
    network = shapes(4)
    student = random_outputs(network, 1, 0, train=True)
    loss = make(4, 4)(student, random_outputs(network, 1, 1, train=False), make_batch(1))["pkt"]
    loss.backward()
    assert loss == 0.0
    assert student.embedding.grad.abs().max() == 0.0


@pytest.mark.parametrize("which", ["student", "teacher", "both"])
def test_embeddings_of_zeros_keep_the_gradient_small(which):
    torch.manual_seed(0)
    student, teacher = torch.randn(6, 4), torch.randn(6, 9)
    if which != "teacher":
        student[0] = 0.0
    if which != "student":
        teacher[:2] = 0.0
    student.requires_grad_()
    loss = term(student, teacher)
    loss.backward()
    assert loss.isfinite()
    assert student.grad.abs().max() < 1.0


def test_opposite_embeddings_are_finite():
    """Their probability is 0, of which the logarithm is taken."""
    student = torch.tensor([[1.0, 2.0], [-1.0, -2.0]], requires_grad=True)
    loss = term(student, torch.tensor([[1.0, 2.0], [1.0, 2.0]]))
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()


def test_pkt_refuses_a_weight_of_zero():
    with pytest.raises(LossError, match=r"pkt: weight is 0\.0; give a number above 0"):
        make(4, 4, weight=0.0)
