"""The report of a search, rebuilt from search.yaml, trials.parquet and epochs.parquet."""

import shlex
from collections.abc import Mapping
from typing import Any

from search_spaces import Space, SpaceError
from tuner.reports.accuracy_figures import final_accuracies, final_curves, search_curves
from tuner.reports.document import Document, Facts, Figure, Table, Text
from tuner.reports.final_trainings import SELECTED_ON_TEST, finals_of
from tuner.reports.hyperparameter_figures import importance_bars, slices
from tuner.reports.importances import points_of
from tuner.reports.page import write_document
from tuner.reports.request import (
    axis_of,
    is_selected_on_test,
    metric_of,
    read_request_of,
    space_of,
    workload_text,
)
from tuner.reports.search_tables import (
    failures_table,
    finals_table,
    hyperparameters_table,
    settings_table,
    trials_of_search,
)
from tuner.reports.setting_figures import contour, parallel_coordinates
from tuner.reports.settings import Row, compare
from tuner.reports.summary import findings, is_interrupted
from tuner.results.record import Record, winner
from tuner.results.tables import read_tables
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.secrets import without_secrets


def write_search_report(storage: Storage) -> str:
    """Writes the report into a search's folder; returns the page's path.

    Raises RequestError if one of the three files is missing or damaged.
    """
    return write_document(storage, search_document(storage))


def search_document(storage: Storage) -> Document:
    """The report of a search, before it is written. Raises as `write_search_report`."""
    record = read_tables(storage)
    text, request = read_request_of(storage)
    rows, is_optimistic = compare(record), is_selected_on_test(request)
    return Document(
        title=str(request.get("name") or storage.name),
        labels=[SELECTED_ON_TEST] if is_optimistic else [],
        findings=findings(record, request, rows, winner(record, metric_of(request))),
        parts=[
            Facts("Workload", workload_text(request)),
            settings_table(rows, is_optimistic=is_optimistic),
            *_results(record, request, rows),
            _command(storage, record, request),
            Text(
                "search.yaml: the request, with every value resolved",
                [without_secrets(text)],
                is_code=True,
                is_folded=True,
            ),
        ],
    )


def _results(record: Record, request: Mapping[str, Any], rows: list[Row]) -> list[Figure | Table]:
    """Figures and tables; those of final trainings and of failures where there are any."""
    metric, axis = metric_of(request), axis_of(request)
    best = winner(record, metric)
    problem, space = "", None
    try:
        space = space_of(request)
    except SpaceError as error:
        problem = f"The search space can no longer be read: {error}."
    finals = {row.label: found for row in rows if (found := finals_of(record, row.label))}
    failures = failures_table(record)
    parts = [
        final_accuracies(finals) if finals else None,
        hyperparameters_table(record, space, best),
        final_curves(record, metric, axis) if finals else None,
        search_curves(record, best, metric, axis),
        *_hyperparameter_figures(record, space, problem, metric, axis),
        trials_of_search(record, best, metric, axis),
        finals_table(record) if finals else None,
        failures if failures.rows else None,
    ]
    return [part for part in parts if part is not None]


def _hyperparameter_figures(
    record: Record, space: Space | None, problem: str, metric: str, axis: str
) -> list[Figure]:
    """The figures of the hyperparameters, or one without a drawing that says why not."""
    if space is not None:
        try:
            trials = points_of(record, space, metric)
        except (KeyError, ValueError) as error:
            problem = f"The trials no longer fit the search space: {error}."
        else:
            return [
                slices(trials, axis),
                importance_bars(trials, axis),
                parallel_coordinates(trials, axis),
                contour(trials, axis),
            ]
    return [Figure("slices", f"Hyperparameters and {axis}", problem)]


def _command(storage: Storage, record: Record, request: Mapping[str, Any]) -> Text:
    """The command that resumes the search, or repeats one that is finished."""
    command = ["python", "-m", "tuner.search"]
    if is_interrupted(record, request):
        title = "Resume this search"
        command += ["--resume", storage.name, "--runs-dir", storage.parent_uri]
    else:
        title = "Repeat this search"
        command += ["--config", storage.path(SEARCH_FILE), "--name", f"{storage.name}-again"]
    return Text(title, [shlex.join(command)], is_code=True)
