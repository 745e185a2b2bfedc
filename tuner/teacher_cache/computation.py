"""Runs the teacher for the shards of one augmented epoch, in the precision they are stored in."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tuner.data import Views

Run = Callable[[Tensor], dict[str, Tensor]]  # images [B, 3, H, W] to outputs [B, ...] by name


class Computation:
    """A teacher's outputs for rows of one augmented epoch."""

    def __init__(
        self,
        run: Run,
        views: Views,
        augmented_epoch: int,
        *,
        precision: str,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.seconds = 0.0  # that the last shard took
        self._run, self._views, self._augmented_epoch = run, views, augmented_epoch
        self._is_half = precision == "float16"
        self._batch_size, self._device = batch_size, device

    def compute(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs [rows, ...] for the data set rows, int64 [rows], in stored precision."""
        begin = time.monotonic()
        chunks = []
        for start in range(0, len(rows), self._batch_size):
            batch = rows[start : start + self._batch_size]
            images = self._views.images(batch, self._augmented_epoch, self._device)
            outputs = self._rounded(images)
            chunks.append({name: tensor.cpu().numpy() for name, tensor in outputs.items()})
        self.seconds = time.monotonic() - begin
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def live(self, images: Tensor) -> dict[str, Tensor]:
        """The outputs for images [B, 3, H, W], float32 [B, ...], rounded like stored ones."""
        return {name: tensor.float() for name, tensor in self._rounded(images).items()}

    def _rounded(self, images: Tensor) -> dict[str, Tensor]:
        """The outputs in stored precision, so that every source gives the same values."""
        outputs = self._run(images)
        if not self._is_half:
            return outputs
        # What half precision cannot hold becomes its largest number, never infinity.
        limit = torch.finfo(torch.float16).max
        return {name: tensor.clamp(-limit, limit).half() for name, tensor in outputs.items()}
