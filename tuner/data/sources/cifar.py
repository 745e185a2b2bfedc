"""CIFAR-10 and CIFAR-100, downloaded on first use by torchvision."""

from http.client import HTTPException
from pathlib import Path

import numpy as np

from tuner.data.sources.decoding import resize_images
from tuner.data.sources.raw_data import RawData
from tuner.text.errors import RequestError

# The CRD framework's constants, with which its published teachers were trained.
_MEAN_AND_STD = {"cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))}


class Cifar:
    """`cifar10` or `cifar100`; torchvision checks the archive's MD5."""

    def __init__(self, name: str, download_dir: Path) -> None:
        self.spec = self.name = name
        self.download_dir = download_dir

    def files(self) -> list[tuple[str, int, int]]:
        """Nothing: the archive's MD5 fixes the content."""
        return []

    def load(self, image_size: int | None) -> RawData:
        """Reads everything; raises RequestError if the archive cannot be downloaded."""
        from torchvision import datasets  # takes seconds to import

        loader = getattr(datasets, self.name.upper())
        try:
            train = loader(self.download_dir, train=True, download=True)
            test = loader(self.download_dir, train=False, download=True)
        # torchvision raises RuntimeError if the download is not the archive.
        except (OSError, HTTPException, RuntimeError) as error:
            raise RequestError(
                f"{self.name}: download failed ({error}); put {loader.filename} into "
                f"{self.download_dir.resolve()}, or use a local copy with parquet:DIR"
            ) from error
        images = np.concatenate([train.data, test.data]).transpose(0, 3, 1, 2)
        return RawData(
            images=resize_images(np.ascontiguousarray(images), image_size),
            labels=np.array([*train.targets, *test.targets], np.int64),
            num_train=len(train.targets),
            class_names=tuple(train.classes),
            mean_and_std=_MEAN_AND_STD.get(self.name),
        )
