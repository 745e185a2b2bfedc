"""Teachers are kept as plain weights, found again, and named by all that made them."""

from dataclasses import replace

import pytest
import torch

from tests.support.trainings import CPU, NETWORK, digits, small_workload, untrained_network
from tuner.storage.folder import Storage
from tuner.training.building import teacher_workload
from tuner.training.teachers import (
    build_untrained_teacher,
    digest_if_whole,
    find_teacher,
    kept_teacher,
    read_digest,
    read_teacher,
    weights_digest,
    write_network,
)


def test_a_teacher_is_kept_as_plain_weights(tmp_path):
    storage, network = Storage(str(tmp_path)), untrained_network()
    write_network(storage, network)
    loaded = read_teacher(storage, NETWORK, 10)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    images = torch.rand(4, 3, 8, 8)
    assert torch.equal(loaded(images).logits, network(images).logits)
    assert read_digest(storage) == weights_digest(network)


def test_a_missing_or_damaged_teacher_has_no_digest(tmp_path):
    storage = Storage(str(tmp_path))
    assert digest_if_whole(storage) is None
    write_network(storage, untrained_network())
    content = bytearray(storage.read("teacher.pt"))
    content[len(content) // 2] ^= 1
    storage.write("teacher.pt", bytes(content))
    assert digest_if_whole(storage) is None


def test_a_kept_teacher_is_found_until_it_is_damaged(data_dir, tmp_path):
    dataset, _ = digits(data_dir)
    workload = small_workload(data_dir=str(tmp_path))
    assert find_teacher(workload, dataset) is None
    path = kept_teacher(workload, dataset)
    write_network(Storage(str(path.parent)), untrained_network(), path.name)
    found = find_teacher(workload, dataset)
    assert weights_digest(found) == weights_digest(untrained_network())
    assert find_teacher(replace(workload, seed=1), dataset) is None
    path.write_bytes(path.read_bytes()[:-9])
    assert find_teacher(workload, dataset) is None


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"limit": 9}, {"validation_fraction": 0.3}, {"teacher_epochs": 7},
     {"teacher": "resnet20"}, {"weight_decay": 0.0}],
    ids=str,
)  # fmt: skip
def test_a_kept_teachers_name_tells_what_made_it(data_dir, change):
    dataset, _ = digits(data_dir)
    workload = small_workload()
    assert kept_teacher(workload, dataset) != kept_teacher(replace(workload, **change), dataset)
    # What only the student's training depends on.
    assert kept_teacher(workload, dataset) == kept_teacher(replace(workload, epochs=9), dataset)


def test_the_teachers_own_training_has_its_epochs_and_rate():
    workload = small_workload(teacher="resnet20", teacher_epochs=20, teacher_lr=0.3)
    own = teacher_workload(workload)
    assert (own.student, own.epochs, own.passes, own.lr) == ("resnet20", 20, 20, 0.3)
    assert own.lr_decay_epochs == (12, 15, 18)
    assert (own.batch_size, own.flip) == (workload.batch_size, workload.flip)


def test_an_untrained_teacher_gives_small_logits_whatever_its_depth(data_dir):
    dataset, _ = digits(data_dir)
    teacher = build_untrained_teacher("resnet32x4", dataset, CPU)
    logits = teacher.run(torch.randn(4, 3, 8, 8), ("logits",))["logits"]
    assert logits.abs().max() < 10
