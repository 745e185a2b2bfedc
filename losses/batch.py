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
