"""Several methods compared: a search for each, with equal budgets, and one table at the end.

The searches run one after the other, in a folder each inside the comparison's own, so that
each of them is a search like any other: it can be looked at, reported and resumed alone.
"""

import json
import sys
import uuid
from dataclasses import dataclass, replace

from rich.console import Console
from rich.markup import escape

from search_spaces import SPACES, Space, SpaceError, load_space
from search_spaces.parameters import list_of, suggestion
from tuner.config.command_line import parse_yaml, read_request
from tuner.config.options import SearchRequest
from tuner.config.workload import open_data
from tuner.driver.conclusion import (
    mlflow_hint,
    print_interrupted,
    resume_command_of,
    write_results,
)
from tuner.driver.run import search_yaml
from tuner.driver.session import run_watched
from tuner.orchestration.cluster import ray_for
from tuner.planning.search import (
    DEFAULT_TRIALS,
    Search,
    check_name,
    check_resumed,
    default_name,
    plan_search,
)
from tuner.reports.methods import PLAIN, MethodRow, compare_methods, methods_verdict
from tuner.reports.methods_table import print_methods, row_as_dict
from tuner.results.record import Record
from tuner.storage.folder import COMPARISON_FILE, SEARCH_FILE, Storage
from tuner.text.errors import RequestError
from tuner.tracking.mirror import Tracking, default_tracking_uri

ALL = "all"


@dataclass(frozen=True)
class Comparison:
    """Searches that differ in their space only; nothing has been written yet."""

    name: str
    request: SearchRequest  # every value resolved
    searches: tuple[Search, ...]

    @property
    def runs(self) -> Storage:
        return Storage(self.request.runs_dir)

    @property
    def storage(self) -> Storage:
        """The comparison's own folder, with a folder for each search in it."""
        return self.runs.sub(self.name)


def is_comparison(request: SearchRequest) -> bool:
    """Whether several spaces are asked for."""
    return request.space == ALL or len(_names(request.space)) > 1


def plan_comparison(request: SearchRequest) -> Comparison:
    """Resolves a request for several spaces. Raises what `plan_search` raises; reads no data."""
    if request.seeds == 0:
        raise RequestError("methods are compared by their final trainings; give --seeds 1 or more")
    if request.algo == "grid" and request.trials is None:
        raise RequestError("the methods' grids differ in size; give --trials for equal budgets")
    spaces = _spaces(request.space)
    _check_pins(request, spaces)
    name = request.name or default_name("methods", request.data)
    check_name(name)
    runs = Storage(request.runs_dir)
    shared = {
        "trials": request.trials or DEFAULT_TRIALS,
        "runs_dir": runs.sub(name).uri,
        "tracking_uri": request.tracking_uri or default_tracking_uri(runs, request.data_dir),
    }
    searches: list[Search] = []
    refusals: list[RequestError] = []
    for space, declared in spaces.items():
        method = declared.method
        names = {parameter.name for parameter in declared.params}
        pins = {key: value for key, value in request.set.items() if key in names}
        # METHOD.NAME=VALUE is for one method, and wins over NAME=VALUE, which is for all.
        pins |= {
            key.removeprefix(f"{method}."): value
            for key, value in request.set.items()
            if key.startswith(f"{method}.")
        }
        own = {"space": space, "set": pins, "name": method}
        try:
            request_of_one = request.model_copy(update={**shared, **own})
            searches.append(plan_search(request_of_one, runs))
        except RequestError as error:
            refusals.append(error)
    # Of all methods one may not suit, such as pbt for one that has nothing to vary.
    if refusals and (request.space != ALL or not searches):
        raise refusals[0]
    # All have the same workload; the space and its pins are the comparison's own.
    resolved = searches[0].request.model_copy(
        update={
            "name": name,
            "space": request.space,
            "set": request.set,
            "runs_dir": runs.uri,
            "trials": shared["trials"],
            "tracking_uri": request.tracking_uri,
        }
    )
    return Comparison(name, resolved, tuple(searches))


def run_comparison(comparison: Comparison, *, resume: bool, mode: str) -> int:
    """Runs or resumes all searches, prints the table; returns the exit status.

    Raises RequestError before anything is written, where one of them cannot be run.
    """
    comparison = fitting(comparison)
    storage = comparison.storage
    if resume:
        # Every one before the first goes on: what is refused is refused at once.
        dataset, _ = open_data(comparison.searches[0].workload)
        for search in comparison.searches:
            if search.storage.exists(SEARCH_FILE):
                check_resumed(search, Record.load(search.storage), dataset)
    else:
        if storage.exists(SEARCH_FILE):
            raise RequestError(
                f"a search named {comparison.name!r} exists in {comparison.runs.uri}; "
                f"resume it with --resume {comparison.name} or choose another --name"
            )
        comparison.runs.check_writable()
    records: dict[str, Record] = {}
    with ray_for(comparison.searches[0]):
        if not resume:
            storage.write(COMPARISON_FILE, uuid.uuid4().hex.encode())
            storage.write(SEARCH_FILE, search_yaml(comparison.request))
        identity = (storage.read(COMPARISON_FILE).decode(), comparison.name)
        for search in comparison.searches:
            run, tracking = run_watched(
                search,
                resume=search.storage.exists(SEARCH_FILE),
                mode=mode,
                earlier=tuple(records.values()),
                comparison=identity,
            )
            if run.interrupted:
                command = resume_command_of(comparison.name, comparison.runs, comparison.request)
                print_interrupted(run, tracking, command)
                return 130
            write_results(run, tracking)
            records[search.space.method] = run.record
    return _conclude(comparison, records, tracking, mode)


