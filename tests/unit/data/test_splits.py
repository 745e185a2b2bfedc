"""Splits: stratified, disjoint, nested, a pure function of the seed."""

from pathlib import Path

import numpy as np
import pytest

from tuner.data import Dataset, split
from tuner.data.stratification import stratified_order
from tuner.text.errors import RequestError


def dataset(train_sizes: list[int], num_test: int = 7) -> Dataset:
    """A data set with so many training images of each class, shuffled; pixels do not matter."""
    labels = np.repeat(np.arange(len(train_sizes)), train_sizes)
    labels = np.random.default_rng(0).permutation(labels)
    labels = np.concatenate([labels, np.zeros(num_test, np.int64)])
    return Dataset(
        spec="made:up",
        name="up",
        path=Path("up.arrow"),
        images=np.zeros((len(labels), 3, 1, 1), np.uint8),
        labels=labels,
        num_train=sum(train_sizes),
        class_names=tuple(f"class{number}" for number in range(len(train_sizes))),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        fingerprint="",
    )


def test_splits_are_disjoint_whole_and_stratified():
    data = dataset([1000, 500, 300, 200])
    splits = split(data, validation_fraction=0.1, seed=3)
    assert splits.train.dtype == np.int64
    together = np.concatenate(splits)
    np.testing.assert_array_equal(np.sort(together), np.arange(2007))
    np.testing.assert_array_equal(splits.test, np.arange(2000, 2007))
    assert np.bincount(data.labels[splits.validation]).tolist() == [100, 50, 30, 20]


def test_a_split_is_a_pure_function_of_its_seed():
    data = dataset([200, 200])
    first, again, other = (split(data, validation_fraction=0.2, seed=s) for s in (1, 1, 2))
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(np.intersect1d(first.validation, other.validation)) < 40


def test_limits_nest_and_never_touch_another_limits_validation():
    data = dataset([617, 401, 203, 79])
    whole = split(data, validation_fraction=0.2, seed=0)
    smaller = None
    for limit in range(4, 1040, 7):
        splits = split(data, validation_fraction=0.2, seed=0, limit=limit)
        assert len(splits.train) == limit
        assert len(splits.validation) == max(round(limit / 4), 40)
        assert np.isin(splits.train, whole.train).all()
        assert np.isin(splits.validation, whole.validation).all()
        np.testing.assert_array_equal(splits.test, whole.test)
        if smaller is not None:
            assert np.isin(smaller.train, splits.train).all()
            assert np.isin(smaller.validation, splits.validation).all()
        smaller = splits
    largest = split(data, validation_fraction=0.2, seed=0, limit=len(whole.train))
    np.testing.assert_array_equal(largest.train, whole.train)
    np.testing.assert_array_equal(largest.validation, whole.validation)


def test_the_validation_rows_of_a_limit_are_bounded_by_what_exists():
    splits = split(dataset([50, 50]), validation_fraction=0.1, seed=0, limit=2)
    assert len(splits.validation) == 10


def test_every_beginning_of_a_stratified_order_is_proportional():
    labels = np.repeat(np.arange(4), [500, 300, 150, 50])
    order = stratified_order(np.arange(1000), labels, 5)
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    assert sorted(labels[order[:4]]) == [0, 1, 2, 3]
    counts = np.cumsum(np.eye(4)[labels[order]], axis=0)
    quota = np.arange(1, 1001)[:, None] * np.array([0.5, 0.3, 0.15, 0.05])
    assert np.abs(counts - quota)[20:].max() <= 1.0
    # Inside a class the choice is by hash, not by position.
    first = order[labels[order] == 0][:250]
    assert 200 < first.mean() < 300


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_0_and_1_is_refused(fraction):
    with pytest.raises(RequestError, match="must lie between 0 and 1"):
        split(dataset([20, 20]), validation_fraction=fraction, seed=0)


@pytest.mark.parametrize("limit", [-1, 0, 1, 37])
def test_a_limit_outside_what_exists_is_refused(limit):
    with pytest.raises(RequestError, match=rf"the limit is {limit}; .* between 2 .* and 36"):
        split(dataset([20, 20]), validation_fraction=0.1, seed=0, limit=limit)


def test_a_fraction_too_small_for_the_classes_is_refused():
    with pytest.raises(RequestError, match="takes 0 of 40 training images; raise it"):
        split(dataset([20, 20]), validation_fraction=0.01, seed=0)


def test_a_class_that_validation_would_use_up_is_refused():
    with pytest.raises(RequestError, match=r"class 'class1' has 1 training image\(s\), none left"):
        split(dataset([20, 1]), validation_fraction=0.1, seed=0)
