import io

import pytest
import torch
from torch import Tensor

from losses import CRCD, CRD, LossError, TrainingData
from losses.crcd import embedding_gradient, relation_cosines
from losses.parts.memory_bank import at_once, product_with_all, product_with_gathered, row_products
from losses.parts.nce import NCE
from losses.parts.negatives import Negatives
from tests.support.loss_inputs import make_batch, random_outputs, shapes

STUDENT, TEACHER = shapes(6), shapes(9)
SETTING = {
    "num_negatives": 7,
    "nce_temperature": 0.07,
    "negatives": "other_class",
    "momentum": 0.5,
    "width": 8,
}
CRD_SETTING = {"weight": 1.0, **SETTING}
CRCD_SETTING = {
    "relation_weight": 1.0,
    "gradient_weight": 1.0,
    **SETTING,
    "finetune_fraction": 0.04,
}
SETTINGS = {CRD: CRD_SETTING, CRCD: CRCD_SETTING}
every_method = pytest.mark.parametrize("method", [CRD, CRCD])


def training(num_images: int, num_classes: int = 5, num_epochs: int = 240) -> TrainingData:
    """Every third row of a data set, the classes in turn."""
    return TrainingData(
        torch.arange(num_images) * 3, torch.arange(num_images) % num_classes, num_epochs
    )


def make(
    method: type[CRD] | type[CRCD],
    student_width: int = 6,
    teacher_width: int = 9,
    num_images: int = 40,
    **changes: object,
) -> CRD | CRCD:
    torch.manual_seed(0)
    setting = SETTINGS[method] | changes
    loss = method(shapes(student_width), shapes(teacher_width), **setting)
    loss.start(training(num_images))
    return loss


def run(loss: CRD | CRCD, seed: int = 0, epoch: int = 1) -> dict[str, Tensor]:
    """The terms of 5 images of the training."""
    batch = make_batch(5, seed)._replace(epoch=epoch)
    batch = batch._replace(indices=(batch.indices * 7 + seed) % 40 * 3)
    student = random_outputs(STUDENT, 5, seed, train=True)
    return loss(student, random_outputs(TEACHER, 5, seed + 100, train=False), batch)


def test_the_direction_is_that_of_the_gradient_of_the_cross_entropy():
    torch.manual_seed(0)
    classifier, labels = torch.randn(10, 6).double(), torch.arange(5)
    embedding = torch.randn(5, 6).double().requires_grad_()
    logits = embedding @ classifier.T
    torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
    length = 1 - logits.softmax(dim=1).gather(1, labels[:, None])
    direction = embedding_gradient(logits, classifier, labels)
    torch.testing.assert_close(direction * length, embedding.grad)


def test_the_gradient_term_is_defined_for_networks_that_are_sure():
    labels = torch.arange(5)
    classifier = torch.eye(10, 6)
    logits = (200.0 * torch.eye(10)[:5]).requires_grad_()
    assert (torch.softmax(logits, dim=1).gather(1, labels[:, None]) == 1).all()
    direction = embedding_gradient(logits, classifier, labels)
    assert (direction.norm(dim=1) > 1).all()
    direction.sum().backward()
    assert logits.grad.isfinite().all()


def relations(rows: Tensor, anchors: Tensor) -> Tensor:
    """Unit differences [..., A, width] by the definition."""
    return torch.nn.functional.normalize(rows[..., None, :] - anchors + 1e-6, dim=-1)


def test_relations_equal_their_definition_for_anchors_among_the_candidates():
    torch.manual_seed(0)
    bank = torch.nn.functional.normalize(torch.randn(12, 6), dim=1).double()
    embedding = torch.nn.functional.normalize(torch.randn(3, 6), dim=1).double()
    anchors = torch.tensor([4, 0, 7])
    rows = torch.tensor([[4, 0, 1, 7], [0, 11, 4, 4], [7, 2, 3, 5]])
    expected = torch.einsum(
        "bkad,bad->bka", relations(bank[rows], bank[anchors]), relations(embedding, bank[anchors])
    )
    actual = relation_cosines(embedding, bank, rows, anchors)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)
    single = relation_cosines(embedding.float(), bank.float(), rows, anchors)
    torch.testing.assert_close(single, expected.float(), rtol=1e-5, atol=1e-5)


def test_relations_are_finite_where_all_rows_coincide():
    bank = torch.nn.functional.normalize(torch.ones(12, 6), dim=1)
    embedding = bank[:3].clone().requires_grad_()
    rows = torch.arange(12).view(3, 4)
    cosines = relation_cosines(embedding, bank, rows, torch.tensor([0, 1, 2]))
    assert cosines.isfinite().all()
    assert cosines.abs().max() <= 1
    cosines.sum().backward()
    assert embedding.grad.isfinite().all()


