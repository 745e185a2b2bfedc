"""One MLflow store for all tests of this folder: creating its tables takes seconds."""

import itertools
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.by_hand import make_header
from tests.support.mirrors import hurry
from tuner.results.record import Record
from tuner.storage.folder import Storage

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of an SQLite file."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    MlflowClient(tracking_uri=uri).search_experiments()
    return uri


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """The record of a new search, whose id no other test has."""
    record = Record(Storage(str(tmp_path / "search")))
    record.open(make_header(id=f"search {next(_NUMBERS)}"))
    return record


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, 0.02)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
