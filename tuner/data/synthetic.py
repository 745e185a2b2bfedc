"""A data set of noise, of any size, for measuring what a training costs."""

from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tuner.data.dataset import Dataset

_SHIFT = 16  # bytes


def noise_dataset(num_images: int, num_classes: int, image_size: tuple[int, int]) -> Dataset:
    """Uniform noise of (height, width), with cyclic labels; all are training images.

    The images overlap in memory, each starts 16 bytes after the one before: a million images
    of 224 x 224 pixels take 20 MB. There is no file.
    """
    height, width = image_size
    num_bytes = num_images * _SHIFT + 3 * height * width
    pixels = np.random.default_rng(0).integers(0, 256, num_bytes, np.uint8)
    images = as_strided(
        pixels,
        (num_images, 3, height, width),
        (_SHIFT, height * width, width, 1),
        writeable=False,
    )
    return Dataset(
        spec="noise",
        name="noise",
        path=Path("noise"),
        images=images,
        labels=np.arange(num_images, dtype=np.int64) % num_classes,
        num_train=num_images,
        class_names=tuple(str(number) for number in range(num_classes)),
        mean=(0.5, 0.5, 0.5),
        std=(0.29, 0.29, 0.29),
        fingerprint="noise",
        in_file=False,
    )