def rebuild_report(name: str, runs: Storage) -> str:
    """Writes a comparison's table and page again, as far as it is; returns the page's path.

    Raises RequestError where none of its searches has begun.
    """
    from tuner.reports.methods_page import write_methods_report  # matplotlib: where it is needed

    storage = runs.sub(name)
    given = parse_yaml(storage.path(SEARCH_FILE), storage.read(SEARCH_FILE))
    base = given | {"name": name, "runs_dir": runs.uri}
    request = read_request(SearchRequest, {}, base=base)
    methods = [space.method for space in _spaces(request.space).values()]
    begun = [method for method in methods if storage.sub(method).exists(SEARCH_FILE)]
    if not begun:
        raise RequestError(f"no search of {name!r} has begun; start it with --resume {name}")
    records = {method: Record.load(storage.sub(method)) for method in begun}
    return write_methods_report(storage, request, records)


def _conclude(
    comparison: Comparison, records: dict[str, Record], tracking: Tracking, mode: str
) -> int:
    from tuner.reports.methods_page import METHODS_FILE, write_methods_report
    from tuner.reports.page import report_files

    rows = compare_methods(records)
    verdict = methods_verdict(rows, comparison.request.select_on)
    report = write_methods_report(comparison.storage, comparison.request, records)
    names = (SEARCH_FILE, METHODS_FILE, *report_files(comparison.storage))
    run_id = tracking.finish_comparison(
        files={name: comparison.storage.read(name) for name in names},
        metrics=_metrics(rows),
        note=verdict,
    )
    if mode == "json":
        content = {
            "comparison": comparison.name,
            "select_on": comparison.request.select_on,
            "problem": tracking.problem,
            "methods": [row_as_dict(row) for row in rows],
            "report": report,
        }
        print(json.dumps(content))  # noqa: T201
    else:
        _print(comparison, rows, verdict, report, tracking, run_id)
    return 0 if any(row.num_seeds for row in rows if row.method != PLAIN) else 1


def _print(
    comparison: Comparison,
    rows: list[MethodRow],
    verdict: str,
    report: str,
    tracking: Tracking,
    run_id: str,
) -> None:
    console = Console(highlight=False)
    console.print()
    console.print(f"[bold]{escape(comparison.name)}[/]")
    print_methods(rows, console)
    console.print(escape(verdict), soft_wrap=True)
    console.print(f"\nreport:  {escape(report)}", soft_wrap=True)
    if tracking.problem:
        console.print(f"MLflow:  [red]{escape(tracking.problem)}[/]", soft_wrap=True)
        return
    console.print(mlflow_hint(tracking, run_id), soft_wrap=True)


def fitting(comparison: Comparison) -> Comparison:
    """Without the methods that cannot join these networks, if it was all that were asked for.

    Raises RequestError for one that was asked for by name.
    """
    dataset, _ = open_data(comparison.searches[0].workload)
    kept = []
    for search in comparison.searches:
        try:
            search.needs(dataset)
        except RequestError as error:
            if comparison.request.space != ALL:
                raise
            print(f"left out: {error}", file=sys.stderr)  # noqa: T201
        else:
            kept.append(search)
    if not kept:
        raise RequestError("no method fits these networks; choose others")
    # A resumed comparison has the same methods, whatever later versions bring.
    named = ",".join(search.request.space for search in kept)
    request = comparison.request.model_copy(update={"space": named})
    return replace(comparison, request=request, searches=tuple(kept))


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


def _spaces(text: str) -> dict[str, Space]:
    """The spaces that are asked for, by the names that they are asked for by."""
    spaces: dict[str, Space] = {}
    for name in list(SPACES) if text == ALL else _names(text):
        space = load_space(name)
        if space.method in {other.method for other in spaces.values()}:
            raise RequestError(f"space has {space.method} twice; name each method once")
        spaces[name] = space
    return spaces


def _check_pins(request: SearchRequest, spaces: dict[str, Space]) -> None:
    known = {parameter.name for space in spaces.values() for parameter in space.params}
    methods = {space.method for space in spaces.values()}
    for name in request.set:
        if name.partition(".")[0] in methods and "." in name:
            continue  # the method's own space checks it
        if name not in known:
            raise SpaceError(
                f"no method has a hyperparameter {name!r}{suggestion(name, sorted(known))}"
                f" known: {list_of(sorted(known))}"
            )


def _metrics(rows: list[MethodRow]) -> dict[str, float]:
    """What MLflow keeps on the comparison's own run."""
    metrics = {}
    best = rows[0]
    if best.method != PLAIN and best.val_accuracy is not None:
        metrics["val_accuracy"] = best.val_accuracy.mean
        if best.test_accuracy is not None:
            metrics["test_accuracy"] = best.test_accuracy.mean
    for row in rows:
        for name, accuracy in (
            ("val_accuracy", row.val_accuracy),
            ("test_accuracy", row.test_accuracy),
        ):
            if accuracy is not None:
                metrics[f"{row.method}_{name}_mean"] = accuracy.mean
        if row.cost is not None:
            metrics[f"{row.method}_cost"] = row.cost
    return metrics
