"""The shards of one augmented epoch: opened, or computed if no other process computes them."""

import time
from collections.abc import Callable

import numpy as np

from tuner.teacher_cache.computation import Computation
from tuner.teacher_cache.shard import DamagedShardError
from tuner.teacher_cache.sizes import ShardLayout
from tuner.teacher_cache.store import Entry

WAIT_SECONDS = 0.002
# No wait for a process that takes this many times as long over a shard as this one does.
PATIENCE = 4.0


class Shards:
    """Of several trials that read the same epoch, each computes shards that no other computes.

    No trial waits while there are shards that nobody computes.
    """

    def __init__(
        self,
        entry: Entry,
        names: tuple[str, ...],
        layout: ShardLayout,
        computation: Computation,
        note: Callable[[str], None],
        *,
        look_ahead: int,
    ) -> None:
        """`look_ahead`: how far beyond a shard that another process computes we may work.

        `note` takes a sentence for the user.
        """
        self.entry, self.names, self.layout, self.computation = entry, names, layout, computation
        self.is_live = False  # True once nothing can be stored
        self.given_up: set[int] = set()  # shards over which another process takes too long
        self._note, self._look_ahead = note, look_ahead
        self._stored_names = {name: f"{name}.{layout.kind}" for name in names}
        self._open: dict[int, dict[str, np.ndarray]] = {}

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        """The outputs of an open shard, [rows, ...] each."""
        return self._open[number]

    def close(self, *, before: int | None = None) -> None:
        """Forgets the shards numbered below `before`, by default all."""
        kept = {} if before is None else {n: s for n, s in self._open.items() if n >= before}
        self._open = kept

    def ensure(self, number: int) -> bool:
        """Opens a shard, computing it, or others while another process computes it.

        Returns False if it cannot be stored, or another process takes too long over it.
        """
        waited_since: float | None = None
        while not self._is_open(number):
            if self.is_live or number in self.given_up:
                return False
            if self._compute(number):
                continue
            ahead = range(number + 1, min(number + 1 + self._look_ahead, self.layout.num_shards))
            present = self.present()
            if any(other not in present and self._compute(other) for other in ahead):
                waited_since = None
                continue
            waited_since = waited_since or time.monotonic()
            if time.monotonic() - waited_since > PATIENCE * max(self.computation.seconds, 1.0):
                self.given_up.add(number)
            time.sleep(WAIT_SECONDS)
        return True

    def present(self) -> set[int]:
        """The shards of which every output is stored."""
        folder = self.layout.folder
        stored = (self.entry.present(name, folder) for name in self._stored_names.values())
        return {int(number) for number in set.intersection(*stored)}

    def go_live(self, error: OSError) -> None:
        """Stores nothing from now on, and says why."""
        self.is_live = True
        self._note(
            f"teacher outputs cannot be stored in {self.entry.root} "
            f"({error.strerror or error}); the teacher runs live"
        )

    def _is_open(self, number: int) -> bool:
        """Whether the shard is open now; opens it if it is stored."""
        if number in self._open:
            return True
        try:
            outputs = {
                name: self.entry.read(stored, self.layout.folder, f"{number:05d}")
                for name, stored in self._stored_names.items()
            }
        except DamagedShardError as error:
            self._note(f"teacher cache: recomputing a damaged shard ({error})")
            return False
        except OSError as error:
            self.go_live(error)
            return False
        found = {name: values for name, values in outputs.items() if values is not None}
        if len(found) < len(outputs):
            return False
        self._open[number] = found
        return True

    def _compute(self, number: int) -> bool:
        """Computes and stores a shard; returns False if another process holds its lock."""
        text, folder = f"{number:05d}", self.layout.folder
        try:
            with self.entry.try_lock(self.layout.kind, folder, text) as is_ours:
                if not is_ours:
                    return False
                missing = {
                    name: stored
                    for name, stored in self._stored_names.items()
                    if text not in self.entry.present(stored, folder)
                }
                if missing:
                    values = self.computation.compute(self.layout.rows_of(number))
                for name, stored in missing.items():
                    self.entry.write(stored, folder, text, values[name])
        except OSError as error:
            self.go_live(error)
            return False
        return True
