"""Images that stay in their files: each is decoded when it is asked for."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from tuner.data.encoded_image import decoded
from tuner.data.random_crops import RandomCrop

if TYPE_CHECKING:
    from PIL.Image import Image

# The usual evaluation: the shorter side to 256 pixels, of which the central 224 are seen.
_RESIZED, _CROPPED = 256, 224


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """The files of a data set, seen as squares of `image_size` pixels.

    Indexed by rows it gives the evaluation's view, uint8 [B, 3, H, W], as an array of
    images would.
    """

    folder: Path
    paths: pa.Array  # of strings, relative to the folder
    num_bytes: np.ndarray  # int64 [N]: the files' sizes
    image_size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.paths), 3, self.image_size, self.image_size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        numbers = np.arange(len(self))[rows]
        images = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        for image, row in zip(images, numbers.tolist(), strict=True):
            image[:] = self.view(row, None)
        return images

    def view(self, row: int, crop: RandomCrop | None) -> np.ndarray:
        """One image, uint8 [3, H, W]: a random crop of it, or the evaluation's centre.

        Raises UnreadableImageError, and OSError where the file cannot be reached.
        """
        path = self.folder / self.paths[row].as_py()
        # Read first: a disk that fails is no flaw of the image. All of it is decoded: JPEG's own
        # scaling by 2, 4 or 8 gains nothing at 224 pixels (measured).
        image = decoded(str(path), BytesIO(path.read_bytes()))
        view = self._centre(image) if crop is None else self._crop(image, crop)
        array: np.ndarray = view.numpy()
        return array

    def _crop(self, image: "Image", crop: RandomCrop) -> Tensor:
        top, left, height, width = crop.box(image.height, image.width)
        part = image.crop((left, top, left + width, top + height))
        view = _resized(part, self.image_size, self.image_size)
        return view.flip(-1) if crop.is_flipped else view

    def _centre(self, image: "Image") -> Tensor:
        """As torchvision's Resize and CenterCrop."""
        size = self.image_size
        shorter = round(size * _RESIZED / _CROPPED)
        longer = int(shorter * max(image.size) / min(image.size))
        height, width = (longer, shorter) if image.height > image.width else (shorter, longer)
        resized = _resized(image, height, width)
        top, left = round((height - size) / 2), round((width - size) / 2)
        return resized[:, top : top + size, left : left + size]


def _resized(image: "Image", height: int, width: int) -> Tensor:
    """Bilinear, with a filter that widens where it shrinks: downsizing does not alias.

    Twice as fast as Pillow, from which it differs by one level of 255 at most.
    """
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return F.interpolate(pixels[None], (height, width), mode="bilinear", antialias=True)[0]
