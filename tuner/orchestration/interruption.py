"""Ctrl-C, SIGTERM and `tuner stop`: the search stops between two epochs and can be resumed."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune import Stopper


class Interruption(Stopper):
    """Whether somebody has asked the search to stop; Tune asks after every event."""

    def __init__(self, is_told_to_stop: Callable[[], bool] = lambda: False) -> None:
        """`is_told_to_stop` is asked too: a signal reaches this machine only."""
        self._is_told_to_stop = is_told_to_stop
        self.is_requested = False

    def __getstate__(self) -> dict[str, Any]:
        # Tune writes its stoppers down; what was asked of this process is of no later one.
        return {"is_requested": False}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped."""
        return False

    def stop_all(self) -> bool:
        """Ends the run once a signal has come, or somebody has said so."""
        self.is_requested = self.is_requested or self._is_told_to_stop()
        return self.is_requested

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes over both signals; a second one ends the process at once."""

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
