"""Every network in the table: shapes, gradients, saving and loading."""

import copy
import math

import pytest
import torch
from torch.nn import functional as F

import models

# Besides the table, a WRN of another size.
NAMES = [*models.MODELS, "wrn_10_1"]


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def built(name):
    """Built once per network: drawing the weights takes longer than most tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.build(name, num_classes=7)


@pytest.fixture
def model(built):
    """A copy in training mode for one test, and random images from a fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield copy.deepcopy(built)


@pytest.mark.parametrize("size", [8, 32, 64])
def test_every_model_has_the_right_shapes(name, size):
    with torch.device("meta"):  # shapes without numbers, at no cost
        model = models.build(name, num_classes=7)
        outputs = model(torch.empty(2, 3, size, size))
    expected = [math.ceil(size / stride) for stride in strides(name, size)]
    maps, before_relu = outputs.feature_maps, outputs.pre_activation_maps
    assert [tuple(x.shape[2:]) for x in maps.values()] == [(s, s) for s in expected]
    assert {key: x.shape for key, x in before_relu.items()} == {
        key: x.shape for key, x in maps.items()
    }
    assert outputs.logits.shape == (2, 7)
    assert outputs.embedding.shape == (2, classifier(model).in_features)


def test_every_parameter_gets_a_gradient(model):
    outputs = model(torch.randn(3, 3, 16, 16))
    F.cross_entropy(outputs.logits, torch.tensor([0, 3, 6])).backward(retain_graph=True)
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        if parameter.dim() > 1:
            assert parameter.grad.any(), key
    # A loss may take gradients through any map: none was overwritten in place.
    maps = (*outputs.feature_maps.values(), *outputs.pre_activation_maps.values())
    torch.stack([x.square().mean() for x in maps]).sum().backward()


def test_outputs_are_finite_and_the_relu_of_a_pre_activation_map_is_the_feature_map(name, model):
    with torch.no_grad():
        outputs = model(torch.randn(2, 3, 8, 8))
    assert outputs.logits.isfinite().all()
    assert outputs.embedding.isfinite().all()
    for key, x in outputs.feature_maps.items():
        assert x.isfinite().all()
        before_relu = outputs.pre_activation_maps[key]
        if key == "stem" or name == "MobileNetV2":
            assert x is before_relu
        elif name == "ShuffleV2":
            torch.testing.assert_close(x, F.channel_shuffle(before_relu.relu(), 2))
        elif name.startswith("wrn"):
            # A batch norm, not the ReLU alone, lies between the two.
            assert float(before_relu.mean()) == pytest.approx(0, abs=1e-5)
        else:
            assert (before_relu < 0).any()
            torch.testing.assert_close(x, before_relu.relu(), rtol=0, atol=0)


def test_every_model_is_saved_and_loaded_equal(name, model, tmp_path):
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        model(images)  # in training mode: the running statistics move
    torch.save({"model": model.state_dict()}, tmp_path / "model.pt")
    loaded = models.load_checkpoint(tmp_path / "model.pt", name, num_classes=7)
    (tmp_path / "model.pt").unlink()
    assert not loaded.training
    saved_state, loaded_state = model.state_dict(), loaded.state_dict()
    assert list(saved_state) == list(loaded_state)
    assert all(torch.equal(saved_state[key], loaded_state[key]) for key in saved_state)
    with torch.no_grad():
        assert torch.equal(model.eval()(images).logits, loaded(images).logits)


def test_every_model_gives_the_same_in_channels_last_layout(model):
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        model(images)
        expected = model.eval()(images).logits
        model = model.to(memory_format=torch.channels_last)
        logits = model(images.to(memory_format=torch.channels_last)).logits
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)


def classifier(model: torch.nn.Module) -> torch.nn.Linear:
    (layer,) = (layer for layer in model.modules() if isinstance(layer, torch.nn.Linear))
    return layer


def strides(name: str, size: int) -> tuple[int, ...]:
    """How much smaller than the image each map is, from the stem on."""
    if name.startswith(("resnet", "wrn")):
        return (1, 1, 2, 4)
    if name.startswith("ResNet"):
        return (1, 1, 2, 4, 8)
    if name.startswith("vgg"):
        return (1, 2, 4, 8, 16 if size == 64 else 8)
    return {
        "MobileNetV2": (2, 2, 4, 8, 16),
        "ShuffleV1": (1, 2, 4, 8),
        "ShuffleV2": (1, 2, 4, 8),
        "conv4": (2, 4, 8, 16),
        "conv4_mp": (1, 2, 4, 8),
    }[name]
