"""What every line in the table of networks buys: shapes, gradients, saving and loading."""

import math

import pytest
import torch
from torch.nn import functional as F

import models

# Besides the table, a WRN of another size.
NAMES = [*models.MODELS, "wrn_10_1"]


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("size", [8, 32, 64])
@pytest.mark.parametrize("name", NAMES)
def test_every_model_is_finite_and_rightly_shaped(name, size):
    model = models.build(name, num_classes=7)
    with torch.no_grad():
        outputs = model(torch.randn(2, 3, size, size))
    expected = [math.ceil(size / stride) for stride in strides(name, size)]
    maps, before_relu = outputs.feature_maps, outputs.pre_activation_maps
    assert [tuple(x.shape[2:]) for x in maps.values()] == [(s, s) for s in expected]
    assert {key: x.shape for key, x in before_relu.items()} == {
        key: x.shape for key, x in maps.items()
    }
    assert outputs.logits.shape == (2, 7)
    assert outputs.embedding.shape == (2, classifier(model).in_features)
    for x in (outputs.logits, outputs.embedding, *maps.values(), *before_relu.values()):
        assert x.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name):
    model = models.build(name, num_classes=7)
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


@pytest.mark.parametrize("name", NAMES)
def test_the_relu_of_a_pre_activation_map_is_the_feature_map(name):
    model = models.build(name, num_classes=7)
    with torch.no_grad():
        outputs = model(torch.randn(2, 3, 8, 8))
    for key, x in outputs.feature_maps.items():
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


@pytest.mark.parametrize("name", NAMES)
def test_every_model_is_saved_and_loaded_equal(name, tmp_path):
    model = models.build(name, num_classes=7)
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


@pytest.mark.parametrize("name", NAMES)
def test_every_model_gives_the_same_in_channels_last_layout(name):
    model = models.build(name, num_classes=7)
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
