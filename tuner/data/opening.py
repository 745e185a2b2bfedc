"""Opens a data set by its spec; its Arrow file is built on first use, and only once."""

import hashlib
import json
import logging
import re
from pathlib import Path

from filelock import FileLock

from tuner.data.arrow_file import FORMAT_VERSION, read_dataset, write_dataset
from tuner.data.dataset import Dataset
from tuner.data.sources import Source, find_source
from tuner.text.errors import RequestError

logger = logging.getLogger(__name__)


def open_dataset(spec: str, data_dir: Path, *, image_size: int | None = None) -> Dataset:
    """Opens `digits`, `cifar10`, `cifar100`, or a folder such as `parquet:DIR`.

    The Arrow file is data_dir/arrow/NAME-KEY.arrow; its key changes with the source
    (folder; names, sizes and times of its files), the image size and the format. A damaged
    file is rebuilt; if several processes need it, one builds it and the others wait.
    `image_size` (pixels): each image's shorter side is resized to it, then the central square
    is cropped; by default images keep their size, and ImageNet's get 224. Raises RequestError
    if the data cannot be opened.
    """
    if image_size is not None and image_size < 1:
        raise RequestError(f"the image size is {image_size}; it must be at least 1 pixel")
    source = find_source(spec, data_dir)
    folder = data_dir / "arrow"
    name = re.sub(r"[^\w.-]+", "_", source.name)
    path = folder / f"{name}-{_key(source, image_size)}.arrow"
    try:
        return read_dataset(path)
    except RequestError:
        pass  # missing or damaged: build it
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # One lock for all image sizes: they share a download.
        with FileLock(folder / f"{name}.lock"):
            return _read_or_build(path, source, image_size)
    except OSError as error:
        raise RequestError(
            f"{folder}: cannot be written ({error.strerror or error}); "
            "choose another folder with --data-dir or free some space"
        ) from error


def _read_or_build(path: Path, source: Source, image_size: int | None) -> Dataset:
    """Called with the lock held; another process may have built the file meanwhile."""
    try:
        return read_dataset(path)
    except RequestError as error:
        if path.exists():
            logger.warning("%s; rebuilding it now", error)
    logger.info("preparing %s once: %s", source.spec, path)
    write_dataset(path, source.load(image_size), spec=source.spec, name=source.name)
    return read_dataset(path)


def _key(source: Source, image_size: int | None) -> str:
    content = json.dumps([source.spec, source.files(), image_size, FORMAT_VERSION])
    return hashlib.sha256(content.encode()).hexdigest()[:12]
