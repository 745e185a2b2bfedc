"""The Arrow file of a piece: one output of the teacher for some rows, uncompressed to be mapped.

One record batch with one column, fixed_size_list<halffloat or float>; its shape is JSON in
the schema's metadata. The checksum of the whole file is in its name, NUMBER-CRC32.arrow,
because a damaged Arrow file can crash whoever parses it.
"""

import json
import math
import os
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa

FORMAT_VERSION = 2  # 1 had maps as [rows, C, H, W]
UNCHECKED = "unchecked"  # in place of the checksum: memory is not torn by a power cut
_METADATA_KEY = b"tuner.teacher_cache"


class DamagedPieceError(ValueError):
    """A file that is not what was written."""


def find_piece(folder: Path, number: str) -> Path | None:
    """The file of a piece, if it is there."""
    return next(folder.glob(f"{number}-*.arrow"), None)


def unchecked(folder: Path, number: str) -> Path:
    """The file of a piece without a checksum."""
    return folder / f"{number}-{UNCHECKED}.arrow"


def write_piece(folder: Path, number: str, name: str, values: np.ndarray, *, check: bool) -> None:
    """Writes [rows, ...] under a temporary name, then renames it; the caller holds the claim.

    Not synced: what a power cut tears, the checksum finds, and it can be computed again.
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


def read_piece(path: Path) -> np.ndarray:
    """A read-only view of the mapped file, [rows, ...].

    Raises FileNotFoundError, and DamagedPieceError where the checksum differs.
    """
    expected = path.stem.rpartition("-")[2]
    if expected != UNCHECKED and _checksum(path) != expected:
        raise DamagedPieceError(f"{path}: the checksum differs")
    with pa.memory_map(os.fspath(path)) as source:
        reader = pa.ipc.open_file(source)
        metadata = json.loads(reader.schema.metadata[_METADATA_KEY])
        column = reader.get_batch(0).column(0)
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=True)
    return values.reshape(metadata["shape"])


def _checksum(path: Path) -> str:
    if path.stat().st_size == 0:
        return "empty"  # which cannot be mapped
    with pa.memory_map(os.fspath(path)) as source:
        return f"{zlib.crc32(source.read_buffer()):08x}"
