"""`tuner report NAME`: rebuilds the report of a search, or of a comparison of methods."""

import sys

from tuner.arguments import Parser
from tuner.commands import run_command


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.report") -> int:
    """Runs the command; returns 0, or 2 for a bad request."""
    return run_command(lambda: _report(arguments, prog))


def _report(arguments: list[str] | None, prog: str) -> int:
    parser = Parser(prog=prog, description="Rebuilds a search's report, or a comparison's.")
    parser.add_argument("name", help="name of the search, or of the comparison of methods")
    parser.add_argument("--runs-dir", default="runs", help="folder or URI that holds it")
    options = parser.parse_args(arguments)

    from tuner.comparison import rebuild_report
    from tuner.orchestration.record import Record
    from tuner.reports.search_page import write_report
    from tuner.reports.tables import write_tables
    from tuner.storage import COMPARISON_FILE, Storage, existing

    runs = Storage(options.runs_dir)
    storage = existing(runs, options.name)
    if storage.exists(COMPARISON_FILE):
        print(rebuild_report(options.name, runs))  # noqa: T201
        return 0
    # The journal may know more than the tables of a search that was killed.
    if storage.exists("journal.jsonl"):
        write_tables(storage, Record.load(storage))
    print(write_report(storage))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
