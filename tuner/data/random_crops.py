"""Random resized crops without a generator: where each image is cropped, and whether mirrored.

Area and proportions are drawn as in "Going deeper with convolutions" (arXiv:1409.4842, section
6), with the numbers of attempts and the last resort of torchvision's RandomResizedCrop.
"""

import math
from typing import NamedTuple

import numpy as np

from tuner.data.hashing import hash_numbers

SCALE = (0.08, 1.0)  # share of the image's area
RATIO = (3 / 4, 4 / 3)  # width to height
_ATTEMPTS = 10

# Apart from the streams of the small images' views.
_AREA, _RATIO, _TOP, _LEFT, _FLIP = 21, 22, 23, 24, 25


class Box(NamedTuple):
    """Part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


class RandomCrop(NamedTuple):
    """What is drawn for one image, whatever its size: numbers in [0, 1)."""

    areas: np.ndarray  # [attempts]
    ratios: np.ndarray  # [attempts]
    top: float
    left: float
    is_flipped: bool  # mirrored after cropping

    def box(self, height: int, width: int) -> Box:
        """The part of an image of this size: of all attempts the first that lies inside."""
        low, high = np.log(RATIO)
        areas = height * width * (SCALE[0] + self.areas * (SCALE[1] - SCALE[0]))
        ratios = np.exp(low + self.ratios * (high - low))
        for area, ratio in zip(areas.tolist(), ratios.tolist(), strict=True):
            box_height, box_width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < box_height <= height and 0 < box_width <= width:
                top = int(self.top * (height - box_height + 1))
                left = int(self.left * (width - box_width + 1))
                return Box(top, left, box_height, box_width)
        # A long and narrow image: its centre, as long as the proportions allow.
        box_height = min(height, max(1, round(width / RATIO[0])))
        box_width = min(width, max(1, round(height * RATIO[1])))
        return Box((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)


def draw_crops(rows: np.ndarray, *, seed: int, pass_number: int, flip: bool) -> list[RandomCrop]:
    """One for each row, a pure function of (seed, pass, row); `flip` mirrors half of them."""

    def draw(stream: int, *attempt: int) -> np.ndarray:
        hashes = hash_numbers(rows, stream, seed, pass_number, *attempt)
        uniform: np.ndarray = (hashes >> np.uint64(11)) * 2.0**-53  # as many bits as a float has
        return uniform

    areas, ratios = (
        np.stack([draw(stream, attempt) for attempt in range(_ATTEMPTS)], axis=1)
        for stream in (_AREA, _RATIO)
    )
    top, left = draw(_TOP).tolist(), draw(_LEFT).tolist()
    flipped = (draw(_FLIP) < 0.5).tolist() if flip else [False] * len(rows)
    return [RandomCrop(*drawn) for drawn in zip(areas, ratios, top, left, flipped, strict=True)]
