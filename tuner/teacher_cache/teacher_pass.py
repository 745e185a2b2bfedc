"""One epoch of a teacher's outputs, live or stored, read batch by batch."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from models import Outputs
from tuner.teacher_cache.computation import Run
from tuner.teacher_cache.epoch_shards import Shards
from tuner.teacher_cache.named_outputs import assemble


class LivePass:
    """Runs the teacher on every batch."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def read(self, start: int, images: Tensor) -> Outputs:
        """The teacher's outputs for images [B, 3, H, W], the epoch's images from `start` on."""
        return assemble(self._run(images))


class StoredPass:
    """Reads the teacher's outputs from shards, which it computes if nobody has yet."""

    def __init__(self, shards: Shards, *, places: np.ndarray | None) -> None:
        """`places`, int64 [N]: where the epoch's images are stored; None: in the same order."""
        self._shards, self._places = shards, places
        self._in_use = shards.entry.in_use()

    def __enter__(self) -> "StoredPass":
        try:
            self._in_use.__enter__()
        except OSError as error:
            self._shards.go_live(error)
        return self

    def __exit__(self, *error: object) -> None:
        self._shards.close()
        self._in_use.__exit__(None, None, None)

    @property
    def is_live(self) -> bool:
        """Whether nothing can be stored any more, so that the teacher runs live."""
        return self._shards.is_live

    def read(self, start: int, images: Tensor) -> Outputs:
        """The teacher's outputs for images [B, 3, H, W], the epoch's images from `start` on."""
        places = np.arange(start, start + len(images))
        if self._places is not None:
            places = self._places[places]
        numbers = self._shards.layout.shards_of(places)
        if self._places is None:
            self._shards.close(before=int(numbers[0]))  # they are not read again
        if not all(self._shards.ensure(number) for number in np.unique(numbers).tolist()):
            return assemble(self._shards.computation.live(images))
        return assemble(
            {
                name: self._gather(name, places, numbers, images.device)
                for name in self._shards.names
            }
        )

    def precompute(self) -> Iterator[int]:
        """Computes all missing shards; yields the number of images of each stored one.

        Stops if nothing can be stored; skips shards over which another process takes too long.
        """
        shards = self._shards
        present = shards.present()
        for number in range(shards.layout.num_shards):
            if number not in present:
                shards.ensure(number)
                shards.close()
            if shards.is_live:
                return
            if number not in shards.given_up:
                yield shards.layout.rows_of(number).size

    def _gather(
        self, name: str, places: np.ndarray, numbers: np.ndarray, device: torch.device
    ) -> Tensor:
        """One output for the stored places [B], which lie in the shards `numbers` [B]."""
        shard_rows = self._shards.layout.shard_rows
        first, last = int(numbers[0]), int(numbers[-1])
        if self._places is None and first == last:
            # Consecutive rows of one shard; copied, because torch wants writable memory.
            begin = int(places[0]) - first * shard_rows
            values = self._shards[first][name][begin : begin + len(places)].copy()
        else:
            example = self._shards[first][name]
            values = np.empty((len(places), *example.shape[1:]), example.dtype)
            for number in np.unique(numbers).tolist():
                here = numbers == number
                values[here] = self._shards[number][name][places[here] - number * shard_rows]
        tensor = torch.from_numpy(values)
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        # The stored precision travels to the device; the loss gets float32.
        return tensor.to(device, non_blocking=True).float()


TeacherPass = LivePass | StoredPass
