"""`tuner status NAME`: shows the progress of a search, from any machine that sees its storage."""

import json
import sys
from typing import TYPE_CHECKING

from tuner.config.command import run_command
from tuner.config.command_line import parser_for, read_request
from tuner.config.options import NamedRequest

if TYPE_CHECKING:
    from tuner.terminal.progress import Progress


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.status") -> int:
    """Runs the command; returns 0, or 2 for a bad request."""
    return run_command(lambda: _status(arguments, prog))


def _status(arguments: list[str] | None, prog: str) -> int:
    parser = parser_for(NamedRequest, prog, "Shows the progress of a search, wherever it runs.")
    parser.general.add_argument(
        "--json", action="store_true", help="print one JSON object per search"
    )
    given = vars(parser.parse_args(arguments))
    as_json = given.pop("json", False)
    request = read_request(NamedRequest, given)

    from tuner.terminal.progress import begun_searches, read_progress

    searches = begun_searches(request.name, request.runs_dir)
    if not searches and not as_json:
        print(f"{request.name}: none of its searches has started")  # noqa: T201
    for storage in searches:
        progress = read_progress(storage)
        if as_json:
            print(json.dumps(progress.as_json()))  # noqa: T201
        else:
            _print(progress)
    return 0


def _print(progress: "Progress") -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(progress.name)}[/]: {escape(progress.state)}")
    for title, text in progress.lines():
        console.print(f"  {title:<11} {escape(text)}")


if __name__ == "__main__":
    sys.exit(main())
