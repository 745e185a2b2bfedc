"""Publishes a reproduction in MLflow: one run above its pairs, with the report and its figures."""

from tuner.reports.document import Document
from tuner.reports.page import report_files
from tuner.reproductions.results import Results
from tuner.storage.folder import SEARCH_FILE
from tuner.tracking.mirror import Mirror
from tuner.tracking.publish import Outcome, publish_comparison


def publish_reproduction(results: Results, mirror: Mirror, document: Document) -> str:
    """Ends the run above all pairs; `mirror`: of any of them. Returns as `publish_comparison`."""
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
    outcome = Outcome(
        note="\n\n".join([f"**{document.title}**", *document.labels, *document.findings]),
        metrics=metrics,
        files={name: storage.read(name) for name in names},
    )
    return publish_comparison(mirror, outcome)


def _metric_name(label: str) -> str:
    """The label with the characters that MLflow allows in a metric's name."""
    return "".join(sign if sign.isalnum() or sign in "_-. " else "_" for sign in label)
