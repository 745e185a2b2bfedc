"""How large a teacher's outputs are, and into what pieces a pass of them is cut."""

import numpy as np

from models import Shapes
from tuner.teacher_cache.named_outputs import shape_of

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

    The same for all losses that need maps, and for all that need none: they read each other's.
    """
    whole_maps = tuple(f"feature_maps.{name}" for name in shapes.feature_maps)
    small = ("logits", "embedding", *(f"attention_maps.{name}" for name in shapes.feature_maps))
    kind = small if set(small).issuperset(names) else (*small, *whole_maps)
    rows = min(
        num_images // NUM_PIECES,
        MAX_PIECE_ROWS,
        MAX_PIECE_BYTES // bytes_per_image(shapes, kind, precision),
    )
    return max(1, rows // COMPUTE_BATCH_SIZE) * COMPUTE_BATCH_SIZE
