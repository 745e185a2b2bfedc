"""The driver's heartbeat: shows, on every machine that sees the storage, that a search runs.

Every few seconds the driver writes `driver.json` into the search's folder and looks for a file
`stop`, with which `tuner stop` ends the search.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from types import TracebackType

from pydantic import TypeAdapter

from tuner.results.journal import is_held
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.console import print_to_stderr
from tuner.text.errors import RequestError

DRIVER_FILE, STOP_FILE = "driver.json", "stop"
BEAT_SECONDS = 5.0
# A driver without a beat for this long is dead, or cut off from the storage.
DEAD_AFTER_SECONDS = 4 * BEAT_SECONDS
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DriverStatus:
    """What a driver reports about itself."""

    session: str  # unique
    host: str
    pid: int
    beat: int  # counts the heartbeats
    time: float  # of the last one, seconds since 1970 by the driver's clock
    outcome: str  # "" while it runs; then "done", "interrupted" or "failed"


_DRIVER = TypeAdapter(DriverStatus)  # ignores further fields of earlier versions


class Heartbeat:
    """Reports a driver's status while a search runs, and watches for stop requests.

    It also stops the search when another driver has taken it over. That can happen where there
    are no locks (in an object store), after this driver was cut off or suspended.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._driver = DriverStatus(
            session=uuid.uuid4().hex,
            host=socket.gethostname(),
            pid=os.getpid(),
            beat=0,
            time=time.time(),
            outcome="",
        )
        self.outcome = "done"  # reported at the end, unless an error ends the search
        self.is_taken_over = self._has_begun = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    @property
    def stop_requested(self) -> bool:
        """Whether `tuner stop` asks for it, or another driver has taken over the search."""
        return self._stop.is_set()

    def __enter__(self) -> "Heartbeat":
        with suppress(OSError, RequestError):
            self._storage.delete(STOP_FILE)  # meant for an earlier session
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=BEAT_SECONDS)
        self._beat(outcome="failed" if error else self.outcome)

    def _run(self) -> None:
        while True:
            self._beat()
            if self._ended.wait(BEAT_SECONDS):
                return

    def _beat(self, *, outcome: str = "") -> None:
        self._driver = replace(
            self._driver, beat=self._driver.beat + 1, time=time.time(), outcome=outcome
        )
        # Without the storage nobody sees the driver, but the search continues.
        with suppress(OSError, RequestError):
            if not self._storage.exists(SEARCH_FILE):
                return  # unmounted, perhaps: nothing may be written to the mount point
            other = read_driver(self._storage)
            if self._has_begun and other is not None and other.session != self._driver.session:
                self.is_taken_over = True
                self._stop.set()
                return
            content = json.dumps(asdict(self._driver)).encode()
            self._storage.write(DRIVER_FILE, content, sync=False)
            self._has_begun = True
            if self._storage.exists(STOP_FILE):
                self._storage.delete(STOP_FILE)
                self._stop.set()


def read_driver(storage: Storage) -> DriverStatus | None:
    """The status of a search's last driver; None if there is none, or its file is damaged."""
    try:
        return _DRIVER.validate_json(storage.read(DRIVER_FILE))
    except (FileNotFoundError, ValueError):
        return None


def check_not_running(storage: Storage) -> None:
    """Raises RequestError while another driver runs a search in an object store.

    On local storage the journal's lock refuses a second driver.
    """
    driver = None if storage.is_local else read_driver(storage)
    if driver is not None and is_alive(storage, driver, report=print_to_stderr):
        raise RequestError(
            f"{storage.uri} is running on {driver.host} (process {driver.pid}); "
            "wait for its end, or stop it with `tuner stop`"
        )


def is_alive(
    storage: Storage,
    driver: DriverStatus | None,
    *,
    report: Callable[[str], None] = logger.info,
) -> bool:
    """Whether a search's driver is running.

    Local storage answers at once: a driver holds the lock of its journal. Otherwise (an object
    store; a network folder, whose locks may not reach other machines) this waits for the next
    heartbeat, as clocks of different machines differ; `report` is called with a line first.
    """
    if driver is None or driver.outcome:
        return False
    if storage.is_local and is_held(storage):
        return True
    if storage.is_local and driver.host == socket.gethostname():
        return False
    report(f"waiting up to {DEAD_AFTER_SECONDS:.0f} s for a heartbeat from {driver.host}")
    deadline = time.monotonic() + DEAD_AFTER_SECONDS
    while time.monotonic() < deadline:
        time.sleep(1.0)
        now = read_driver(storage)
        if now is not None and (now.session, now.beat) != (driver.session, driver.beat):
            return not now.outcome
    return False
