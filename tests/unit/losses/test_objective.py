import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses import (
    COMMON,
    ITRD,
    KD,
    Batch,
    DistillationLoss,
    LossError,
    Objective,
    Plain,
    TrainingData,
)
from losses import build_objective as build
from losses.kd import kd_divergence
from models.outputs import Outputs, Shapes
from search_spaces import SPACES
from tests.support.loss_inputs import make_batch, random_outputs, shapes

NETWORK = shapes(6)


class Hint(DistillationLoss):
    """A minimal method: the student's embedding times a trained scale."""

    needs = ("embedding",)

    def __init__(self, student: Shapes, teacher: Shapes, *, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.scale = nn.Parameter(torch.ones(()))
        self.started: TrainingData | None = None

    def start(self, training: TrainingData) -> None:
        self.started = training

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        return {"hint": self.weight * self.scale * (student.embedding - teacher.embedding).mean()}


class RotatedHint(Hint):
    needs = ("rotations.embedding",)
    rotates = True


def run(objective: Objective, num_images: int = 5, num_rows: int = 5) -> dict[str, Tensor]:
    student = random_outputs(NETWORK, num_rows, 0, train=True)
    teacher = random_outputs(NETWORK, num_rows, 1, train=False)
    return objective(student, teacher, make_batch(num_images))


def hint(**weights: float) -> Objective:
    return Objective(Hint(NETWORK, NETWORK), **weights)


def test_the_terms_are_cross_entropy_kd_and_the_methods_in_this_order():
    student = random_outputs(NETWORK, 5, 0, train=True)
    teacher = random_outputs(NETWORK, 5, 1, train=False)
    batch = make_batch(5)
    terms = hint(ce_weight=0.5, kd_weight=2.0, temperature=3.0)(student, teacher, batch)
    assert list(terms) == ["ce", "kd", "hint"]
    expected_ce = 0.5 * F.cross_entropy(student.logits, batch.labels)
    torch.testing.assert_close(terms["ce"], expected_ce)
    expected_kd = 2.0 * kd_divergence(student.logits, teacher.logits, 3.0)
    torch.testing.assert_close(terms["kd"], expected_kd)
    torch.testing.assert_close(terms["hint"], (student.embedding - teacher.embedding).mean())


def test_plain_training_is_the_default():
    terms = run(Objective(Plain(NETWORK)))
    assert list(terms) == ["ce"]
    torch.testing.assert_close(terms, run(Objective(KD(NETWORK, NETWORK))))


def test_plain_needs_no_teacher():
    student = random_outputs(NETWORK, 5, 0, train=True)
    objective = Objective(Plain(NETWORK), ce_weight=0.5)
    assert objective.needs == ()
    assert list(objective(student, None, make_batch(5))) == ["ce"]


def test_cross_entropy_of_weight_zero_is_still_a_term():
    assert run(hint(ce_weight=0.0))["ce"] == 0.0


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_logits_are_needed_for_kd_only(weight):
    objective = hint(kd_weight=weight)
    assert objective.needs == (("embedding", "logits") if weight else ("embedding",))
    assert ("kd" in run(objective)) == bool(weight)


def test_needs_are_named_once():
    class LogitsToo(Hint):
        needs = ("logits", "embedding")

    objective = Objective(LogitsToo(NETWORK, NETWORK), kd_weight=1.0)
    assert objective.needs == ("logits", "embedding")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"ce_weight": -0.1}, "^ce_weight is -0.1; give 0 or more$"),
        ({"kd_weight": -1.0}, "^kd_weight is -1.0; give 0 or more$"),
        (
            {"kd_weight": 1.0, "temperature": 0.0},
            "^temperature is 0.0; give a number above 0$",
        ),
    ],
)
def test_an_objective_refuses(weights, message):
    with pytest.raises(LossError, match=message):
        hint(**weights)


def test_an_unused_temperature_is_not_checked():
    assert "kd" not in run(hint(temperature=0.0))


def test_rotated_images_are_classified_upright():
    """Cross-entropy and KD see the unrotated rows, the method all of them."""
    objective = Objective(RotatedHint(NETWORK, NETWORK), kd_weight=1.0)
    assert objective.needs == ("rotations.embedding", "rotations.logits")
    student = random_outputs(NETWORK, 20, 0, train=True)
    teacher = random_outputs(NETWORK, 20, 1, train=False)
    batch = make_batch(5)
    terms = objective(student, teacher, batch)
    upright = student.logits[[0, 4, 8, 12, 16]]
    torch.testing.assert_close(terms["ce"], F.cross_entropy(upright, batch.labels))
    expected = kd_divergence(upright, teacher.logits[[0, 4, 8, 12, 16]], 4.0)
    torch.testing.assert_close(terms["kd"], expected)
    torch.testing.assert_close(terms["hint"], (student.embedding - teacher.embedding).mean())


def test_heads_of_the_method_are_parameters_and_in_the_state():
    objective = hint()
    assert [name for name, _ in objective.named_parameters()] == ["loss.scale"]
    assert list(objective.state_dict()) == ["loss.scale"]


def test_the_method_receives_the_training_data():
    objective = hint()
    training = TrainingData(torch.arange(4), torch.zeros(4, dtype=torch.int64), num_epochs=2)
    objective.start(training)
    assert objective.loss.started is training


def test_a_setting_is_split_into_the_methods_part_and_the_common_one():
    setting = {"weight": 3.0, "ce_weight": 0.5, "kd_weight": 2.0, "temperature": 8.0}
    objective = build(Hint, NETWORK, NETWORK, setting)
    assert objective.loss.weight == 3.0
    assert tuple(getattr(objective, name) for name in COMMON) == (0.5, 2.0, 8.0)


def test_a_setting_without_the_common_part_is_plain_training_and_the_method():
    own = {k: v for k, v in SPACES["itrd"].published().items() if k not in COMMON}
    objective = build(ITRD, NETWORK, NETWORK, own)
    assert tuple(getattr(objective, name) for name in COMMON) == (1.0, 0.0, 4.0)


def test_a_loss_that_does_not_fit_is_refused_from_a_setting_too():
    setting = SPACES["itrd"].published() | {"form": "paper"}
    with pytest.raises(LossError, match="itrd: form is 'paper'"):
        build(ITRD, NETWORK, NETWORK, setting)
