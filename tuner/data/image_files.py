"""Images that stay in their files: each is decoded when it is asked for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from tuner.data.random_crops import RandomCrop
from tuner.errors import RequestError

# The usual evaluation: the shorter side to 256 pixels, of which the central 224 are seen.
_RESIZED, _CROPPED = 256, 224


class UnreadableImageError(RequestError):
    """A file that is no image; the message names it."""


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
        pixels = self._decoded(row)
        view = self._centre(pixels) if crop is None else self._crop(pixels, crop)
        array: np.ndarray = view.numpy()
        return array

    def _decoded(self, row: int) -> Tensor:
        """The whole image, uint8 [3, H, W] in RGB, whatever its colours were.

        By torchvision's decoder: with the resizing below, 1.5 times as fast as Pillow. JPEG's
        own scaling by 2, 4 or 8 would gain nothing at 224 pixels.
        """
        from torchvision.io import ImageReadMode, decode_jpeg, decode_png

        path = self.folder / self.paths[row].as_py()
        content = torch.from_numpy(np.fromfile(path, np.uint8))
        # By its first bytes: one of ImageNet's JPEGs is a PNG.
        decode = decode_png if bytes(content[:4].tolist()) == b"\x89PNG" else decode_jpeg
        try:
            pixels: Tensor = decode(content, ImageReadMode.RGB)
            if pixels.dtype != torch.uint8:
                raise ValueError("it has more than 8 bits per channel")
        except (RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0].rpartition(": ")[2].rpartition(", ")[2]
            raise UnreadableImageError(
                f"{path}: not a readable JPEG or PNG image ({reason.strip()}); replace or remove it"
            ) from error
        return pixels

    def _crop(self, pixels: Tensor, crop: RandomCrop) -> Tensor:
        top, left, height, width = crop.box(*pixels.shape[1:])
        part = pixels[:, top : top + height, left : left + width]
        view = _resized(part, self.image_size, self.image_size)
        return view.flip(-1) if crop.is_flipped else view

    def _centre(self, pixels: Tensor) -> Tensor:
        """As torchvision's Resize and CenterCrop, to the pixel."""
        size = self.image_size
        shorter = round(size * _RESIZED / _CROPPED)
        height, width = pixels.shape[1:]
        longer = int(shorter * max(height, width) / min(height, width))
        height, width = (longer, shorter) if height > width else (shorter, longer)
        resized = _resized(pixels, height, width)
        top, left = round((height - size) / 2), round((width - size) / 2)
        return resized[:, top : top + size, left : left + size]


def _resized(pixels: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, with a filter that widens where it shrinks: downsizing does not alias."""
    return F.interpolate(pixels[None], (height, width), mode="bilinear", antialias=True)[0]
