"""ImageNet in its usual layout, DIR/train/WNID/*.JPEG and DIR/val/WNID/*.JPEG."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from tuner.data.image_files import ImageFiles
from tuner.data.sources.raw_data import RawData, describe_files
from tuner.text.errors import RequestError

DEFAULT_SIZE = 224
_SUFFIXES = (".jpeg", ".jpg", ".png")
_MEAN_AND_STD = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class ImageNet:
    """Classes are the folders in DIR/train, sorted by name as in torchvision's networks.

    The images stay in their files. Only names and sizes of the files identify the content,
    because hashing 150 GB would take too long.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = f"imagenet:{folder}"
        self.name = folder.name

    def files(self) -> list[tuple[str, int, int]]:
        """The class folders, whose times change with added or removed files.

        There are 2,000 of them instead of 1.3 million files. A file overwritten in place goes
        unnoticed. Raises RequestError for another layout.
        """
        return describe_files(path for split in self._splits() for path in _classes(split))

    def load(self, image_size: int | None) -> RawData:
        """Lists all files; raises RequestError for another layout or an empty file."""
        train, val = self._splits()
        folders = _classes(train)
        number = {folder.name: label for label, folder in enumerate(folders)}
        paths: list[str] = []
        sizes: list[int] = []
        labels: list[int] = []
        num_train = 0
        for split in (train, val):
            num_train = len(paths)
            for folder in folders if split == train else _classes(split):
                if folder.name not in number:
                    raise RequestError(
                        f"{folder}: '{folder.name}' is not a class of {train}; "
                        "the validation images must be in the training set's class folders"
                    )
                for name, num_bytes in _images(folder):
                    paths.append(f"{split.name}/{folder.name}/{name}")
                    sizes.append(num_bytes)
                    labels.append(number[folder.name])
        return RawData(
            images=ImageFiles(
                self.folder,
                pa.array(paths, pa.string()),
                np.array(sizes, np.int64),
                image_size or DEFAULT_SIZE,
            ),
            labels=np.array(labels, np.int64),
            num_train=num_train,
            class_names=tuple(number),
            mean_and_std=_MEAN_AND_STD,
        )

    def _splits(self) -> tuple[Path, Path]:
        train, val = self.folder / "train", self.folder / "val"
        if not train.is_dir() or not val.is_dir():
            raise RequestError(
                f"{self.folder}: imagenet:DIR needs DIR/train/WNID/ and DIR/val/WNID/ with JPEGs"
            )
        return train, val


def _classes(split: Path) -> list[Path]:
    """The class folders, sorted. Raises RequestError if there are none."""
    try:
        folders = sorted(Path(entry) for entry in os.scandir(split) if entry.is_dir())
    except OSError as error:
        raise RequestError(f"{split}: cannot be read ({error.strerror})") from error
    if not folders:
        raise RequestError(
            f"{split}: no class folders; move each image into the folder of its class, "
            f"{split / 'WNID'}"
        )
    return folders


def _images(folder: Path) -> list[tuple[str, int]]:
    """Name and size in bytes of every image file, sorted.

    Raises RequestError if there are none, or one is empty.
    """
    try:
        images = sorted(
            (entry.name, entry.stat().st_size)
            for entry in os.scandir(folder)
            if entry.name.lower().endswith(_SUFFIXES)
        )
    except OSError as error:
        raise RequestError(f"{folder}: cannot be read ({error.strerror})") from error
    if not images:
        raise RequestError(f"{folder}: no JPEG files in this class; add some or remove the folder")
    for name, num_bytes in images:
        if not num_bytes:
            raise RequestError(f"{folder / name}: the file is empty; replace or remove it")
    return images
