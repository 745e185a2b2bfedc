"""One pass of a teacher's outputs that is kept: read, and computed where nobody has yet."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from models import Outputs
from tuner.data import Views, num_batches
from tuner.teacher_cache.named_outputs import assemble
from tuner.teacher_cache.piece import DamagedPieceError
from tuner.teacher_cache.store import Entry

WAIT_SECONDS = 0.002
PATIENCE = 4.0  # times as long as a piece takes us; who is slower than that is not waited for

Run = Callable[[Tensor], dict[str, Tensor]]  # images [B, 3, H, W] to outputs [B, ...] by name


class StoredPass:
    """Reads the teacher's answers to one pass; what nobody has computed yet, it computes.

    Of several trials that read the same pass, each computes what no other is computing,
    and none waits while pieces are left.
    """

    def __init__(
        self,
        run: Run,
        note: Callable[[str], None],
        entry: Entry,
        names: tuple[str, ...],
        views: Views,
        *,
        device: torch.device,
        folder: str,
        pass_number: int,
        order: np.ndarray,
        places: np.ndarray | None,
        precision: str,
        piece_rows: int,
        compute_batch_size: int,
        look_ahead: int,
    ) -> None:
        self._run, self._note, self._entry = run, note, entry
        self._names, self._views, self._device = names, views, device
        self._folder, self._pass_number, self._order = folder, pass_number, order
        self._places, self._dtype = places, np.dtype(precision)
        self._piece_rows, self._compute_batch_size = piece_rows, compute_batch_size
        self._num_pieces = num_batches(len(order), piece_rows)
        self._look_ahead = look_ahead
        self._kind = f"{precision}.{piece_rows}"
        self._stored_names = {name: f"{name}.{self._kind}" for name in names}
        self._open: dict[int, dict[str, np.ndarray]] = {}
        self._piece_seconds = 0.0  # that the last piece took to compute
        self._given_up: set[int] = set()  # pieces that another process takes too long over
        self.is_live = False  # nothing can be kept
        self._in_use = entry.in_use()

    def __enter__(self) -> "StoredPass":
        try:
            self._in_use.__enter__()
        except OSError as error:
            self._go_live(error)
        return self

    def __exit__(self, *error: object) -> None:
        self._open.clear()
        self._in_use.__exit__(None, None, None)

    def read(self, start: int, images: Tensor) -> Outputs:
        """What the teacher says about the images, which are number `start` and on of the epoch."""
        places = np.arange(start, start + len(images))
        if self._places is not None:
            places = self._places[places]
        numbers = np.minimum(places // self._piece_rows, self._num_pieces - 1)
        if self._places is None:  # what is behind is not read again
            self._open = {n: piece for n, piece in self._open.items() if n >= numbers[0]}
        if not all(self._ensure(number) for number in np.unique(numbers).tolist()):
            tensors = self._run(images)
            return assemble(
                {name: self._rounded(tensor).float() for name, tensor in tensors.items()}
            )
        return assemble(
            {name: self._gather(name, places, numbers, images.device) for name in self._names}
        )

    def fill(self) -> Iterator[int]:
        """Computes all that is missing, yielding the number of images after each piece.

        Stops where nothing can be kept; passes over what another process takes too long over.
        """
        present = self._present()
        for number in range(self._num_pieces):
            if number not in present:
                self._ensure(number)
                self._open.clear()
            if self.is_live:
                return
            if number not in self._given_up:
                yield self._rows_of(number).size

    def _gather(
        self, name: str, places: np.ndarray, numbers: np.ndarray, device: torch.device
    ) -> Tensor:
        first, last = int(numbers[0]), int(numbers[-1])
        if self._places is None and first == last:
            # Consecutive rows of one piece; copied, because torch wants memory it could write to.
            begin = int(places[0]) - first * self._piece_rows
            values = self._open[first][name][begin : begin + len(places)].copy()
        else:
            image_shape = self._open[first][name].shape[1:]
            values = np.empty((len(places), *image_shape), self._dtype)
            for number in np.unique(numbers).tolist():
                here = numbers == number
                values[here] = self._open[number][name][places[here] - number * self._piece_rows]
        tensor = torch.from_numpy(values)
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        # Half precision travels; what the loss sees is float32.
        return tensor.to(device, non_blocking=True).float()

    def _ensure(self, number: int) -> bool:
        """Opens a piece, computing it, or others while another process computes it.

        Returns False where it cannot be kept, or another process takes too long over it.
        """
        waited_since: float | None = None
        while not self._opened(number):
            if self.is_live or number in self._given_up:
                return False
            if self._compute(number):
                continue
            ahead = range(number + 1, min(number + 1 + self._look_ahead, self._num_pieces))
            present = self._present()
            if any(other not in present and self._compute(other) for other in ahead):
                waited_since = None
                continue
            waited_since = waited_since or time.monotonic()
            if time.monotonic() - waited_since > PATIENCE * max(self._piece_seconds, 1.0):
                self._given_up.add(number)
            time.sleep(WAIT_SECONDS)
        return True

    def _opened(self, number: int) -> bool:
        if number in self._open:
            return True
        try:
            pieces = {
                name: self._entry.read(stored, self._folder, f"{number:05d}")
                for name, stored in self._stored_names.items()
            }
        except DamagedPieceError as error:
            self._note(f"teacher cache: a damaged piece is computed again ({error})")
            return False
        except OSError as error:
            self._go_live(error)
            return False
        whole = {name: values for name, values in pieces.items() if values is not None}
        if len(whole) < len(pieces):
            return False
        self._open[number] = whole
        return True

    def _compute(self, number: int) -> bool:
        """Computes a piece and keeps it, unless another process is at it: then False."""
        piece = f"{number:05d}"
        try:
            with self._entry.claimed(self._kind, self._folder, piece) as is_ours:
                if not is_ours:
                    return False
                missing = {
                    name: stored
                    for name, stored in self._stored_names.items()
                    if piece not in self._entry.present(stored, self._folder)
                }
                if missing:
                    values = self._computed(number)
                for name, stored in missing.items():
                    self._entry.write(stored, self._folder, piece, values[name])
        except OSError as error:
            self._go_live(error)
            return False
        return True

    def _computed(self, number: int) -> dict[str, np.ndarray]:
        """The piece's outputs, [rows, ...] each, in the precision that they are kept in."""
        begin = time.monotonic()
        rows = self._rows_of(number)
        chunks = []
        for start in range(0, len(rows), self._compute_batch_size):
            images = self._views.images(
                rows[start : start + self._compute_batch_size],
                self._pass_number,
                self._device,
            )
            tensors = self._run(images)
            chunks.append({n: self._rounded(tensor).cpu().numpy() for n, tensor in tensors.items()})
        self._piece_seconds = time.monotonic() - begin
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in self._names}

    def _rounded(self, tensor: Tensor) -> Tensor:
        """In the precision that outputs are kept in, so that every road gives the same."""
        if self._dtype != np.float16:
            return tensor
        # Beyond half precision's range: the largest number there is, never infinity.
        limit = torch.finfo(torch.float16).max
        return tensor.clamp(-limit, limit).half()

    def _rows_of(self, number: int) -> np.ndarray:
        start = number * self._piece_rows
        stop = start + self._piece_rows if number + 1 < self._num_pieces else len(self._order)
        return self._order[start:stop]

    def _present(self) -> set[int]:
        """The pieces of which every output is there."""
        stored = (self._entry.present(name, self._folder) for name in self._stored_names.values())
        return {int(number) for number in set.intersection(*stored)}

    def _go_live(self, error: OSError) -> None:
        self.is_live = True
        self._note(
            f"the teacher's outputs cannot be kept in {self._entry.root} "
            f"({error.strerror or error}); the teacher runs live"
        )
