"""A search's driver as others see it, from any machine that sees the storage.

Every few seconds the driver writes `driver.json` into the search's folder, and looks whether
somebody has put a file `stop` there.
"""

import json
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from pydantic import TypeAdapter

from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.errors import RequestError

DRIVER_FILE, STOP_FILE = "driver.json", "stop"
BEAT_SECONDS = 5.0
# A driver that was silent for so long is dead, or cut off from the storage.
DEAD_AFTER_SECONDS = 4 * BEAT_SECONDS
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DriverStatus:
    """What a driver says of itself."""

    session: str  # unique
    host: str
    machine: str  # its boot, and what numbers its processes: two may have one name
    pid: int
    start: str  # of the process, by its machine's count: process numbers are used again
    beat: int  # grows with every sign of life
    time: float  # of the last one, seconds since 1970 by the driver's clock
    outcome: str  # "" while it runs; then "done", "interrupted" or "failed"


_DRIVER = TypeAdapter(DriverStatus)


class Heartbeat:
    """Makes a search's driver visible while it runs, and hears when it is told to stop.

    It stops too when another driver has taken its search over, as may happen where no lock can
    be had (an object store) and this one was silent for long: cut off, or asleep.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._driver = DriverStatus(
            session=uuid.uuid4().hex,
            host=socket.gethostname(),
            machine=_machine(),
            pid=os.getpid(),
            start=_start_of(os.getpid()),
            beat=0,
            time=time.time(),
            outcome="",
        )
        self.outcome = "done"  # in the end, unless it is told otherwise
        self.is_taken_over = self._has_begun = False
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    @property
    def is_told_to_stop(self) -> bool:
        """Whether somebody has said `tuner stop`, or has taken the search over."""
        return self._stop.is_set()

    def __enter__(self) -> "Heartbeat":
        with suppress(OSError, RequestError):
            self._storage.delete(STOP_FILE)  # it was for an earlier session
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
        # Storage that is away hides the driver, and stops nothing.
        with suppress(OSError, RequestError):
            if not self._storage.exists(SEARCH_FILE):
                return  # its mount point may be left, but not what was there
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
    """The last driver of a search, if one has begun it."""
    try:
        return _DRIVER.validate_json(storage.read(DRIVER_FILE))
    except (FileNotFoundError, ValueError):
        return None


def check_not_running(storage: Storage) -> None:
    """Raises RequestError while another driver runs the search.

    A local journal is locked by its driver; an object store has no locks.
    """
    driver = None if storage.is_local else read_driver(storage)
    if driver is not None and is_alive(storage, driver, tell=_tell):
        raise RequestError(
            f"{storage.uri} is running on {driver.host} (process {driver.pid}); "
            "wait for its end, or stop it with `tuner stop`"
        )


def is_alive(
    storage: Storage,
    driver: DriverStatus | None,
    *,
    tell: Callable[[str], None] = logger.info,
) -> bool:
    """Whether a search's driver is running, by its signs of life.

    Clocks of two machines differ, so a driver elsewhere is watched for some seconds.
    """
    if driver is None or driver.outcome:
        return False
    if driver.machine == _machine():
        return _start_of(driver.pid) == driver.start
    tell(f"looking whether {driver.host} still runs it, for up to {DEAD_AFTER_SECONDS:.0f} s")
    deadline = time.monotonic() + DEAD_AFTER_SECONDS
    while time.monotonic() < deadline:
        time.sleep(1.0)
        now = read_driver(storage)
        if now is not None and (now.session, now.beat) != (driver.session, driver.beat):
            return not now.outcome
    return False


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # another system than Linux
        return socket.gethostname()


def _start_of(pid: int) -> str:
    """When a process of this machine began, in its own count; "" where there is none."""
    try:
        # Behind the name, which may hold anything, it is the 20th field; see proc(5).
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[19]
    except OSError:
        return ""
