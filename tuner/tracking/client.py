"""MLflow's client: entities, tags, requests that are sent once."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MAX_METRICS = 1000  # MLflow's limit for one request
SEARCH_TAG, TRIAL_TAG, COMPARISON_TAG = "tuner.search", "tuner.trial", "tuner.driver.comparison"
PARENT_TAG = "mlflow.parentRunId"


@contextmanager
def no_repetitions() -> Iterator[None]:
    """Within it, MLflow sends a request once.

    It would send one again whose answer was lost, and a run that had been made would be made
    twice. Here it fails, and the run is found by its tags.
    """
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def default_tracking_uri(uri: str) -> Iterator[None]:
    """Where `mlflow.pytorch` logs to; MLflow would keep it for every later search."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def metric(name: str, value: float, timestamp: int, step: int) -> Any:
    from mlflow.entities import Metric

    return Metric(name, float(value), timestamp, step)


def param(name: str, value: object) -> Any:
    from mlflow.entities import Param

    return Param(name, str(value))


def run_tag(name: str, value: str) -> Any:
    from mlflow.entities import RunTag

    return RunTag(name, value)


def sqlite_path(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


@contextmanager
def initialisation_lock(uri: str) -> Iterator[None]:
    """One process at a time makes the tables of a new SQLite file; together they crash."""
    database = sqlite_path(uri)
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{database}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
