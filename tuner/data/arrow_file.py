"""Reads and writes a data set as an Arrow file that is memory-mapped without a copy.

The file has one uncompressed record batch with the columns `image` (fixed_size_list<uint8>,
3 x H x W) and `label` (int64). If the images stay in their own files, `path` (string) and
`num_bytes` (int64) replace `image`. Everything else is JSON in the schema's metadata.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tuner.data.dataset import Channels, Dataset
from tuner.data.image_files import ImageFiles
from tuner.data.sources.raw_data import RawData
from tuner.text.errors import RequestError

FORMAT_VERSION = 1
_METADATA_KEY = b"tuner.data"
_ROWS_PER_BLOCK = 1024


def write_dataset(path: Path, raw: RawData, *, spec: str, name: str) -> None:
    """Writes the file under a temporary name in the same folder, then renames it.

    So readers see either no file or a complete one. The caller holds the lock, because there
    is only one temporary name. Raises OSError if the folder is not writable.
    """
    images, labels = raw.images, raw.labels.astype(np.int64)
    mean, std = raw.mean_and_std or _mean_and_std(images[: raw.num_train])
    metadata: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "spec": spec,
        "name": name,
        "shape": images.shape,
        "num_train": raw.num_train,
        "class_names": raw.class_names,
        "mean": mean,
        "std": std,
    }
    # The source and its name are left out: equal content gets an equal fingerprint.
    content = {key: metadata[key] for key in ("shape", "num_train", "class_names", "mean", "std")}
    digest = hashlib.sha256(json.dumps(content).encode())
    if isinstance(images, ImageFiles):
        digest.update("\n".join(images.paths.to_pylist()).encode())
        digest.update(images.num_bytes.data)
        metadata["folder"] = os.fspath(images.folder)
        columns = {"path": images.paths, "num_bytes": pa.array(images.num_bytes)}
    else:
        images = np.ascontiguousarray(images)
        digest.update(images.data)
        pixels = pa.FixedSizeListArray.from_arrays(pa.array(images.reshape(-1)), images[0].size)
        columns = {"image": pixels}
    digest.update(labels.data)
    metadata["fingerprint"] = digest.hexdigest()

    batch = pa.record_batch(columns | {"label": pa.array(labels)})
    batch = batch.replace_schema_metadata({_METADATA_KEY: json.dumps(metadata).encode()})
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        with pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def read_dataset(path: str | Path) -> Dataset:
    """Maps an existing Arrow file; its images are a zero-copy, read-only view.

    Raises RequestError if the file is missing, truncated or in another format.
    """
    path = Path(path)
    try:
        with pa.memory_map(os.fspath(path)) as source:
            reader = pa.ipc.open_file(source)
            metadata = json.loads((reader.schema.metadata or {})[_METADATA_KEY])
            if metadata["format_version"] != FORMAT_VERSION:
                raise ValueError(f"its format version is {metadata['format_version']}")
            if reader.num_record_batches != 1:
                raise ValueError(f"it has {reader.num_record_batches} record batches")
            batch = reader.get_batch(0)
        images = _files(batch, metadata) if "folder" in metadata else _pixels(batch, metadata)
        labels = batch["label"].to_numpy(zero_copy_only=True)
        # Raises ValueError if the columns are shorter than the metadata says.
        labels = labels.reshape(metadata["shape"][:1])
        return Dataset(
            spec=metadata["spec"],
            name=metadata["name"],
            path=path,
            images=images,
            labels=labels,
            num_train=metadata["num_train"],
            class_names=tuple(metadata["class_names"]),
            mean=tuple(metadata["mean"]),
            std=tuple(metadata["std"]),
            fingerprint=metadata["fingerprint"],
        )
    # pyarrow's errors are ValueErrors and OSErrors; KeyError: a foreign Arrow file.
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise RequestError(
            f"{path}: not a readable data set of this version ({error}); "
            "delete it; it is rebuilt when the data is opened again"
        ) from error


def _pixels(batch: pa.RecordBatch, metadata: dict[str, Any]) -> np.ndarray:
    pixels: np.ndarray = batch["image"].flatten().to_numpy(zero_copy_only=True)
    return pixels.reshape(metadata["shape"])


def _files(batch: pa.RecordBatch, metadata: dict[str, Any]) -> ImageFiles:
    num_bytes = batch["num_bytes"].to_numpy(zero_copy_only=True)
    return ImageFiles(Path(metadata["folder"]), batch["path"], num_bytes, metadata["shape"][2])


def _mean_and_std(images: np.ndarray) -> tuple[Channels, Channels]:
    """Mean and standard deviation per channel, of values in [0, 1]; sums are exact."""
    total, squares = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for start in range(0, len(images), _ROWS_PER_BLOCK):
        block = images[start : start + _ROWS_PER_BLOCK].astype(np.int32)
        total += block.sum(axis=(0, 2, 3), dtype=np.int64)
        squares += np.square(block).sum(axis=(0, 2, 3), dtype=np.int64)
    num_pixels = images.size // 3
    mean = total / num_pixels / 255
    variance = np.maximum(squares / num_pixels / 255**2 - mean**2, 0)
    # At least one grey level, so that a constant channel can be divided by it.
    std = np.maximum(np.sqrt(variance), 1 / 255)
    return _channels(mean), _channels(std)


def _channels(values: np.ndarray) -> Channels:
    red, green, blue = values.tolist()
    return red, green, blue
