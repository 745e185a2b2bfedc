"""Maps a trial to the content of its MLflow run, without importing MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tuner.results.trial import FAILED, RUNNING, Trial

# A second name for the metric that trials are ranked on, first in the alphabet: MLflow's
# parallel coordinates and contours begin with the first metric.
RANKED = "accuracy"


class Point(NamedTuple):
    """One value of a metric."""

    name: str
    value: float
    timestamp: int  # milliseconds since 1970
    step: int  # epoch, from 1


class End(NamedTuple):
    """How a run ended."""

    status: str  # MLflow's word
    timestamp: int  # milliseconds since 1970


@dataclass(frozen=True)
class RunContent:
    """The content of a trial's run."""

    params: dict[str, str]
    metrics: list[Point]
    tags: dict[str, str]
    end: End | None  # None while the trial runs
    num_epochs: int  # so far: `since` of the next call


def content_of(trial: Trial, *, metric: str, searched: Sequence[str], since: int) -> RunContent:
    """The content of a trial's run; metrics only of the epochs after the first `since`.

    `metric`: what trials are ranked on. `searched`: the hyperparameters that become parameters of
    the run; the others are equal in all runs, would clutter comparisons, and are in search.yaml.
    """
    epochs = [*trial.initial_epochs, *trial.epochs]  # a copy: the trial may continue meanwhile
    tags, end = {}, None
    if trial.status != RUNNING and trial.ended is not None:
        tags = {"status": trial.status} | ({"reason": trial.reason} if trial.reason else {})
        status = "FAILED" if trial.status == FAILED else "FINISHED"
        end = End(status, int(trial.ended * 1000))
    return RunContent(
        params=params_of(trial, searched) | {"seed": str(trial.seed)},
        metrics=_points(trial.started, epochs, metric, since),
        tags=tags,
        end=end,
        num_epochs=len(epochs),
    )


def first_tags(trial: Trial) -> dict[str, str]:
    """The tags that a run is created with, of a trial or of its setting."""
    tags = {"kind": trial.role, "method": trial.method, "status": RUNNING}
    return tags | ({"label": trial.setting_label} if trial.setting_label else {})


def params_of(trial: Trial, searched: Sequence[str]) -> dict[str, str]:
    """The trial's values of the searched hyperparameters that apply to it."""
    return {name: str(value) for name in searched if (value := trial.setting.get(name)) is not None}


def with_ranked(metrics: Mapping[str, float], metric: str) -> dict[str, float]:
    """Adds the metric that trials are ranked on as "accuracy", where it is among them."""
    return {RANKED: metrics[metric], **metrics} if metric in metrics else dict(metrics)


def _points(
    started: float, epochs: Sequence[Mapping[str, float]], metric: str, since: int
) -> list[Point]:
    points = []
    # Times are computed, not measured: a value that is sent again is the same row, which MLflow
    # keeps once.
    seconds = started
    for number, epoch in enumerate(epochs):
        prefix = "" if "epoch" in epoch else "initial_"
        seconds += epoch.get(f"{prefix}seconds", 0.0)
        if number < since:
            continue
        step = int(epoch[f"{prefix}epoch"])
        points += [
            Point(name, float(value), int(seconds * 1000), step)
            for name, value in with_ranked(epoch, metric).items()
            if name != f"{prefix}epoch"
        ]
    return points
