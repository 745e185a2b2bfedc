"""Opening MLflow: experiments that others create or delete, and where files are kept."""

import re
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.mirrors import mirror_of
from tuner.config.run_folder import artifact_folder
from tuner.results.record import Record
from tuner.storage.folder import Storage
from tuner.tracking.store import Store
from tuner.tracking.views import experiment_tags


def test_an_experiment_that_another_search_creates_at_the_same_time_is_shared(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = MlflowClient.get_experiment_by_name
    created: list[str] = []

    def too_early(self: MlflowClient, name: str) -> Any:
        found = find(self, name)
        if not created:
            created.append(MlflowClient(tracking_uri=store).create_experiment(name))
        return found

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", too_early)
    assert Store(store, "shared").connect()[1] == created[0]


def test_a_new_experiment_has_a_description_and_views(store: str) -> None:
    client, experiment_id = Store(store, "new").connect()
    assert experiment_tags().items() <= client.get_experiment(experiment_id).tags.items()


def test_an_existing_experiment_keeps_what_the_user_wrote(store: str) -> None:
    tags = {"mlflow.note.content": "mine"}
    created = MlflowClient(store).create_experiment("old", tags=tags)
    client, experiment_id = Store(store, "old").connect()
    assert experiment_id == created
    assert client.get_experiment(experiment_id).tags["mlflow.note.content"] == "mine"


def test_a_deleted_experiment_is_refused_and_not_taken_for_a_server_that_is_away(
    record: Record, store: str
) -> None:
    client = MlflowClient(store)
    client.delete_experiment(client.create_experiment("deleted"))
    with mirror_of(record, Store(store, "deleted")) as mirror:
        pass
    assert re.search(r" refuses: .*deleted", mirror.problem), mirror.problem


def test_files_lie_beside_an_sqlite_file(store: str) -> None:
    client, experiment_id = Store(store, "beside").connect()
    folder = Path(store.removeprefix("sqlite:///")).parent / "mlartifacts"
    assert client.get_experiment(experiment_id).artifact_location == folder.as_uri()


def test_files_of_another_database_lie_where_the_caller_says(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "_database", None)  # as any database
    folder = artifact_folder(Storage(str(tmp_path / "runs")), "elsewhere")
    client, experiment_id = Store(store, "elsewhere", folder).connect()
    run = client.create_run(experiment_id)
    client.log_text(run.info.run_id, "text", "a.txt")
    (file,) = (tmp_path / "runs" / "mlartifacts").rglob("a.txt")
    assert file.read_text() == "text"


def test_a_server_decides_itself_where_files_lie() -> None:
    for uri in ("http://h:5000", "https://h"):
        assert Store(uri, "any", "/a/folder")._artifact_location() is None
