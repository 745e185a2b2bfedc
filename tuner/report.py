"""`tuner report NAME`: rebuilds the report of a search, a comparison of methods or a reproduction.

`tuner report A B C` compares searches, made at any time, on one page.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuner.config.command import run_command
from tuner.config.command_line import parser_for, read_request
from tuner.config.options import ReportRequest
from tuner.text.errors import RequestError

if TYPE_CHECKING:
    from tuner.reports.searches import Searched
    from tuner.storage.folder import Storage

LONGEST_NAME = 100  # characters; of a folder


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.report") -> int:
    """Runs the command; returns 0, or 2 for a bad request."""
    return run_command(lambda: _report(arguments, prog))


def _report(arguments: list[str] | None, prog: str) -> int:
    parser = parser_for(
        ReportRequest, prog, "Rebuilds the report of a run, or compares several searches."
    )
    request = read_request(ReportRequest, vars(parser.parse_args(arguments)))

    from tuner.storage.folder import Storage

    runs = Storage(request.runs_dir)
    if len(request.names) > 1:
        print(_compare(runs, request.names, request.name))  # noqa: T201
        return 0
    if request.name is not None:
        raise RequestError("--name is for the report of several searches; leave it out")
    print(_rebuild(runs, request.names[0]))  # noqa: T201
    return 0


def _rebuild(runs: "Storage", name: str) -> str:
    from tuner.config.run_folder import is_reproduction
    from tuner.storage.folder import COMPARISON_FILE, existing

    storage = existing(runs, name)
    if is_reproduction(storage):
        from tuner.reproductions.rebuilding import rebuild_report as rebuild_artefact

        return rebuild_artefact(name, runs)
    if storage.exists(COMPARISON_FILE):
        from tuner.driver.comparison import rebuild_report

        return rebuild_report(name, runs)
    from tuner.reports.search_page import write_report
    from tuner.results.record import Record
    from tuner.results.tables import write_tables

    # The journal may know more than the tables of a search that was killed.
    if storage.exists("journal.jsonl"):
        write_tables(storage, Record.load(storage))
    return write_report(storage)


def _compare(runs: "Storage", names: Sequence[str], own_name: str | None) -> str:
    from tuner.planning.checks import check_name
    from tuner.reports.page import REPORT_FILE
    from tuner.reports.searches_page import write_searches_report
    from tuner.storage.folder import SEARCH_FILE

    searches = [search for name in names for search in _searches(runs, name)]
    for search in searches:
        if sum(other.name == search.name for other in searches) > 1:
            raise RequestError(f"{search.name!r} is named twice; name each search once")
    name = own_name or "+".join(names).replace("/", "-")
    if own_name is None and len(name) > LONGEST_NAME:
        raise RequestError("the names together are too long for a folder's; give one with --name")
    check_name(name)
    storage = runs.sub(name)
    if storage.exists(SEARCH_FILE):
        raise RequestError(f"{name!r} is the folder of a search; choose another --name")
    # Writing a report removes the figures and tables of the one before.
    if storage.exists() and not storage.exists(REPORT_FILE):
        raise RequestError(f"{storage.uri} holds files of something else; choose another --name")
    runs.check_writable()
    return write_searches_report(storage, name, searches)


def _searches(runs: "Storage", name: str) -> list["Searched"]:
    """The search of this name; of a comparison of methods, all its searches that have started."""
    from tuner.config.run_folder import is_reproduction
    from tuner.reports.search_page import read_request_of
    from tuner.reports.searches import Searched
    from tuner.results.record import Record
    from tuner.results.tables import read_tables
    from tuner.terminal.progress import begun_searches

    if is_reproduction(runs.sub(name.partition("/")[0])):
        raise RequestError(
            f"{name} is a reproduction, which chooses no setting; compare searches, or look at "
            f"it alone with `tuner report {name.partition('/')[0]}`"
        )
    searches = []
    for storage in begun_searches(name, runs.uri):
        has_journal = storage.exists("journal.jsonl")
        record = Record.load(storage) if has_journal else read_tables(storage)
        _, request = read_request_of(storage)
        searches.append(Searched(storage.base.removeprefix(f"{runs.base}/"), request, record))
    if not searches:
        raise RequestError(f"no search of {name!r} has started; start it with --resume {name}")
    return searches


if __name__ == "__main__":
    sys.exit(main())
