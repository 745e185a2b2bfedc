import pytest
import torch

from losses import LossError
from losses.at import AT, attention
from tests.support.loss_inputs import STUDENT, TEACHER, make_batch, random_outputs, shapes


def test_with_p_2_the_teachers_attention_is_enough_unless_its_map_is_larger():
    both = AT(STUDENT, TEACHER, weight=1.0, p=2.0)
    assert both.needs == ("attention_maps.stage1", "attention_maps.stage2")
    assert AT(STUDENT, TEACHER, weight=1.0, p=4.0).needs == (
        "feature_maps.stage1",
        "feature_maps.stage2",
    )
    smaller = shapes(6, stage1=(4, 8, 8), stage2=(6, 2, 2))
    assert AT(smaller, TEACHER, weight=1.0, p=2.0).needs == (
        "attention_maps.stage1",
        "feature_maps.stage2",
    )
    # A student's map that is larger is pooled itself.
    assert AT(TEACHER, smaller, weight=1.0, p=2.0).needs == both.needs


def test_attention_of_an_odd_power_ignores_the_sign():
    feature_map = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(attention(feature_map, 3.0), attention(-feature_map, 3.0))
    torch.testing.assert_close(attention(feature_map, 1.0), feature_map.abs().mean(dim=1))


def test_a_dead_map_has_a_finite_gradient():
    student = random_outputs(STUDENT, 2, 0, train=False)
    dead = torch.zeros(2, 4, 8, 8, requires_grad=True)
    student.feature_maps["stage1"] = dead
    for p in (1.0, 2.0, 4.0):
        loss = AT(STUDENT, STUDENT, weight=1000.0, p=p)
        teacher = random_outputs(STUDENT, 2, 1, train=False)
        attention_maps = {name: attention(x, 2) for name, x in teacher.feature_maps.items()}
        teacher = teacher._replace(attention_maps=attention_maps)
        loss(student, teacher, make_batch(2))["at"].backward()
        assert dead.grad.abs().max() == 0.0


def test_the_deepest_stages_of_a_longer_network_are_left_out():
    deeper = shapes(9, stage1=(7, 8, 8), stage2=(9, 4, 4), stage3=(9, 2, 2))
    for student, teacher in ((STUDENT, deeper), (deeper, STUDENT)):
        loss = AT(student, teacher, weight=1.0, p=2.0)
        assert loss.needs == ("attention_maps.stage1", "attention_maps.stage2")


def test_at_refuses_networks_without_stages():
    message = r"at: the student has no map after a stage \(its maps: stem 3x8x8\); choose"
    with pytest.raises(LossError, match=message):
        AT(shapes(6, stem=(3, 8, 8)), TEACHER, weight=1.0, p=2.0)
    with pytest.raises(LossError, match=r"at: the teacher .* \(its maps: none\)"):
        AT(STUDENT, shapes(9), weight=1.0, p=2.0)


def test_at_refuses_a_power_below_1():
    with pytest.raises(LossError, match=r"at: p is 0.5; give a number of 1 or more"):
        AT(STUDENT, TEACHER, weight=1.0, p=0.5)
