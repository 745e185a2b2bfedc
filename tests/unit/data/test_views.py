"""Views: pure functions of (seed, augmented epoch, row), equal to plain padding and cropping."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tuner.data import (
    Dataset,
    Views,
    epoch_order,
    evaluation_batches,
    num_batches,
)
from tuner.data.hashing import hash_numbers
from tuner.data.views import Pixels, augment, augment_on_device, draw_augmentation

CPU = torch.device("cpu")
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.fixture(scope="module")
def dataset():
    images = np.random.default_rng(0).integers(1, 256, (300, 3, 8, 10), dtype=np.uint8)
    images.flags.writeable = False
    return Dataset(
        spec="made:up",
        name="up",
        path=Path("up.arrow"),
        images=images,
        labels=np.arange(300) % 7,
        num_train=250,
        class_names=tuple("abcdefg"),
        mean=MEAN,
        std=STD,
        fingerprint="",
    )


def batches(dataset, indices, **changes):
    settings = {"seed": 0, "num_augmented_epochs": 100, "padding": 4, "flip": True}
    epoch, batch_size = changes.pop("epoch", 1), changes.pop("batch_size", 32)
    views = Views(dataset, indices, **(settings | changes))
    return list(views.batches(epoch, batch_size, CPU))


def by_row(batches_of_an_epoch):
    return {
        int(row): image
        for batch in batches_of_an_epoch
        for row, image in zip(batch.indices, batch.images, strict=True)
    }


def normalised(image):
    pixels = image.astype(np.float64) / 255
    return (pixels - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))


def test_splitmix64_gives_the_published_numbers():
    # The first outputs of splitmix64.c from state 0: its state grows by the increment.
    increment = 0x9E3779B97F4A7C15
    states = np.array([0, increment, 2 * increment % 2**64], np.uint64)
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert hash_numbers(states).tolist() == expected


def test_hashes_take_any_seed():
    rows = np.arange(5)
    seeds = (0, 1, -1, 2**63, 2**64 - 2, 2**70 + 3)
    assert len({tuple(hash_numbers(rows, seed)) for seed in seeds}) == len(seeds)


def test_an_epoch_is_a_permutation_that_only_seed_and_epoch_change():
    indices = np.arange(1000, 1500)
    first = epoch_order(indices, 0, 1)
    np.testing.assert_array_equal(np.sort(first), indices)
    np.testing.assert_array_equal(first, epoch_order(indices[::-1], 0, 1))
    for other in (epoch_order(indices, 0, 2), epoch_order(indices, 1, 1), indices):
        assert (first == other).mean() < 0.05


def test_the_same_call_gives_the_same_bits(dataset):
    torch.manual_seed(1)
    first = batches(dataset, np.arange(250))
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002 - the state that must not matter
    for ours, theirs in zip(first, batches(dataset, np.arange(250)), strict=True):
        assert ours.seed == theirs.seed
        for a, b in zip(ours[:3], theirs[:3], strict=True):
            assert torch.equal(a, b)


def test_an_images_view_does_not_depend_on_its_batch(dataset):
    whole = by_row(batches(dataset, np.arange(250)))
    for changes in ({"batch_size": 7}, {"batch_size": 250}, {"batch_size": 1}):
        other = by_row(batches(dataset, np.arange(250), **changes))
        assert all(torch.equal(whole[row], other[row]) for row in range(250))
    part = by_row(batches(dataset, np.arange(30, 90)))
    assert all(torch.equal(whole[row], part[row]) for row in range(30, 90))


@pytest.mark.parametrize("change", [{"epoch": 2}, {"seed": 1}])
def test_another_epoch_or_seed_gives_other_views_and_batch_seeds(dataset, change):
    first, other = batches(dataset, np.arange(250)), batches(dataset, np.arange(250), **change)
    ours, theirs = by_row(first), by_row(other)
    # One in 162 views is the same by chance: 9 x 9 offsets, mirrored or not.
    assert sum(torch.equal(ours[row], theirs[row]) for row in range(250)) < 10
    seeds = [batch.seed for batch in first + other]
    assert len(set(seeds)) == len(seeds)
    assert all(isinstance(seed, int) and 0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(("padding", "flip"), [(0, False), (0, True), (1, False), (4, True)])
def test_views_equal_plain_padding_cropping_and_mirroring(dataset, padding, flip):
    drawn = draw_augmentation(np.arange(250), seed=5, augmented_epoch=3, padding=padding, flip=flip)
    views = by_row(batches(dataset, np.arange(250), epoch=3, seed=5, padding=padding, flip=flip))
    for row, (top, left, flipped) in enumerate(zip(*drawn, strict=True)):
        # Written pixel by pixel: what lies outside of the image is black.
        expected = np.zeros((3, 8, 10), np.uint8)
        for y in range(8):
            for x in range(10):
                from_y = y + top - padding
                from_x = (9 - x if flipped else x) + left - padding
                if 0 <= from_y < 8 and 0 <= from_x < 10:
                    expected[:, y, x] = dataset.images[row, :, from_y, from_x]
        np.testing.assert_allclose(views[row].numpy(), normalised(expected), atol=2e-6)
    assert drawn.flipped.any() == flip


def test_offsets_and_flips_are_uniform_and_independent():
    rows, padding = np.arange(40_500), 4
    top, left, flipped = draw_augmentation(
        rows, seed=0, augmented_epoch=1, padding=padding, flip=True
    )
    cells = np.bincount((top * 9 + left) * 2 + flipped, minlength=162)
    expected = len(rows) / 162
    chi_square = ((cells - expected) ** 2 / expected).sum()
    # 161 degrees of freedom: mean 161, deviation 18; five deviations either side.
    assert 71 < chi_square < 251
    later = draw_augmentation(rows, seed=0, augmented_epoch=2, padding=padding, flip=True)
    for ours, theirs in zip((top, left, flipped), later, strict=True):
        assert abs(np.corrcoef(ours, theirs)[0, 1]) < 5 / np.sqrt(len(rows))


def test_training_batches_are_whole_and_typed(dataset):
    (*_, last) = epoch = batches(dataset, np.arange(250))
    assert len(epoch) == num_batches(250, 32) == 8
    assert len(last.images) == 250 % 32
    assert last.images.dtype == torch.float32
    assert last.images.shape[1:] == (3, 8, 10)
    assert last.images.is_contiguous()
    assert last.labels.dtype == last.indices.dtype == torch.int64
    rows = torch.cat([batch.indices for batch in epoch])
    assert sorted(rows.tolist()) == list(range(250))
    for batch in epoch:
        assert batch.labels.tolist() == [row % 7 for row in batch.indices.tolist()]


@pytest.mark.parametrize(
    ("num_images", "batch_size", "sizes"),
    [
        (9, 4, [4, 5]),
        (8, 4, [4, 4]),
        (10, 4, [4, 4, 2]),
        (3, 4, [3]),
        (1, 4, [1]),
        (5, 4, [5]),
        (3, 1, [1, 1, 1]),
        (0, 4, []),
    ],
)
def test_a_last_batch_of_one_joins_the_one_before(dataset, num_images, batch_size, sizes):
    epoch = batches(dataset, np.arange(num_images), batch_size=batch_size)
    assert [len(batch.labels) for batch in epoch] == sizes
    assert num_batches(num_images, batch_size) == len(sizes)


def test_evaluation_keeps_order_and_pixels(dataset):
    indices = np.array([270, 3, 299, 255, 4])
    first, second, third = evaluation_batches(dataset, indices, batch_size=2, device=CPU)
    assert [len(batch.labels) for batch in (first, second, third)] == [2, 2, 1]
    assert torch.cat([first.indices, second.indices, third.indices]).tolist() == indices.tolist()
    np.testing.assert_allclose(first.images[0], normalised(dataset.images[270]), atol=2e-6)
    np.testing.assert_allclose(third.images[0], normalised(dataset.images[4]), atol=2e-6)
    assert third.labels.tolist() == [4]


def test_batches_do_not_share_memory_with_the_callers_rows(dataset):
    indices = np.arange(4)
    (batch,) = evaluation_batches(dataset, indices, batch_size=4, device=CPU)
    batch.indices[0] = 99
    assert indices[0] == 0


@pytest.mark.filterwarnings("error")
def test_read_only_images_raise_no_warning(dataset):
    assert batches(dataset, np.arange(8))
    assert list(evaluation_batches(dataset, np.arange(8), batch_size=4, device=CPU))


def test_augmented_epochs_repeat_in_another_order(dataset):
    rows = np.arange(250)
    two = {"num_augmented_epochs": 2}
    first, second, third = (batches(dataset, rows, epoch=epoch, **two) for epoch in (1, 2, 3))
    assert all(torch.equal(by_row(first)[row], by_row(third)[row]) for row in range(250))
    assert sum(torch.equal(by_row(first)[row], by_row(second)[row]) for row in range(250)) < 10
    assert not torch.equal(first[0].indices, third[0].indices)
    assert first[0].seed != third[0].seed


def test_single_images_are_those_of_the_batches(dataset):
    views = Views(dataset, np.arange(250), seed=3, num_augmented_epochs=4, padding=2, flip=True)
    for batch in views.batches(6, 32, CPU):
        assert torch.equal(views.images(batch.indices.numpy(), 2, CPU), batch.images)


@pytest.mark.parametrize(("padding", "flip"), [(0, True), (3, False), (4, True)])
def test_a_gpu_augments_to_the_same_bits(dataset, padding, flip):
    rows = np.arange(100)
    drawn = draw_augmentation(rows, seed=1, augmented_epoch=2, padding=padding, flip=flip)
    images = dataset.images[rows]
    ours = augment_on_device(torch.from_numpy(images), drawn, padding)
    np.testing.assert_array_equal(ours.numpy(), augment(images, drawn, padding))


def test_a_data_set_in_the_devices_memory_gives_the_same_views(dataset):
    on_host, resident = Pixels(dataset, CPU), Pixels(dataset, CPU)
    resident._resident = torch.from_numpy(dataset.images.copy())  # as on a GPU
    rows = np.array([7, 3, 200, 3])
    drawn = draw_augmentation(rows, seed=1, augmented_epoch=2, padding=4, flip=True)
    assert torch.equal(resident.augmented(rows, drawn, 4), on_host.augmented(rows, drawn, 4))
    assert torch.equal(resident.plain(rows), on_host.plain(rows))
