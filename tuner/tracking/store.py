"""Opens MLflow: a server or a database, and the experiment in it that runs go to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from tuner.tracking.views import experiment_tags


@dataclass(frozen=True)
class Store:
    """Where MLflow keeps the runs."""

    uri: str  # of a tracking server or a database; may hold a password
    experiment: str
    artifacts: str | None = None  # folder for the files of runs, for a database without a server

    def connect(self) -> tuple[Any, str]:
        """Returns an `MlflowClient` and the experiment's id; creates what does not exist yet."""
        from mlflow import MlflowClient

        with self._initialisation_lock():
            client = MlflowClient(tracking_uri=self.uri)
            return client, self._experiment_id(client)

    @property
    def is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    @property
    def _database(self) -> Path | None:
        """The SQLite file."""
        prefix = "sqlite:///"
        return Path(self.uri.removeprefix(prefix)) if self.uri.startswith(prefix) else None

    @contextmanager
    def _initialisation_lock(self) -> Iterator[None]:
        # Processes that create the tables of a new SQLite file at the same time crash.
        database = self._database
        if database is None:
            yield
            return
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):
            yield

    def _experiment_id(self, client: Any) -> str:
        found = client.get_experiment_by_name(self.experiment)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(
                client.create_experiment(
                    self.experiment,
                    artifact_location=self._artifact_location(),
                    tags=experiment_tags(),
                )
            )
        except Exception:
            found = client.get_experiment_by_name(self.experiment)
            if found is None:
                raise
            return str(found.experiment_id)  # another search has just created it

    def _artifact_location(self) -> str | None:
        # A server has its own; a database's default is the driver's working directory.
        if self.is_server:
            return None
        database = self._database
        folder = self.artifacts if database is None else database.parent / "mlartifacts"
        return None if folder is None else Path(folder).as_uri()
