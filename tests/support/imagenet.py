"""A tiny folder in ImageNet's layout: three classes of JPEGs in several sizes and modes."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("n01440764", "n02105855", "n03000684")
NUM_TRAIN, NUM_VAL = 14, 4  # per class
SIZE = 32  # what the images are resized to


def make_imagenet(folder: Path) -> Path:
    """Writes train/ and val/ into `folder` and returns it."""
    number = 0
    for part, num_images in (("train", NUM_TRAIN), ("val", NUM_VAL)):
        for label, name in enumerate(CLASSES):
            (folder / part / name).mkdir(parents=True)
            for index in range(num_images):
                save_image(folder / part / name / f"{name}_{index}.JPEG", number, label)
                number += 1
    return folder


def save_image(path: Path, number: int, label: int) -> None:
    """Stripes whose direction is the class, under noise, in one of several sizes and modes."""
    generator = np.random.default_rng(number)
    height, width = generator.integers(40, 120, 2)
    y, x = np.mgrid[:height, :width]
    wave = np.sin((x, y, x + y)[label] / 4 + generator.uniform(0, 6))
    noise = generator.normal(0, 20, (height, width, 3))
    image = Image.fromarray((128 + 80 * wave[..., None] + noise).clip(0, 255).astype(np.uint8))
    mode = {0: "L", 1: "CMYK"}.get(number % NUM_TRAIN, "RGB")
    # As in ImageNet, one of the JPEGs is a PNG.
    image_format = "PNG" if number % NUM_TRAIN == 2 else "JPEG"
    image.convert("RGB" if image_format == "PNG" else mode).save(path, image_format)
