"""Every loss computes its published formula, as benchmarks/formulas has it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.formulas import FORMULAS, INITIAL_FORMULAS
from losses import KD, LOSSES, Batch, Objective
from models.outputs import Outputs
from tests.contracts.test_every_loss import (
    CHANGES,
    PAIRS,
    build,
    inputs,
    named,
    with_attention_maps,
)
from tests.support.loss_inputs import shapes

LARGE = shapes(6, stem=(3, 8, 8), stage1=(4, 8, 8), stage2=(6, 4, 4))
SMALL = shapes(9, stem=(5, 8, 8), stage1=(7, 4, 4), stage2=(9, 2, 2))
POOLING = ["at", "ft", "nst", "reviewkd", "sp", "vid"]


def published(name: str) -> Any:
    """The loss, or the objective whose terms KD consists of."""
    loss = build(name, CHANGES.get(name, [{}])[0]).double()
    if isinstance(loss, KD):
        return Objective(loss, ce_weight=0.1, kd_weight=0.9, temperature=4.0)
    return loss


def in_float64(outputs: Outputs) -> Outputs:
    """As leaves of their own."""

    def converted(x: Tensor) -> Tensor:
        return x.detach().double().requires_grad_()

    return with_attention_maps(
        Outputs(
            converted(outputs.logits),
            converted(outputs.embedding),
            {name: converted(x) for name, x in outputs.feature_maps.items()},
            {name: converted(x) for name, x in outputs.pre_activation_maps.items()},
            classifier=None if outputs.classifier is None else converted(outputs.classifier),
        )
    )


def value_and_gradients(
    total_of: Callable[[Any, Any, Batch], Tensor],
    module: nn.Module,
    student: Outputs,
    teacher: Outputs,
    batch: Batch,
) -> list[Tensor]:
    """The total and its gradients: of the student's outputs, of the heads."""
    student, teacher = in_float64(student), in_float64(teacher)
    total = total_of(student, teacher, batch)
    leaves = [*named(student).values(), *module.parameters()]
    gradients = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
    return [total.detach(), *gradients]


def compare(name: str) -> None:
    module = published(name)
    twin = copy.deepcopy(module)
    for seed in (0, 1):  # a memory's estimates are made in the first batch and used in the next
        given = inputs(getattr(module, "loss", module), name, seed=seed)
        ours = value_and_gradients(lambda *x: sum(module(*x).values()), module, *given)
        formula = value_and_gradients(lambda *x: FORMULAS[name](twin, *x), twin, *given)
        torch.testing.assert_close(ours, formula, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_loss_and_its_gradient_match_the_published_formula(name):
    compare(name)


@pytest.mark.parametrize("name", POOLING)
@pytest.mark.parametrize("pair", [(LARGE, SMALL), (SMALL, LARGE)], ids=["student", "teacher"])
def test_a_loss_matches_its_formula_where_one_of_two_maps_is_pooled(name, pair, monkeypatch):
    monkeypatch.setitem(PAIRS, name, pair)
    compare(name)


@pytest.mark.parametrize("name", INITIAL_FORMULAS)
def test_an_initial_stage_matches_the_published_formula(name):
    module = published(name)
    twin = copy.deepcopy(module)
    given = inputs(module, name)
    ours = value_and_gradients(lambda *x: sum(module.initial_forward(*x).values()), module, *given)
    formula = value_and_gradients(lambda *x: INITIAL_FORMULAS[name](twin, *x), twin, *given)
    torch.testing.assert_close(ours, formula, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", LOSSES)
def test_every_method_has_its_formula(name):
    loss = build(name, {})
    assert (name in FORMULAS) == (bool(loss.needs) or name == "kd")
    assert (name in INITIAL_FORMULAS) == (loss.initial_stage is not None)
