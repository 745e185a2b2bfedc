import pytest
import torch

from losses import KD, Objective
from losses.kd import kd_divergence
from models.outputs import Outputs
from tests.support.golden_cases import Case, case_names, make_batch, random_outputs, shapes

both_types = pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32], ids=["float64", "float32"]
)


@both_types
@pytest.mark.parametrize("name", case_names("kd"))
def test_kd_matches_the_reference(name, dtype):
    case = Case("kd", name, dtype)
    given = case.hyperparameters
    logits = case.leaf("y_s")
    network = shapes(3, classes=logits.shape[1])
    objective = Objective(
        KD(network, network),
        ce_weight=given.get("gamma_ce", 0.0),
        kd_weight=given.get("alpha_kd", 1.0),
        temperature=given["T"],
    )
    batch = make_batch(len(logits))
    if "labels" in case:
        batch = batch._replace(labels=case["labels"])
    embedding = logits.new_zeros(len(logits), 3)
    terms = objective(
        Outputs(logits, embedding, {}, {}), Outputs(case["y_t"], embedding, {}, {}), batch
    )
    assert list(terms) == ["ce", "kd"]
    total = sum(terms.values())
    case.assert_close(total, "loss")
    total.backward()
    case.assert_gradients({"y_s": logits})


def test_kd_has_nothing_of_its_own():
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
