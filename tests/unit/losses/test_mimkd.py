import pytest
import torch
from torch import Tensor

from losses import MIMKD, LossError
from losses.mimkd import Memory, in_batch_bound, rows_of, same_sized_pairs, shifted
from losses.parts.critics import Convolve, ProjectAndDot, jsd_bound
from tests.support.loss_inputs import STUDENT, TEACHER, make_batch, random_outputs, shapes

SETTING = {
    "lambda_g": 0.2,
    "lambda_l": 0.8,
    "lambda_f": 0.8,
    "critic": "convolve",
    "shortcut": None,
    "width": 8,
    "num_locations": None,
    "num_negatives": 1,
    "feature_reduction": "sum",
}
PROJECT = {"critic": "project_and_dot", "shortcut": "relu"}


def make(**changes: object) -> MIMKD:
    torch.manual_seed(0)
    return MIMKD(STUDENT, TEACHER, **{**SETTING, **changes})


def run(loss: MIMKD, seed: int = 0, num_images: int = 5) -> dict[str, Tensor]:
    student = random_outputs(STUDENT, num_images, seed, train=True)
    teacher = random_outputs(TEACHER, num_images, seed + 100, train=False)
    return loss(student, teacher, make_batch(num_images, seed))


def test_split_first_layer_equals_the_layer_on_the_concatenation():
    critic = Convolve(9, 6, width=8).double()
    teacher, student = torch.randn(5, 9).double(), torch.randn(5, 6).double()
    hidden = critic.first(torch.cat((teacher, student), dim=1)).relu()
    expected = critic.third(critic.second(hidden).relu())[:, 0]
    scores = critic.score(critic.teacher_part(teacher), critic.student_part(student))
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize(
    "critic", [Convolve(9, 6, width=8), ProjectAndDot(9, 6, width=8, shortcut="linear")]
)
def test_score_all_scores_every_pair(critic):
    teacher, student = torch.randn(3, 8), torch.randn(4, 8)
    expected = torch.stack([critic.score(t, student) for t in teacher])
    torch.testing.assert_close(critic.score_all(teacher, student), expected)


def test_wrn_pairs_are_those_of_table_4():
    student = shapes(
        64, stem=(16, 32, 32), stage1=(16, 32, 32), stage2=(32, 16, 16), stage3=(64, 8, 8)
    )
    teacher = shapes(
        128, stem=(16, 32, 32), stage1=(32, 32, 32), stage2=(64, 16, 16), stage3=(128, 8, 8)
    )
    assert same_sized_pairs(student, teacher) == (
        ("stem", "stem"),
        ("stage1", "stage1"),
        ("stage2", "stage2"),
        ("stage3", "stage3"),
    )


def test_resnet50_and_shufflenet_pairs_are_those_of_table_5():
    student = shapes(
        1024, stem=(24, 32, 32), stage1=(116, 16, 16), stage2=(232, 8, 8), stage3=(464, 4, 4)
    )
    teacher = shapes(
        2048,
        stem=(64, 32, 32),
        stage1=(256, 32, 32),
        stage2=(512, 16, 16),
        stage3=(1024, 8, 8),
        stage4=(2048, 4, 4),
    )
    pairs = same_sized_pairs(student, teacher)
    assert [(teacher.feature_maps[t][0], student.feature_maps[s][0]) for s, t in pairs] == [
        (64, 24),
        (512, 116),
        (1024, 232),
        (2048, 464),
    ]


def test_a_size_that_one_network_lacks_has_no_pair():
    student = shapes(4, stem=(4, 8, 8), stage1=(4, 4, 4))
    teacher = shapes(4, stem=(4, 16, 16), stage1=(4, 4, 4))
    assert same_sized_pairs(student, teacher) == (("stage1", "stage1"),)


def test_mimkd_refuses_networks_without_a_pair_and_names_their_maps():
    student = shapes(4, stem=(4, 7, 7))
    message = (
        r"no map of the student has the height and width of one of the teacher \(student: stem"
        r" 4x7x7; teacher: stem 5x8x8, stage1 7x8x8, stage2 9x4x4\); set lambda_f to 0"
    )
    with pytest.raises(LossError, match=message):
        MIMKD(student, TEACHER, **SETTING)
    assert MIMKD(student, TEACHER, **SETTING | {"lambda_f": 0.0}).needs == ("embedding",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"critic": "dot"}, "mimkd: critic is 'dot'; use one of convolve, project_and_dot"),
        ({"critic": "project_and_dot"}, "mimkd: shortcut is None; use one of relu, linear"),
        ({"feature_reduction": "max"}, "feature_reduction is 'max'; use one of sum, mean"),
        ({"num_locations": 0}, "num_locations is 0; give a number above 0"),
        ({"num_negatives": 0}, "num_negatives is 0; give a number above 0"),
        ({"width": 0}, "width is 0; give a number above 0"),
    ],
)
def test_mimkd_refuses(changes, message):
    with pytest.raises(LossError, match=message):
        make(**changes)


def test_mimkd_refuses_a_batch_of_one():
    with pytest.raises(ValueError, match="batch of 1 has no negatives; use batch_size >= 2"):
        run(make(), num_images=1)


def test_needs_follow_the_weights():
    maps = tuple(f"feature_maps.{name}" for name in TEACHER.feature_maps)
    assert make().needs == ("embedding", *maps)
    assert make(lambda_g=0.0, lambda_l=0.0).needs == maps
    assert make(lambda_f=0.0).needs == ("embedding",)


