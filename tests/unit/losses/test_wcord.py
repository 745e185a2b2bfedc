import io

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from losses import LossError, TrainingData, WCoRD
from losses.wcord import LipschitzCritic, transport_cost, transport_plan
from tests.support.loss_inputs import make_batch, random_outputs, shapes

STUDENT, TEACHER = shapes(6), shapes(9)
SETTING = {
    "lambda_global": 0.8,
    "lambda_local": 0.05,
    "epsilon": 0.1,
    "num_negatives": 7,
    "negative_weight": 1.0,
    "negatives": "other_class",
    "momentum": 0.5,
    "width": 8,
    "num_iterations": 50,
    "plan": "constant",
}


def make(**changes: object) -> WCoRD:
    torch.manual_seed(0)
    loss = WCoRD(STUDENT, TEACHER, **SETTING | changes)
    loss.start(TrainingData(torch.arange(40), torch.arange(40) % 5, num_epochs=240))
    return loss


def run(loss: WCoRD, seed: int = 0) -> dict[str, Tensor]:
    student = random_outputs(STUDENT, 5, seed, train=True)
    teacher = random_outputs(TEACHER, 5, seed + 100, train=False)
    return loss(student, teacher, make_batch(5, seed))


@pytest.mark.parametrize("epsilon", [0.001, 0.02, 1.0])
@pytest.mark.parametrize("unrolled", [False, True])
def test_the_transport_is_finite_for_every_epsilon(epsilon, unrolled):
    torch.manual_seed(0)
    cost = (1 - F.normalize(torch.randn(16, 4)) @ F.normalize(torch.randn(16, 4)).T) * 1.0
    cost = cost.requires_grad_()
    loss = transport_cost(cost, epsilon, 50, unrolled=unrolled)
    loss.backward()
    assert 0 <= loss <= 2
    assert cost.grad.isfinite().all()


def test_the_plan_has_uniform_marginals():
    cost = torch.rand(6, 6, dtype=torch.float64)
    plan = transport_plan(cost, 0.1, 500)
    expected = torch.full((6,), 1 / 6, dtype=torch.float64)
    torch.testing.assert_close(plan.sum(dim=0), expected)
    torch.testing.assert_close(plan.sum(dim=1), expected)


def test_equal_embeddings_cost_almost_nothing_to_transport():
    rows = torch.eye(6)
    assert transport_cost(1 - rows @ rows.T, 0.1, 50, unrolled=False) < 1e-3


def test_the_critic_is_1_lipschitz():
    torch.manual_seed(0)
    critic = LipschitzCritic(8)
    torch.nn.init.normal_(critic.hidden.parametrizations.weight.original, std=5.0)
    for _ in range(200):  # steps of the power iteration
        critic(*torch.zeros(2, 1, 8), *torch.zeros(2, 1, 1, 8))
    critic.eval()
    first, second = torch.randn(2, 1000, 16)
    nothing = torch.zeros(1000, 0, 8)
    scores = [critic(*pairs.chunk(2, dim=1), nothing, nothing)[0] for pairs in (first, second)]
    slopes = (scores[0] - scores[1]).abs() / (first - second).norm(dim=1)
    assert slopes.max() <= 1.0001
    assert slopes.max() > 0.1


def test_the_critic_scores_pairs_with_others_of_the_other_network():
    torch.manual_seed(0)
    critic = LipschitzCritic(8).eval()
    teacher, student = torch.randn(2, 3, 8)
    other_teachers, other_students = torch.randn(2, 3, 4, 8)
    matching, mismatched = critic(teacher, student, other_teachers, other_students)

    def score(teacher: Tensor, student: Tensor) -> Tensor:
        hidden = critic.hidden(torch.cat((teacher, student), dim=-1)).relu()
        return critic.output(hidden).squeeze(-1)

    expected = [
        score(teacher[:, None].expand(-1, 4, -1), other_students),
        score(other_teachers, student[:, None].expand(-1, 4, -1)),
    ]
    torch.testing.assert_close(matching, score(teacher, student))
    torch.testing.assert_close(mismatched, torch.cat(expected, dim=1))


def test_training_separates_matching_pairs_from_mismatched_ones():
    loss = make(lambda_local=0.0, num_negatives=20)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1, momentum=0.9)
    student = random_outputs(STUDENT, 40, 0, train=False)
    teacher = random_outputs(TEACHER, 40, 0, train=False)
    values = []
    for step in range(150):
        (term,) = loss(student, teacher, make_batch(40, step)).values()
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
        values.append(term.item())
    assert values[-1] < -0.1 < values[0]


def test_a_resumed_training_continues_with_equal_bits():
    through = make()
    run(through, seed=1)
    file = io.BytesIO()
    torch.save(through.state_dict(), file)
    resumed = make()
    torch.nn.init.zeros_(resumed.banks.student)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for seed in (2, 3):
        assert run(through, seed=seed) == run(resumed, seed=seed)
    for key, value in through.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_evaluation_mode_leaves_the_banks_unchanged():
    loss = make().eval()
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    terms = run(loss)
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())
    assert run(loss) == terms


def test_both_plans_have_equal_values_and_different_gradients():
    gradients = []
    values = []
    for plan in ("constant", "unrolled"):
        loss = make(plan=plan, lambda_global=0.0)
        values.append(run(loss))
        values[-1]["local"].backward()
        gradients.append(loss.student_head.weight.grad)
    assert values[0] == values[1]
    assert not torch.equal(*gradients)


def test_a_term_of_weight_zero_is_neither_built_nor_computed():
    local = make(lambda_global=0.0)
    assert list(run(local)) == ["local"]
    assert [*local.buffers()] == []
    assert list(run(make(lambda_local=0.0))) == ["global"]
    nothing = make(lambda_global=0.0, lambda_local=0.0)
    assert nothing.needs == ()
    assert run(nothing) == {}
    assert [*nothing.parameters()] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plan": "fixed"}, "wcord: plan is 'fixed'; use one of constant, unrolled"),
        ({"epsilon": 0.0}, "wcord: epsilon is 0.0; give a number above 0"),
        ({"num_iterations": 0}, "wcord: num_iterations is 0; give a number above 0"),
        ({"num_negatives": 0}, "wcord: num_negatives is 0; give a number above 0"),
        ({"width": 0}, "wcord: width is 0; give a number above 0"),
    ],
)
def test_invalid_values_are_refused(changes, message):
    with pytest.raises(LossError, match=message):
        make(**changes)
