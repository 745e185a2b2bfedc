"""What a distillation loss gets besides the two networks' outputs."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """One batch of a view of the data."""

    images: Tensor  # [B, 3, H, W], normalised
    labels: Tensor  # [B], int64
    indices: Tensor  # [B], int64: each image's row in the data set
    # What a loss may draw random numbers from (negatives, locations): a pure
    # function of (data seed, epoch, step), so that a resumed trial draws the same.
    seed: int
    epoch: int = 1  # counted from 1


class TrainingData(NamedTuple):
    """What a loss may know of a training before its first step."""

    rows: Tensor  # [N], int64: the training images' rows in the data set, ascending
    labels: Tensor  # [N], int64: theirs
    num_epochs: int


def ramp(epoch: int, num_epochs: int) -> float:
    """What a weight is multiplied by in an epoch, counted from 1: 1 from `num_epochs` on."""
    return min(epoch / num_epochs, 1.0) if num_epochs else 1.0
