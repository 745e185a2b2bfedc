"""Stops a search between two epochs on Ctrl-C, SIGTERM or `tuner stop`; it can be resumed."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune import Stopper


class Interruption(Stopper):
    """Tells Tune, which asks after every event, whether the user wants to stop."""

    def __init__(self, is_stop_requested: Callable[[], bool]) -> None:
        """`is_stop_requested`: whether `tuner stop` was called, maybe on another machine."""
        self._is_stop_requested = is_stop_requested
        self.is_requested = False

    def __getstate__(self) -> dict[str, Any]:
        # Tune saves its stoppers; a request to this process must not stop a later one.
        return {"is_requested": False}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stops a single trial."""
        return False

    def stop_all(self) -> bool:
        """Ends the run once a stop has been requested."""
        self.is_requested = self.is_requested or self._is_stop_requested()
        return self.is_requested

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles both signals; a second one ends the process at once."""

        begin = [0.0]

        def handle(number: int, frame: FrameType | None) -> None:
            if not self.is_requested:
                self.is_requested, begin[0] = True, time.monotonic()
            elif time.monotonic() - begin[0] > 1.0:  # some wrappers send a signal twice
                # The journal is complete at any moment, so nothing is lost.
                os._exit(130)

        before = {
            number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
