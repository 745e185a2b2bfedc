"""Views of the data: each epoch's order and each image's augmentation, without hidden state.

What an image looks like depends on (seed, pass, row) alone, never on the batch that
it comes in. Epochs and passes count from 1.
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

# What a draw is for: streams are independent of each other.
_ORDER, _TOP, _LEFT, _FLIP, _STEP = 11, 12, 13, 14, 15


class Augmentation(NamedTuple):
    """What is done to each of B images."""

    top: np.ndarray  # int64 [B], 0 ... 2 * padding: where the crop begins
    left: np.ndarray  # int64 [B]
    flipped: np.ndarray  # bool [B]: mirrored after cropping

    def rows(self, start: int, stop: int) -> "Augmentation":
        return Augmentation(*(values[start:stop] for values in self))


def num_batches(num_images: int, batch_size: int) -> int:
    """Batches in one epoch of training; a last batch of one joins the one before."""
    whole, rest = divmod(num_images, batch_size)
    return whole + (rest > 1 or (rest == 1 and whole == 0))


def epoch_order(indices: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Returns the same rows, int64 [N], in the order in which the epoch visits them."""
    return indices[np.argsort(hash_numbers(indices, _ORDER, seed, epoch), kind="stable")]


def draw_augmentation(
    rows: np.ndarray, *, seed: int, pass_number: int, padding: int, flip: bool
) -> Augmentation:
    """Every offset is equally likely; `flip` mirrors half of the images."""

    def draw(stream: int, num_values: int) -> np.ndarray:
        hashes = hash_numbers(rows, stream, seed, pass_number)
        return (hashes % np.uint64(num_values)).astype(np.int64)

    num_offsets = 2 * padding + 1
    flipped = draw(_FLIP, 2) == 1 if flip else np.zeros(len(rows), bool)
    return Augmentation(draw(_TOP, num_offsets), draw(_LEFT, num_offsets), flipped)


def augment(images: np.ndarray, augmentation: Augmentation, padding: int) -> np.ndarray:
    """Pads uint8 [B, 3, H, W] by `padding` zero pixels, crops back to H x W, mirrors."""
    batch, channels, height, width = images.shape
    padded = np.zeros((batch, channels, height + 2 * padding, width + 2 * padding), np.uint8)
    padded[:, :, padding : padding + height, padding : padding + width] = images
    # Of all windows, gather one for each image: 2 to 8 times as fast as indexing pixels.
    windows = sliding_window_view(padded, (height, width), axis=(2, 3))
    crops = windows[np.arange(batch), :, augmentation.top, augmentation.left]
    crops[augmentation.flipped] = crops[augmentation.flipped][..., ::-1]
    return crops


