"""Shortcuts on MLflow's pages: two views of an experiment's runs, and links between pages.

MLflow keeps the views of an experiment, which its menu "Views" lists, in tags of the experiment
(read in 3.17; a version that does not know them shows its own columns, which hold no accuracy).
The links use the parameters that MLflow's pages put into their own addresses.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import quote

from tuner.tracking.content import RANKED

SEARCHES, TRIALS = "tuner-searches", "tuner-trials"  # keys of the views
NOTE = (
    "Each row is a search, a comparison of methods or a reproduction; **+** unfolds it. "
    "*accuracy* is the metric that trials are ranked on (validation unless a search says "
    "otherwise): a trial's at its last epoch, a setting's mean over its seeds, a search's "
    "winner's. **Views** offers *Searches* and *Trials by accuracy*; the description of a run "
    "links to its report and charts."
)
_OF_TRAINING = "workflowType=machine_learning"  # MLflow's pages for training, not for chat programs
_ACCURACY = f"metrics.`{RANKED}`"
_COLUMNS = [_ACCURACY, "metrics.`test_accuracy`", "metrics.`num_seeds`"]
_COLUMNS += ["tags.`status`", "tags.`method`"]


def experiment_tags() -> dict[str, str]:
    """The tags of a new experiment: its description, and two views of its runs."""
    columns = {"selectedColumns": _COLUMNS}
    ranking = {"searchFilter": _trials(), "orderByKey": _ACCURACY, "orderByAsc": False}
    return {
        "mlflow.note.content": NOTE,
        f"mlflow.sharedViewState.{SEARCHES}": _view("Searches", columns),
        f"mlflow.sharedViewState.{TRIALS}": _view("Trials by accuracy", columns | ranking),
    }


def page_of(experiment_id: str, run_id: str) -> str:
    """The path of a run's page, after the `#/` of MLflow's address."""
    return f"experiments/{experiment_id}/runs/{run_id}"


def file_links(page: str, files: Collection[str]) -> list[str]:
    """Markdown links from a run's description to those of its files that are worth reading."""
    named = {"Report": "report.html", "Model card": "model-card.md"}
    return [
        f"[{text}](#/{page}/artifacts/{file}?{_OF_TRAINING})"
        for text, file in named.items()
        if file in files
    ]


def trial_links(experiment_id: str, search_id: str, run_ids: Sequence[str]) -> list[str]:
    """Markdown links to the trials of a search: compared, and as curves; `run_ids`: theirs."""
    if not run_ids:
        return []
    compared = f"runs={_quoted(run_ids)}&experiments={_quoted([experiment_id])}"
    ranked = f"searchFilter={quote(_trials(search_id))}&orderByKey={quote(_ACCURACY)}"
    runs = f"experiments/{experiment_id}/runs"
    return [
        f"[Compare all trials](#/compare-runs?{compared}&{_OF_TRAINING})",
        f"[Accuracy by epoch](#/{runs}?{ranked}&orderByAsc=false&compareRunsMode=CHART"
        f"&{_OF_TRAINING})",
    ]


def _trials(search_id: str | None = None) -> str:
    """A query of MLflow for the trials of one search, or of all."""
    query = "tags.kind = 'search'"
    return query if search_id is None else f"{query} and tags.`tuner.search` = '{search_id}'"


def _view(name: str, state: dict[str, Any]) -> str:
    # MLflow ignores a view without the two times.
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def _quoted(values: Sequence[str]) -> str:
    # Without spaces, which take three characters each: MLflow cuts a note after 8,000.
    return quote(json.dumps(values, separators=(",", ":")), safe=",:")
