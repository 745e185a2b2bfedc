"""Random resized crops as a pure function of (seed, augmented epoch, row).

Area and aspect ratio are drawn as in "Going deeper with convolutions" (arXiv:1409.4842, section
6), with the number of attempts and the fallback of torchvision's RandomResizedCrop.
"""

import math
from typing import NamedTuple

import numpy as np

from tuner.data.hashing import hash_numbers

SCALE = (0.08, 1.0)  # share of the image's area
RATIO = (3 / 4, 4 / 3)  # width to height
_ATTEMPTS = 10

# Different from the streams in views.py.
_AREA, _RATIO, _TOP, _LEFT, _FLIP = 21, 22, 23, 24, 25


class Box(NamedTuple):
    """Part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


class RandomCrop(NamedTuple):
    """The random numbers of one image, in [0, 1); its size is not known yet."""

    areas: np.ndarray  # [attempts]
    ratios: np.ndarray  # [attempts]
    top: float
    left: float
    is_flipped: bool  # mirrored after cropping

    def box(self, height: int, width: int) -> Box:
        """The crop for an image of this size: the first attempt that lies inside."""
        low, high = np.log(RATIO)
        areas = height * width * (SCALE[0] + self.areas * (SCALE[1] - SCALE[0]))
        ratios = np.exp(low + self.ratios * (high - low))
        for area, ratio in zip(areas.tolist(), ratios.tolist(), strict=True):
            box_height, box_width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < box_height <= height and 0 < box_width <= width:
                top = int(self.top * (height - box_height + 1))
                left = int(self.left * (width - box_width + 1))
                return Box(top, left, box_height, box_width)
        # No attempt fits a very long image: its centre, as long as the ratio allows.
        box_height = min(height, max(1, round(width / RATIO[0])))
        box_width = min(width, max(1, round(height * RATIO[1])))
        return Box((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)


def draw_crops(
    rows: np.ndarray, *, seed: int, augmented_epoch: int, flip: bool
) -> list[RandomCrop]:
    """One crop for each row, int64 [B]; `flip` mirrors half of the images."""

    def draw(stream: int, *attempt: int) -> np.ndarray:
        hashes = hash_numbers(rows, stream, seed, augmented_epoch, *attempt)
        uniform: np.ndarray = (hashes >> np.uint64(11)) * 2.0**-53  # a double has 53 bits
        return uniform

    areas, ratios = (
        np.stack([draw(stream, attempt) for attempt in range(_ATTEMPTS)], axis=1)
        for stream in (_AREA, _RATIO)
    )
    top, left = draw(_TOP).tolist(), draw(_LEFT).tolist()
    flipped = (draw(_FLIP) < 0.5).tolist() if flip else [False] * len(rows)
    return [RandomCrop(*drawn) for drawn in zip(areas, ratios, top, left, flipped, strict=True)]
