"""Sizes of teacher outputs, and how an augmented epoch is cut into shards."""

from dataclasses import dataclass

import numpy as np

from models import Shapes
from tuner.data import num_batches
from tuner.teacher_cache.named_outputs import ROTATIONS, are_rotated, shape_of

COMPUTE_BATCH_SIZE = 64  # images per teacher pass while the cache is filled
MAX_SHARD_ROWS = 4096
MAX_SHARD_BYTES = 64 * 2**20
MIN_SHARDS = 32  # per augmented epoch, so that several trials can share the work


@dataclass(frozen=True, eq=False)
class ShardLayout:
    """How the outputs of one augmented epoch are cut into shards."""

    folder: str  # of the augmented epoch
    order: np.ndarray  # int64 [N]: data set rows, as they are stored
    precision: str  # "float16" or "float32"
    shard_rows: int  # the last shard may have one more

    @property
    def kind(self) -> str:
        """Shards of different precision or size are independent of each other."""
        return f"{self.precision}.{self.shard_rows}"

    @property
    def num_shards(self) -> int:
        return num_batches(len(self.order), self.shard_rows)

    def rows_of(self, number: int) -> np.ndarray:
        """The data set rows of a shard, int64 [rows]."""
        start = number * self.shard_rows
        stop = start + self.shard_rows if number + 1 < self.num_shards else len(self.order)
        return self.order[start:stop]

    def shards_of(self, places: np.ndarray) -> np.ndarray:
        """The shard of each place [B] in `order`, int64 [B]."""
        return np.minimum(places // self.shard_rows, self.num_shards - 1)


def bytes_per_image(shapes: Shapes, names: tuple[str, ...], precision: str) -> int:
    """Bytes that all named outputs of one image take together."""
    numbers = sum(int(np.prod(shape_of(shapes, name))) for name in names)
    return numbers * np.dtype(precision).itemsize


def cached_shard_rows(
    shapes: Shapes, names: tuple[str, ...], precision: str, num_images: int
) -> int:
    """Rows per shard: whole batches, few enough to share the work and to fit in memory.

    One number for all losses that need maps, one for those that need none, and one for those
    that rotate images, so that losses of a kind read each other's shards.
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
        num_images // MIN_SHARDS,
        MAX_SHARD_ROWS,
        MAX_SHARD_BYTES // bytes_per_image(shapes, kind, precision),
    )
    return max(1, rows // COMPUTE_BATCH_SIZE) * COMPUTE_BATCH_SIZE
