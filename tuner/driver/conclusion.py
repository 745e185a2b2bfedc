"""The end of a search: the best setting as YAML, the report, MLflow, and what a person sees."""

import json
import shlex
import sys
from typing import Any

import yaml

from models import short_name
from tuner.planning.search import Search
from tuner.planning.task import Run
from tuner.reports.model_card import CARD_FILE, model_card
from tuner.reports.settings import Row, compare, verdict
from tuner.results.record import Record, winner
from tuner.results.tables import EPOCHS_FILE, TRIALS_FILE
from tuner.results.trial import FINAL, Trial
from tuner.storage.folder import BEST_FILE, SEARCH_FILE
from tuner.terminal.outcome import nothing_finished, print_hints, print_result
from tuner.tracking.mirror import Tracking
from tuner.tracking.registered_model import load_classifier, log_to_mlflow
from tuner.training.workload_data import open_data

WINNERS = ("tuned", "published")  # labels of the setting that won; the second if it did


def conclude(run: Run[Search], tracking: Tracking, *, as_json: bool) -> int:
    """Writes and prints what a finished search leaves behind, and returns the exit status."""
    search, record = run.task, run.record
    report = write_results(run, tracking)
    best, rows = winner(record, search.metric), compare(record)
    if best is None:
        return nothing_finished(record, report)
    if as_json:
        print(json.dumps(_as_json(search, best, rows, report, tracking.problem)))  # noqa: T201
        return 0
    print_result(search, record, best, rows)
    print_hints(search, tracking, report)
    return 0


def write_results(run: Run[Search], tracking: Tracking) -> str:
    """Writes the best setting and the report, ends the run in MLflow; returns the report's path."""
    from tuner.reports.search_page import write_report  # matplotlib: not before it is needed

    search, record = run.task, run.record
    best = winner(record, search.metric)
    if best is not None:
        content = yaml.safe_dump(_best(search, record, best), sort_keys=False)
        search.storage.write(BEST_FILE, content.encode())
    report = write_report(search.storage)
    for note in record.notes:
        print(f"tuner: {note}", file=sys.stderr)  # noqa: T201
    if best is None:
        tracking.finish(files=_files(search), metrics={}, note="", status="FAILED")
    else:
        _finish_tracking(run, tracking, compare(record))
    return report


def _best(search: Search, record: Record, best: Trial) -> dict[str, Any]:
    """What `tuner distill --config` takes: the workload, the method and its setting."""
    workload = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in search.workload.as_request().items()
        if value is not None
    }
    setting = {name: value for name, value in best.setting.items() if value is not None}
    if search.request.space.endswith(".py"):
        workload["space"] = search.request.space
    # As the search computed it, whatever a measurement would say next time.
    workload["precision"] = record.header.step_mode.precision
    return {**workload, "method": best.method, "set": setting}


def _finish_tracking(run: Run[Search], tracking: Tracking, rows: list[Row]) -> None:
    search, record = run.task, run.record
    for row in rows:
        tracking.summarise(row.label, _metrics(row))
    # Of the search itself what its winner came to, first in the table of settings.
    metrics = _metrics(rows[0]) if rows and rows[0].label in WINNERS else {}
    final = _final_of_winner(record)
    if final is not None:
        name = f"{short_name(search.workload.student)}-{search.space.method}"
        card = model_card(name, record, _request_of(search), rows, final, _commands_of(search))
        search.storage.write(CARD_FILE, card.encode())
        dataset, _ = open_data(search.workload)
        content = search.storage.read(f"checkpoints/{final.name}.pt")
        classifier = load_classifier(content, search.workload.student, dataset)
        tracking.register(lambda: log_to_mlflow(classifier, dataset, name), card)
    note = verdict(rows, search.request.select_on)
    tracking.finish(files=_files(search), metrics=metrics, note=note, status="FINISHED")


def _metrics(row: Row) -> dict[str, float]:
    """Of a setting, for MLflow: means and deviations over its seeds, and what they gain."""
    metrics = {"num_seeds": float(row.num_seeds)}
    for name, accuracy in (
        ("val_accuracy", row.val_accuracy),
        ("test_accuracy", row.test_accuracy),
    ):
        if accuracy is not None:
            metrics[name] = accuracy.mean
            if accuracy.std is not None:
                metrics[f"{name}_std"] = accuracy.std
    for name, found in (("minus_plain", row.to_plain), ("minus_published", row.to_published)):
        if found is not None:
            metrics[name] = found.mean
    return metrics


def _request_of(search: Search) -> dict[str, Any]:
    """As `search.yaml` holds it."""
    return search.request.model_dump(mode="json", exclude_none=True)


def _commands_of(search: Search) -> dict[str, str]:
    """What makes the model again, from the files of the search."""
    best, request = (shlex.quote(search.storage.path(name)) for name in (BEST_FILE, SEARCH_FILE))
    return {
        "The student, with this setting": f"tuner distill --config {best} --test",
        "The search": f"python -m tuner.search --config {request} --name "
        f"{shlex.quote(f'{search.name}-again')}",
    }


def _final_of_winner(record: Record) -> Trial | None:
    """Of the final trainings of the winning setting, the one that validates best."""
    finals = record.trials_of(FINAL)
    label = next(
        (one for one in WINNERS if any(t.setting_label == one for t in finals)), WINNERS[-1]
    )
    candidates = [
        trial for trial in finals if trial.setting_label == label and trial.is_full_length
    ]
    return max(candidates, key=lambda trial: trial.last("val_accuracy") or 0.0, default=None)


def _files(search: Search) -> dict[str, bytes]:
    from tuner.reports.page import report_files

    names = (SEARCH_FILE, BEST_FILE, CARD_FILE, TRIALS_FILE, EPOCHS_FILE)
    there = [name for name in names if search.storage.exists(name)]
    return {name: search.storage.read(name) for name in [*there, *report_files(search.storage)]}


def _as_json(
    search: Search, best: Trial, rows: list[Row], report: str, problem: str
) -> dict[str, Any]:
    return {
        "search": search.name,
        "select_on": search.request.select_on,
        "problem": problem,
        "best": {
            "trial": best.name,
            "setting": best.setting,
            search.metric: best.last(search.metric),
        },
        "comparison": [
            {
                "label": row.label,
                "setting": row.setting,
                "num_seeds": row.num_seeds,
                "val_accuracy": row.val_accuracy and row.val_accuracy.mean,
                "test_accuracy": row.test_accuracy and row.test_accuracy.mean,
            }
            for row in rows
        ],
        "report": report,
    }
