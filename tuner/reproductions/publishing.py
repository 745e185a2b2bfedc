"""A reproduction in MLflow: one run above those of its pairs, with the report and its figures."""

from rich.console import Console
from rich.markup import escape

from tuner.reports.document import Document
from tuner.reports.page import report_files
from tuner.reproductions.results import Results
from tuner.storage.folder import SEARCH_FILE
from tuner.terminal.outcome import mlflow_hint
from tuner.tracking.mirror import Tracking


def publish(results: Results, tracking: Tracking, document: Document) -> str:
    """Ends the run above all pairs; returns its id, "" where the server cannot be reached."""
    storage = results.reproduction.storage
    metrics = {}
    for pair, teacher in results.teachers.items():
        metrics[f"teacher_accuracy/{pair.folder}"] = teacher
    for pair in results.records:
        for arm in results.arms:
            accuracy = results.accuracy(arm.label, pair)
            if accuracy is not None and len(results.arms) <= 20:
                metrics[f"{_metric_name(arm.label)}/{pair.folder}"] = accuracy.mean
    names = [SEARCH_FILE, *report_files(storage)]
    return tracking.finish_comparison(
        files={name: storage.read(name) for name in names},
        metrics=metrics,
        note="\n\n".join([f"**{document.title}**", *document.labels, *document.findings]),
    )


def print_hint(tracking: Tracking, run_id: str, console: Console) -> None:
    """How a person gets to see it in MLflow, or why not."""
    if tracking.problem:
        console.print(f"MLflow:  [red]{escape(tracking.problem)}[/]", soft_wrap=True)
    else:
        console.print(mlflow_hint(tracking, run_id), soft_wrap=True)


def _metric_name(label: str) -> str:
    """What MLflow allows in a metric's name."""
    return "".join(sign if sign.isalnum() or sign in "_-. " else "_" for sign in label)
