"""Augmented batches: each epoch's order and each image's augmentation, without hidden state.

What an image looks like depends on (seed, augmented epoch, row) alone, never on its batch.
Epochs and augmented epochs count from 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from losses.batch import Batch
from tuner.data.arrow_file import read_dataset
from tuner.data.dataset import Dataset
from tuner.data.hashing import hash_numbers
from tuner.data.image_files import ImageFiles
from tuner.data.random_crops import draw_crops
from tuner.data.streaming import Draw, stream

RESIDENT_SHARE = 0.25  # of a GPU's free memory that a data set may take

# Independent streams of random numbers, one per purpose.
_ORDER, _TOP, _LEFT, _FLIP, _STEP = 11, 12, 13, 14, 15


class Augmentation(NamedTuple):
    """How each of B images is augmented."""

    top: np.ndarray  # int64 [B], 0 ... 2 * padding: where the crop begins
    left: np.ndarray  # int64 [B]
    flipped: np.ndarray  # bool [B]: mirrored after cropping

    def rows(self, start: int, stop: int) -> "Augmentation":
        """The augmentation of images `start` to `stop` - 1."""
        return Augmentation(*(values[start:stop] for values in self))


def num_batches(num_images: int, batch_size: int) -> int:
    """Batches per epoch of training; a last batch of one image joins the one before."""
    whole, rest = divmod(num_images, batch_size)
    return whole + (rest > 1 or (rest == 1 and whole == 0))


def epoch_order(indices: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The rows `indices`, int64 [N], in the order of an epoch, int64 [N]."""
    return indices[np.argsort(hash_numbers(indices, _ORDER, seed, epoch), kind="stable")]


def draw_augmentation(
    rows: np.ndarray, *, seed: int, augmented_epoch: int, padding: int, flip: bool
) -> Augmentation:
    """For rows int64 [B]: every offset is equally likely; `flip` mirrors half of the images."""

    def draw(stream: int, num_values: int) -> np.ndarray:
        hashes = hash_numbers(rows, stream, seed, augmented_epoch)
        return (hashes % np.uint64(num_values)).astype(np.int64)

    num_offsets = 2 * padding + 1
    flipped = draw(_FLIP, 2) == 1 if flip else np.zeros(len(rows), bool)
    return Augmentation(draw(_TOP, num_offsets), draw(_LEFT, num_offsets), flipped)


def augment(images: np.ndarray, augmentation: Augmentation, padding: int) -> np.ndarray:
    """Pads uint8 [B, 3, H, W] with `padding` zero pixels, crops back to H x W, mirrors."""
    batch, channels, height, width = images.shape
    padded = np.zeros((batch, channels, height + 2 * padding, width + 2 * padding), np.uint8)
    padded[:, :, padding : padding + height, padding : padding + width] = images
    # Gathering one of all windows per image is 2 to 8 times as fast as indexing pixels.
    windows = sliding_window_view(padded, (height, width), axis=(2, 3))
    crops = windows[np.arange(batch), :, augmentation.top, augmentation.left]
    crops[augmentation.flipped] = crops[augmentation.flipped][..., ::-1]
    return crops


