"""What every source of images is, and what it hands over to be written as Arrow."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from tuner.data.dataset import Channels
from tuner.data.image_files import ImageFiles
from tuner.text.errors import RequestError


class RawData(NamedTuple):
    """A whole data set, training rows first."""

    images: np.ndarray | ImageFiles  # uint8 [N, 3, H, W], or where such images are
    labels: np.ndarray  # int [N], each in 0 ... len(class_names) - 1
    num_train: int
    class_names: tuple[str, ...]
    # Published constants; None: computed from the training images.
    mean_and_std: tuple[Channels, Channels] | None = None


class Source(Protocol):
    """Where images come from; made from a spec, reads nothing until asked."""

    spec: str  # canonical: a folder by its absolute path
    name: str  # for people and file names

    def files(self) -> list[tuple[str, int, int]]:
        """What the content depends on besides the spec; raises RequestError."""

    def load(self, image_size: int | None) -> RawData:
        """Reads everything; raises RequestError for what a person must mend."""


def describe_files(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Path, size in bytes and modification time in nanoseconds of each file."""
    try:
        return [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    except OSError as error:
        raise RequestError(
            f"{error.filename}: cannot be read ({error.strerror}); remove it or mend its rights"
        ) from error
