"""The networks' layout is the CRD framework's: parameters and maps; sizes as in MIMKD's tables."""

import math

import pytest
import torch

import models
from models import Outputs
from tests.support.golden_networks import MANIFEST, filled_weights, uniform


@pytest.mark.parametrize("name", MANIFEST)
def test_the_state_dict_has_the_frameworks_keys_and_shapes(name):
    with torch.device("meta"):
        state = models.build(name, num_classes=100).state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == MANIFEST[name]["state_dict"]


@pytest.mark.parametrize("name", MANIFEST)
def test_the_parameter_count_is_the_frameworks(name):
    def count(num_classes):
        with torch.device("meta"):
            model = models.build(name, num_classes)
        return sum(parameter.numel() for parameter in model.parameters())

    assert count(100) == MANIFEST[name]["param_count"]
    assert count(10) == MANIFEST[name]["param_count_num_classes_10"]


@pytest.mark.parametrize("name", MANIFEST)
def test_maps_have_the_frameworks_shapes_and_order(name):
    outputs = run_without_numbers(name, (2, 3, 32, 32))
    maps, before_relu = outputs.feature_maps, outputs.pre_activation_maps
    num_stages = len(MANIFEST[name]["feature_shapes_for_2x3x32x32"]) - 2
    names = ["stem", *(f"stage{number}" for number in range(1, num_stages + 1))]
    assert list(maps) == names
    assert list(before_relu) == names
    assert outputs.logits.shape == (2, 100)
    shapes = [list(x.shape) for x in (*maps.values(), outputs.embedding)]
    assert shapes == MANIFEST[name]["feature_shapes_for_2x3x32x32"]
    shapes = [list(x.shape) for x in (*before_relu.values(), outputs.embedding)]
    assert shapes == MANIFEST[name]["preact_feature_shapes_for_2x3x32x32"]
    differ = [i for i, k in enumerate(names) if before_relu[k] is not maps[k]]
    assert differ == MANIFEST[name]["preact_differs_at"]


def test_wrn_40_2_and_wrn_16_1_have_the_map_sizes_of_mimkd_table_4():
    teacher = run_without_numbers("WRN-40-2")
    student = run_without_numbers("WRN-16-1")
    assert sizes(teacher) == [(16, 32, 32), (32, 32, 32), (64, 16, 16), (128, 8, 8)]
    assert sizes(student) == [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_resnet50_and_shufflenetv2_have_the_map_sizes_of_mimkd_table_5():
    """The table says ResNet34, but its widths are ResNet50's; stage1 has no partner there."""
    teacher = run_without_numbers("ResNet50")
    student = run_without_numbers("ShuffleNetV2")
    del teacher.feature_maps["stage1"]
    assert sizes(teacher) == [(64, 32, 32), (512, 16, 16), (1024, 8, 8), (2048, 4, 4)]
    assert sizes(student) == [(24, 32, 32), (116, 16, 16), (232, 8, 8), (464, 4, 4)]


def test_conv4_strides_and_conv4_mp_pools():
    strided = run_without_numbers("Conv-4")
    pooled = run_without_numbers("Conv-4-MP")
    assert sizes(strided) == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    assert sizes(pooled) == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]


def test_vgg_pools_before_its_last_stage_only_for_larger_images():
    small = run_without_numbers("vgg8")
    large = run_without_numbers("vgg8", (1, 3, 64, 64))
    assert sizes(small)[3:] == [(512, 4, 4), (512, 4, 4)]
    assert sizes(large)[3:] == [(512, 8, 8), (512, 4, 4)]


@pytest.mark.parametrize("name", ["resnet20", "wrn_16_1", "vgg8", "MobileNetV2", "conv4"])
def test_convolutions_start_from_he_normal_weights(name):
    torch.manual_seed(0)
    model = models.build(name, num_classes=100)
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.weight.numel() > 2000:
            height, width = layer.kernel_size
            std = math.sqrt(2 / (height * width * layer.out_channels))
            assert float(layer.weight.detach().std()) == pytest.approx(std, rel=0.1)


def test_vgg_and_mobilenet_start_from_a_small_classifier():
    torch.manual_seed(0)
    for name in ("vgg8", "MobileNetV2"):
        weights = models.build(name, num_classes=100).state_dict()
        weight, bias = (value for key, value in weights.items() if key.startswith("classifier"))
        assert float(weight.std()) == pytest.approx(0.01, rel=0.05)
        assert not bias.any()


def test_the_formula_of_the_golden_weights_has_its_check_values():
    first = uniform(0, 3)
    assert first == pytest.approx([0.883310808, 0.431527997, 0.026433772], abs=1e-9)
    weights = filled_weights("resnet20", torch.float64)["conv1.weight"].flatten()[:3]
    assert weights.tolist() == pytest.approx([0.066368742, 0.300127558, 0.187719730], abs=1e-9)


def run_without_numbers(name: str, shape: tuple[int, ...] = (1, 3, 32, 32)) -> Outputs:
    """Shapes cost nothing on the meta device."""
    with torch.device("meta"):
        return models.build(name, num_classes=100)(torch.empty(shape))


def sizes(outputs: Outputs) -> list[tuple[int, ...]]:
    return [tuple(x.shape[1:]) for x in outputs.feature_maps.values()]
