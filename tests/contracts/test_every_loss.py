"""Every distillation loss: its terms, gradients, needs, memory and randomness."""

import copy
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from losses import LOSSES, Batch, DistillationLoss, LossError, TrainingData
from losses.objective import COMMON, build_objective
from models.outputs import NUM_ROTATIONS, Outputs, Shapes, attention_map
from search_spaces import SPACES
from tests.support.loss_inputs import make_batch, network_shapes, random_outputs, shapes

STUDENT = shapes(6, stem=(3, 8, 8), stage1=(4, 8, 8), stage2=(6, 4, 4))
TEACHER = shapes(9, stem=(5, 8, 8), stage1=(7, 8, 8), stage2=(9, 4, 4))
# Other networks for methods that cannot join these two.
PAIRS: dict[str, tuple[Shapes, Shapes]] = {
    "fitnet": (network_shapes("wrn_10_1"), network_shapes("resnet8")),
    "fsp": (STUDENT, STUDENT),
    "hsakd": (network_shapes("wrn_10_1"), network_shapes("resnet8")),
}

# Changes to the published setting; narrow heads keep the tests fast.
CHANGES: dict[str, list[dict[str, Any]]] = {
    "at": [{}, {"p": 4.0}],
    "fsp": [{}, {"weight": 50.0}, {"weight": 50.0, "initial_epochs": 0}],
    "ab": [{}, {"weight": 1.0}, {"weight": 1.0, "initial_epochs": 0}],
    "ft": [{}, {"form": "full", "p2": 2}],
    "cc": [{"width": 8}],
    "crcd": [
        {"width": 8, "num_negatives": 100},
        {"width": 8, "num_negatives": 100, "negatives": "other_image", "gradient_weight": 0.1},
    ],
    "crd": [{"width": 8, "num_negatives": 256}, {"width": 8, "negatives": "other_image"}],
    "dist": [{}, {"gamma": 0.5, "dist_temperature": 1.0}],
    "dkd": [{}, {"alpha": 0.5, "warmup_epochs": 0}],
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
        {"width": 8, "lambda_g": 0.0},
    ],
    "wcord": [
        {"width": 8},
        {"width": 8, "plan": "unrolled", "num_negatives": 5, "negatives": "other_image"},
    ],
}
EVERY_LOSS = [
    pytest.param(name, changes, id=f"{name}-{number}")
    for name in LOSSES
    for number, changes in enumerate(CHANGES.get(name, [{}]))
]
NUM_IMAGES = 20  # of the data set
TRAINING = TrainingData(torch.arange(NUM_IMAGES), torch.arange(NUM_IMAGES) % 10, num_epochs=50)


def pair_of(name: str) -> tuple[Shapes, Shapes]:
    return PAIRS.get(name, (STUDENT, TEACHER))


def build(name: str, changes: dict[str, Any]) -> DistillationLoss:
    torch.manual_seed(0)
    setting = SPACES[name].complete(changes) if name in SPACES else changes
    own = {key: value for key, value in setting.items() if key not in COMMON}
    loss = LOSSES[name](*pair_of(name), **own)
    loss.start(TRAINING)
    return loss


def inputs(
    loss: DistillationLoss, name: str, num_images: int = 6, seed: int = 0
) -> tuple[Outputs, Outputs, Batch]:
    num_rows = num_images * (NUM_ROTATIONS if loss.rotates else 1)
    student, teacher = pair_of(name)
    return (
        random_outputs(student, num_rows, seed, train=True),
        with_attention_maps(random_outputs(teacher, num_rows, seed + 100, train=True)),
        make_batch(num_images, seed)._replace(epoch=10),
    )


def with_attention_maps(outputs: Outputs) -> Outputs:
    """As the teacher's pass fills them in, as leaves of their own."""
    maps = {
        name: attention_map(feature_map.detach()).requires_grad_(feature_map.requires_grad)
        for name, feature_map in outputs.feature_maps.items()
    }
    return outputs._replace(attention_maps=maps)


def named(outputs: Outputs) -> dict[str, Tensor]:
    """All outputs by the names that losses use."""
    tensors = {"logits": outputs.logits, "embedding": outputs.embedding}
    if outputs.classifier is not None:
        tensors["classifier"] = outputs.classifier
    for field in ("feature_maps", "pre_activation_maps", "attention_maps"):
        tensors |= {f"{field}.{key}": x for key, x in getattr(outputs, field).items()}
    return tensors


def plain_names(names: tuple[str, ...]) -> set[str]:
    """The names in a loss's needs, without the rotations that they are of."""
    return {name.removeprefix("rotations.") for name in names}


def only(outputs: Outputs, names: set[str]) -> Outputs:
    """The outputs that a loss declared, and None for all others."""
    kept: dict[str, Any] = {}
    for field, value in outputs._asdict().items():
        if isinstance(value, dict):
            kept[field] = {key: x for key, x in value.items() if f"{field}.{key}" in names}
        else:
            kept[field] = value if field in names else None
    return Outputs(**kept)


