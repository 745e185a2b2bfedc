"""Storage that is away for a while is waited for: a network folder, a bucket, a disk that is full.

Only a search that has begun waits; what a person has just typed is refused at once.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pyarrow import fs

from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

PATIENCE_SECONDS = 300.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class LostStorageError(OSError):
    """Storage that did not come back in time."""


class PatientStorage(Storage):
    """A `Storage` that is asked again for some minutes before it raises LostStorageError."""

    def __init__(self, location: str, patience_seconds: float | None = None) -> None:
        """`patience_seconds`: how long it asks again; by default PATIENCE_SECONDS."""
        self.uri, self.is_local = location, False  # until it is opened
        self.patience_seconds = PATIENCE_SECONDS if patience_seconds is None else patience_seconds

        def open_it() -> None:
            try:
                super(PatientStorage, self).__init__(location)
            except RequestError as error:  # it was opened before, by whoever gave the request
                raise OSError(str(error)) from error

        self.patiently(open_it)

    def exists(self, name: str = "") -> bool:
        """As `Storage.exists`; a folder that is gone with its mount point is waited for."""

        def look() -> bool:
            found = super(PatientStorage, self).exists(name)
            if not found:
                self._check_folder()
            return found

        return self.patiently(look)

    def _names(self, folder: str, kind: fs.FileType) -> list[str]:
        return self.patiently(lambda: super(PatientStorage, self)._names(folder, kind))

    def read(self, name: str) -> bytes:
        """As `Storage.read`. Raises FileNotFoundError at once where the folder is there."""
        return self.patiently(lambda: super(PatientStorage, self).read(name))

    def write(self, name: str, content: bytes, *, sync: bool = True) -> None:
        """As `Storage.write`, but never into a folder that is not there."""

        def write() -> None:
            self._check_folder()
            super(PatientStorage, self).write(name, content, sync=sync)

        self.patiently(write)

    def delete(self, name: str) -> None:
        """As `Storage.delete`."""
        self.patiently(lambda: super(PatientStorage, self).delete(name))

    def patiently(self, action: Callable[[], Result]) -> Result:
        """What `action` returns, tried again while it raises; in the end LostStorageError."""
        begin, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        while True:
            try:
                return action()
            except OSError as error:
                if isinstance(error, LostStorageError) or self._is_answer(error):
                    raise
                gone = time.monotonic() - begin
                if gone > self.patience_seconds:
                    raise LostStorageError(
                        f"{self.uri} did not come back within {gone:.0f} s ({error})"
                    ) from error
                if pause == FIRST_PAUSE_SECONDS:
                    logger.warning(
                        "tuner: waiting up to %.0f s for %s (%s)",
                        self.patience_seconds,
                        self.uri,
                        error,
                    )
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _is_answer(self, error: Exception) -> bool:
        """Whether the storage is there, and says no."""
        return isinstance(error, FileNotFoundError) and (
            not self.is_local or Path(self.base).is_dir()
        )

    def _check_folder(self) -> None:
        if self.is_local and not Path(self.base).is_dir():
            raise FileNotFoundError(f"the folder {self.base} is gone")
