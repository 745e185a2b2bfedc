import pytest
import torch
from torch import Tensor

from losses import LossError
from losses.cc import CC, congruence
from models.outputs import Outputs
from tests.support.golden_cases import Case, load_weights, make_batch, shapes

both_types = pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32], ids=["float64", "float32"]
)


def outputs(embedding: Tensor) -> Outputs:
    return Outputs(embedding.new_zeros(len(embedding), 10), embedding, {}, {})


def make(student_width: int = 6, teacher_width: int = 9, **changes: float) -> CC:
    torch.manual_seed(0)
    setting = {"weight": 1.0, "width": 5} | changes
    return CC(shapes(student_width), shapes(teacher_width), **setting)


@both_types
def test_cc_matches_the_reference(dtype):
    case = Case("cc", "embed", dtype)
    student = case.leaf("f_s")
    loss = make(6, 10, width=case.hyperparameters["feat_dim"])
    for head, network in ((loss.student_head, "s"), (loss.teacher_head, "t")):
        weights = {"weight": case[f"w_embed_{network}"], "bias": case[f"b_embed_{network}"]}
        load_weights(head, weights)
    term = loss(outputs(student), outputs(case["f_t"]), make_batch(len(student)))["cc"]
    case.assert_close(term, "loss")
    term.backward()
    case.assert_gradients(
        {
            "f_s": student,
            "w_embed_s": loss.student_head.weight,
            "b_embed_s": loss.student_head.bias,
            "w_embed_t": loss.teacher_head.weight,
            "b_embed_t": loss.teacher_head.bias,
        }
    )


@both_types
def test_congruence_matches_the_reference(dtype):
    case = Case("cc", "raw", dtype)
    student = case.leaf("e_s")
    loss = congruence(student, case["e_t"])
    case.assert_close(loss, "loss")
    loss.backward()
    case.assert_gradients({"e_s": student})


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
    student, teacher = outputs(torch.randn(5, 6)), outputs(torch.randn(5, 9))
    once = make()(student, teacher, make_batch(5))["cc"]
    torch.testing.assert_close(
        make(weight=0.02)(student, teacher, make_batch(5))["cc"], 0.02 * once
    )


def test_cc_refuses_a_batch_of_one():
    with pytest.raises(ValueError, match="cc: a batch of 1 has no neighbours; use batch_size >= 2"):
        make()(outputs(torch.randn(1, 6)), outputs(torch.randn(1, 9)), make_batch(1))


@pytest.mark.parametrize("name", ["weight", "width"])
def test_cc_refuses(name):
    with pytest.raises(LossError, match=f"cc: {name} is 0; give a number above 0"):
        make(**{name: 0})
