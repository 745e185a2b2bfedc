"""Decodes batches of image files in threads, ahead of the training loop."""

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from tuner.data.image_files import ImageFiles
from tuner.data.random_crops import RandomCrop

BATCHES_AHEAD = 2  # a batch of 256 takes 39 MB
_IMAGES_PER_TASK = 8

Draw = Callable[[np.ndarray], list[RandomCrop]]  # rows, int64 [B], to their crops


def stream(
    files: ImageFiles, batches: Sequence[np.ndarray], draw: Draw | None
) -> Iterator[np.ndarray]:
    """Yields each batch of rows as uint8 [B, 3, H, W]; without `draw`, the evaluation's views.

    Uses threads, because decoding and resizing release the GIL; as many as torch computes with.
    Raises UnreadableImageError for the first unreadable image of a batch.
    """

    def begin(rows: np.ndarray) -> tuple[np.ndarray, list[Future[None]]]:
        images = np.empty((len(rows), *files.shape[1:]), np.uint8)
        crops = [None] * len(rows) if draw is None else draw(rows)

        def decode(start: int) -> None:
            for place in range(start, min(start + _IMAGES_PER_TASK, len(rows))):
                images[place] = files.view(int(rows[place]), crops[place])

        starts = range(0, len(rows), _IMAGES_PER_TASK)
        return images, [pool.submit(decode, start) for start in starts]

    # Pillow warns of large images and of small flaws that it tolerates; ImageNet has some.
    # `catch_warnings` is not thread-safe.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    pool = ThreadPoolExecutor(torch.get_num_threads())
    begun: deque[tuple[np.ndarray, list[Future[None]]]] = deque()
    try:
        for rows in batches:
            begun.append(begin(rows))
            if len(begun) > BATCHES_AHEAD:
                yield _finished(*begun.popleft())
        while begun:
            yield _finished(*begun.popleft())
    finally:  # also if the caller stops early
        pool.shutdown(cancel_futures=True)


def _finished(images: np.ndarray, tasks: list[Future[None]]) -> np.ndarray:
    for task in tasks:
        task.result()
    return images
