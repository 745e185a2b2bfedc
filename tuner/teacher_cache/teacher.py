"""The teacher, as a training asks for it: batch by batch, by the cheapest road that is planned."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from models import Outputs, Shapes
from models.outputs import rotations
from tuner.data import Views
from tuner.teacher_cache.named_outputs import are_rotated, assemble, of_images, select
from tuner.teacher_cache.plan import LIVE, OutputsPlan
from tuner.teacher_cache.sizes import COMPUTE_BATCH_SIZE, cached_piece_rows
from tuner.teacher_cache.store import Entry, cache_folder, describe_entry, window_folder
from tuner.teacher_cache.stored_pass import Run, StoredPass


class LivePass:
    """Runs the teacher on every batch."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def read(self, start: int, images: Tensor) -> Outputs:
        """What the teacher says about the images, which are number `start` and on of the epoch."""
        return assemble(self._run(images))


TeacherPass = LivePass | StoredPass


class Teacher:
    """A frozen network whose outputs are cached, shared between trials, or computed live.

    The network itself is only loaded when something has to be computed.
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
        """`network` gives the teacher, frozen; `digest` identifies its weights; `final`: not
        a trial of the search, but one of the trainings that follow with seeds of their own.
        """
        self.name, self.shapes, self.digest, self.plan = name, shapes, digest, plan
        self._told: set[str] = set()
        self._new_notes: list[str] = []
        self.device = device
        self._network = network
        self._data_dir, self._final = data_dir, final
        self._loaded: nn.Module | None = None

    def open(
        self, names: tuple[str, ...], views: Views, epoch: int, batch_size: int
    ) -> AbstractContextManager[TeacherPass]:
        """The teacher's answers to one epoch; `names` are the outputs that the loss needs."""
        names = of_images(names)
        road = self.plan.road(names, views.pass_of(epoch), final=self._final)
        if road == "live" or not names:
            return nullcontext(LivePass(partial(self.run, names=names)))
        about = describe_entry(self.name, self.digest, views)
        stored = partial(StoredPass, partial(self.run, names=names), self._note)
        if road == "shared":
            # The trials' present batches in shared memory: the same bits as a live teacher's.
            return stored(
                Entry(window_folder(), about, limit_bytes=self.plan.window_bytes),
                names,
                views,
                device=self.device,
                folder=f"{epoch:04d}-{views.pass_of(epoch):04d}",
                pass_number=views.pass_of(epoch),
                order=views.order(epoch),
                places=None,
                precision="float32",
                piece_rows=batch_size,
                compute_batch_size=2 * batch_size,  # a piece is a batch, the last of one more
                look_ahead=self.plan.look_ahead,
            )
        # A pass on disk, in the order of the first epoch that shows it.
        number, precision = views.pass_of(epoch), self.plan.precision
        order = views.order(number)
        return stored(
            Entry(cache_folder(self._data_dir), about, limit_bytes=None),
            names,
            views,
            device=self.device,
            folder=f"{number:04d}",
            pass_number=number,
            order=order,
            places=None if number == epoch else _places(order, views.order(epoch)),
            precision=precision,
            piece_rows=cached_piece_rows(self.shapes, names, precision, len(order)),
            compute_batch_size=COMPUTE_BATCH_SIZE,
            look_ahead=len(order),
        )

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
        """The weight [classes, D] of its linear classifier; None where it has none."""
        with torch.no_grad():
            outputs: Outputs = self._load()(torch.zeros(1, *self.shapes.image, device=self.device))
        return outputs.classifier

    def _load(self) -> nn.Module:
        if self._loaded is None:
            self._loaded = self._network().to(memory_format=torch.channels_last)
            self._loaded.to(self.device)
        return self._loaded

    def take_notes(self) -> list[str]:
        """What a person should know, each thing once: a cache that is full or damaged."""
        notes, self._new_notes = self._new_notes, []
        return notes

    def _note(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._new_notes.append(text)


def _places(order: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Where each of the rows is in the order."""
    place_of_row = np.zeros(order.max() + 1, np.int64)
    place_of_row[order] = np.arange(len(order))
    places: np.ndarray = place_of_row[rows]
    return places
