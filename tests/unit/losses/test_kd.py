import torch

from losses import KD
from losses.kd import kd_divergence
from tests.support.loss_inputs import make_batch, random_outputs, shapes


def test_kd_adds_no_needs_parameters_or_terms():
    network = shapes(3)
    loss = KD(network, network)
    outputs = random_outputs(network, 2, 0, train=False)
    assert loss.needs == ()
    assert list(loss.parameters()) == []
    assert loss(outputs, outputs, make_batch(2)) == {}


def test_equal_logits_up_to_a_constant_have_no_divergence():
    logits = torch.randn(5, 7, dtype=torch.float64)
    shifted = (logits + 3.0).requires_grad_()
    divergence = kd_divergence(shifted, logits, 4.0)
    divergence.backward()
    torch.testing.assert_close(divergence, torch.zeros_like(divergence), rtol=0, atol=1e-14)
    torch.testing.assert_close(shifted.grad, torch.zeros_like(logits), rtol=0, atol=1e-14)


def test_confident_networks_that_disagree_stay_finite():
    student = torch.tensor([[500.0, 0.0, -500.0]], requires_grad=True)
    divergence = kd_divergence(student, student.detach().flip(1), 1.0)
    divergence.backward()
    assert divergence == 1000.0
    assert student.grad.isfinite().all()