def test_relations_leave_out_the_last_epochs():
    loss = make(CRCD)
    loss.start(training(40, num_epochs=50))
    assert all(term > 0 for term in run(loss, epoch=48).values())
    assert run(loss, epoch=49) == {"relation": 0.0, "gradient": 0.0}
    loss.start(training(40, num_epochs=24))
    assert all(term > 0 for term in run(loss, epoch=24).values())


def test_a_term_of_weight_zero_is_neither_built_nor_computed():
    relation = make(CRCD, gradient_weight=0.0)
    assert relation.needs == ("embedding",)
    assert list(run(relation)) == ["relation"]
    gradient = make(CRCD, relation_weight=0.0)
    assert gradient.needs == ("logits", "classifier")
    assert list(run(gradient)) == ["gradient"]
    assert [*gradient.buffers()] == []
    assert make(CRCD, 6, 6, relation_weight=0.0).gradient_head is None


@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_crcd_refuses_a_network_without_a_classifier(whose):
    networks = {"student": shapes(6), "teacher": shapes(9)}
    networks[whose] = networks[whose]._replace(has_classifier=False)
    with pytest.raises(LossError, match=f"crcd: the {whose} has no linear classifier"):
        CRCD(*networks.values(), **CRCD_SETTING)
    assert CRCD(*networks.values(), **CRCD_SETTING | {"gradient_weight": 0.0}).needs == (
        "embedding",
    )


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        (CRD, {"negatives": "any"}, "crd: negatives is 'any'; use one of other_class, other_image"),
        (CRD, {"num_negatives": 0}, "crd: num_negatives is 0; give a number above 0"),
        (CRD, {"nce_temperature": 0.0}, "crd: nce_temperature is 0.0; give a number above 0"),
        (CRCD, {"num_negatives": 0}, "crcd: num_negatives is 0; give a number above 0"),
        (CRCD, {"nce_temperature": 0.0}, "crcd: nce_temperature is 0.0; give a number above 0"),
        (CRCD, {"finetune_fraction": 1.0}, "crcd: finetune_fraction is 1.0; give at least 0"),
    ],
)
def test_invalid_values_are_refused(method, changes, message):
    with pytest.raises(LossError, match=message):
        make(method, **changes)


@every_method
def test_a_data_set_of_one_class_is_refused_where_negatives_are_of_other_classes(method):
    loss = make(method)
    with pytest.raises(LossError, match="all 8 training images are of one class"):
        loss.start(training(8, num_classes=1))
    make(method, negatives="other_image").start(training(8, num_classes=1))


def test_a_single_training_image_is_refused():
    with pytest.raises(LossError, match="crd: with 1 training images none has a negative"):
        make(CRD, negatives="other_image").start(training(1))


@every_method
def test_a_resumed_training_continues_with_equal_bits(method):
    through = make(method)
    run(through, seed=1)
    file = io.BytesIO()
    torch.save(through.state_dict(), file)
    resumed = make(method)
    torch.nn.init.zeros_(resumed.banks.student)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for seed in (2, 3):
        assert run(through, seed=seed) == run(resumed, seed=seed)
    for key, value in through.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@every_method
def test_evaluation_mode_leaves_the_banks_unchanged(method):
    loss = make(method).eval()
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    terms = run(loss)
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())
    assert run(loss.train()) == terms
    assert not torch.equal(loss.banks.student, before["banks.student"])


@every_method
def test_only_rows_of_the_batch_change(method):
    loss = make(method)
    before = loss.banks.teacher.clone()
    batch = make_batch(5)._replace(indices=torch.tensor([117, 0, 30, 6, 3]))
    student = random_outputs(STUDENT, 5, 0, train=True)
    loss(student, random_outputs(TEACHER, 5, 0, train=False), batch)
    changed = (loss.banks.teacher != before).any(dim=1).nonzero().flatten()
    assert torch.equal(changed, loss.negatives.rows_of(batch.indices).sort().values)
    torch.testing.assert_close(loss.banks.teacher[changed].norm(dim=1), torch.ones(5))


