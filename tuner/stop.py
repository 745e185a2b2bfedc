"""`tuner stop NAME`: stops a search between two epochs, from any machine that sees its storage."""

import sys
import time
from typing import TYPE_CHECKING

from tuner.config.command import run_command
from tuner.config.command_line import parser_for, read_request
from tuner.config.options import NamedRequest
from tuner.text.console import print_to_stderr
from tuner.text.errors import RequestError

if TYPE_CHECKING:
    from tuner.results.heartbeat import DriverStatus
    from tuner.storage.folder import Storage

STOP_TIMEOUT_SECONDS = 120.0  # for a driver, whose trials first end their epochs
NEXT_SECONDS = 60.0  # for a comparison's driver to start its next search


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.stop") -> int:
    """Runs the command; returns 0, 1 if the search did not stop in time, or 2 for a bad request."""
    return run_command(lambda: _stop(arguments, prog))


def _stop(arguments: list[str] | None, prog: str) -> int:
    parser = parser_for(
        NamedRequest, prog, "Stops a search, wherever it runs; it can be resumed with --resume."
    )
    request = read_request(NamedRequest, vars(parser.parse_args(arguments)))

    from tuner.config.run_folder import resume_command
    from tuner.storage.folder import Storage

    name = request.name
    running = _running(name, request.runs_dir)
    if running is None:
        raise RequestError(f"{name} is not running; there is nothing to stop")
    while running is not None:
        storage, driver = running
        outcome = _request_stop(storage, driver)
        if outcome == "interrupted":
            command = resume_command(Storage(request.runs_dir).sub(name))
            print_to_stderr(f"{name} has stopped; resume with `{command}`")
            return 0
        if not outcome:
            print_to_stderr(
                f"{name} has not stopped after {STOP_TIMEOUT_SECONDS:.0f} s; "
                f"see `tuner status {name}`"
            )
            return 1
        is_done = outcome == "done"
        running = _next_search(name, request.runs_dir, driver) if is_done else None
    how = "finished" if is_done else "failed"
    print_to_stderr(f"{name} {how} before it could be stopped; see `tuner status {name}`")
    return 0


def _running(name: str, runs_dir: str) -> "tuple[Storage, DriverStatus] | None":
    """The folder and driver of the running search; None if none runs."""
    from tuner.results.heartbeat import is_alive, read_driver
    from tuner.terminal.progress import begun_searches

    for storage in begun_searches(name, runs_dir):
        driver = read_driver(storage)
        if driver is not None and is_alive(storage, driver, report=print_to_stderr):
            return storage, driver
    return None


def _request_stop(storage: "Storage", driver: "DriverStatus") -> str:
    """Asks a driver to stop and waits; returns its outcome, "" if it has not ended in time."""
    from tuner.results.heartbeat import STOP_FILE, read_driver

    storage.write(STOP_FILE, b"")
    print_to_stderr(f"asked {driver.host} (process {driver.pid}) to stop")
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = read_driver(storage)
        if now is not None and now.outcome:
            if now.outcome != "interrupted":
                storage.delete(STOP_FILE)  # it ended before it noticed the request
            return now.outcome
    return ""


def _next_search(
    name: str, runs_dir: str, last: "DriverStatus"
) -> "tuple[Storage, DriverStatus] | None":
    """Waits for the search that a comparison's driver starts next; None if it starts none."""
    from tuner.results.heartbeat import read_driver
    from tuner.storage.folder import COMPARISON_FILE, Storage
    from tuner.terminal.progress import begun_searches

    if not Storage(runs_dir).sub(name).exists(COMPARISON_FILE):
        return None
    print_to_stderr("waiting to see whether it continues with the next method")
    deadline = time.monotonic() + NEXT_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.5)
        for storage in begun_searches(name, runs_dir):
            driver = read_driver(storage)
            if driver is None or driver.outcome:
                continue
            if (driver.host, driver.pid) == (last.host, last.pid):
                return storage, driver
    return None


if __name__ == "__main__":
    sys.exit(main())
