"""Splits a data set into training, validation and test rows."""

from typing import NamedTuple

import numpy as np

from tuner.data.dataset import Dataset
from tuner.data.stratification import stratified_order
from tuner.text.errors import RequestError

_VALIDATION_STREAM, _LIMIT_STREAM = 1, 2  # independent draws from one seed
_MIN_VALIDATION_PER_CLASS = 10  # with a limit; with fewer, noise would rank the trials


class Splits(NamedTuple):
    """Disjoint rows of the data set, each int64 [N], ascending."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split(
    dataset: Dataset, *, validation_fraction: float, seed: int, limit: int | None = None
) -> Splits:
    """Holds a stratified validation split out of the training set; the test set stays whole.

    The validation rows, round(validation_fraction x training images), are chosen first and
    regardless of the limit, so no limit trains on the validation rows of another. `limit`
    then keeps that many of the remaining training rows, stratified, and validation rows in
    the same proportion (at least 10 per class, if there are as many), so that short runs do
    not spend their time on evaluation. The rows of a smaller limit are among those of a larger
    one. Every class of the training set occurs in both parts. Raises RequestError if the
    fraction or the limit does not allow that.
    """
    if not 0 < validation_fraction < 1:
        raise RequestError(
            f"the validation fraction is {validation_fraction}; it must lie between 0 and 1"
        )
    labels = dataset.labels[: dataset.num_train]
    rows = np.arange(dataset.num_train)
    order = stratified_order(rows, labels, _VALIDATION_STREAM, seed)
    num_classes = len(np.unique(labels))
    num_validation = round(validation_fraction * len(rows))
    if num_validation < num_classes:
        raise RequestError(
            f"a validation fraction of {validation_fraction} takes {num_validation} of "
            f"{len(rows)} training images; raise it so that each of {num_classes} classes has one"
        )
    validation, train = order[:num_validation], np.sort(order[num_validation:])
    _refuse_untrained_classes(dataset, train)
    if limit is not None:
        if not num_classes <= limit <= len(train):
            raise RequestError(
                f"the limit is {limit}; it must lie between {num_classes} (one image for each "
                f"class) and {len(train)} (training images outside the validation split)"
            )
        in_proportion = round(limit * num_validation / len(train))
        train = stratified_order(train, labels[train], _LIMIT_STREAM, seed)[:limit]
        validation = validation[: max(in_proportion, _MIN_VALIDATION_PER_CLASS * num_classes)]
    test = np.arange(dataset.num_train, len(dataset.labels))
    return Splits(np.sort(train), np.sort(validation), test)


def _refuse_untrained_classes(dataset: Dataset, train: np.ndarray) -> None:
    sizes = np.bincount(dataset.labels[: dataset.num_train], minlength=dataset.num_classes)
    left = np.bincount(dataset.labels[train], minlength=dataset.num_classes)
    missing = np.flatnonzero((sizes > 0) & (left == 0))
    if len(missing):
        label = missing[0]
        raise RequestError(
            f"class '{dataset.class_names[label]}' has {sizes[label]} training image(s), none left "
            "outside the validation split; add images or lower the validation fraction"
        )
