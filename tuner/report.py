"""`tuner report NAME`: rebuilds the report of a search, a comparison of methods or a reproduction.

`tuner report A B C` compares searches, made at any time, on one page.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuner.config.command import run_command
from tuner.config.command_line import parser_for, read_request, read_started
from tuner.config.options import ReportRequest
from tuner.text.errors import RequestError

if TYPE_CHECKING:
    from tuner.reports.searches import Searched
    from tuner.storage.folder import Storage

LONGEST_NAME = 100  # characters of a folder's name


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
    if len(request.names) == 1:
        if request.name is not None:
            raise RequestError("--name is for the report of several searches; leave it out")
        path = rebuild_report(runs, request.names[0])
    else:
        path = compare_searches(runs, request.names, request.name)
    print(path)  # noqa: T201
    return 0


def rebuild_report(runs: "Storage", name: str) -> str:
    """Rebuilds the report from the files in a folder; returns the page's path.

    Raises RequestError if there is no such folder, or too little in it for a report.
    """
    from tuner.config.run_folder import is_reproduction
    from tuner.storage.folder import COMPARISON_FILE, existing

    storage = existing(runs, name)
    if is_reproduction(storage):
        from tuner.reproductions.rebuilding import rebuild_artefact

        return rebuild_artefact(name, runs)
    if storage.exists(COMPARISON_FILE):
        return _rebuild_comparison(runs, name)
    from tuner.reports.search_page import write_search_report
    from tuner.results.tables import read_journal, write_tables

    record = read_journal(storage)
    if record is not None:  # after a kill it may be ahead of the tables
        write_tables(storage, record)
    return write_search_report(storage)


def _rebuild_comparison(runs: "Storage", name: str) -> str:
    from tuner.config.options import SearchRequest
    from tuner.planning.comparison import spaces_of
    from tuner.reports.methods_page import write_methods_report
    from tuner.results.tables import read_record
    from tuner.storage.folder import SEARCH_FILE

    storage, request = runs.sub(name), read_started(SearchRequest, runs, name)
    records = {
        space.method: read_record(storage.sub(space.method))
        for space in spaces_of(request.space).values()
        if storage.sub(space.method).exists(SEARCH_FILE)
    }
    if not records:
        raise RequestError(f"no search of {name!r} has started; start it with --resume {name}")
    return write_methods_report(storage, request, records)[0]


def compare_searches(runs: "Storage", names: Sequence[str], folder: str | None) -> str:
    """Writes a page that compares several searches; returns its path.

    `folder` is its name beside the searches, by default theirs joined by "+". Raises RequestError
    for a search that does not exist or is named twice, and for a folder with other content.
    """
    from tuner.planning.checks import check_name
    from tuner.reports.page import REPORT_FILE
    from tuner.reports.searches_page import write_searches_report
    from tuner.storage.folder import SEARCH_FILE

    searches = [search for name in names for search in _searches(runs, name)]
    for search in searches:
        if sum(other.name == search.name for other in searches) > 1:
            raise RequestError(f"{search.name!r} is named twice; name each search once")
    name = folder or "+".join(names).replace("/", "-")
    if folder is None and len(name) > LONGEST_NAME:
        raise RequestError("the joined names are too long for a folder name; give one with --name")
    check_name(name)
    storage = runs.sub(name)
    if storage.exists(SEARCH_FILE):
        raise RequestError(f"{name!r} is the folder of a search; choose another --name")
    # Writing a report removes the figures and tables of the one before.
    if storage.exists() and not storage.exists(REPORT_FILE):
        raise RequestError(f"{storage.uri} already holds other files; choose another --name")
    runs.check_writable()
    return write_searches_report(storage, name, searches)


def _searches(runs: "Storage", name: str) -> list["Searched"]:
    """The search of this name; for a comparison of methods all its searches that have begun."""
    from tuner.config.run_folder import is_reproduction
    from tuner.reports.request import read_request_of
    from tuner.reports.searches import Searched
    from tuner.results.tables import read_record
    from tuner.terminal.progress import begun_searches

    outermost = name.partition("/")[0]
    if is_reproduction(runs.sub(outermost)):
        raise RequestError(
            f"{name} is a reproduction, which chooses no setting; compare searches, or rebuild its "
            f"own report with `tuner report {outermost}`"
        )
    searches = []
    for storage in begun_searches(name, runs.uri):
        record = read_record(storage)
        searches.append(
            Searched(
                storage.base.removeprefix(f"{runs.base}/"),
                read_request_of(storage)[1],
                record,
                record.header if record.is_open else None,
            )
        )
    if not searches:
        raise RequestError(f"no search of {name!r} has started; start it with --resume {name}")
    return searches


if __name__ == "__main__":
    sys.exit(main())
