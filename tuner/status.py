"""`tuner status NAME`: how far a search is, from any machine that sees its storage."""

import json
import sys
from typing import TYPE_CHECKING

from tuner.config.command import run_command
from tuner.config.command_line import Parser

if TYPE_CHECKING:
    from tuner.terminal.progress import Progress


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.status") -> int:
    """Runs the command; returns 0, or 2 for a bad request."""
    return run_command(lambda: _status(arguments, prog))


def _status(arguments: list[str] | None, prog: str) -> int:
    parser = Parser(prog=prog, description="Says how far a search is, wherever it runs.")
    parser.add_argument("name", help="name of the search, or of the comparison of methods")
    parser.add_argument("--runs-dir", default="runs", help="folder or URI that holds it")
    parser.add_argument("--json", action="store_true", help="one JSON object a search")
    options = parser.parse_args(arguments)

    from tuner.terminal.progress import begun_searches, read_progress

    searches = begun_searches(options.name, options.runs_dir)
    if not searches and not options.json:
        print(f"{options.name}: none of its searches has begun")  # noqa: T201
    for storage in searches:
        progress = read_progress(storage)
        if options.json:
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
        console.print(f"  {title:<9} {escape(text)}")


if __name__ == "__main__":
    sys.exit(main())
