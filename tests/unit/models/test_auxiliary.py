"""Auxiliary classifiers: a network's later stages, repeated; sizes as in HSAKD's code."""

import pytest
import torch

import models
from models.auxiliary import auxiliary_classifier, branch_points
from tests.support.golden_networks import AUXILIARY

# HSAKD's names where they differ from ours by more than "_aux".
NAMES = {"vgg13_bn_aux": "vgg13", "mobilenetV2_aux": "MobileNetV2"}
# The deep ones of each family would only be slower.
SHALLOW = ["resnet8", "resnet8x4", "wrn_16_2", "ResNet18", "vgg8", "vgg11"]
SHALLOW += ["MobileNetV2", "ShuffleV1", "ShuffleV2", "conv4", "conv4_mp"]


def without_memory(name: str, num_classes: int) -> list[torch.nn.Sequential]:
    """All branches; they have sizes but no numbers."""
    with torch.device("meta"):
        return [auxiliary_classifier(name, point, num_classes) for point in branch_points(name)]


@pytest.mark.parametrize("theirs", AUXILIARY)
def test_the_branches_have_as_many_parameters_as_in_hsakd(theirs):
    expected = AUXILIARY[theirs]
    branches = without_memory(NAMES.get(theirs, theirs.removesuffix("_aux")), 400)
    assert len(branches) == len(expected["branch_logit_shapes"])
    num_parameters = sum(x.numel() for branch in branches for x in branch.parameters())
    assert num_parameters == expected["auxiliary_params"]


@pytest.mark.parametrize("theirs", [k for k, v in AUXILIARY.items() if v["auxiliary_state_dict"]])
def test_the_branches_have_the_tensors_of_hsakd(theirs):
    branches = without_memory(theirs.removesuffix("_aux"), 400)
    shapes = [list(x.shape) for branch in branches for x in branch.state_dict().values()]
    assert sorted(shapes) == sorted(AUXILIARY[theirs]["auxiliary_state_dict"].values())


@pytest.mark.parametrize("name", models.MODELS)
def test_every_network_has_branches_from_its_maps_in_their_order(name):
    with torch.device("meta"):
        maps = models.build(name, 10)(torch.empty(2, 3, 32, 32)).feature_maps
    points = branch_points(name)
    assert [key for key in maps if key in points] == list(points)
    assert points[-1] == list(maps)[-1]


# A VGG pools once more where images are larger.
@pytest.mark.parametrize(("name", "size"), [*((name, 8) for name in SHALLOW), ("vgg8", 64)])
def test_the_continuation_of_a_map_gives_the_networks_logits(name, size):
    torch.manual_seed(0)
    network = models.build(name, 10)
    continuation = network.continuation()
    with torch.no_grad():
        outputs = network(torch.randn(2, 3, size, size))
        for point in list(continuation.stages)[:-1]:
            logits = continuation.after(point)(outputs.feature_maps[point])
            torch.testing.assert_close(logits, outputs.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SHALLOW)
def test_a_branch_does_not_change_its_map_and_keeps_the_size_of_the_last_one(name):
    torch.manual_seed(0)
    network = models.build(name, 10)
    with torch.no_grad():
        maps = network(torch.randn(2, 3, 16, 16)).feature_maps
        before = {point: x.clone() for point, x in maps.items()}
        continuation = network.continuation()
        for point in continuation.stages:
            assert continuation.after(point)(maps[point]).shape == (2, 10)
        last = list(maps)[-1]
        assert continuation.stages[last](maps[last]).shape == maps[last].shape
    assert all(torch.equal(x, before[point]) for point, x in maps.items())


def test_branches_share_nothing_with_each_other():
    torch.manual_seed(0)
    first, second = (auxiliary_classifier("resnet8", f"stage{k}", 40) for k in (1, 2))
    mine, yours = (list(branch.parameters()) for branch in (first, second))
    assert not {id(x) for x in mine} & {id(x) for x in yours}
    # The same last stage in both, with its own weights.
    assert not torch.equal(first[-2][0].conv2.weight, second[-2][0].conv2.weight)


def test_branches_of_any_wrn_are_built_by_any_of_its_names():
    assert branch_points("WRN-10-1") == ("stage1", "stage2", "stage3")


@pytest.mark.parametrize("name", ["", "mine", "mine.py:network", "torchvision:resnet18"])
def test_other_networks_have_no_branches(name):
    with pytest.raises(models.UnknownModel):
        branch_points(name)
