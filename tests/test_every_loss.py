"""What every distillation loss must do, whatever its method."""

import copy

import pytest
import torch
from golden_cases import make_batch, random_outputs, shapes
from torch import Tensor

from losses import LOSSES, Batch, DistillationLoss
from models.outputs import Outputs
from search_spaces import SPACES

STUDENT = shapes(6, stem=(3, 8, 8), stage1=(4, 8, 8), stage2=(6, 4, 4))
TEACHER = shapes(9, stem=(5, 8, 8), stage1=(7, 8, 8), stage2=(9, 4, 4))

# What is changed of the published setting; narrow heads keep the tests fast.
CHANGES: dict[str, list[dict[str, object]]] = {
    "itrd": [
        {},
        {"form": "official", "degree": 2, "log2": True},
        {"kernel": "rbf"},
        {"kernel": "rbf", "sigma": 1.0, "beta_corr": 0.5},
    ],
    "mimkd": [
        {"width": 8},
        {"width": 8, "critic": "project_and_dot", "num_locations": 5},
        {"width": 8, "num_negatives": 7, "feature_reduction": "mean"},
        {"width": 8, "lambda_g": 0.0, "alpha": 1.0},
    ],
}
EVERY_LOSS = [
    pytest.param(name, changes, id=f"{name}-{number}")
    for name in LOSSES
    for number, changes in enumerate(CHANGES.get(name, [{}]))
]


def build(name: str, changes: dict[str, object]) -> DistillationLoss:
    torch.manual_seed(0)
    setting = SPACES[name].complete(changes) if name in SPACES else changes
    return LOSSES[name](STUDENT, TEACHER, **setting)


def inputs(num_images: int = 6, seed: int = 0) -> tuple[Outputs, Outputs, Batch]:
    student = random_outputs(STUDENT, num_images, seed, train=True)
    teacher = random_outputs(TEACHER, num_images, seed + 100, train=True)
    return student, teacher, make_batch(num_images, seed)


def leaves(outputs: Outputs) -> list[Tensor]:
    return [outputs.logits, outputs.embedding, *outputs.feature_maps.values()]


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
@pytest.mark.parametrize("num_images", [2, 6])
def test_terms_are_finite_scalars(name, changes, num_images):
    loss = build(name, changes)
    assert isinstance(loss.ce_weight, float)
    for term in loss(*inputs(num_images)).values():
        assert term.shape == ()
        assert term.isfinite()


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_student_and_heads_get_a_gradient_and_the_frozen_teacher_none(name, changes):
    loss = build(name, changes)
    student, _, batch = inputs()
    frozen = random_outputs(TEACHER, 6, 100, train=False)
    terms = loss(student, frozen, batch)
    if not terms:
        assert loss.needs == ()
        return
    sum(terms.values()).backward()
    assert any(x.grad is not None and x.grad.abs().sum() > 0 for x in leaves(student))
    for key, parameter in loss.named_parameters():
        assert parameter.grad is not None, f"{key} is not used"
        assert parameter.grad.isfinite().all()
    assert all(x.grad is None for x in leaves(frozen))


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_only_the_teacher_outputs_in_needs_are_read(name, changes):
    student, teacher, batch = inputs()
    whole = build(name, changes)(student, teacher, batch)
    loss = build(name, changes)
    kept = Outputs(
        teacher.logits if "logits" in loss.needs else None,
        teacher.embedding if "embedding" in loss.needs else None,
        {
            key: feature_map
            for key, feature_map in teacher.feature_maps.items()
            if f"feature_maps.{key}" in loss.needs
        },
        None,
    )
    assert loss(student, kept, batch) == whole


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_every_output_in_needs_is_read(name, changes):
    loss = build(name, changes)
    student, teacher, batch = inputs()
    terms = loss(student, teacher, batch)
    if terms:
        sum(terms.values()).backward()
    read = {"logits": teacher.logits.grad, "embedding": teacher.embedding.grad}
    read |= {f"feature_maps.{key}": x.grad for key, x in teacher.feature_maps.items()}
    assert {key for key, gradient in read.items() if gradient is not None} == set(loss.needs)


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_equal_seeds_give_equal_bits(name, changes):
    loss = build(name, changes)
    loss(*inputs(seed=1))
    again = copy.deepcopy(loss)
    torch.rand(7)  # no loss may depend on the global generator's state
    assert loss(*inputs()) == again(*inputs())


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_the_global_generator_is_left_alone(name, changes):
    loss = build(name, changes)
    before = torch.get_rng_state()
    loss(*inputs())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_a_saved_and_loaded_loss_gives_equal_terms(name, changes, tmp_path):
    loss = build(name, changes)
    loss(*inputs(seed=1))
    torch.save(loss.state_dict(), tmp_path / "loss.pt")
    torch.manual_seed(1)
    loaded = build(name, changes)
    loaded.load_state_dict(torch.load(tmp_path / "loss.pt", weights_only=True))
    assert loss(*inputs()) == loaded(*inputs())
