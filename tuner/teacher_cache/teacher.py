"""The teacher as a training uses it: outputs per batch, from the planned source."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from models import Outputs, Shapes
from models.outputs import rotations
from tuner.data import Views
from tuner.teacher_cache.computation import Computation
from tuner.teacher_cache.epoch_shards import Shards
from tuner.teacher_cache.named_outputs import are_rotated, of_images, select
from tuner.teacher_cache.plan import LIVE, OutputsPlan
from tuner.teacher_cache.shared_buffer import SharedEntry, shared_buffer_folder
from tuner.teacher_cache.sizes import COMPUTE_BATCH_SIZE, ShardLayout, cached_shard_rows
from tuner.teacher_cache.store import Entry, cache_folder, describe_entry
from tuner.teacher_cache.teacher_pass import LivePass, StoredPass, TeacherPass


class Teacher:
    """A frozen network whose outputs are cached, shared between trials, or computed live.

    The network is loaded only when something has to be computed.
    """

    def __init__(
        self,
        name: str,
        network: Callable[[], nn.Module],
        shapes: Shapes,
        *,
        device: torch.device,
        digest: str = "",
        plan: OutputsPlan = LIVE,
        data_dir: str = "",
        final: bool = False,
    ) -> None:
        """`network` returns the frozen teacher; `digest` identifies its weights.

        `final`: for a final training, which has its own data seed, not for a trial.
        """
        self.name, self.shapes, self.digest, self.plan = name, shapes, digest, plan
        self.device = device
        self._network = network
        self._data_dir, self._final = data_dir, final
        self._loaded: nn.Module | None = None
        self._notes: dict[str, bool] = {}  # each note, and whether it was taken

    def open(
        self, names: tuple[str, ...], views: Views, epoch: int, batch_size: int
    ) -> AbstractContextManager[TeacherPass]:
        """The teacher's outputs for one epoch; `names` are those that the loss needs."""
        names = of_images(names)
        augmented_epoch = views.augmented_epoch(epoch)
        source = self.plan.source(names, augmented_epoch, final=self._final)
        if source == "live" or not names:
            return nullcontext(LivePass(partial(self.run, names=names)))
        if source == "shared":
            return self._shared(names, views, epoch, batch_size)
        return self._cached(names, views, epoch)

    def _shared(
        self, names: tuple[str, ...], views: Views, epoch: int, batch_size: int
    ) -> StoredPass:
        """Shards are the epoch's batches, unrounded: the same bits as a live teacher's."""
        augmented_epoch = views.augmented_epoch(epoch)
        about = describe_entry(self.name, self.digest, views)
        return self._stored(
            SharedEntry(shared_buffer_folder(), about, limit_bytes=self.plan.buffer_bytes),
            names,
            views,
            augmented_epoch,
            ShardLayout(
                folder=f"{epoch:04d}-{augmented_epoch:04d}",
                order=views.order(epoch),
                precision="float32",
                shard_rows=batch_size,
            ),
            places=None,
            compute_batch_size=2 * batch_size,  # the last batch may have one image more
            look_ahead=self.plan.look_ahead,
        )

    def _cached(self, names: tuple[str, ...], views: Views, epoch: int) -> StoredPass:
        """Shards are in the order of the first epoch that shows this augmented epoch."""
        augmented_epoch, precision = views.augmented_epoch(epoch), self.plan.precision
        order = views.order(augmented_epoch)
        about = describe_entry(self.name, self.digest, views)
        return self._stored(
            Entry(cache_folder(self._data_dir), about),
            names,
            views,
            augmented_epoch,
            ShardLayout(
                folder=f"{augmented_epoch:04d}",
                order=order,
                precision=precision,
                shard_rows=cached_shard_rows(self.shapes, names, precision, len(order)),
            ),
            places=None if augmented_epoch == epoch else _places(order, views.order(epoch)),
            compute_batch_size=COMPUTE_BATCH_SIZE,
            look_ahead=len(order),
        )

    def _stored(
        self,
        entry: Entry,
        names: tuple[str, ...],
        views: Views,
        augmented_epoch: int,
        layout: ShardLayout,
        *,
        places: np.ndarray | None,
        compute_batch_size: int,
        look_ahead: int,
    ) -> StoredPass:
        computation = Computation(
            partial(self.run, names=names),
            views,
            augmented_epoch,
            precision=layout.precision,
            batch_size=compute_batch_size,
            device=self.device,
        )
        shards = Shards(entry, names, layout, computation, self._note, look_ahead=look_ahead)
        return StoredPass(shards, places=places)

    def run(self, images: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        """The named outputs [B, ...] for normalised images [B, 3, H, W]."""
        if not names:
            return {}
        if are_rotated(names):
            images = rotations(images)
        # no_grad, not inference_mode: the loss saves the teacher's maps for backward.
        with torch.no_grad():
            return select(self._load()(images), names)

    def classifier(self) -> Tensor | None:
        """The weight [classes, D] of its linear classifier, or None if it has none."""
        with torch.no_grad():
            outputs: Outputs = self._load()(torch.zeros(1, *self.shapes.image, device=self.device))
        return outputs.classifier

    def take_notes(self) -> list[str]:
        """New notes for the user, each only once: the cache is full, a shard was damaged."""
        new = [note for note, was_taken in self._notes.items() if not was_taken]
        self._notes = dict.fromkeys(self._notes, True)
        return new

    def _load(self) -> nn.Module:
        if self._loaded is None:
            self._loaded = self._network().to(memory_format=torch.channels_last)
            self._loaded.to(self.device)
        return self._loaded

    def _note(self, text: str) -> None:
        self._notes.setdefault(text, False)


def _places(order: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The place of each of the rows in the order, int64 [N]."""
    place_of_row = np.zeros(order.max() + 1, np.int64)
    place_of_row[order] = np.arange(len(order))
    places: np.ndarray = place_of_row[rows]
    return places