def test_all_ways_to_compute_the_products_agree():
    torch.manual_seed(0)
    bank, rows = torch.randn(200, 8), torch.randint(200, (5, 30))
    values = []
    for way in (product_with_all, product_with_gathered, row_products):
        embedding = torch.randn(5, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        products = way(embedding, bank, rows)
        products.square().sum().backward()
        values.append((products, embedding.grad))
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(values[0], values[2])


@pytest.mark.parametrize(("num_rows", "way"), [(640, "all"), (641, "gathered")])
def test_a_bank_of_very_many_rows_is_gathered_from(num_rows, way, monkeypatch):
    taken = []
    for name in ("all", "gathered"):
        monkeypatch.setattr(
            f"losses.parts.memory_bank.product_with_{name}",
            lambda *_, name=name: taken.append(name),
        )
    row_products(torch.zeros(2, 4), torch.zeros(num_rows, 4), torch.zeros(2, 10, dtype=torch.long))
    assert taken == [way]


@pytest.mark.parametrize("num_images", [40, 5000])
def test_the_bank_changes_in_place_before_the_backward_pass(num_images):
    loss = make(CRD, num_images=num_images)
    address = loss.banks.teacher.data_ptr()
    total = sum(run(loss).values())
    assert loss.banks.teacher.data_ptr() == address
    total.backward()
    assert loss.student_head.weight.grad.isfinite().all()


def test_at_once_keeps_the_value_and_gradient_from_before_a_change():
    other = torch.tensor([3.0, 4.0])
    embedding = torch.tensor([1.0, 2.0], requires_grad=True)
    value = at_once(lambda x: (x * other).sum(), embedding)
    other.zero_()
    (2 * value).backward()
    assert value == 11
    assert embedding.grad.tolist() == [6.0, 8.0]
    with torch.no_grad():
        assert not at_once(lambda x: x.sum(), embedding).requires_grad


def test_scores_far_apart_stay_finite():
    nce = NCE(temperature=0.001)
    matching, mismatched = torch.tensor([-1.0, 1.0]), torch.tensor([[1.0, -1.0], [0.0, 1.0]])
    assert nce(matching, mismatched, 100).isfinite()


UNEVEN = torch.tensor([2, 0, 1, 1, 2, 2, 0, 1, 2, 2])  # 2 of class 0, 3 of 1, 5 of 2


def draw(kind: str, num_negatives: int, seed: int = 0) -> tuple[Negatives, Tensor, Tensor]:
    """Negatives of all ten images, as rows of the data set: which is 100, 101, ..."""
    negatives = Negatives("crd", kind, num_negatives)
    images = torch.arange(100, 110)
    negatives.start(TrainingData(images, UNEVEN, num_epochs=1), torch.device("cpu"))
    rows = negatives.rows_of(images)
    index_of_row = torch.empty(10, dtype=torch.long).index_copy_(0, rows, images)
    return negatives, rows, index_of_row[negatives.draw(rows, seed)]


def test_each_image_has_its_own_row_and_classes_are_blocks():
    negatives, rows, _ = draw("other_class", 1)
    assert rows.sort().values.tolist() == list(range(10))
    labels_by_row = torch.empty(10, dtype=torch.long).index_copy_(0, rows, UNEVEN)
    assert labels_by_row.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2, 2]
    assert torch.equal(negatives.rows_of(torch.tensor([105, 100])), rows[[5, 0]])


@pytest.mark.parametrize("seed", range(5))
def test_negatives_are_never_of_the_images_own_class(seed):
    _, _, drawn = draw("other_class", 2000, seed)
    assert (UNEVEN[drawn - 100] != UNEVEN[:, None]).all()


@pytest.mark.parametrize("seed", range(5))
def test_negatives_are_never_the_image_itself(seed):
    _, _, drawn = draw("other_image", 2000, seed)
    assert (drawn != torch.arange(100, 110)[:, None]).all()
    assert (UNEVEN[drawn - 100] == UNEVEN[:, None]).any()


@pytest.mark.parametrize("kind", ["other_class", "other_image"])
def test_every_other_image_is_equally_likely(kind):
    num_negatives = 100_000
    _, _, drawn = draw(kind, num_negatives)
    for image in range(10):
        own = UNEVEN[image] == UNEVEN if kind == "other_class" else torch.arange(10) == image
        counts = (drawn[image] - 100).bincount(minlength=10)[~own].double()
        expected = num_negatives / len(counts)
        chi_square = ((counts - expected).square() / expected).sum()
        # Exceeded by chance once in a million, for 8 degrees of freedom.
        assert chi_square < 43


def test_draws_depend_on_the_seed_alone():
    first, again, other = (draw("other_class", 50, seed)[2] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.rand(3)
    before = torch.get_rng_state()
    draw("other_class", 50)
    assert torch.equal(torch.get_rng_state(), before)


@every_method
def test_each_bank_holds_one_row_per_training_image(method):
    loss = make(method)
    assert loss.banks.student.shape == loss.banks.teacher.shape == (40, 8)
    assert not torch.equal(loss.banks.student, loss.banks.teacher)
    bound = (8 / 3) ** -0.5
    if method is CRD:
        assert loss.banks.student.abs().max() <= bound
        assert loss.banks.student.square().sum(dim=1).mean() == pytest.approx(1.0, abs=0.1)
    else:
        torch.testing.assert_close(loss.banks.student.norm(dim=1), torch.ones(40))