def augment_on_device(images: Tensor, augmentation: Augmentation, padding: int) -> Tensor:
    """The same bits as `augment`, from uint8 [B, 3, H, W] that lie on a GPU."""
    height, width = images.shape[2:]
    top, left, flipped = (_moved(drawn, images.device) for drawn in augmentation)
    padded = F.pad(images, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    crops = windows[torch.arange(len(images), device=images.device), :, top, left]
    return torch.where(flipped.view(-1, 1, 1, 1), crops.flip(-1), crops)


@dataclass(frozen=True, eq=False)
class Views:
    """What every training with one data seed sees: augmented passes over some rows of the data.

    There are `num_passes` different ones; epoch e shows pass (e - 1) % num_passes + 1,
    always in an order of its own. Because a view is a pure function of (seed, pass, row),
    what a teacher says about it can be computed once for all trainings.
    """

    dataset: Dataset
    rows: np.ndarray  # int64 [N]
    seed: int
    num_passes: int
    # Pixels, filled with black as torchvision's RandomCrop does. Images that stay in their files
    # are cropped at random and resized instead.
    padding: int
    flip: bool

    def pass_of(self, epoch: int) -> int:
        """Which pass the epoch shows, counted from 1."""
        return (epoch - 1) % self.num_passes + 1

    def order(self, epoch: int) -> np.ndarray:
        """The rows in the order in which the epoch visits them, int64 [N]."""
        return epoch_order(self.rows, self.seed, epoch)

    def images(self, rows: np.ndarray, pass_number: int, device: torch.device) -> Tensor:
        """Views of some rows, normalised: float32 [B, 3, H, W] on the device."""
        (images,) = self._seen([rows], pass_number, device)
        return images

    def batches(self, epoch: int, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """One epoch: shuffled, augmented, normalised, on the device.

        Images are float32 [B, 3, H, W]. The last batch may be smaller; were it of one
        image, it joins the one before (batch normalisation and losses over pairs need
        two).
        """
        order = self.order(epoch)
        num_steps = num_batches(len(order), batch_size)
        if not num_steps:
            return
        batches = np.split(order, range(batch_size, num_steps * batch_size, batch_size))
        # Halved to fit what torch.Generator.manual_seed takes: 0 ... 2**63 - 1.
        seeds = hash_numbers(np.arange(num_steps), _STEP, self.seed, epoch) >> np.uint64(1)
        seen = self._seen(batches, self.pass_of(epoch), device)
        for rows, images, seed in zip(batches, seen, seeds.tolist(), strict=True):
            yield _batch(images, self.dataset, rows, seed)._replace(epoch=epoch)

    def _seen(
        self, batches: Sequence[np.ndarray], pass_number: int, device: torch.device
    ) -> Iterator[Tensor]:
        """The views of each batch of rows."""
        pixels = Pixels(self.dataset, device)
        if isinstance(self.dataset.images, ImageFiles):
            draw = partial(draw_crops, seed=self.seed, pass_number=pass_number, flip=self.flip)
            yield from pixels.streamed(batches, draw)
            return
        # Drawn for the whole epoch at once: some microseconds a batch instead of a hundred.
        drawn = draw_augmentation(
            np.concatenate(batches),
            seed=self.seed,
            pass_number=pass_number,
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
    """The rows `indices` in the given order, normalised, not augmented; the last batch smaller.

    A batch's seed is its number.
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

    On a GPU the whole data set lies in its memory and is augmented there; on a CPU NumPy
    gathers from the mapped file three times as fast as torch would. Images that stay in their
    files are decoded by threads.
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
        """Rows as they are."""
        if self._resident is None:
            return self._normalised(_moved(self._dataset.images[rows], self._device))
        return self._normalised(self._resident[_moved(rows, self._device)])

    def augmented(self, rows: np.ndarray, augmentation: Augmentation, padding: int) -> Tensor:
        """Rows, each with its own crop and mirroring."""
        if self._resident is None:
            images = augment(self._dataset.images[rows], augmentation, padding)
            return self._normalised(_moved(images, self._device))
        resident = self._resident[_moved(rows, self._device)]
        return self._normalised(augment_on_device(resident, augmentation, padding))

    def streamed(self, batches: Sequence[np.ndarray], draw: Draw | None) -> Iterator[Tensor]:
        """Batches of rows, each image with its own crop, or without `draw` its centre."""
        assert isinstance(self._dataset.images, ImageFiles)
        for images in stream(self._dataset.images, batches, draw):
            yield self._normalised(_moved(images, self._device))

    def _normalised(self, pixels: Tensor) -> Tensor:
        return pixels.to(torch.float32).div_(255).sub_(self._mean).div_(self._std)


# A worker process trains on one data set; the view of a second would not be there for long.
@lru_cache(maxsize=1)
def _resident(path: Path, device: torch.device) -> Tensor | None:
    """All images, uint8 [N, 3, H, W], in the device's memory; None where they are too large."""
    images = read_dataset(path).images
    assert isinstance(images, np.ndarray)
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
        if images.nbytes > RESIDENT_SHARE * free_bytes:
            return None
    return torch.from_numpy(images.copy()).to(device)


def _batch(images: Tensor, dataset: Dataset, rows: np.ndarray, seed: int) -> Batch:
    labels = _moved(dataset.labels[rows], images.device)
    # Copied: `rows` is a slice of an array that the caller may hold.
    return Batch(images, labels, _moved(rows.copy(), images.device), seed)


def _moved(array: np.ndarray, device: torch.device) -> Tensor:
    """On the device, without waiting for it: bytes travel from memory that stays in place."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
