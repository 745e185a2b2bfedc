"""The interface of data sources, and the images that they return."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from tuner.data.dataset import Channels
from tuner.data.image_files import ImageFiles
from tuner.text.errors import RequestError


class RawData(NamedTuple):
    """A whole data set, training rows first."""

    images: np.ndarray | ImageFiles  # uint8 [N, 3, H, W], in memory or in their own files
    labels: np.ndarray  # int [N], each in 0 ... len(class_names) - 1
    num_train: int
    class_names: tuple[str, ...]
    # Published constants; None: computed from the training images
    mean_and_std: tuple[Channels, Channels] | None = None


class Source(Protocol):
    """A source of images, built from a spec; reads nothing until `files` or `load` is called."""

    spec: str  # canonical: with the absolute path of a folder
    name: str  # for messages and file names

    def files(self) -> list[tuple[str, int, int]]:
        """The files that determine the content, as `describe_files` returns them.

        Raises RequestError if they are missing.
        """

    def load(self, image_size: int | None) -> RawData:
        """Reads everything; raises RequestError for what the user must fix."""


def describe_files(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Path, size in bytes and modification time in nanoseconds of each file.

    Raises RequestError if a file cannot be accessed.
    """
    try:
        return [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    except OSError as error:
        raise RequestError(
            f"{error.filename}: cannot be read ({error.strerror}); remove it or fix its permissions"
        ) from error
