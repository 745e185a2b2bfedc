"""Folders of Parquet files in the Hugging Face layout: train-*.parquet, test-*.parquet."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tuner.data.sources.decoding import decode_images
from tuner.data.sources.raw_data import RawData, describe_files
from tuner.text.errors import RequestError, printable

_IMAGE_COLUMNS = ("image", "img")
_LABEL_COLUMNS = ("label", "fine_label")
# Data sets without a labelled test set are tested on their validation set.
_TEST_PREFIXES = ("test", "validation", "valid", "val")
_ROWS_PER_READ = 256


class ParquetFolder:
    """Encoded images and integer labels, in files in DIR or DIR/data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = f"parquet:{folder}"
        self.name = folder.name

    def files(self) -> list[tuple[str, int, int]]:
        """The Parquet files; raises RequestError if there are none."""
        train, test = self._splits()
        return describe_files(train + test)

    def load(self, image_size: int | None) -> RawData:
        """Decodes all images; raises RequestError if columns, labels or images are unusable."""
        train, test = self._splits()
        num_train = sum(_num_rows(file) for file in train)
        num_images = num_train + sum(_num_rows(file) for file in test)
        if not 0 < num_train < num_images:
            raise RequestError(f"{self.folder}: the training or the test files have no rows")
        labels = np.concatenate([_labels(file) for file in train + test])
        class_names = _class_names(train[0])
        if class_names is None:
            # Numbers beyond the number of images are identifiers, not classes.
            class_names = tuple(map(str, range(min(labels.max() + 1, num_images))))
        if labels.min() < 0 or labels.max() >= len(class_names):
            raise RequestError(
                f"{self.folder}: labels range from {labels.min()} to {labels.max()}, but with "
                f"{len(class_names)} classes they must be 0 to {len(class_names) - 1}; "
                "remove the rows without a true label"
            )
        encoded = (image for file in train + test for image in _encoded_images(file))
        return RawData(
            images=decode_images(encoded, num_images, image_size),
            labels=labels,
            num_train=num_train,
            class_names=class_names,
        )

    def _splits(self) -> tuple[list[Path], list[Path]]:
        """The training and test files, each sorted; raises RequestError if there are none."""
        for folder in (self.folder, self.folder / "data"):
            train = sorted(folder.glob("train-*.parquet"))
            for prefix in _TEST_PREFIXES:
                test = sorted(folder.glob(f"{prefix}-*.parquet"))
                if train and test:
                    return train, test
        raise RequestError(
            f"{self.folder}: parquet:DIR needs train-*.parquet and test-*.parquet "
            "in DIR or DIR/data"
        )


def _open(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> RequestError:
    return RequestError(f"{file}: not a readable Parquet file ({error}); download it again")


def _num_rows(file: Path) -> int:
    return _open(file).metadata.num_rows


def _labels(file: Path) -> np.ndarray:
    """int64 [rows]; raises RequestError for a missing label."""
    parquet = _open(file)
    column = _find_column(file, parquet.schema_arrow, _LABEL_COLUMNS, "label")
    if not pa.types.is_integer(parquet.schema_arrow.field(column).type):
        raise RequestError(f"{file}: column '{column}' does not hold integers; number the classes")
    try:
        labels = parquet.read([column]).column(0)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(file, error) from error
    if labels.null_count:
        raise RequestError(f"{file}: column '{column}' has rows without a label; remove them")
    return labels.to_numpy().astype(np.int64)


def _encoded_images(file: Path) -> Iterator[tuple[str, BytesIO]]:
    """Each row's place for error messages, and its bytes. Raises RequestError."""
    parquet = _open(file)
    column = _find_column(file, parquet.schema_arrow, _IMAGE_COLUMNS, "image")
    kind = parquet.schema_arrow.field(column).type
    is_struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    if not is_struct and not pa.types.is_binary(kind) and not pa.types.is_large_binary(kind):
        raise RequestError(
            f"{file}: column '{column}' is {kind}; "
            "it must be binary, or a struct with the encoded image in 'bytes'"
        )
    row = 0
    try:
        for batch in parquet.iter_batches(_ROWS_PER_READ, columns=[column]):
            images = pc.struct_field(batch[column], "bytes") if is_struct else batch[column]
            for image in images:
                where = f"{file}: row {row}"
                if not image.is_valid:
                    raise RequestError(f"{where}: no image bytes; remove the row or embed the file")
                yield where, BytesIO(image.as_py())
                row += 1
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(file, error) from error


def _find_column(file: Path, schema: pa.Schema, names: tuple[str, ...], what: str) -> str:
    for name in names:
        if name in schema.names:
            return name
    raise RequestError(
        f"{file}: no {what} column; name it '{names[0]}' or '{names[1]}' "
        f"(columns found: {', '.join(schema.names)})"
    )


def _class_names(file: Path) -> tuple[str, ...] | None:
    """The names in the schema's Hugging Face metadata, or None."""
    schema = _open(file).schema_arrow
    column = _find_column(file, schema, _LABEL_COLUMNS, "label")
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    try:
        names = json.loads(metadata)["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None  # unknown metadata; the classes are numbered instead
    return tuple(map(printable, names)) or None
