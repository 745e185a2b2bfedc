"""How MLflow's own pages show what is mirrored: columns, names and links, so that a click will do.

MLflow keeps the views of an experiment, which its menu "Views" names, in tags of the experiment,
and finds its pages by their addresses (seen in MLflow 3.17; one that does not know the tags shows
its own columns).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

# The accuracy that trials are ranked on, under a name before all others in the alphabet:
# MLflow's parallel coordinates and contours begin with the first metric.
RANKED = "accuracy"
SEARCHES, TRIALS = "tuner-searches", "tuner-trials"  # views
# Pages of trained models, without those of chat programs.
OF_TRAINING = "workflowType=machine_learning"
NOTE = (
    "A row is a search, a comparison of methods or a reproduction; **+** unfolds it. *accuracy* is "
    "what trials are ranked on (validation unless a search says otherwise): of a trial at its last "
    "epoch, of a setting the mean over its seeds, of a search that of its winner. **Views** has "
    "*Searches* and *Trials by accuracy*; the description of a run leads to its report and charts."
)


def experiment_tags() -> dict[str, str]:
    """What is set once for a new experiment: its kind, its note, and two views of its runs."""
    columns = [_column("metrics", name) for name in (RANKED, "test_accuracy", "num_seeds")]
    columns += [_column("tags", name) for name in ("status", "method")]
    table = {"selectedColumns": columns, "runsHiddenMode": "FIRST_20_RUNS"}
    curves = [_curve(name) for name in (RANKED, "val_loss", "train_loss")]
    trials = {
        **table,
        "searchFilter": "tags.kind = 'search'",
        "orderByKey": _column("metrics", RANKED),
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "compareRunCharts": curves,
        "compareRunSections": [{"uuid": "curves", "name": "By epoch", "display": True}],
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0},
    }
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": NOTE,
        f"mlflow.sharedViewState.{SEARCHES}": _view("Searches", table),
        f"mlflow.sharedViewState.{TRIALS}": _view("Trials by accuracy", trials),
    }


def with_ranked(metrics: Mapping[str, float], ranked: str) -> dict[str, float]:
    """Metrics as MLflow gets them: a mean under the name of what it is the mean of.

    So one column has the accuracies of trials, settings and searches.
    """
    named = {name.removesuffix("_mean"): value for name, value in metrics.items()}
    return {RANKED: named[ranked], **named} if ranked in named else named


def links(
    experiment_id: str, run_id: str, trials: Sequence[str], *, has_report: bool, has_card: bool
) -> str:
    """The last line of a run's description; `trials`: runs to compare."""
    found = []
    artifacts = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts"
    if has_report:
        found.append(f"[Report]({artifacts}/report.html?{OF_TRAINING})")
    if trials:
        found.append(f"[Compare all trials]({_compare_link(experiment_id, trials)})")
        found.append(f"[Accuracy by epoch]({_curves_link(experiment_id, trials)})")
    if has_card:
        found.append(f"[Model card]({artifacts}/model-card.md?{OF_TRAINING})")
    return " · ".join(found)


def _compare_link(experiment_id: str, trials: Sequence[str]) -> str:
    """MLflow's page with parallel coordinates and contours over trials."""
    runs, experiments = _quoted(trials), _quoted([experiment_id])
    return f"#/compare-runs?runs={runs}&experiments={experiments}&{OF_TRAINING}"


def _curves_link(experiment_id: str, trials: Sequence[str]) -> str:
    """MLflow's page of one metric of several runs."""
    runs, experiments = _quoted(trials), _quoted([experiment_id])
    metric, metrics = _quoted(RANKED), _quoted([RANKED])
    return (
        f"#/metric?runs={runs}&experiments={experiments}&metric={metric}"
        f"&plot_metric_keys={metrics}&x_axis=step&{OF_TRAINING}"
    )


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _curve(metric: str) -> dict[str, Any]:
    return {
        "uuid": f"curves-{metric}",
        "type": "LINE",
        "runsCountToCompare": 20,
        "metricSectionId": "curves",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "displayName": metric,
        "xAxisKey": "step",
        "lineSmoothness": 0,
    }


def _view(name: str, state: dict[str, Any]) -> str:
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def _quoted(value: object) -> str:
    # Closer together than usual: MLflow cuts a note off after 8,000 characters.
    return quote(json.dumps(value, separators=(",", ":")), safe=",:")
