"""Losses and networks agree with reference values computed elsewhere, see tests/golden.

A case of a loss is of a whole method, which is built as a search builds it (`SETTINGS` says from
what), or of a part of one (`PARTS`).
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import models
from losses import LOSSES, Objective, build_objective
from models.outputs import Outputs, shapes_from
from tests.support.golden_cases import Case, all_cases, layer
from tests.support.golden_networks import MANIFEST, contents, filled_weights, numbers
from tests.support.golden_parts import PARTS, load, setting_of
from tests.support.loss_inputs import make_batch, outputs_of

Setting = dict[str, Any]


def itrd(given: Setting) -> Setting:
    """Of a case of one term, or of both with cross-entropy."""
    if given["term"] == "total":
        beta = given["beta"]
        return {
            "beta_corr": beta * given["lambda_corr"],
            "beta_mi": beta * given["lambda_mutual"],
            "alpha": given["alpha"],
            "ce_weight": given["gamma_ce"],
        }
    if given["term"] == "correlation":
        return {"beta_corr": 1.0, "beta_mi": 0.0, "alpha": given["alpha"]}
    kernels = {
        "poly": {"degree": given.get("degree"), "offset": given.get("c")},
        "rbf": {"kernel": "rbf", "sigma": None, "h": given.get("h")},
    }
    changes = {"log2": given["log2"], "normalise": given.get("normalise", True)}
    return {"beta_corr": 0.0, "beta_mi": 1.0} | changes | kernels.get(given["kernel"], {})


# How a case's parameters become hyperparameters; the others have their published values.
SETTINGS: dict[str, Callable[[Setting], Setting]] = {
    "ab": lambda given: {"margin": given["margin"]},
    "at": lambda given: {"weight": 1.0, "p": float(given["p"])},
    "cc": lambda given: {"weight": 1.0, "width": given["feat_dim"]},
    "dkd": lambda given: {
        "alpha": given["alpha"],
        "beta": given["beta"],
        "dkd_temperature": given["T"],
        "warmup_epochs": 0,
    },
    "fitnet": lambda given: {"weight": 1.0, "layer": "stage1"},
    "fsp": lambda given: {},
    "itrd": itrd,
    "kd": lambda given: {
        "ce_weight": given.get("gamma_ce", 0.0),
        "kd_weight": given.get("alpha_kd", 1.0),
        "temperature": given["T"],
    },
    "nst": lambda given: {"weight": 1.0},
    "pkt": lambda given: {"weight": 1.0},
    "reviewkd": lambda given: {"weight": 1.0, "warmup_epochs": 0},
    "rkd": lambda given: {
        "distance_weight": given["w_distance"],
        "angle_weight": given["w_angle"],
    },
    "vid": lambda given: {"weight": 1.0, "initial_variance": given["init_pred_var"]},
}
# Which fields hold the weights of our heads; a case may lack some.
HEADS: dict[str, dict[str, str]] = {
    "ab": layer("connectors.0.0", "conv") | layer("connectors.0.1", "bn"),
    "cc": layer("student_head", "embed_s") | layer("teacher_head", "embed_t"),
    "fitnet": layer("regressor.0", "conv") | layer("regressor.1", "bn"),
    "itrd": layer("embed", "embed"),
    "reviewkd": {
        ours: f"abf{level}_{field}"
        for level in range(4)
        for part, name in (
            ("entry.0", "conv1"),
            ("entry.1", "bn1"),
            ("exit.0", "conv2"),
            ("exit.1", "bn2"),
            ("attention", "att"),
        )
        for ours, field in layer(f"fusions.{level}.{part}", name).items()
    },
    "vid": {
        "predictions.0.log_scale": "log_scale",
        "predictions.0.mean.0.weight": "w_conv1",
        "predictions.0.mean.2.weight": "w_conv2",
        "predictions.0.mean.4.weight": "w_conv3",
    },
}
# Which field holds what a module of ours returns, or a buffer after the forward pass.
INSIDE = {"ab": {"connectors.0": "connected"}, "fitnet": {"regressor": "regressed"}}
BUFFERS = {
    "fitnet": {
        "regressor.1.running_mean": "bn_running_mean_after",
        "regressor.1.running_var": "bn_running_var_after",
    }
}
# The weight of each term, of which `loss_<term>` holds the value without it.
WEIGHTS = {
    "dkd": {"tckd": "alpha", "nckd": "beta"},
    "itrd": {"corr": "beta_corr", "mi": "beta_mi", "ce": "ce_weight"},
    "kd": {"ce": "ce_weight", "kd": "kd_weight"},
    "rkd": {"distance": "distance_weight", "angle": "angle_weight"},
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("method", "name"), all_cases())
def test_value_and_gradient_match_the_reference(method: str, name: str, dtype: torch.dtype) -> None:
    case = Case(method, name, dtype)
    parts = [compare for start, compare in PARTS.items() if f"{method} {name}".startswith(start)]
    if parts:
        parts[0](case)
    else:
        for form in ("stable", "official") if method == "itrd" else (None,):
            compare_method(case, **({"form": form} if form else {}))
    assert case.gradients_left() == set()


NETWORKS = [name for name in MANIFEST if f"{name}/logits" in numbers()]


def network_with_filled_weights(name: str, dtype: torch.dtype) -> torch.nn.Module:
    """In evaluation mode."""
    with torch.device("meta"):
        network = models.build(name, num_classes=100)
    network.load_state_dict(filled_weights(name, dtype), assign=True)
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_networks_outputs_match_the_reference(name: str) -> None:
    network = network_with_filled_weights(name, torch.float64)
    with torch.no_grad():
        outputs = network(numbers()["input"])
        trained = network.train()(numbers()["input"])
    maps, before_relu = (
        torch.stack([contents(x) for x in (*maps.values(), outputs.embedding)])
        for maps in (outputs.feature_maps, outputs.pre_activation_maps)
    )
    for field, actual in {
        "logits": outputs.logits,
        "pooled": outputs.embedding,
        "feature_checks": maps,
        "preact_feature_checks": before_relu,
    }.items():
        torch.testing.assert_close(actual, numbers()[f"{name}/{field}"], rtol=1e-7, atol=1e-9)
    for field, actual in {"logits": trained.logits, "pooled": trained.embedding}.items():
        expected = numbers()[f"{name}/{field}_train_mode"]
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["resnet20", "wrn_16_2", "vgg8", "MobileNetV2", "ShuffleV1"])
def test_a_network_stays_close_to_the_reference_in_float32(name: str) -> None:
    with torch.no_grad():
        logits = network_with_filled_weights(name, torch.float32)(numbers()["input"].float()).logits
    expected = numbers()[f"{name}/logits"]
    atol = 1e-5 * float(expected.abs().max())
    torch.testing.assert_close(logits.double(), expected, rtol=2e-4, atol=atol)


def compare_method(case: Case, **changes: Any) -> None:
    """Builds the case's method from the case's parameters and compares all that the case holds."""
    method = case.method
    student, teacher, leaves = inputs_of(case)
    changes |= {"ce_weight": 0.0, "kd_weight": 0.0} | SETTINGS[method](case.hyperparameters)
    setting = setting_of(method, changes)
    networks = shapes_from(student), shapes_from(teacher)
    objective = build_objective(LOSSES[method], *networks, setting).to(case.dtype)
    loss = objective.loss
    state = loss.state_dict()
    fields = {k: v for k, v in HEADS.get(method, {}).items() if k in state and v in case}
    leaves |= load(loss, case, fields)
    for module, field in INSIDE.get(method, {}).items() if fields else ():
        loss.get_submodule(module).register_forward_hook(
            lambda _module, _inputs, output, field=field: case.compare(field, output)
        )
    terms = terms_of(objective, case, student, teacher)
    total = torch.stack(list(terms.values())).sum()
    case.compare("loss", total)
    case.compare_gradients(total, leaves)
    for term, weight in WEIGHTS.get(method, {}).items():
        if f"loss_{term}" in case:
            unweighted = terms[term] / setting[weight]
            case.compare(f"loss_{term}", unweighted)
            if f"grad_f_s_{term}" in case:
                case.compare_gradients(unweighted, {f"f_s_{term}": student.embedding})
    for ours, field in BUFFERS.get(method, {}).items():
        case.compare(field, loss.state_dict()[ours])


def terms_of(
    objective: Objective, case: Case, student: Outputs, teacher: Outputs
) -> dict[str, Tensor]:
    """The terms of the initial stage for a method whose loss is used there alone."""
    batch = make_batch(len(student.logits))
    if "labels" in case:
        batch = batch._replace(labels=case["labels"])
    if objective.loss.initial_stage is not None:
        return objective.loss.initial_forward(student, teacher, batch)
    return objective(student, teacher, batch)


def inputs_of(case: Case) -> tuple[Outputs, Outputs, dict[str, Tensor]]:
    """What student and teacher returned, and the student's leaves by the case's names."""
    leaves = {name: case.leaf(name) for name in ("y_s", "f_s") if name in case}
    maps = case.maps("s")
    leaves |= {f"s{level}": x for level, x in enumerate(maps)}
    logits = leaves.get("y_s")
    if "w_classifier_s" in case:
        logits = leaves["f_s"] @ case["w_classifier_s"].T
    student = outputs_of(logits, leaves.get("f_s"), maps)
    teacher = outputs_of(case.get("y_t"), case.get("f_t"), case.maps("t"))
    return student, teacher, leaves