def augment_on_device(images: Tensor, augmentation: Augmentation, padding: int) -> Tensor:
    """The same bits as `augment`, for uint8 [B, 3, H, W] on a GPU."""
    height, width = images.shape[2:]
    top, left, flipped = (_moved(drawn, images.device) for drawn in augmentation)
    padded = F.pad(images, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    crops = windows[torch.arange(len(images), device=images.device), :, top, left]
    return torch.where(flipped.view(-1, 1, 1, 1), crops.flip(-1), crops)


@dataclass(frozen=True, eq=False)
class Views:
    """What all trainings with one data seed see: augmented epochs over some rows of the data.

    There are `num_augmented_epochs` different ones; epoch e shows number
    (e - 1) % num_augmented_epochs + 1, each time in a new order. Because a view is a pure
    function of (seed, augmented epoch, row), a teacher's outputs for it can be computed once
    for all trainings.
    """

    dataset: Dataset
    rows: np.ndarray  # int64 [N]
    seed: int
    num_augmented_epochs: int
    # In pixels, filled with black as in torchvision's RandomCrop. Images that stay in their own
    # files get random resized crops instead.
    padding: int
    flip: bool

    def augmented_epoch(self, epoch: int) -> int:
        """The augmented epoch that an epoch shows, counted from 1."""
        return (epoch - 1) % self.num_augmented_epochs + 1

    def order(self, epoch: int) -> np.ndarray:
        """The rows in the order of an epoch, int64 [N]."""
        return epoch_order(self.rows, self.seed, epoch)

    def images(self, rows: np.ndarray, augmented_epoch: int, device: torch.device) -> Tensor:
        """Views of the rows int64 [B], normalised: float32 [B, 3, H, W] on the device."""
        (images,) = self._seen([rows], augmented_epoch, device)
        return images

    def batches(self, epoch: int, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """The batches of one epoch: shuffled, augmented, normalised, on the device.

        Images are float32 [B, 3, H, W]. The last batch may be smaller; a last batch of one
        image joins the one before, because batch norm and losses over pairs need two.
        """
        order = self.order(epoch)
        num_steps = num_batches(len(order), batch_size)
        if not num_steps:
            return
        batches = np.split(order, range(batch_size, num_steps * batch_size, batch_size))
        # Halved to the range of torch.Generator.manual_seed: 0 ... 2**63 - 1.
        seeds = hash_numbers(np.arange(num_steps), _STEP, self.seed, epoch) >> np.uint64(1)
        seen = self._seen(batches, self.augmented_epoch(epoch), device)
        for rows, images, seed in zip(batches, seen, seeds.tolist(), strict=True):
            yield _batch(images, self.dataset, rows, seed)._replace(epoch=epoch)

    def _seen(
        self, batches: Sequence[np.ndarray], augmented_epoch: int, device: torch.device
    ) -> Iterator[Tensor]:
        """The views of each batch of rows."""
        pixels = Pixels(self.dataset, device)
        if isinstance(self.dataset.images, ImageFiles):
            draw = partial(
                draw_crops, seed=self.seed, augmented_epoch=augmented_epoch, flip=self.flip
            )
            yield from pixels.streamed(batches, draw)
            return
        # Drawn for the whole epoch at once: a few microseconds per batch instead of a hundred.
        drawn = draw_augmentation(
            np.concatenate(batches),
            seed=self.seed,
            augmented_epoch=augmented_epoch,
            padding=self.padding,
            flip=self.flip,
        )
        start = 0
        for rows in batches:
            stop = start + len(rows)
            yield pixels.augmented(rows, drawn.rows(start, stop), self.padding)
            start = stop


def evaluation_batches(
    dataset: Dataset, indices: np.ndarray, *, batch_size: int, device: torch.device
) -> Iterator[Batch]:
    """Batches of the rows `indices`, int64 [N], in this order, normalised, not augmented.

    Images are float32 [B, 3, H, W]; the last batch may be smaller. A batch's seed is its number.
    """
    pixels = Pixels(dataset, device)
    starts = range(0, len(indices), batch_size)
    batches = [indices[start : start + batch_size] for start in starts]
    if isinstance(dataset.images, ImageFiles):
        seen = pixels.streamed(batches, None)
    else:
        seen = map(pixels.plain, batches)
    for step, (rows, images) in enumerate(zip(batches, seen, strict=True)):
        yield _batch(images, dataset, rows, step)


class Pixels:
    """Images of a data set as normalised tensors on a device: (x / 255 - mean) / std.

    A GPU holds the whole data set in its memory and augments it there; on a CPU, NumPy gathers
    from the mapped file three times as fast as torch. Images that stay in their own files are
    decoded by threads.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self._dataset = dataset
        in_memory = dataset.in_file and not isinstance(dataset.images, ImageFiles)
        on_device = device.type != "cpu" and in_memory
        self._resident = _resident(dataset.path, device) if on_device else None
        self._device = device
        self._mean = torch.tensor(dataset.mean, device=device).view(3, 1, 1)
        self._std = torch.tensor(dataset.std, device=device).view(3, 1, 1)

    def plain(self, rows: np.ndarray) -> Tensor:
        """The rows int64 [B] without augmentation, float32 [B, 3, H, W]."""
        if self._resident is None:
            return self._normalised(_moved(self._dataset.images[rows], self._device))
        return self._normalised(self._resident[_moved(rows, self._device)])

    def augmented(self, rows: np.ndarray, augmentation: Augmentation, padding: int) -> Tensor:
        """The rows int64 [B], each cropped and mirrored on its own, float32 [B, 3, H, W]."""
        if self._resident is None:
            images = augment(self._dataset.images[rows], augmentation, padding)
            return self._normalised(_moved(images, self._device))
        resident = self._resident[_moved(rows, self._device)]
        return self._normalised(augment_on_device(resident, augmentation, padding))

    def streamed(self, batches: Sequence[np.ndarray], draw: Draw | None) -> Iterator[Tensor]:
        """Yields float32 [B, 3, H, W] per batch of rows: random crops, without `draw` centres."""
        assert isinstance(self._dataset.images, ImageFiles)
        for images in stream(self._dataset.images, batches, draw):
            yield self._normalised(_moved(images, self._device))

    def _normalised(self, pixels: Tensor) -> Tensor:
        return pixels.to(torch.float32).div_(255).sub_(self._mean).div_(self._std)


# A worker process trains on one data set at a time, so only one is kept.
@lru_cache(maxsize=1)
def _resident(path: Path, device: torch.device) -> Tensor | None:
    """All images, uint8 [N, 3, H, W], in the device's memory, or None if they are too large."""
    images = read_dataset(path).images
    assert isinstance(images, np.ndarray)
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
        if images.nbytes > RESIDENT_SHARE * free_bytes:
            return None
    return torch.from_numpy(images.copy()).to(device)


def _batch(images: Tensor, dataset: Dataset, rows: np.ndarray, seed: int) -> Batch:
    labels = _moved(dataset.labels[rows], images.device)
    # Copied, because `rows` is a slice of an array that the caller may keep.
    return Batch(images, labels, _moved(rows.copy(), images.device), seed)


def _moved(array: np.ndarray, device: torch.device) -> Tensor:
    """Copies to the device asynchronously, from pinned memory."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
