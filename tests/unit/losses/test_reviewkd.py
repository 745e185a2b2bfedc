from functools import cache
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import models
from losses import LossError
from losses.reviewkd import Fusion, ReviewKD, hierarchical_context_loss
from models.outputs import Outputs, Shapes, shapes_from
from tests.support.loss_inputs import (
    STUDENT,
    TEACHER,
    make_batch,
    random_outputs,
    shapes,
)

# One of each family, and every combination of sizes and numbers of stages in models/.
NETWORKS = ("resnet20", "ResNet50", "wrn_40_2", "vgg8", "MobileNetV2", "ShuffleV1", "conv4")


def make(student: Shapes = STUDENT, teacher: Shapes = TEACHER, **changes: object) -> ReviewKD:
    torch.manual_seed(0)
    return ReviewKD(student, teacher, **{"weight": 1.0, "warmup_epochs": 0, **changes})


def run(loss: ReviewKD, student: Shapes, teacher: Shapes, epoch: int = 1) -> Tensor:
    outputs = random_outputs(student, 3, 0, train=True), random_outputs(teacher, 3, 1, train=False)
    return loss(*outputs, make_batch(3)._replace(epoch=epoch))["reviewkd"]


@pytest.mark.parametrize("student_size", [3, 8, 12])
@pytest.mark.parametrize("teacher_size", [2, 8, 16])
def test_maps_of_other_sizes_are_resized_to_their_nearest_neighbours(student_size, teacher_size):
    torch.manual_seed(0)
    fusion = Fusion(5, 6, 7, is_deepest=False).double()
    student_map = torch.randn(2, 5, student_size, student_size, dtype=torch.float64)
    deeper = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    prediction, fused = fusion(student_map, deeper, (teacher_size, teacher_size))

    x = fusion.entry(student_map)
    y = F.interpolate(deeper, (student_size, student_size), mode="nearest")
    weights = fusion.attention(torch.cat((x, y), dim=1)).sigmoid()
    expected = x * weights[:, :1] + y * weights[:, 1:]
    expected = F.interpolate(expected, (teacher_size, teacher_size), mode="nearest")
    torch.testing.assert_close(fused, expected)
    torch.testing.assert_close(prediction, fusion.exit(expected))


@pytest.mark.parametrize("size", [(32, 32), (4, 4), (2, 2), (1, 1), (6, 6), (5, 7), (8, 6), (3, 9)])
def test_hcl_of_maps_of_any_size_is_the_published_sum(size):
    torch.manual_seed(0)
    student_map, teacher_map = torch.randn(2, 2, 3, *size, dtype=torch.float64)
    losses, weights = [F.mse_loss(student_map, teacher_map)], [1.0]
    for length in (4, 2, 1):
        if length < min(size):
            pooled = (F.adaptive_avg_pool2d(x, length) for x in (student_map, teacher_map))
            losses.append(F.mse_loss(*pooled))
            weights.append(weights[-1] / 2)
    expected = sum(w * x for w, x in zip(weights, losses, strict=True)) / sum(weights)
    torch.testing.assert_close(hierarchical_context_loss(student_map, teacher_map), expected)


@cache
def outputs_of_network(name: str) -> Outputs:
    """Without numbers: only the shapes matter."""
    with torch.device("meta"):
        return models.build(name, 10)(torch.zeros(2, 3, 32, 32))


def shapes_of_network(name: str) -> Shapes:
    return shapes_from(outputs_of_network(name))


@pytest.mark.parametrize("teacher", NETWORKS)
@pytest.mark.parametrize("student", NETWORKS)
def test_every_pair_of_networks_fits(student, teacher):
    with torch.device("meta"):
        loss = make(shapes_of_network(student), shapes_of_network(teacher))
        outputs = outputs_of_network(student), outputs_of_network(teacher)
        term = loss(*outputs, make_batch(2))["reviewkd"]
    assert term.shape == ()


def test_stages_are_paired_from_the_deepest_up():
    loss = make(shapes_of_network("MobileNetV2"), shapes_of_network("resnet32x4"))
    assert loss.pairs == (("stage4", "stage3"), ("stage3", "stage2"), ("stage2", "stage1"))
    loss = make(shapes_of_network("resnet8x4"), shapes_of_network("ResNet50"))
    assert loss.pairs == (("stage3", "stage4"), ("stage2", "stage3"), ("stage1", "stage2"))


def test_heads_are_as_wide_as_the_students_embedding_up_to_512():
    assert make().fusions[0].width == 6
    assert make(shapes_of_network("ShuffleV1"), TEACHER).fusions[0].width == 512


def test_the_weight_ramps_up_over_the_warm_up():
    ramped = [run(make(warmup_epochs=4), STUDENT, TEACHER, epoch) for epoch in (1, 2, 3, 4, 9)]
    whole = run(make(), STUDENT, TEACHER)
    for term, fraction in zip(ramped, (0.25, 0.5, 0.75, 1.0, 1.0), strict=True):
        torch.testing.assert_close(term, fraction * whole)
    assert all(a < b for a, b in pairwise(ramped[:4]))


def test_a_teacher_without_pre_activation_maps_is_refused():
    teacher = TEACHER._replace(pre_activation_maps={}, name="mine")
    with pytest.raises(LossError, match=r"reviewkd: the teacher mine has no pre-activation maps"):
        make(teacher=teacher)


@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_a_network_with_one_stage_is_refused(whose):
    one = {whose: shapes(6, stem=(3, 8, 8), stage1=(4, 8, 8))}
    with pytest.raises(LossError, match="reviewkd: both networks must have at least 2 stages"):
        make(**one)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": 0.0}, "reviewkd: weight is 0.0; give a number above 0"),
        ({"warmup_epochs": -1}, "reviewkd: warmup_epochs is -1; give 0 or more"),
    ],
)
def test_reviewkd_refuses(changes, message):
    with pytest.raises(LossError, match=message):
        make(**changes)


def test_a_batch_of_one_is_refused_in_training_only():
    loss = make()
    one = random_outputs(STUDENT, 1, 0, train=True), random_outputs(TEACHER, 1, 1, train=False)
    with pytest.raises(ValueError, match="a batch of 1 has no batch statistics"):
        loss(*one, make_batch(1))
    assert loss.eval()(*one, make_batch(1))["reviewkd"].isfinite()
