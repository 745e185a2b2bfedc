"""Tiny ImageNet as published (tiny-imagenet-200): 200 classes, images of 64 x 64 pixels."""

from pathlib import Path

import numpy as np

from tuner.data.sources.decoding import decode_images
from tuner.data.sources.raw_data import RawData, describe_files
from tuner.text.errors import RequestError, printable


class TinyImageNet:
    """Classes are the folders in DIR/train, sorted by name.

    The published test images have no labels, so the validation images are the test set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = f"tinyimagenet:{folder}"
        self.name = folder.name
        self._annotations = folder / "val" / "val_annotations.txt"
        self._words = folder / "words.txt"

    def files(self) -> list[tuple[str, int, int]]:
        """All images and both lists; raises RequestError for another layout."""
        images = [path for path, _ in self._train() + self._validation()]
        return describe_files([*images, self._annotations, self._words])

    def load(self, image_size: int | None) -> RawData:
        """Decodes all images; raises RequestError for another layout or an unreadable image."""
        train, test = self._train(), self._validation()
        classes = sorted({wnid for _, wnid in train})
        number = {wnid: label for label, wnid in enumerate(classes)}
        for path, wnid in test:
            if wnid not in number:
                raise RequestError(
                    f"{self._annotations}: {path.name} is of class '{printable(wnid)}', which is "
                    f"not a folder in {self.folder / 'train'}; download the data set again"
                )
        names = self._names()
        rows = train + test
        return RawData(
            images=decode_images(((str(path), path) for path, _ in rows), len(rows), image_size),
            labels=np.array([number[wnid] for _, wnid in rows], np.int64),
            num_train=len(train),
            class_names=tuple(names.get(wnid, wnid) for wnid in classes),
        )

    def _train(self) -> list[tuple[Path, str]]:
        """Every image with its class, sorted; raises RequestError for another layout."""
        images = []
        for folder in sorted(self.folder.glob("train/*/images")):
            paths = sorted(folder.glob("*.JPEG"))
            if not paths:
                raise RequestError(f"{folder}: no .JPEG files in this class; download it again")
            images += [(path, folder.parent.name) for path in paths]
        if not images or not self._annotations.is_file() or not self._words.is_file():
            raise RequestError(
                f"{self.folder}: tinyimagenet:DIR needs DIR/train/WNID/images/*.JPEG, "
                "DIR/val/images/*.JPEG, DIR/val/val_annotations.txt and DIR/words.txt"
            )
        return images

    def _validation(self) -> list[tuple[Path, str]]:
        """The annotated images with their classes, in the file's order. Raises RequestError."""
        images = self._annotations.parent / "images"
        rows = [line.split("\t") for line in _lines(self._annotations)]
        if not rows or any(len(row) < 2 or "/" in row[0] for row in rows):
            raise RequestError(
                f"{self._annotations}: each line must be a file name, a tab and its class; "
                "download the data set again"
            )
        return [(images / file, wnid) for file, wnid, *_ in rows]

    def _names(self) -> dict[str, str]:
        """The name of each class: the first of its synonyms."""
        names = {}
        for line in _lines(self._words):
            wnid, _, words = line.partition("\t")
            names[wnid] = printable(words.partition(",")[0]) or wnid
        return names


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{file}: not a readable text file; download it again") from error
