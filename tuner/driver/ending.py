"""Writes, publishes and prints what a search found: best.yaml, report, model card, MLflow."""

import json
import sys
from dataclasses import dataclass
from typing import Any

import yaml

from tuner.driver.search_outcome import outcome_of, winning_model
from tuner.planning.search import Search
from tuner.planning.task import Run
from tuner.reports.final_trainings import winners_finals
from tuner.reports.model_card import CARD_FILE
from tuner.reports.settings import Row, compare
from tuner.results.record import Record, ranked, winner
from tuner.results.trial import TUNED, Trial
from tuner.storage.folder import BEST_FILE
from tuner.terminal.outcome import nothing_finished, print_hints, print_result
from tuner.tracking.mirror import Mirror
from tuner.tracking.publish import publish


@dataclass(frozen=True)
class Results:
    """What a search found, and where it is shown."""

    best: Trial | None  # of the search, None where none ran to its end
    rows: list[Row]  # of the final trainings
    report: str  # path
    page: str  # of its run in MLflow; "" if that could not be written


def conclude(run: Run[Search], mirror: Mirror, *, as_json: bool) -> int:
    """Writes, publishes and prints the results of a finished search; returns the exit status."""
    search, record = run.task, run.record
    results = write_results(run, mirror)
    if results.best is None:
        return nothing_finished(record, results.report)
    if as_json:
        print(json.dumps(_as_json(run, results.best, results, mirror.problem)))  # noqa: T201
        return 0
    print_result(search, record, results.best, results.rows)
    print_hints(search, mirror, results.page, results.report)
    return 0


def write_results(run: Run[Search], mirror: Mirror) -> Results:
    """Writes best.yaml, the report and the model card, then publishes the outcome in MLflow.

    The tables of trials and epochs are written by `run_task`.
    """
    from tuner.reports.search_page import write_search_report  # imports matplotlib

    search, record = run.task, run.record
    best, rows = winner(record, search.metric), compare(record)
    if best is not None:
        search.storage.write(BEST_FILE, _best_yaml(search, record, best))
    report = write_search_report(search.storage)
    for note in record.notes:
        print(f"tuner: {note}", file=sys.stderr)  # noqa: T201
    model = None if best is None else winning_model(search, record, rows)
    if model is not None:
        search.storage.write(CARD_FILE, model.card.encode())
    page = publish(mirror, outcome_of(search, best, rows, model))
    return Results(best, rows, report, page)


def _best_yaml(search: Search, record: Record, best: Trial) -> bytes:
    """The input of `tuner distill --config`: the workload, the method and its setting."""
    workload = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in search.workload.as_request().items()
        if value is not None
    }
    if search.request.space.endswith(".py"):
        workload["space"] = search.request.space
    # The search's own, because a new measurement might decide otherwise.
    workload["precision"] = record.header.step_mode.precision
    finals = winners_finals(record) or [best]
    setting = {name: value for name, value in finals[0].setting.items() if value is not None}
    content = {**workload, "method": best.method, "set": setting}
    return yaml.safe_dump(content, sort_keys=False).encode()


def _as_json(run: Run[Search], best: Trial, results: Results, problem: str) -> dict[str, Any]:
    search = run.task
    return {
        "search": search.name,
        "select_on": search.request.select_on,
        "problem": problem,
        "best": {
            "trial": best.name,
            "setting": best.setting,
            search.metric: best.last(search.metric),
            "of": len(ranked(run.record)),
        },
        "handed_out": results.rows[0].label if results.rows else best.setting_label or TUNED,
        "comparison": [
            {
                "label": row.label,
                "setting": row.setting,
                "num_seeds": row.num_seeds,
                "val_accuracy": row.val_accuracy and row.val_accuracy.mean,
                "test_accuracy": row.test_accuracy and row.test_accuracy.mean,
            }
            for row in results.rows
        ],
        "report": results.report,
    }
