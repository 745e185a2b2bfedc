"""Views of the data: each epoch's order and each image's augmentation, without hidden state.

What an image looks like depends on (seed, epoch, row) alone, never on the batch that
it comes in. Epochs count from 1.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from losses.batch import Batch
from tuner.data.dataset import Dataset
from tuner.data.hashing import hash_numbers

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
    indices: np.ndarray, *, seed: int, epoch: int, padding: int, flip: bool
) -> Augmentation:
    """Every offset is equally likely; `flip` mirrors half of the images."""

    def draw(stream: int, num_values: int) -> np.ndarray:
        hashes = hash_numbers(indices, stream, seed, epoch)
        return (hashes % np.uint64(num_values)).astype(np.int64)

    num_offsets = 2 * padding + 1
    flipped = draw(_FLIP, 2) == 1 if flip else np.zeros(len(indices), bool)
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


def training_batches(
    dataset: Dataset,
    indices: np.ndarray,
    *,
    epoch: int,
    seed: int,
    batch_size: int,
    padding: int,
    flip: bool,
    device: str | torch.device,
) -> Iterator[Batch]:
    """One epoch over the rows `indices`: shuffled, augmented, normalised, on the device.

    Images are float32 [B, 3, H, W]. The last batch may be smaller; were it of one
    image, it joins the one before (batch normalisation and losses over pairs need
    two). `padding` in pixels, filled with black as torchvision's RandomCrop does.
    """
    order = epoch_order(indices, seed, epoch)
    # Drawn for the whole epoch at once: some microseconds a batch instead of a hundred.
    augmentation = draw_augmentation(order, seed=seed, epoch=epoch, padding=padding, flip=flip)
    normalise = _normaliser(dataset, device)
    num_steps = num_batches(len(order), batch_size)
    # Halved to fit what torch.Generator.manual_seed takes: 0 ... 2**63 - 1.
    seeds = (hash_numbers(np.arange(num_steps), _STEP, seed, epoch) >> np.uint64(1)).tolist()
    for step in range(num_steps):
        start = step * batch_size
        stop = start + batch_size if step + 1 < num_steps else len(order)
        rows = order[start:stop]
        images = augment(dataset.images[rows], augmentation.rows(start, stop), padding)
        yield _batch(normalise(images), dataset, rows, seeds[step])


def evaluation_batches(
    dataset: Dataset, indices: np.ndarray, *, batch_size: int, device: str | torch.device
) -> Iterator[Batch]:
    """The rows `indices` in the given order, normalised, not augmented; the last batch smaller.

    A batch's seed is its number.
    """
    normalise = _normaliser(dataset, device)
    for step, start in enumerate(range(0, len(indices), batch_size)):
        rows = indices[start : start + batch_size]
        yield _batch(normalise(dataset.images[rows]), dataset, rows, step)


def _batch(images: Tensor, dataset: Dataset, rows: np.ndarray, seed: int) -> Batch:
    labels = torch.from_numpy(dataset.labels[rows]).to(images.device)
    # Copied: `rows` is a slice of an array that the caller may hold.
    return Batch(images, labels, torch.from_numpy(rows.copy()).to(images.device), seed)


def _normaliser(dataset: Dataset, device: str | torch.device) -> Callable[[np.ndarray], Tensor]:
    """Returns a function from uint8 [B, 3, H, W] to (x / 255 - mean) / std, on the device."""
    mean = torch.tensor(dataset.mean, device=device).view(3, 1, 1)
    std = torch.tensor(dataset.std, device=device).view(3, 1, 1)

    def normalise(images: np.ndarray) -> Tensor:
        # Bytes go to the device, a quarter of the traffic of floats.
        pixels = torch.from_numpy(images).to(device)
        return pixels.to(torch.float32).div_(255).sub_(mean).div_(std)

    return normalise
