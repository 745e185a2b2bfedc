"""Publishes a reproduction in MLflow: one run above those of its pairs, with the report."""

from tuner.reports.document import Document
from tuner.reports.page import report_files
from tuner.reproductions.results import Results
from tuner.storage.folder import SEARCH_FILE
from tuner.tracking.mirror import Mirror
from tuner.tracking.publish import Outcome, publish_comparison

MOST_VARIANTS = 20  # of which each has a metric


def publish_reproduction(results: Results, mirror: Mirror, document: Document) -> str:
    """Ends the run above all pairs; `mirror`: of any of them. Returns as `publish_comparison`."""
    storage = results.reproduction.storage
    names = [SEARCH_FILE, *report_files(storage)]
    outcome = Outcome(
        note="\n\n".join([f"**{document.title}**", *document.labels, *document.findings]),
        metrics=_metrics(results),
        files={name: storage.read(name) for name in names},
    )
    return publish_comparison(mirror, outcome)


def _metrics(results: Results) -> dict[str, float]:
    """Test accuracies in percent, by pair and label."""
    metrics = {
        f"teacher_accuracy/{pair.folder}": accuracy for pair, accuracy in results.teachers.items()
    }
    if len(results.variants) > MOST_VARIANTS:
        return metrics
    for pair in results.records:
        for label in results.labels:
            if (accuracy := results.accuracy(label, pair)) is not None:
                metrics[f"{_metric_name(label)}/{pair.folder}"] = accuracy.mean
    return metrics


def _metric_name(label: str) -> str:
    """A label with only the characters that MLflow allows in a metric's name."""
    return "".join(sign if sign.isalnum() or sign in "_-. " else "_" for sign in label)
