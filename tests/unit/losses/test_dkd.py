import pytest
import torch
from torch import Tensor

from losses import LossError
from losses.dkd import DKD, split
from losses.kd import kd_divergence
from models.outputs import Outputs
from tests.support.golden_cases import Case, case_names, make_batch, shapes

SETTING = {"alpha": 1.0, "beta": 8.0, "dkd_temperature": 4.0, "warmup_epochs": 0}


def outputs(logits: Tensor) -> Outputs:
    return Outputs(logits, logits.new_zeros(len(logits), 3), {}, {})


def make(classes: int, **changes: float) -> DKD:
    network = shapes(3, classes=classes)
    return DKD(network, network, **SETTING | changes)


def terms_of(
    student: Tensor, teacher: Tensor, labels: Tensor, epoch: int = 1, **changes: float
) -> dict[str, Tensor]:
    batch = make_batch(len(labels))._replace(labels=labels, epoch=epoch)
    return make(student.shape[1], **changes)(outputs(student), outputs(teacher), batch)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", case_names("dkd"))
def test_dkd_matches_the_reference(name, dtype):
    case = Case("dkd", name, dtype)
    given, logits = case.hyperparameters, case.leaf("y_s")
    changes = {"alpha": given["alpha"], "beta": given["beta"], "dkd_temperature": given["T"]}
    terms = terms_of(logits, case["y_t"], case["labels"], **changes)
    case.assert_close(terms["tckd"] / given["alpha"], "loss_tckd")
    case.assert_close(terms["nckd"] / given["beta"], "loss_nckd")
    total = sum(terms.values())
    case.assert_close(total, "loss")
    total.backward()
    case.assert_gradients({"y_s": logits})


def test_the_two_terms_make_up_kds_divergence():
    """For one image KD is TCKD + (1 - p_t) NCKD, what the paper starts from."""
    torch.manual_seed(0)
    student, teacher = torch.randn(1, 10).double(), torch.randn(1, 10).double()
    labels = torch.tensor([3])
    terms = terms_of(student, teacher, labels, beta=1.0)
    others = 1.0 - (teacher / 4.0).softmax(dim=1)[0, 3]
    expected = kd_divergence(student, teacher, 4.0)
    torch.testing.assert_close(terms["tckd"] + others * terms["nckd"], expected)


def test_the_other_classes_are_all_but_the_label():
    logits = torch.arange(12.0).reshape(3, 4)
    own, others = split(logits, torch.tensor([0, 2, 3]))
    assert own.tolist() == [[0], [6], [11]]
    assert others.tolist() == [[1, 2, 3], [4, 5, 7], [8, 9, 10]]


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("scale", [1e2, 1e4, 1e6])
def test_very_confident_networks_stay_finite(scale, temperature):
    """Right or wrong: each pair of student's and teacher's answers, with label 0."""
    answers = scale * torch.eye(3)
    student = answers.repeat_interleave(3, dim=0).requires_grad_()
    labels = torch.zeros(9, dtype=torch.int64)
    terms = terms_of(student, answers.repeat(3, 1), labels, dkd_temperature=temperature)
    sum(terms.values()).backward()
    assert all(term.isfinite() and term > 0 for term in terms.values())
    assert student.grad.isfinite().all()
    # A sure student that is wrong is told so; the code's value is infinite by then.
    assert student.grad[3, 0] < -1e-2


def test_the_weights_ramp_over_the_first_epochs():
    student, teacher = torch.randn(4, 10), torch.randn(4, 10)
    labels = torch.tensor([0, 3, 9, 1])
    full = terms_of(student, teacher, labels)
    for epoch, share in ((1, 0.05), (10, 0.5), (20, 1.0), (21, 1.0), (240, 1.0)):
        ramped = terms_of(student, teacher, labels, epoch=epoch, warmup_epochs=20)
        for name, term in full.items():
            torch.testing.assert_close(ramped[name], share * term)


def test_two_classes_leave_nothing_to_tell_apart():
    student, teacher = torch.randn(4, 2), torch.randn(4, 2)
    assert terms_of(student, teacher, torch.tensor([0, 1, 1, 0]))["nckd"] == 0.0


def test_a_term_of_weight_zero_is_left_out():
    student, teacher = torch.randn(4, 10), torch.randn(4, 10)
    labels = torch.tensor([0, 3, 9, 1])
    assert list(terms_of(student, teacher, labels, alpha=0.0)) == ["nckd"]
    assert list(terms_of(student, teacher, labels, beta=0.0)) == ["tckd"]
    assert make(10, alpha=0.0, beta=0.0).needs == ()
    assert terms_of(student, teacher, labels, alpha=0.0, beta=0.0) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": -1.0}, r"dkd: alpha is -1\.0; give 0 or more"),
        ({"beta": -1.0}, r"dkd: beta is -1\.0; give 0 or more"),
        ({"warmup_epochs": -1}, "dkd: warmup_epochs is -1; give 0 or more"),
        ({"dkd_temperature": 0.0}, r"dkd: dkd_temperature is 0\.0; give a number above 0"),
    ],
)
def test_dkd_refuses(changes, message):
    with pytest.raises(LossError, match=message):
        make(10, **changes)


def test_dkd_refuses_networks_of_different_classes():
    message = "dkd: the student has 10 classes and the teacher 100; choose networks with the same"
    with pytest.raises(LossError, match=message):
        DKD(shapes(3, classes=10), shapes(3, classes=100), **SETTING)
