"""Decodes images (PNG, JPEG, ...) into one array, while an Arrow file is built."""

import os
import warnings
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tuner.data.encoded_image import decoded
from tuner.text.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image


def decode_images(
    encoded: Iterable[tuple[str, Path | BytesIO]], num_images: int, image_size: int | None
) -> np.ndarray:
    """Decodes pairs (place for errors, file) to uint8 [num_images, 3, H, W].

    Only one image is open at a time. Raises RequestError if an image cannot be read, or if
    sizes differ and no `image_size` is given.
    """
    if image_size is not None:  # fails before the first image is resized
        _empty_images(num_images, image_size, image_size)
    images, first = np.empty(0, np.uint8), ""
    for row, (where, file) in enumerate(encoded):
        pixels = _decode(where, file, image_size)
        if row == 0:
            images, first = _empty_images(num_images, *pixels.shape[1:]), where
        elif pixels.shape != images.shape[1:]:
            raise RequestError(
                f"{where} is {_size(pixels)} pixels but {first} is {_size(images[0])}; "
                "give --image-size to resize all images"
            )
        images[row] = pixels
    return images


def resize_images(images: np.ndarray, image_size: int | None) -> np.ndarray:
    """Resizes uint8 [N, 3, H, W] to [N, 3, image_size, image_size]; None keeps the size.

    Raises RequestError if the result does not fit in memory.
    """
    if image_size is None or images.shape[2:] == (image_size, image_size):
        return images
    from PIL import Image

    resized = _empty_images(len(images), image_size, image_size)
    for row, pixels in enumerate(images.transpose(0, 2, 3, 1)):
        resized[row] = _pixels(_resize(Image.fromarray(pixels), image_size))
    return resized


def _empty_images(num_images: int, height: int, width: int) -> np.ndarray:
    """uint8 [num_images, 3, height, width]; raises RequestError if it does not fit in memory."""
    num_bytes = num_images * 3 * height * width
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if num_bytes > memory:
        raise RequestError(
            f"{num_images} images of {width}x{height} pixels take {num_bytes / 1e9:.0f} GB, but "
            f"this machine has {memory / 1e9:.0f} GB of memory; give a smaller --image-size"
        )
    return np.empty((num_images, 3, height, width), np.uint8)


def _decode(where: str, file: Path | BytesIO, image_size: int | None) -> np.ndarray:
    with warnings.catch_warnings():
        # Pillow warns of large images and of small flaws that it tolerates.
        warnings.simplefilter("ignore")
        image = decoded(where, file)
    return _pixels(image if image_size is None else _resize(image, image_size))


def _resize(image: "Image", image_size: int) -> "Image":
    """Resizes the shorter side to `image_size` pixels, then crops the central square."""
    from PIL import Image

    if image.size == (image_size, image_size):
        return image
    scale = image_size / min(image.size)
    width, height = (max(image_size, round(side * scale)) for side in image.size)
    # Pillow's filters widen with the scale, so downsizing does not alias.
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - image_size) // 2, (height - image_size) // 2
    return image.crop((left, top, left + image_size, top + image_size))


def _pixels(image: "Image") -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1)


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[2]}x{pixels.shape[1]}"
