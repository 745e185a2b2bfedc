"""STL-10's binary files: 5,000 training and 8,000 test images of 96 x 96, ten classes."""

from pathlib import Path

import numpy as np

from tuner.data.sources.decoding import resize_images
from tuner.data.sources.raw_data import RawData, describe_files
from tuner.text.errors import RequestError, printable

_SIZE = 96
_SUBFOLDER = "stl10_binary"  # in the archive
_FILES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "class_names.txt")


class Stl10:
    """The files are in DIR or DIR/stl10_binary; the unlabelled images are not used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = f"stl10:{folder}"
        self.name = folder.name

    def files(self) -> list[tuple[str, int, int]]:
        """The five files; raises RequestError if one is missing."""
        return describe_files(self._files())

    def load(self, image_size: int | None) -> RawData:
        """Reads all labelled images; raises RequestError if the files are damaged."""
        train_images, train_labels, test_images, test_labels, names = self._files()
        class_names = _read_names(names)
        train, test = (
            _read_split(images, labels, len(class_names), image_size)
            for images, labels in ((train_images, train_labels), (test_images, test_labels))
        )
        return RawData(
            images=np.concatenate([train[0], test[0]]),
            labels=np.concatenate([train[1], test[1]]),
            num_train=len(train[1]),
            class_names=class_names,
        )

    def _files(self) -> list[Path]:
        for folder in (self.folder, self.folder / _SUBFOLDER):
            files = [folder / name for name in _FILES]
            if all(file.is_file() for file in files):
                return files
        raise RequestError(
            f"{self.folder}: stl10:DIR needs {', '.join(_FILES)} in DIR or DIR/{_SUBFOLDER}"
        )


def _read_split(
    images_file: Path, labels_file: Path, num_classes: int, image_size: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 3, H, W] and labels int64 [N]; raises RequestError."""
    pixels, labels = _read(images_file), _read(labels_file).astype(np.int64) - 1
    if not len(labels):
        raise RequestError(f"{labels_file}: empty; download it again")
    if pixels.size != len(labels) * 3 * _SIZE * _SIZE:
        raise RequestError(
            f"{images_file}: {pixels.size} bytes, but the {len(labels)} labels of "
            f"{labels_file.name} need {len(labels) * 3 * _SIZE * _SIZE}; download both again"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise RequestError(
            f"{labels_file}: labels range from {labels.min() + 1} to {labels.max() + 1}, but with "
            f"{num_classes} classes they must be 1 to {num_classes}; download it again"
        )
    # Each channel is stored column by column.
    images = pixels.reshape(-1, 3, _SIZE, _SIZE).transpose(0, 1, 3, 2)
    return resize_images(np.ascontiguousarray(images), image_size), labels


def _read(file: Path) -> np.ndarray:
    try:
        return np.fromfile(file, np.uint8)
    except OSError as error:
        raise RequestError(f"{file}: cannot be read ({error.strerror})") from error


def _read_names(file: Path) -> tuple[str, ...]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{file}: not a readable list of classes; download it again") from error
    names = tuple(printable(line) for line in text.splitlines() if line.strip())
    if not names:
        raise RequestError(
            f"{file}: no class names, which should be one per line; download it again"
        )
    return names
