"""A data set: read-only views of its memory-mapped Arrow file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tuner.data.image_files import ImageFiles

Channels = tuple[float, float, float]  # one number each for red, green, blue


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training rows first, then test rows; the arrays are read-only.

    All processes map the same file, so they share its pages.
    """

    spec: str  # as on the command line, with the absolute path of a folder
    name: str
    path: Path  # of the Arrow file
    images: np.ndarray | ImageFiles  # uint8 [N, 3, H, W], in memory or decoded on access
    labels: np.ndarray  # int64 [N]
    num_train: int
    class_names: tuple[str, ...]
    mean: Channels  # of the training images, values in [0, 1]
    std: Channels
    # SHA-256 of everything that the networks see: images, labels, class names, the boundary
    # between training and test rows, mean and std. Images that stay in their own files count
    # by path and size.
    fingerprint: str
    in_file: bool = True  # whether the Arrow file exists; noise has none

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def num_test(self) -> int:
        return len(self.labels) - self.num_train

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.images.shape[2], self.images.shape[3]
