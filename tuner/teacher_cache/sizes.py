"""How large a teacher's outputs are, and into what pieces a pass of them is cut."""

import numpy as np

from models import Shapes
from tuner.teacher_cache.named_outputs import ROTATIONS, are_rotated, shape_of

COMPUTE_BATCH_SIZE = 64  # images that the teacher sees at a time when it fills the cache
MAX_PIECE_ROWS = 4096
MAX_PIECE_BYTES = 64 * 2**20
NUM_PIECES = 32  # of a pass, at least: so that several trials can share the work


def bytes_per_image(shapes: Shapes, names: tuple[str, ...], precision: str) -> int:
    """Of all the named outputs together."""
    numbers = sum(int(np.prod(shape_of(shapes, name))) for name in names)
    return numbers * np.dtype(precision).itemsize


def cached_piece_rows(
    shapes: Shapes, names: tuple[str, ...], precision: str, num_images: int
) -> int:
    """Rows of a piece: few enough to share a pass's work and to fit in memory, whole batches.

    The same for all losses that need maps, for all that need none, and for all that rotate
    images: they read each other's.
    """
    rotated = ROTATIONS if are_rotated(names) else ""
    small = ["logits", "embedding", *(f"attention_maps.{name}" for name in shapes.feature_maps)]
    maps = [
        *(f"feature_maps.{name}" for name in shapes.feature_maps),
        *(f"pre_activation_maps.{name}" for name in shapes.pre_activation_maps),
    ]
    kind = tuple(f"{rotated}{name}" for name in small)
    if not set(kind).issuperset(names):
        kind += tuple(f"{rotated}{name}" for name in maps)
    rows = min(
        num_images // NUM_PIECES,
        MAX_PIECE_ROWS,
        MAX_PIECE_BYTES // bytes_per_image(shapes, kind, precision),
    )
    return max(1, rows // COMPUTE_BATCH_SIZE) * COMPUTE_BATCH_SIZE
