"""`tuner stop NAME`: stops a search between two epochs, from any machine that sees its storage."""

import sys
import time
from typing import TYPE_CHECKING

from tuner.config.command import run_command
from tuner.config.command_line import parser_for, read_request
from tuner.config.options import NamedRequest
from tuner.text.errors import RequestError

if TYPE_CHECKING:
    from tuner.results.heartbeat import DriverStatus
    from tuner.storage.folder import Storage

PATIENCE_SECONDS = 120.0  # for a driver that waits for its trials to end their epochs
NEXT_SECONDS = 60.0  # between two searches of a comparison


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.stop") -> int:
    """Runs the command; returns 0, 1 if the search did not stop in time, or 2 for a bad request."""
    return run_command(lambda: _stop(arguments, prog))


def _stop(arguments: list[str] | None, prog: str) -> int:
    parser = parser_for(
        NamedRequest, prog, "Stops a search, wherever it runs; it can be resumed with --resume."
    )
    request = read_request(NamedRequest, vars(parser.parse_args(arguments)))

    from tuner.config.run_folder import resume_command
    from tuner.results.heartbeat import STOP_FILE, is_alive, read_driver
    from tuner.storage.folder import Storage
    from tuner.terminal.progress import begun_searches

    drivers = ((sub, read_driver(sub)) for sub in begun_searches(request.name, request.runs_dir))
    running = ((sub, d) for sub, d in drivers if d is not None and is_alive(sub, d, tell=_tell))
    found = next(running, None)
    if found is None:
        raise RequestError(f"{request.name} is not running; there is nothing to stop")
    while True:
        storage, driver = found
        storage.write(STOP_FILE, b"")
        _tell(f"asked {driver.host} (process {driver.pid}) to stop")
        outcome = _wait_for_outcome(storage)
        if outcome == "interrupted":
            command = resume_command(Storage(request.runs_dir).sub(request.name))
            _tell(f"{request.name} has stopped; resume with `{command}`")
            return 0
        if not outcome:
            _tell(
                f"{request.name} has not stopped after {PATIENCE_SECONDS:.0f} s; "
                f"see tuner status {request.name}"
            )
            return 1
        storage.delete(STOP_FILE)  # it ended before it noticed the request
        is_done = outcome == "done"
        found = _next_search(request.name, request.runs_dir, driver) if is_done else None
        if found is None:
            how = "by itself" if is_done else "with an error"
            _tell(f"{request.name} has ended {how} meanwhile; see tuner status {request.name}")
            return 0


def _wait_for_outcome(storage: "Storage") -> str:
    """How a driver that was asked to stop ended; "" if it has not ended in time."""
    from tuner.results.heartbeat import read_driver

    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.5)
        driver = read_driver(storage)
        if driver is not None and driver.outcome:
            return driver.outcome
    return ""


def _next_search(
    name: str, runs_dir: str, last: "DriverStatus"
) -> "tuple[Storage, DriverStatus] | None":
    """The search that a comparison's driver starts next, which takes it some time."""
    from tuner.results.heartbeat import read_driver
    from tuner.storage.folder import COMPARISON_FILE, Storage
    from tuner.terminal.progress import begun_searches

    if not Storage(runs_dir).sub(name).exists(COMPARISON_FILE):
        return None
    _tell("waiting to see whether it continues with the next method")
    deadline = time.monotonic() + NEXT_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.5)
        for storage in begun_searches(name, runs_dir):
            driver = read_driver(storage)
            if driver is None or driver.outcome:
                continue
            if (driver.machine, driver.pid, driver.start) == (last.machine, last.pid, last.start):
                return storage, driver
    return None


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
