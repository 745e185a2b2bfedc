"""Images that stay in their own files and are decoded on access."""

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

# The usual evaluation: resize the shorter side to 256 pixels, crop the central 224.
_RESIZED, _CROPPED = 256, 224


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """The image files of a data set, shown as squares of `image_size` pixels.

    Indexing by rows returns the evaluation's view, uint8 [B, 3, H, W], like an array of images.
    """

    folder: Path
    paths: pa.Array  # of strings, relative to the folder
    num_bytes: np.ndarray  # int64 [N]: file sizes
    image_size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.paths), 3, self.image_size, self.image_size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """The evaluation's view of int64 rows [B], uint8 [B, 3, H, W]."""
        numbers = np.arange(len(self))[rows]
        images = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        for image, row in zip(images, numbers.tolist(), strict=True):
            image[:] = self.view(row, None)
        return images

    def view(self, row: int, crop: RandomCrop | None) -> np.ndarray:
        """One image, uint8 [3, H, W]: a random crop, or without `crop` the evaluation's centre.

        Raises UnreadableImageError if the file is not an image, OSError if it cannot be read.
        """
        path = self.folder / self.paths[row].as_py()
        # The file is read before decoding, so that a disk error is not taken for a damaged image.
        # JPEG's own scaling by 2, 4 or 8 gains nothing at 224 pixels (measured).
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
        """The same as torchvision's Resize and CenterCrop."""
        size = self.image_size
        shorter = round(size * _RESIZED / _CROPPED)
        longer = int(shorter * max(image.size) / min(image.size))
        height, width = (longer, shorter) if image.height > image.width else (shorter, longer)
        resized = _resized(image, height, width)
        top, left = round((height - size) / 2), round((width - size) / 2)
        return resized[:, top : top + size, left : left + size]


def _resized(image: "Image", height: int, width: int) -> Tensor:
    """Bilinear resizing with antialiasing, uint8 [3, height, width].

    Twice as fast as Pillow; the results differ by at most one level of 255.
    """
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return F.interpolate(pixels[None], (height, width), mode="bilinear", antialias=True)[0]
