"""The end of a search: the best setting as YAML, the report, MLflow, and what a person sees."""

import json
import shlex
import sys
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models import short_name
from tuner.config.options import SearchRequest
from tuner.config.workload import open_data
from tuner.driver.run import Run
from tuner.planning.plan import winner
from tuner.planning.search import Search
from tuner.reports.model_card import CARD_FILE, model_card
from tuner.reports.settings import Row, compare, verdict
from tuner.results.record import DONE, FAILED, FINAL, SEARCH, STOPPED, Record, Trial
from tuner.results.tables import EPOCHS_FILE, TRIALS_FILE
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.formatting import accuracy_text, setting_text, value_text
from tuner.text.secrets import has_secret, shown
from tuner.tracking.mirror import Tracking, ui_command
from tuner.tracking.registered_model import load_classifier, log_to_mlflow

BEST_FILE = "best.yaml"
WINNERS = ("tuned", "published")  # labels of the setting that won; the second if it did
# The settings of the papers' own experiments, to go on with after the digits.
PAPER_COMMANDS = {
    "itrd": "--data cifar100 --teacher ResNet50@CHECKPOINT --student MobileNetV2",
    "mimkd": "--data cifar100 --teacher resnet32x4@CHECKPOINT --student resnet8x4",
}


def conclude(run: Run[Search], tracking: Tracking, *, as_json: bool) -> int:
    """Writes and prints what a finished search leaves behind, and returns the exit status."""
    search, record = run.search, run.record
    report = write_results(run, tracking)
    best, rows = winner(record, search.metric), compare(record)
    if best is None:
        return _nothing_finished(record, report)
    if as_json:
        print(json.dumps(_as_json(search, best, rows, report, tracking.problem)))  # noqa: T201
        return 0
    _print_result(search, record, best, rows)
    _print_hints(search, tracking, report)
    return 0


def write_results(run: Run[Search], tracking: Tracking) -> str:
    """Writes the best setting and the report, ends the run in MLflow; returns the report's path."""
    from tuner.reports.search_page import write_report  # matplotlib: not before it is needed

    search, record = run.search, run.record
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


def print_interrupted(run: Run[Any], tracking: Tracking, command: str) -> None:
    """Says what is done and how to go on; on standard error, as the status is not 0."""
    tracking.finish(files={}, metrics={}, note="", status="KILLED")
    # What a reproduction trains was decided beforehand.
    kind, noun = (SEARCH, "trials") if run.search.has_trials else (FINAL, "trainings")
    trials = run.record.of(kind)
    ended = sum(trial.ended is not None for trial in trials)
    print(  # noqa: T201
        f"interrupted: {ended} {noun} have ended and are kept, {len(trials) - ended} go on from "
        f"their last epoch; resume with\n  {command}",
        file=sys.stderr,
    )


def resume_command(search: Search) -> str:
    """What a person types to go on."""
    return resume_command_of(search.name, search.runs, search.request)


def resume_command_of(name: str, runs: Storage, request: SearchRequest) -> str:
    """The same for a name."""
    words = ["python", "-m", "tuner.search", "--resume", name, "--runs-dir", runs.uri]
    if request.address:
        words += ["--address", request.address]
    if request.tracking_uri and has_secret(request.tracking_uri):
        # It was not written to search.yaml; a person puts the secret in again.
        words += ["--tracking-uri", shown(request.tracking_uri)]
    return shlex.join(words)


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
    workload["precision"] = record.header["execution"]["precision"]
    return {**workload, "method": best.method, "set": setting}


def _finish_tracking(run: Run[Search], tracking: Tracking, rows: list[Row]) -> None:
    search, record = run.search, run.record
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
        content = search.storage.read(f"checkpoints/{final.trial}.pt")
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
    finals = record.of(FINAL)
    label = next((one for one in WINNERS if any(t.label == one for t in finals)), WINNERS[-1])
    candidates = [trial for trial in finals if trial.label == label and trial.is_full_length]
    return max(candidates, key=lambda trial: trial.last("val_accuracy") or 0.0, default=None)


def _files(search: Search) -> dict[str, bytes]:
    from tuner.reports.page import report_files

    names = (SEARCH_FILE, BEST_FILE, CARD_FILE, TRIALS_FILE, EPOCHS_FILE)
    there = [name for name in names if search.storage.exists(name)]
    return {name: search.storage.read(name) for name in [*there, *report_files(search.storage)]}


def _nothing_finished(record: Record, report: str) -> int:
    reasons = {trial.reason for trial in record.trials.values() if trial.status == FAILED}
    trials = record.of(SEARCH)
    why = "; ".join(sorted(reasons)[:3]) or "none ran to its last epoch"
    print(  # noqa: T201
        f"tuner: no trial finished, of {len(trials)}: {why}\n  report: {report}", file=sys.stderr
    )
    return 1


def _print_result(search: Search, record: Record, best: Trial, rows: list[Row]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    trials = record.of(SEARCH)
    counts = {s: sum(trial.status == s for trial in trials) for s in (DONE, STOPPED, FAILED)}
    console.print()
    console.print(
        f"[bold]{escape(search.name)}[/]: "
        + ", ".join(f"{count} {status}" for status, count in counts.items())
        + f"; best {search.metric} {best.last(search.metric):.2f} % in trial {best.trial}"
    )
    if not rows:  # --seeds 0
        console.print(f"{escape(setting_text(best.setting))}")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for row in rows:
        table.add_column(row.label, justify="right")
    for name in search.searched:
        values = [row.setting.get(name) for row in rows]
        if any(value is not None for value in values):
            table.add_row(name, *["" if value is None else value_text(value) for value in values])
    table.add_row("validation accuracy (%)", *[accuracy_text(row.val_accuracy) for row in rows])
    table.add_row("test accuracy (%)", *[accuracy_text(row.test_accuracy) for row in rows])
    table.add_row("seeds", *[str(row.num_seeds) for row in rows])
    console.print(table)
    console.print(escape(verdict(rows, search.request.select_on)))


def mlflow_hint(tracking: Tracking, run_id: str | None) -> str:
    """How a person gets to see a run in MLflow, as rich markup."""
    return (
        f"MLflow:  {escape(ui_command(tracking.uri))}\n"
        f"         then http://127.0.0.1:5000/#/experiments/{tracking.experiment_id}/runs/{run_id}"
    )


def _print_hints(search: Search, tracking: Tracking, report: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\nreport:  {escape(report)}")
    if tracking.problem:
        console.print(
            f"MLflow:  [red]{escape(tracking.problem)}[/]; the results are on disk, "
            f"send them again with\n         {escape(resume_command(search))}"
        )
    else:
        console.print(mlflow_hint(tracking, tracking.parent_run_id))
    method = search.space.method
    if search.workload.data == "digits" and method in PAPER_COMMANDS:
        console.print(f"paper:   python -m tuner.search --space {method} {PAPER_COMMANDS[method]}")
    else:
        console.print(
            f"again:   tuner distill --config {escape(shlex.quote(search.storage.path(BEST_FILE)))}"
        )


def _as_json(
    search: Search, best: Trial, rows: list[Row], report: str, problem: str
) -> dict[str, Any]:
    return {
        "search": search.name,
        "select_on": search.request.select_on,
        "problem": problem,
        "best": {
            "trial": best.trial,
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
