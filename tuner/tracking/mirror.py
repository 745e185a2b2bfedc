"""MLflow: a mirror of a search's record, kept by one thread of the driver.

The record on disk is the truth. What MLflow lacks is sent again, so a tracking server
that goes away costs nothing but its own view, and resuming never makes a run twice.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuner.results.record import Event, Record
from tuner.results.trial import DONE, FAILED, FINAL, RUNNING, SEARCH, Trial
from tuner.text.secrets import shown
from tuner.tracking.client import (
    COMPARISON_TAG,
    MAX_METRICS,
    PARENT_TAG,
    SEARCH_TAG,
    TRIAL_TAG,
    default_tracking_uri,
    initialisation_lock,
    metric,
    no_repetitions,
    param,
    run_tag,
    sqlite_path,
)
from tuner.tracking.problems import reason_of
from tuner.tracking.views import RANKED, experiment_tags, links, with_ranked

SYNC_SECONDS = 2.0
RETRY_SECONDS = 15.0
MAX_COMPARED = 80  # trials, twice in a note of at most 8,000 characters


class Tracking:
    """Mirrors a record to MLflow: search > trial, and search > setting > seed at the end.

    Nothing here raises: `problem` says what is wrong while the server cannot be reached, or
    what did not arrive at the end.
    """

    def __init__(
        self,
        record: Record,
        *,
        tracking_uri: str,
        experiment: str,
        search_id: str,
        search_name: str,
        searched: Sequence[str],
        tags: dict[str, str],
        metric: str = "val_accuracy",
        comparison: tuple[str, str] | None = None,
        artifacts: str | None = None,
    ) -> None:
        """`search_id` is unique to the search and finds its runs again; `tags` describe it.

        Only the `searched` hyperparameters become parameters of a run: what is the same
        everywhere would clutter the comparison, and is in `search.yaml`. `metric`: what trials
        are ranked on. `comparison`: id and
        name of the comparison of methods that the search belongs to, whose run is above it.
        `artifacts`: folder for the files of runs, where a database is written to without a server.
        """
        self.problem = ""
        self._missed = ""  # the problem of what is sent once, at the end
        self.parent_run_id: str | None = None
        self.experiment_id: str | None = None
        self._record, self.uri, self._experiment = record, tracking_uri, experiment
        self._search_id, self._search_name, self._tags = search_id, search_name, tags
        self._metric = metric
        self._searched, self._comparison, self._artifacts = searched, comparison, artifacts
        self._client: Any = None
        self._is_connected = False
        self._run_ids: dict[str, str] = {}
        self._has_params: set[str] = set()
        self._num_logged: dict[str, int] = {}
        # All of an earlier session's trials are looked at once more.
        self._changed = set(record.trials)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        record.listeners.append(self._on_event)
        self._thread.start()

    def close(self, *, seconds: float = 60.0) -> None:
        """Sends what is left, for at most so long."""
        self._stop.set()
        self._thread.join(timeout=seconds)
        if self._changed and not self.problem:
            self.problem = "MLflow took too long"

    def finish(
        self, *, files: dict[str, bytes], metrics: dict[str, float], note: str, status: str
    ) -> None:
        """Ends the search's own run, with its files and its results in numbers and words.

        Call after `close`.
        """
        if self._thread.is_alive():
            return  # it took too long, and still waits for an answer
        with self._guarded(once=True):
            self._sync()
            if note:
                self._describe(str(self.parent_run_id), note, files, self._best_trials())
            if files:
                self._log_files(str(self.parent_run_id), files)
            self._log_results(str(self.parent_run_id), metrics)
            for trial in self._record.trials.values():
                if trial.status == RUNNING:  # until the search is resumed
                    self._client.set_terminated(self._run_ids[trial.name], status="KILLED")
            self._delete_repetitions()
            self._client.set_terminated(self.parent_run_id, status=status)

    def register(self, log_model: Callable[[], object], card: str) -> None:
        """Calls what logs and registers the winning student, inside the search's own run.

        `card` becomes the description of its version.
        """
        with self._guarded(once=True):
            self._connect()
            of_this_run = f"run_id='{self.parent_run_id}'"
            # An earlier session may have got as far.
            if not self._client.search_model_versions(of_this_run):
                import mlflow

                with default_tracking_uri(self.uri), mlflow.start_run(run_id=self.parent_run_id):
                    log_model()
            for version in self._client.search_model_versions(of_this_run):
                if version.description != card:
                    self._client.update_model_version(version.name, version.version, card)

    def finish_comparison(
        self, *, files: dict[str, bytes], metrics: dict[str, float], note: str
    ) -> str:
        """Ends the run above all searches of a comparison of methods, with its table.

        Returns the run's id, "" where the server cannot be reached. Call after `finish`.
        """
        assert self._comparison is not None
        run_id = ""
        with self._guarded(once=True):
            self._connect()
            run_id = self._run_of(*self._comparison)
            for run in list(self._runs_with(COMPARISON_TAG, self._comparison[0])):
                if run.info.run_id != run_id:
                    self._client.delete_run(run.info.run_id)
            self._log_results(run_id, metrics)
            self._describe(run_id, note, files, ())
            self._log_files(run_id, files)
            self._client.set_terminated(run_id)
        return run_id

    def _describe(
        self, run_id: str, note: str, files: dict[str, bytes], trials: Sequence[str]
    ) -> None:
        more = links(
            str(self.experiment_id),
            run_id,
            trials,
            has_report="report.html" in files,
            has_card="model-card.md" in files,
        )
        text = f"{note}\n\n{more}" if more else note
        self._client.set_tag(run_id, "mlflow.note.content", text)

    def _best_trials(self) -> list[str]:
        """The runs of the search's trials; of very many the best, as a note has to be short."""
        best = sorted(self._record.trials_of(SEARCH), key=lambda t: -(t.last(self._metric) or 0.0))
        return [self._run_ids[trial.name] for trial in best[:MAX_COMPARED]]

    def _log_results(self, run_id: str, metrics: dict[str, float], step: int = 0) -> None:
        now = int(time.time() * 1000)
        named = with_ranked(metrics, self._metric)
        self._client.log_batch(
            run_id, metrics=[metric(name, value, now, step) for name, value in named.items()]
        )

    def _on_event(self, event: Event, trial: Trial) -> None:
        with self._lock:
            self._changed.add(trial.name)

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            with self._guarded():
                self._sync()
            pause = RETRY_SECONDS if self.problem else SYNC_SECONDS
        with self._guarded():
            self._sync()

    @contextmanager
    def _guarded(self, *, once: bool = False) -> Iterator[None]:
        # Whatever goes wrong between here and a server, the search goes on. What is done `once`
        # and fails is missing until the search is resumed.
        try:
            yield
            self.problem = self._missed
        except Exception as error:
            # Whether the last request was carried out is unknown: what is there is looked up.
            self._is_connected = False
            self.problem = f"MLflow at {shown(self.uri)} {reason_of(error, self.uri)}"
            if once:
                self._missed = self.problem

    def _sync(self) -> None:
        self._connect()
        with self._lock:
            changed = sorted(self._changed)
        for name in changed:
            with self._lock:
                self._changed.discard(name)
            try:
                self._send(self._record.trials[name])
            except BaseException:
                with self._lock:
                    self._changed.add(name)
                raise

    def _connect(self) -> None:
        if self._client is None:
            from mlflow import MlflowClient

            with initialisation_lock(self.uri):
                client = MlflowClient(tracking_uri=self.uri)
                self.experiment_id = self._experiment_id(client)
            self._client = client
        if self._is_connected:
            return
        runs = list(self._runs_with(SEARCH_TAG, self._search_id))
        parents = {run.data.tags.get(PARENT_TAG) for run in runs}
        # Of two runs of one trial (see `_delete_repetitions`) the one that has been used.
        runs.sort(key=lambda run: (run.info.run_id not in parents, not run.data.params))
        for run in runs:
            name = run.data.tags[TRIAL_TAG]
            if self._run_ids.setdefault(name, run.info.run_id) != run.info.run_id:
                continue
            if run.data.params:
                self._has_params.add(name)
            if run.info.status == "KILLED":  # by an interruption
                self._client.update_run(run.info.run_id, status="RUNNING")
        above = None if self._comparison is None else self._run_of(*self._comparison)
        self.parent_run_id = self._run_ids.get("") or self._create(
            "", self._search_name, parent=above, tags=self._tags, started=time.time()
        )
        self._client.update_run(self.parent_run_id, status="RUNNING")
        self._is_connected = True

    def _experiment_id(self, client: Any) -> str:
        found = client.get_experiment_by_name(self._experiment)
        if found is not None:
            return str(found.experiment_id)
        database = sqlite_path(self.uri)
        folder = self._artifacts if database is None else database.parent / "mlartifacts"
        is_served = self.uri.startswith(("http://", "https://"))
        # A server has its own; a database's would be in whatever directory the driver runs in.
        location = None if is_served or folder is None else Path(folder).as_uri()
        try:
            return str(
                client.create_experiment(
                    self._experiment, artifact_location=location, tags=experiment_tags()
                )
            )
        except Exception:
            found = client.get_experiment_by_name(self._experiment)
            if found is None:
                raise
            return str(found.experiment_id)  # another search was faster

    def _runs_with(self, tag: str, value: str) -> Iterator[Any]:
        """Those that have the tag, the one that began last first."""
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id],
                filter_string=f"tags.`{tag}` = '{value}'",
                order_by=["attributes.start_time DESC"],
                max_results=1000,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _delete_repetitions(self) -> None:
        """A server may make a run after it was looked up in vain, and so made once more."""
        for run in list(self._runs_with(SEARCH_TAG, self._search_id)):
            if run.info.run_id != self._run_ids.get(run.data.tags[TRIAL_TAG]):
                self._client.delete_run(run.info.run_id)

    def _run_of(self, comparison_id: str, name: str) -> str:
        """The run of the comparison that the search belongs to; made if it is not there."""
        # If it is there twice, what was asked for last is what was gone on with.
        for run in self._runs_with(COMPARISON_TAG, comparison_id):
            return str(run.info.run_id)
        tags = {COMPARISON_TAG: comparison_id}
        with no_repetitions():
            run = self._client.create_run(
                self.experiment_id, start_time=int(time.time() * 1000), tags=tags, run_name=name
            )
        return str(run.info.run_id)

    def _create(
        self, key: str, name: str, *, parent: str | None, tags: dict[str, str], started: float
    ) -> str:
        tags = {SEARCH_TAG: self._search_id, TRIAL_TAG: key, **tags}
        if parent is not None:
            tags[PARENT_TAG] = parent
        with no_repetitions():
            run = self._client.create_run(
                self.experiment_id, start_time=int(started * 1000), tags=tags, run_name=name
            )
        run_id = self._run_ids[key] = str(run.info.run_id)
        return run_id

    def _send(self, trial: Trial) -> None:
        """Brings the run of one trial up to date with the record."""
        run_id = self._run_ids.get(trial.name) or self._begin(trial)
        params = []
        if trial.name not in self._has_params:
            params = [*self._params(trial), param("seed", trial.seed)]
        tags = {}
        has_ended = trial.status != RUNNING and trial.ended is not None
        if has_ended:
            tags = {"status": trial.status} | ({"reason": trial.reason} if trial.reason else {})
        num_logged = self._num_logged.get(trial.name, 0)
        epochs = [*trial.initial_epochs, *trial.epochs]
        # Times are computed, not taken: what is sent again after a restart is the same
        # row again, which MLflow keeps once.
        seconds = trial.started
        metrics = []
        for number, epoch in enumerate(epochs):
            prefix = "" if "epoch" in epoch else "initial_"
            seconds += epoch.get(f"{prefix}seconds", 0.0)
            if number >= num_logged:
                step = int(epoch[f"{prefix}epoch"])
                ranked = {RANKED: epoch[self._metric]} if self._metric in epoch else {}
                metrics += [
                    metric(name, value, int(seconds * 1000), step)
                    for name, value in (ranked | epoch).items()
                    if name != f"{prefix}epoch"
                ]
        # As few calls as can be: each is a transaction, or a request to a server.
        for start in range(0, len(metrics), MAX_METRICS) or (0,):
            some = metrics[start : start + MAX_METRICS]
            is_last = start + MAX_METRICS >= len(metrics)
            new_tags = [run_tag(*tag) for tag in tags.items()] if is_last else []
            if params or some or new_tags:
                self._client.log_batch(run_id, metrics=some, params=params, tags=new_tags)
            params = []
        self._has_params.add(trial.name)
        self._num_logged[trial.name] = len(epochs)
        if has_ended and trial.ended is not None:
            status = "FAILED" if trial.status == FAILED else "FINISHED"
            self._client.set_terminated(run_id, status, end_time=int(trial.ended * 1000))

    def _begin(self, trial: Trial) -> str:
        parent = self.parent_run_id
        tags = self._tags | {"kind": trial.role, "method": trial.method, "status": RUNNING}
        if trial.setting_label:
            tags["label"] = trial.setting_label
        if trial.role == FINAL:
            group = f"group:{trial.setting_label}"
            parent = self._run_ids.get(group) or self._create(
                group, trial.setting_label, parent=parent, tags=tags, started=trial.started
            )
            self._client.log_batch(parent, params=self._params(trial))
        return self._create(trial.name, trial.name, parent=parent, tags=tags, started=trial.started)

    def _params(self, trial: Trial) -> list[Any]:
        return [
            param(name, value)
            for name in self._searched
            if (value := trial.setting.get(name)) is not None
        ]

    def summarise(self, label: str, metrics: dict[str, float]) -> None:
        """Mean, deviation and number of seeds of one setting, on the run above its seeds."""
        with self._guarded(once=True):
            self._sync()
            run_id = self._run_ids.get(f"group:{label}")
            if run_id is not None:
                trials = [t for t in self._record.trials.values() if t.setting_label == label]
                # Where their curves end, in the charts.
                self._log_results(run_id, metrics, max((len(t.epochs) for t in trials), default=0))
                self._client.set_tag(run_id, "status", DONE)
                self._client.set_terminated(run_id)

    def _log_files(self, run_id: str, files: dict[str, bytes]) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
            self._client.log_artifacts(run_id, folder)
