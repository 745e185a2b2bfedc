"""Encoded images (PNG, JPEG, ...) to one array of pixels. Used once, when a file is built."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tuner.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image


def decode_images(
    encoded: Iterable[tuple[str, Path | BytesIO]], num_images: int, image_size: int | None
) -> np.ndarray:
    """Decodes pairs (where it stands, file) to uint8 [num_images, 3, H, W].

    One image is open at a time. Raises RequestError for an image that cannot be read
    and for images of unequal sizes when no image_size is given.
    """
    images, first = np.empty(0, np.uint8), ""
    for row, (where, file) in enumerate(encoded):
        pixels = _decode(where, file, image_size)
        if row == 0:
            images, first = np.empty((num_images, *pixels.shape), np.uint8), where
        elif pixels.shape != images.shape[1:]:
            raise RequestError(
                f"{where} is {_size(pixels)} pixels but {first} is {_size(images[0])}; "
                "give an image size, to which all are resized"
            )
        images[row] = pixels
    return images


def resize_images(images: np.ndarray, image_size: int | None) -> np.ndarray:
    """Brings uint8 [N, 3, H, W] to [N, 3, image_size, image_size]; None: as they are."""
    if image_size is None or images.shape[2:] == (image_size, image_size):
        return images
    from PIL import Image

    resized = np.empty((len(images), 3, image_size, image_size), np.uint8)
    for row, pixels in enumerate(images.transpose(0, 2, 3, 1)):
        resized[row] = _pixels(_resize(Image.fromarray(pixels), image_size))
    return resized


def _decode(where: str, file: Path | BytesIO, image_size: int | None) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                # Pillow would clip these to white instead of scaling them.
                raise ValueError("it has more than 8 bits per channel; convert it to 8")
            rgb = image.convert("RGB")
    # Pillow: SyntaxError for a broken PNG, ValueError for a broken header.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RequestError(
            f"{where}: not a readable image ({error}); replace or remove it"
        ) from error
    return _pixels(rgb if image_size is None else _resize(rgb, image_size))


def _resize(image: "Image", image_size: int) -> "Image":
    """Shorter side to image_size pixels, then the centre square."""
    from PIL import Image

    if image.size == (image_size, image_size):
        return image
    scale = image_size / min(image.size)
    width, height = (max(image_size, round(side * scale)) for side in image.size)
    # Pillow's filters widen with the scale: downsizing does not alias.
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - image_size) // 2, (height - image_size) // 2
    return image.crop((left, top, left + image_size, top + image_size))


def _pixels(image: "Image") -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1)


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[2]}x{pixels.shape[1]}"
