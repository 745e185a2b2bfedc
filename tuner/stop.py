"""`tuner stop NAME`: ends a search between two epochs, from any machine that sees its storage."""

import sys
import time

from tuner.arguments import Parser
from tuner.commands import run_command
from tuner.errors import RequestError

PATIENCE_SECONDS = 120.0  # of a driver that waits for the end of its trials' epochs


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.stop") -> int:
    """Runs the command; returns 0, 1 if the search did not stop in time, or 2 for a bad request."""
    return run_command(lambda: _stop(arguments, prog))


def _stop(arguments: list[str] | None, prog: str) -> int:
    parser = Parser(
        prog=prog, description="Stops a search wherever it runs; it can be resumed with --resume."
    )
    parser.add_argument("name", help="name of the search, or of the comparison of methods")
    parser.add_argument("--runs-dir", default="runs", help="folder or URI that holds it")
    options = parser.parse_args(arguments)

    from tuner.orchestration.presence import STOP_FILE, is_alive, read_driver
    from tuner.progress import begun_searches

    for storage in begun_searches(options.name, options.runs_dir):
        driver = read_driver(storage)
        if driver is None or not is_alive(storage, driver, tell=_tell):
            continue
        storage.write(STOP_FILE, b"")
        _tell(f"told {driver.host} (process {driver.pid}) to stop")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.5)
            now = read_driver(storage)
            if now is not None and now.outcome:
                _tell(f"{options.name} has stopped; go on with --resume {options.name}")
                return 0
        _tell(f"it has not stopped after {PATIENCE_SECONDS:.0f} s; see tuner status {options.name}")
        return 1
    raise RequestError(f"{options.name} is not running; there is nothing to stop")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
