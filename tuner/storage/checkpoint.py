"""Checkpoints with a checksum: damage is detected when they are loaded.

`torch.load` checks nothing itself. The checksum is the comment of the zip archive that
`torch.save` writes, so `torch.load(..., weights_only=True)` still reads the file.
"""

import io
import pickle
import struct
import zlib
from typing import Any

import torch

_COMMENT_BYTES = 8


class DamagedCheckpointError(ValueError):
    """A checkpoint whose bytes are not those that were written."""


def dump(content: dict[str, Any]) -> bytes:
    """The bytes of a checkpoint file; `content` holds state dicts and plain values."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    # The archive ends with the length of its comment: 0, as torch writes none.
    archive = buffer.getvalue()[:-2] + struct.pack("<H", _COMMENT_BYTES)
    return archive + _checksum(archive)


def load(content: bytes, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What was given to `dump`, its tensors on `device`. Raises DamagedCheckpointError."""
    if _checksum(content[:-_COMMENT_BYTES]) != content[-_COMMENT_BYTES:]:
        raise DamagedCheckpointError("the checksum differs")
    try:
        loaded: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location=device, weights_only=True
        )
    except pickle.UnpicklingError as error:
        raise DamagedCheckpointError(str(error)) from error
    return loaded


def _checksum(content: bytes) -> bytes:
    return b"%08x" % zlib.crc32(content)
