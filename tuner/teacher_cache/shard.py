"""Shard files: one teacher output for some rows, as an uncompressed Arrow file to be mapped.

Each file has one record batch with one column, fixed_size_list<halffloat or float>; its shape
is JSON in the schema's metadata. The name, NUMBER-CRC32.arrow, ends with the checksum of the
whole file, because a damaged Arrow file can crash the process that parses it.
"""

import json
import math
import os
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa

FORMAT_VERSION = 2  # version 1 stored maps as [rows, C, H, W]
UNCHECKED = "unchecked"  # stands for the checksum in shared memory, which survives no power cut
_METADATA_KEY = b"tuner.teacher_cache"


class DamagedShardError(ValueError):
    """A shard whose content is not what was written."""


def find_shard(folder: Path, number: str) -> Path | None:
    """The path of a shard, or None if it has not been written."""
    return next(folder.glob(f"{number}-*.arrow"), None)


def unchecked_path(folder: Path, number: str) -> Path:
    """The path of a shard that is written without a checksum."""
    return folder / f"{number}-{UNCHECKED}.arrow"


def write_shard(folder: Path, number: str, name: str, values: np.ndarray, *, check: bool) -> None:
    """Writes `values` [rows, ...] under a temporary name, then renames the file.

    The caller holds the shard's lock. The file is not synced: a checksum (`check`) reveals
    what a power cut tore, and the shard can be computed again. Raises OSError if it cannot
    be written.
    """
    metadata = {"shape": values.shape}
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, math.prod(values.shape[1:]))
    batch = pa.record_batch({name: column})
    batch = batch.replace_schema_metadata({_METADATA_KEY: json.dumps(metadata).encode()})
    partial = folder / f"{number}.partial"
    try:
        with (
            pa.OSFile(os.fspath(partial), "wb") as file,
            pa.ipc.new_file(file, batch.schema) as writer,
        ):
            writer.write_batch(batch)
        checksum = _checksum(partial) if check else UNCHECKED
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    os.replace(partial, folder / f"{number}-{checksum}.arrow")


def read_shard(path: Path) -> np.ndarray:
    """A read-only view [rows, ...] of the mapped file.

    Raises FileNotFoundError if it does not exist and DamagedShardError if its checksum differs.
    """
    expected = path.stem.rpartition("-")[2]
    if expected != UNCHECKED and _checksum(path) != expected:
        raise DamagedShardError(f"{path}: the checksum differs")
    with pa.memory_map(os.fspath(path)) as source:
        reader = pa.ipc.open_file(source)
        metadata = json.loads(reader.schema.metadata[_METADATA_KEY])
        column = reader.get_batch(0).column(0)
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=True)
    return values.reshape(metadata["shape"])


def _checksum(path: Path) -> str:
    if path.stat().st_size == 0:
        return "empty"  # an empty file cannot be mapped
    with pa.memory_map(os.fspath(path)) as source:
        return f"{zlib.crc32(source.read_buffer()):08x}"
