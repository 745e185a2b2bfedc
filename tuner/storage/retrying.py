"""Retries storage operations while the storage is unavailable: a lost mount, a bucket, a full disk.

Only a running search waits; storage that a command cannot reach is refused at once.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS = 300.0  # of a search
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class LostStorageError(OSError):
    """Storage that stayed unavailable for too long."""


def retried(
    action: Callable[[], Result],
    *,
    place: str,
    seconds: float,
    is_final: Callable[[OSError], bool],
) -> Result:
    """The result of `action`, called again with growing pauses while it raises OSError.

    An error for which `is_final` holds is raised at once. Raises LostStorageError, which names
    `place`, once `seconds` have elapsed.
    """
    begin, pause = time.monotonic(), FIRST_PAUSE_SECONDS
    while True:
        try:
            return action()
        except OSError as error:
            if isinstance(error, LostStorageError) or is_final(error):
                raise
            elapsed = time.monotonic() - begin
            if elapsed > seconds:
                raise LostStorageError(
                    f"{place} did not come back within {elapsed:.0f} s ({error})"
                ) from error
            if pause == FIRST_PAUSE_SECONDS:
                logger.warning("tuner: waiting up to %.0f s for %s (%s)", seconds, place, error)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
