"""The names by which people ask for a network."""

import pytest
from torch import nn

import models
from models import UnknownModel


@pytest.mark.parametrize("name", models.MODELS)
def test_a_name_of_the_table_is_canonical(name):
    assert models.canonical_name(name) == name
    assert models.canonical_name(name.replace("_", "-").upper()) == name


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("ResNet-32x4", "resnet32x4"),
        ("ResNet-110", "resnet110"),
        ("resnet50", "ResNet50"),
        ("resnet-18", "ResNet18"),
        ("ResNet20", "resnet20"),
        ("VGG-13", "vgg13"),
        ("MobileNetV2", "MobileNetV2"),
        ("mobilenet_v2", "MobileNetV2"),
        ("mobile_half", "MobileNetV2"),
        ("shufflenetv2", "ShuffleV2"),
        ("ShuffleNet-V1", "ShuffleV1"),
        ("Conv-4", "conv4"),
        ("Conv-4-MP", "conv4_mp"),
        ("wrn-40-2", "wrn_40_2"),
        ("WRN-16-1", "wrn_16_1"),
        ("WRN_28x10", "wrn_28_10"),
        ("wrn_10_1", "wrn_10_1"),
    ],
)
def test_names_as_papers_write_them_are_understood(written, canonical):
    assert models.canonical_name(written) == canonical


def test_a_misspelt_name_is_refused_with_a_suggestion():
    with pytest.raises(UnknownModel) as error:
        models.build("resnt20", num_classes=10)
    assert str(error.value).startswith(
        "unknown model 'resnt20'; did you mean 'resnet20'? known: resnet8, resnet14, "
    )
    assert str(error.value).endswith(
        "conv4, conv4_mp, wrn_<depth>_<width>; or FILE.py:FUNCTION, torchvision:NAME, timm:NAME"
    )


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("ResNt50", "ResNet50"), ("mobilenet", "MobileNetV2"), ("wnr_40_2", "wrn_40_2")],
)
def test_the_suggestion_is_the_nearest_network(misspelt, meant):
    with pytest.raises(UnknownModel, match=f"did you mean '{meant}'"):
        models.canonical_name(misspelt)


def test_a_name_near_to_nothing_is_refused_without_a_suggestion():
    with pytest.raises(UnknownModel, match=r"^unknown model 'transformer'; known: resnet8, "):
        models.canonical_name("transformer")


@pytest.mark.parametrize("name", ["", " ", "wrn", "wrn402", "resnet", "resnet20 resnet20"])
def test_half_a_name_is_refused(name):
    with pytest.raises(UnknownModel):
        models.canonical_name(name)


@pytest.mark.parametrize("name", ["wrn_15_2", "wrn_4_2", "WRN-40-0"])
def test_a_wrn_of_impossible_size_is_refused(name):
    with pytest.raises(UnknownModel, match=rf"unknown model '{name}'; a WRN has a depth of 6n\+4"):
        models.canonical_name(name)


def test_a_wrn_of_any_depth_and_width_is_built():
    model = models.build("WRN-22-3", num_classes=5)
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert len([layer for layer in convolutions if layer.kernel_size == (3, 3)]) == 22 - 3
    assert model.fc.in_features == 64 * 3
