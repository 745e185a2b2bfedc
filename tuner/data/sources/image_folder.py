"""Folders of image files: DIR/train/CLASS/*.png, and DIR/test (or DIR/val) likewise."""

from pathlib import Path

import numpy as np

from tuner.data.sources.decoding import decode_images
from tuner.data.sources.raw_data import RawData, describe_files
from tuner.text.errors import RequestError

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class ImageFolder:
    """Classes are the folders in DIR/train, sorted by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = f"imagefolder:{folder}"
        self.name = folder.name

    def files(self) -> list[tuple[str, int, int]]:
        """All image files; raises RequestError for another layout."""
        return describe_files(path for split in self._splits() for path, _ in self._images(split))

    def load(self, image_size: int | None) -> RawData:
        """Decodes all images; raises RequestError for another layout or an unreadable image."""
        train, test = (self._images(split) for split in self._splits())
        class_names = tuple(sorted({name for _, name in train}))
        for path, name in test:
            if name not in class_names:
                raise RequestError(
                    f"{path.parent}: '{name}' is not a class of {self.folder / 'train'}; "
                    "the test images must be in the training set's class folders"
                )
        number = {name: label for label, name in enumerate(class_names)}
        rows = train + test
        return RawData(
            images=decode_images(((str(path), path) for path, _ in rows), len(rows), image_size),
            labels=np.array([number[name] for _, name in rows], np.int64),
            num_train=len(train),
            class_names=class_names,
        )

    def _splits(self) -> tuple[Path, Path]:
        train = self.folder / "train"
        tests = [self.folder / name for name in ("test", "val") if (self.folder / name).is_dir()]
        if not train.is_dir() or not tests:
            raise RequestError(
                f"{self.folder}: imagefolder:DIR needs DIR/train/CLASS/ and DIR/test/CLASS/ "
                "(or DIR/val/CLASS/) with image files"
            )
        return train, tests[0]

    def _images(self, split: Path) -> list[tuple[Path, str]]:
        """Every image file with its class, sorted; raises RequestError for an empty class."""
        images = []
        try:
            classes = sorted(path for path in split.iterdir() if path.is_dir())
        except OSError as error:
            raise RequestError(f"{split}: cannot be read ({error.strerror})") from error
        for folder in classes:
            paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
            if not paths:
                raise RequestError(
                    f"{folder}: no image files in this class; add some or remove the folder"
                )
            images += [(path, folder.name) for path in paths]
        if not images:
            raise RequestError(f"{split}: no class folders; put images into {split / 'CLASS'}")
        return images