@pytest.mark.parametrize(
    ("weight", "term"),
    [("lambda_g", "mi_global"), ("lambda_l", "mi_local"), ("lambda_f", "mi_feature")],
)
def test_a_term_of_weight_zero_is_left_out(weight, term):
    loss = make(**{weight: 0.0})
    assert term not in run(loss)
    everything = sum(p.numel() for p in make().parameters())
    assert sum(p.numel() for p in loss.parameters()) < everything


def test_terms_scale_with_their_weights():
    once, twice = run(make()), run(make(lambda_g=0.4, lambda_l=1.6, lambda_f=1.6))
    for name, term in once.items():
        torch.testing.assert_close(twice[name], 2 * term)


@pytest.mark.parametrize("num_images", [2, 3, 7])
def test_no_image_is_its_own_negative(num_images):
    for seed in range(20):
        negatives = shifted(num_images, seed)
        assert not (negatives == torch.arange(num_images)).any()
        assert sorted(negatives.tolist()) == list(range(num_images))


@pytest.mark.parametrize("changes", [{}, PROJECT])
def test_the_order_of_locations_does_not_change_the_bound(changes):
    loss = make(**changes)
    student, teacher = torch.randn(5, 6, 4, 4), torch.randn(5, 9, 4, 4)
    negatives = torch.tensor([1, 2, 3, 4, 0])
    order = torch.randperm(16)
    critic = loss.feature_critics[2]
    torch.testing.assert_close(
        in_batch_bound(critic, rows_of(teacher, order), rows_of(student, order), negatives),
        in_batch_bound(critic, rows_of(teacher, None), rows_of(student, None), negatives),
    )


def test_sampling_as_many_locations_as_a_map_has_uses_all_of_them():
    everywhere, sampled = run(make()), run(make(num_locations=64))
    assert everywhere == sampled


def test_sampled_locations_are_unbiased():
    loss = make(num_locations=4, lambda_g=0.0, lambda_l=0.0)
    student = random_outputs(STUDENT, 5, 0, train=False)
    teacher = random_outputs(TEACHER, 5, 100, train=False)
    # 400 draws over 4 shifts each; the deviation of their mean is about 0.5 %.
    draws = [loss(student, teacher, make_batch(5, seed))["mi_feature"] for seed in range(400)]
    every = make(lambda_g=0.0, lambda_l=0.0)
    exact = [every(student, teacher, make_batch(5, seed))["mi_feature"] for seed in range(40)]
    torch.testing.assert_close(
        torch.stack(draws).mean(), torch.stack(exact).mean(), rtol=0.03, atol=0.0
    )


def test_draws_do_not_depend_on_the_other_terms():
    alone = make(num_locations=5, lambda_g=0.0, lambda_l=0.0)
    together = make(num_locations=5)
    alone.feature_critics.load_state_dict(together.feature_critics.state_dict())
    assert run(alone)["mi_feature"] == run(together)["mi_feature"]


def test_teacher_and_student_are_compared_at_the_same_locations():
    feature_map = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    locations = torch.tensor([5, 0, 14])
    expected = feature_map.flatten(2)[:, :, locations].transpose(1, 2)
    assert torch.equal(rows_of(feature_map, locations), expected)
    channels_last = feature_map.to(memory_format=torch.channels_last)
    assert torch.equal(rows_of(channels_last, locations), expected)


def test_memory_keeps_the_newest_embeddings():
    memory = Memory(4, 1)
    assert memory.stored().shape == (0, 1)
    memory.store(torch.tensor([[1.0], [2.0], [3.0]]))
    assert memory.stored().flatten().tolist() == [1, 2, 3]
    memory.store(torch.tensor([[4.0], [5.0]]))
    assert sorted(memory.stored().flatten().tolist()) == [2, 3, 4, 5]
    memory.store(torch.arange(6.0, 16.0)[:, None])
    assert sorted(memory.stored().flatten().tolist()) == [12, 13, 14, 15]
    memory.store(torch.tensor([[16.0]]))
    assert sorted(memory.stored().flatten().tolist()) == [13, 14, 15, 16]


def test_the_first_batch_takes_its_negatives_from_itself():
    assert run(make(num_negatives=8)) == run(make())


@pytest.mark.parametrize("changes", [{}, PROJECT])
def test_later_batches_take_their_negatives_from_the_memory(changes):
    loss = make(num_negatives=8, **changes)
    run(loss, seed=0)
    earlier = random_outputs(STUDENT, 5, 0, train=False).embedding
    student = random_outputs(STUDENT, 5, 1, train=False).embedding
    teacher = random_outputs(TEACHER, 5, 101, train=False).embedding
    critic = loss.global_critic
    t, s = critic.teacher_part(teacher), critic.student_part(student)
    mismatched = critic.score(t[:, None], critic.student_part(earlier)[None])
    expected = -loss.lambda_g * jsd_bound(critic.score(t, s), mismatched)
    term = run(loss, seed=1)["mi_global"]
    torch.testing.assert_close(term, expected)
    term.backward()
    assert not loss.memory.embeddings.requires_grad


def test_a_resumed_memory_gives_equal_terms(tmp_path):
    loss = make(num_negatives=8)
    for seed in range(3):
        run(loss, seed)
    torch.save(loss.state_dict(), tmp_path / "loss.pt")
    resumed = make(num_negatives=8)
    resumed.load_state_dict(torch.load(tmp_path / "loss.pt", weights_only=True))
    for seed in range(3, 6):
        assert run(loss, seed) == run(resumed, seed)


def test_evaluation_leaves_the_memory_alone():
    loss = make(num_negatives=8).eval()
    run(loss)
    assert len(loss.memory.stored()) == 0
