"""Checkpoints that tell whether they are whole: what `torch.save` writes, with a checksum of it.

The checksum is the comment of the zip archive, so that the file is what it was for everybody
else: `torch.load(..., weights_only=True)` reads it. `torch.load` itself checks nothing.
"""

import io
import pickle
import struct
import zlib
from typing import Any

import torch

_COMMENT_BYTES = 8


class DamagedCheckpointError(ValueError):
    """A checkpoint that is not what was written."""


def dump(content: dict[str, Any]) -> bytes:
    """The file of a checkpoint: state dicts and plain values."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    # The archive ends with the length of its comment, which is 0 so far.
    archive = buffer.getvalue()[:-2] + struct.pack("<H", _COMMENT_BYTES)
    return archive + _checksum(archive)


def load(content: bytes, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What was given to `dump`. Raises DamagedCheckpointError."""
    if _checksum(content[:-_COMMENT_BYTES]) != content[-_COMMENT_BYTES:]:
        raise DamagedCheckpointError("the checksum differs")
    try:
        # Arrived as bytes, so nothing on the device is shared with the file.
        loaded: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location=device, weights_only=True
        )
    except pickle.UnpicklingError as error:
        raise DamagedCheckpointError(str(error)) from error
    return loaded


def _checksum(content: bytes) -> bytes:
    return b"%08x" % zlib.crc32(content)
