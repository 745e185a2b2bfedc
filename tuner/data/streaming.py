"""Batches of images that are decoded in threads, ahead of who takes them."""

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

Draw = Callable[[np.ndarray], list[RandomCrop]]  # the crops of some rows


def stream(
    files: ImageFiles,
    batches: Sequence[np.ndarray],
    draw: Draw | None,
    num_threads: int | None = None,
) -> Iterator[np.ndarray]:
    """Each batch of rows as uint8 [B, 3, H, W]; without `draw`, the evaluation's views.

    Threads, because decoder and resizing let Python's lock go; as many as torch computes with,
    if not told otherwise. Raises UnreadableImageError for the first such image of a batch.
    """

    def begin(rows: np.ndarray) -> tuple[np.ndarray, list[Future[None]]]:
        images = np.empty((len(rows), *files.shape[1:]), np.uint8)
        crops = [None] * len(rows) if draw is None else draw(rows)

        def decode(start: int) -> None:
            for place in range(start, min(start + _IMAGES_PER_TASK, len(rows))):
                images[place] = files.view(int(rows[place]), crops[place])

        starts = range(0, len(rows), _IMAGES_PER_TASK)
        return images, [pool.submit(decode, start) for start in starts]

    # Of large images, and of small flaws that Pillow can live with; ImageNet has some. Not
    # `catch_warnings`, which is not for threads.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    pool = ThreadPoolExecutor(num_threads or torch.get_num_threads())
    begun: deque[tuple[np.ndarray, list[Future[None]]]] = deque()
    try:
        for rows in batches:
            begun.append(begin(rows))
            if len(begun) > BATCHES_AHEAD:
                yield _finished(*begun.popleft())
        while begun:
            yield _finished(*begun.popleft())
    finally:  # also where nobody takes the rest
        pool.shutdown(cancel_futures=True)


def _finished(images: np.ndarray, tasks: list[Future[None]]) -> np.ndarray:
    for task in tasks:
        task.result()
    return images