def leaves(outputs: Outputs) -> list[Tensor]:
    return list(named(outputs).values())


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
@pytest.mark.parametrize("num_images", [2, 6])
def test_terms_are_finite_scalars(name, changes, num_images):
    loss = build(name, changes)
    for term in loss(*inputs(loss, name, num_images)).values():
        assert term.shape == ()
        assert term.isfinite()


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_student_and_heads_get_a_gradient_and_the_frozen_teacher_none(name, changes):
    loss = build(name, changes)
    student, teacher, batch = inputs(loss, name)
    frozen = with_attention_maps(
        random_outputs(pair_of(name)[1], len(teacher.logits), 100, train=False)
    )
    terms = loss(student, frozen, batch)
    if not terms:
        assert loss.needs == ()
        return
    total = sum(terms.values())
    reached = torch.autograd.grad(total, leaves(student), allow_unused=True, retain_graph=True)
    assert any(x is not None and x.abs().sum() > 0 for x in reached)
    total.backward()
    in_stage = _of_initial_stage(loss, name)
    for key, parameter in loss.named_parameters():
        if key in in_stage and parameter.grad is None:
            continue  # trained before, and frozen
        assert parameter.grad is not None, f"{key} is not used"
        assert parameter.grad.isfinite().all()
    assert all(x.grad is None for x in leaves(frozen))


def _of_initial_stage(loss: DistillationLoss, name: str) -> set[str]:
    """The parameters that learn before the student's first epoch."""
    stage = loss.initial_stage
    if stage is None or not list(loss.parameters()):
        return set()
    student, teacher, batch = inputs(loss, name)
    total = sum(
        loss.initial_forward(student if stage.trains_student else None, teacher, batch).values()
    )
    keys = [key for key, _ in loss.named_parameters()]
    gradients = torch.autograd.grad(total, list(loss.parameters()), allow_unused=True)
    return {key for key, x in zip(keys, gradients, strict=True) if x is not None}


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_an_initial_stage_reads_its_needs_and_trains_what_it_says(name, changes):
    loss = build(name, changes)
    stage = loss.initial_stage
    if stage is None:
        return
    student, teacher, batch = inputs(loss, name)
    terms = loss.initial_forward(
        student if stage.trains_student else None, only(teacher, plain_names(stage.needs)), batch
    )
    assert terms
    assert all(term.shape == () and term.isfinite() for term in terms.values())
    trained = [*loss.parameters(), *(leaves(student) if stage.trains_student else [])]
    gradients = torch.autograd.grad(sum(terms.values()), trained, allow_unused=True)
    assert any(x is not None for x in gradients)
    assert stage.num_epochs > 0


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_only_the_teacher_outputs_in_needs_are_read(name, changes):
    whole = build(name, changes)
    student, teacher, batch = inputs(whole, name)
    terms = whole(student, teacher, batch)
    loss = build(name, changes)
    assert loss(student, only(teacher, plain_names(loss.needs)), batch) == terms


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_every_output_in_needs_is_read(name, changes):
    loss = build(name, changes)
    _, teacher, _ = inputs(loss, name)
    needed = plain_names(loss.needs)
    assert needed <= set(named(teacher))
    for missing in needed:
        loss = build(name, changes)
        student, teacher, batch = inputs(loss, name)
        without = only(teacher, needed - {missing})
        with pytest.raises((AttributeError, TypeError, KeyError)):
            loss(student, without, batch)


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_needs_say_whether_images_are_rotated(name, changes):
    loss = build(name, changes)
    assert all(need.startswith("rotations.") == loss.rotates for need in loss.needs)


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_equal_seeds_give_equal_bits(name, changes):
    loss = build(name, changes)
    loss(*inputs(loss, name, seed=1))
    again = copy.deepcopy(loss)
    torch.rand(7)  # no loss may depend on the global generator's state
    assert loss(*inputs(loss, name)) == again(*inputs(loss, name))


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_the_global_generator_is_left_alone(name, changes):
    loss = build(name, changes)
    before = torch.get_rng_state()
    loss(*inputs(loss, name))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("name", "changes"), EVERY_LOSS)
def test_a_saved_and_loaded_loss_gives_equal_terms(name, changes, tmp_path):
    loss = build(name, changes)
    loss(*inputs(loss, name, seed=1))
    torch.save(loss.state_dict(), tmp_path / "loss.pt")
    torch.manual_seed(1)
    loaded = build(name, changes)
    loaded.load_state_dict(torch.load(tmp_path / "loss.pt", weights_only=True))
    assert loss(*inputs(loss, name)) == loaded(*inputs(loss, name))


@pytest.mark.parametrize("name", SPACES)
def test_any_method_combines_with_kd(name):
    setting = SPACES[name].complete({}) | {"ce_weight": 0.5, "kd_weight": 2.0, "temperature": 3.0}
    setting |= CHANGES.get(name, [{}])[0]
    torch.manual_seed(0)
    objective = build_objective(LOSSES[name], *pair_of(name), setting)
    objective.start(TRAINING)
    terms = objective(*inputs(objective.loss, name))
    assert list(terms)[:2] == ["ce", "kd"]
    assert plain_names(objective.needs) >= {"logits"}
    without = build_objective(LOSSES[name], *pair_of(name), setting | {"kd_weight": 0.0})
    assert set(without.needs) == set(without.loss.needs)


@pytest.mark.parametrize("name", SPACES)
def test_a_negative_weight_is_refused(name):
    """It would drive the student away from the teacher."""
    published = SPACES[name].published()
    weights = [key for key in published if re.search("weight|beta_|^beta|^gamma|lambda_", key)]
    for key in weights:
        with pytest.raises(LossError, match=f"{key} is -1.0; give (0 or more|a number above 0)$"):
            build_objective(LOSSES[name], *pair_of(name), published | {key: -1.0})


@pytest.mark.parametrize("name", SPACES)
def test_kd_is_refused_between_networks_of_different_classes(name):
    student, teacher = pair_of(name)
    other = teacher._replace(logits=(student.logits[0] + 1,))
    setting = SPACES[name].published() | {"kd_weight": 1.0, "temperature": 4.0}
    with pytest.raises(LossError, match=r"choose networks with the same number of classes$"):
        build_objective(LOSSES[name], student, other, setting)
