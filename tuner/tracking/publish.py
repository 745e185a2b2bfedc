"""Publishes in MLflow the outcome of a search, a comparison or a reproduction."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tuner.results.trial import DONE, RUNNING, SEARCH
from tuner.tracking.content import with_ranked
from tuner.tracking.mirror import Mirror
from tuner.tracking.registered_model import TrainedModel, register
from tuner.tracking.run_tree import RunTree
from tuner.tracking.views import file_links, page_of, trial_links

FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"  # MLflow's words for how a run ended
MAX_COMPARED = 80  # trials in a link: a description holds at most 8,000 characters


@dataclass(frozen=True)
class Outcome:
    """What a run receives when it ends."""

    status: str = FINISHED
    note: str = ""  # Markdown; the run's description, before the links
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)  # by relative path
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # metrics, by label
    model: TrainedModel | None = None  # to register


def publish(mirror: Mirror, outcome: Outcome) -> str:
    """Ends the run of the mirrored search; call it once the mirror's context has been left.

    Never raises because of MLflow: `mirror.problem` says what failed, and the rest is tried.
    Returns the path of the run's page, "" if the run could not be ended.
    """
    mirror.attempt(mirror.send_changes)
    mirror.attempt(lambda runs: _summarise_settings(mirror, runs, outcome.settings))
    if outcome.model is not None:
        model = outcome.model
        mirror.attempt(lambda runs: register(runs.client, runs.search(), mirror.store.uri, model))
    mirror.attempt(lambda runs: _write_search(mirror, runs, outcome))
    return mirror.attempt(lambda runs: _end(mirror, runs, outcome.status)) or ""


def publish_comparison(mirror: Mirror, outcome: Outcome) -> str:
    """Ends the run above the searches of a comparison, by the mirror of any of them.

    As `publish`, but ignores `settings` and `model`.
    """

    def write(runs: RunTree) -> str:
        run_id = runs.comparison()
        page = page_of(runs.experiment_id, run_id)
        _write(mirror, runs, run_id, outcome, file_links(page, outcome.files))
        runs.delete_duplicates()
        runs.client.set_terminated(run_id, outcome.status)
        return page

    return mirror.attempt(write) or ""


def _summarise_settings(
    mirror: Mirror, runs: RunTree, settings: Mapping[str, Mapping[str, float]]
) -> None:
    """Writes the mean over the seeds to the run above them."""
    trials = list(mirror.record.trials.values())
    for label, metrics in settings.items():
        run_id = runs.setting(label)
        if run_id is None:
            continue
        # Where their curves end, in the charts.
        step = max((len(t.epochs) for t in trials if t.setting_label == label), default=0)
        _log_metrics(mirror, runs, run_id, metrics, step)
        runs.client.set_tag(run_id, "status", DONE)
        runs.client.set_terminated(run_id)


def _write_search(mirror: Mirror, runs: RunTree, outcome: Outcome) -> None:
    run_id, metric = runs.search(), mirror.search.metric
    trials = sorted(mirror.record.trials_of(SEARCH), key=lambda t: -(t.last(metric) or 0.0))
    best = [runs.trial(trial) for trial in trials[:MAX_COMPARED]]
    links = file_links(page_of(runs.experiment_id, run_id), outcome.files)
    links += trial_links(runs.experiment_id, mirror.search.id, best)
    _write(mirror, runs, run_id, outcome, links)


def _write(mirror: Mirror, runs: RunTree, run_id: str, outcome: Outcome, links: list[str]) -> None:
    """Description, files and metrics of a run."""
    if outcome.note:
        parts = [outcome.note, " · ".join(links)]
        text = "\n\n".join(part for part in parts if part)
        runs.client.set_tag(run_id, "mlflow.note.content", text)
    if outcome.files:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in outcome.files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            runs.client.log_artifacts(run_id, folder)
    _log_metrics(mirror, runs, run_id, outcome.metrics, step=0)


def _end(mirror: Mirror, runs: RunTree, status: str) -> str:
    for trial in mirror.record.trials.values():
        if trial.status == RUNNING:  # until the search is resumed
            runs.client.set_terminated(runs.trial(trial), KILLED)
    runs.delete_duplicates()
    runs.client.set_terminated(runs.search(), status)
    return page_of(runs.experiment_id, runs.search())


def _log_metrics(
    mirror: Mirror, runs: RunTree, run_id: str, metrics: Mapping[str, float], step: int
) -> None:
    now = int(time.time() * 1000)
    named = with_ranked(metrics, mirror.search.metric)
    runs.log(run_id, metrics=[(name, value, now, step) for name, value in named.items()])
