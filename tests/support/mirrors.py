"""Mirrors of records to MLflow, and trials to fill the records with."""

from collections.abc import Iterable
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support import by_hand
from tests.support.searching import runs_of
from tuner.results.record import Record
from tuner.tracking import mirror as mirror_module
from tuner.tracking.mirror import Mirror
from tuner.tracking.run_tree import TrackedSearch
from tuner.tracking.store import Store


def hurry(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Lets mirrors send, and try again, this often."""
    monkeypatch.setattr(mirror_module, "SYNC_SECONDS", seconds)
    monkeypatch.setattr(mirror_module, "RETRY_SECONDS", seconds)


def mirror_of(record: Record, store: str | Store, **options: Any) -> Mirror:
    """A mirror of a search that is called what its id is; `store`: a URI, or all of it."""
    search_id = record.header.id
    values = {"name": search_id, "searched": ["weight"], "tags": {"data": "digits"}}
    store = Store(store, "tests") if isinstance(store, str) else store
    return Mirror(record, store, TrackedSearch(search_id, **(values | options)))


def begin(record: Record, trial: str, **fields: Any) -> None:
    by_hand.begin(record, trial, **({"setting": {"weight": 0.1, "fixed": 3}} | fields))


def train(record: Record, trial: str, epochs: Iterable[int] = range(1, 4)) -> None:
    """Epoch n validates 10 * n percent."""
    for epoch in epochs:
        record.epoch(
            trial, {"epoch": float(epoch), "val_accuracy": 10.0 * epoch, "seconds": 0.1234567}
        )


def run_by_trial(uri: str, record: Record) -> dict[str, Any]:
    """Every run of a search by its trial, the search's own by ""; fails where there are two."""
    found = runs_of(MlflowClient(tracking_uri=uri), record.header.id)
    names = [run.data.tags["tuner.trial"] for run in found]
    assert len(names) == len(set(names)), f"a trial has two runs: {names}"
    return dict(zip(names, found, strict=True))


def history(uri: str, run: Any, metric: str = "val_accuracy") -> list[tuple[int, float]]:
    """Step and value of all points of a metric."""
    points = MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, metric)
    return sorted((point.step, point.value) for point in points)
