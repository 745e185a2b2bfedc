"""The inputs of a distillation loss besides the two networks' outputs."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """One batch of a view of the data."""

    images: Tensor  # [B, 3, H, W], normalised
    labels: Tensor  # [B], int64
    indices: Tensor  # [B], int64: each image's row in the data set
    # Seed for random choices of a loss (negatives, locations): a pure function of
    # (data seed, epoch, step), so a resumed trial makes the same choices.
    seed: int
    epoch: int = 1  # counted from 1


class TrainingData(NamedTuple):
    """What a loss knows about a training before its first step."""

    rows: Tensor  # [N], int64: the training images' rows in the data set, ascending
    labels: Tensor  # [N], int64
    num_epochs: int


def ramp(epoch: int, num_epochs: int) -> float:
    """The factor of a weight in an epoch, counted from 1: grows linearly to 1 in `num_epochs`."""
    return min(epoch / num_epochs, 1.0) if num_epochs else 1.0
