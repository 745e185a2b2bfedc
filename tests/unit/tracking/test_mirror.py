"""MLflow as a mirror of the record: nothing twice, nothing lost, nothing raised."""

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests.support.by_hand import make_header
from tests.support.searching import next_session, runs_of
from tuner.config.run_folder import artifact_folder
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED, FINAL, SEARCH, STOPPED
from tuner.storage.folder import Storage
from tuner.terminal.outcome import ui_command
from tuner.tracking import mirror as tracking_module
from tuner.tracking.mirror import Tracking

SEARCH_ID = "an id that no other search has"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record(Storage(str(tmp_path / "search")))
    record.open(make_header(id=SEARCH_ID))
    return record


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_module, "SYNC_SECONDS", 0.05)
    monkeypatch.setattr(tracking_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")


def track(record: Record, uri: str, **options: Any) -> Tracking:
    return Tracking(
        record,
        tracking_uri=uri,
        experiment="tests",
        search_id=SEARCH_ID,
        search_name="a search",
        searched=["weight"],
        tags={"data": "digits"},
        **options,
    )


def begin(record: Record, trial: str, **fields: Any) -> None:
    values = {
        "role": SEARCH,
        "setting_label": "",
        "method": "itrd",
        "setting": {"weight": 0.1, "fixed": 3},
        "seed": 0,
        "num_epochs": 3,
    }
    record.begin(name=trial, **{**values, **fields})


def train(record: Record, trial: str, epochs: range) -> None:
    for epoch in epochs:
        record.epoch(
            trial, {"epoch": float(epoch), "val_accuracy": 10.0 * epoch, "seconds": 0.1234567}
        )


def trial_runs(uri: str) -> dict[str, Any]:
    """Every run of the search by its trial; the search's own is ""."""
    found = runs_of(MlflowClient(tracking_uri=uri), SEARCH_ID)
    names = [run.data.tags["tuner.trial"] for run in found]
    assert len(names) == len(set(names)), f"a trial has two runs: {names}"
    return dict(zip(names, found, strict=True))


def history(uri: str, run: Any, metric: str) -> list[tuple[int, float]]:
    points = MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, metric)
    return sorted((point.step, point.value) for point in points)


def wait_until(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it has not come to that"
        time.sleep(0.05)


def test_a_trial_becomes_a_run_with_its_curve_and_its_end(record: Record, store: str) -> None:
    tracking = track(record, store)
    begin(record, "0000", setting_label="published")
    train(record, "0000", range(1, 4))
    record.end("0000", DONE)
    tracking.close()
    runs = trial_runs(store)
    run = runs["0000"]
    assert tracking.problem == ""
    assert run.data.params == {"weight": "0.1", "seed": "0"}
    assert run.data.tags["mlflow.parentRunId"] == runs[""].info.run_id
    assert run.data.tags["label"] == "published"
    assert run.data.tags["data"] == "digits"
    assert history(store, run, "val_accuracy") == [(1, 10.0), (2, 20.0), (3, 30.0)]
    assert run.info.status == "FINISHED"
    assert run.info.end_time == int((record.trials["0000"].ended or 0) * 1000)


def test_a_failed_trial_is_a_failed_run_with_its_reason(record: Record, store: str) -> None:
    tracking = track(record, store)
    begin(record, "0000")
    record.end("0000", FAILED, "the term 'mi' became nan at epoch 1")
    begin(record, "0001")
    train(record, "0001", range(1, 2))
    record.end("0001", STOPPED, "scheduler, after epoch 1")
    tracking.close()
    runs = trial_runs(store)
    assert runs["0000"].info.status == "FAILED"
    assert runs["0000"].data.tags["reason"] == "the term 'mi' became nan at epoch 1"
    assert runs["0001"].info.status == "FINISHED"
    assert runs["0001"].data.tags["status"] == STOPPED


def test_final_trainings_are_below_the_run_of_their_setting(record: Record, store: str) -> None:
    tracking = track(record, store)
    for trial in ("tuned-1", "tuned-2"):
        begin(record, trial, role=FINAL, setting_label="tuned")
        train(record, trial, range(1, 4))
        record.end(trial, DONE)
    tracking.close()
    tracking.summarise("tuned", {"test_accuracy_mean": 91.5, "num_seeds": 2.0})
    tracking.finish(files={}, metrics={}, note="", status="FINISHED")
    runs = trial_runs(store)
    setting = runs["group:tuned"]
    assert setting.data.tags["mlflow.parentRunId"] == runs[""].info.run_id
    assert setting.data.metrics == {"test_accuracy": 91.5, "num_seeds": 2.0}
    assert setting.info.status == "FINISHED"
    for trial in ("tuned-1", "tuned-2"):
        assert runs[trial].data.tags["mlflow.parentRunId"] == setting.info.run_id


def test_a_resumed_record_makes_no_run_and_no_point_twice(
    record: Record, store: str, tmp_path: Path
) -> None:
    tracking = track(record, store)
    begin(record, "0000")
    train(record, "0000", range(1, 4))
    record.end("0000", DONE)
    begin(record, "0001")
    train(record, "0001", range(1, 3))
    tracking.close()
    before = trial_runs(store)
    # Another session: what was read from the journal is looked at once more, then it goes on.
    loaded = next_session(record, tmp_path)
    tracking = track(loaded, store)
    train(loaded, "0001", range(3, 4))
    loaded.end("0001", DONE)
    tracking.close()
    after = trial_runs(store)
    assert {name: run.info.run_id for name, run in after.items()} == {
        name: run.info.run_id for name, run in before.items()
    }
    for trial in ("0000", "0001"):
        assert history(store, after[trial], "val_accuracy") == [(1, 10.0), (2, 20.0), (3, 30.0)]
        assert len(history(store, after[trial], "seconds")) == 3


def test_an_interrupted_search_leaves_no_run_that_looks_alive(
    record: Record, store: str, tmp_path: Path
) -> None:
    tracking = track(record, store)
    begin(record, "0000")
    train(record, "0000", range(1, 2))
    tracking.close()
    tracking.finish(files={}, metrics={}, note="", status="KILLED")
    assert {run.info.status for run in trial_runs(store).values()} == {"KILLED"}
    loaded = next_session(record, tmp_path)
    tracking = track(loaded, store)
    wait_until(lambda: {r.info.status for r in trial_runs(store).values()} == {"RUNNING"})
    train(loaded, "0000", range(2, 4))
    loaded.end("0000", DONE)
    tracking.close()
    tracking.finish(files={}, metrics={}, note="", status="FINISHED")
    assert {run.info.status for run in trial_runs(store).values()} == {"FINISHED"}


def test_a_server_that_nobody_answers_for_costs_nothing_but_the_view(record: Record) -> None:
    tracking = track(record, NOBODY)
    begin(record, "0000")
    train(record, "0000", range(1, 4))
    record.end("0000", DONE)
    wait_until(lambda: bool(tracking.problem))
    tracking.close()
    tracking.summarise("tuned", {"num_seeds": 1.0})
    tracking.register(lambda: pytest.fail("there is nowhere to log to"), "")
    tracking.finish(files={"a.txt": b""}, metrics={"x": 1.0}, note="", status="FINISHED")
    assert tracking.problem.startswith(f"MLflow at {NOBODY} does not answer: ")
    assert record.trials["0000"].status == DONE


def test_what_a_server_missed_arrives_when_it_is_back(
    record: Record, store: str, tmp_path: Path
) -> None:
    # The tables are made first: a server does not take long then.
    MlflowClient(tracking_uri=store).search_experiments()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    tracking = track(record, uri)
    begin(record, "0000")
    train(record, "0000", range(1, 3))
    wait_until(lambda: bool(tracking.problem))
    server = _server(store, port, tmp_path)
    try:
        wait_until(lambda: not tracking.problem)
        wait_until(lambda: "0000" in trial_runs(store))
        server.kill()
        server.wait()
        train(record, "0000", range(3, 4))
        record.end("0000", DONE)
        begin(record, "0001")
        wait_until(lambda: bool(tracking.problem))
        server = _server(store, port, tmp_path)
        record.end("0001", FAILED, "no reason")
        wait_until(lambda: not tracking.problem)
        tracking.close()
    finally:
        server.kill()
        server.wait()
    runs = trial_runs(store)
    assert history(store, runs["0000"], "val_accuracy") == [(1, 10.0), (2, 20.0), (3, 30.0)]
    assert {name: run.info.status for name, run in runs.items()} == {
        "": "RUNNING",
        "0000": "FINISHED",
        "0001": "FAILED",
    }


def _server(store: str, port: int, folder: Path) -> subprocess.Popen:
    """MLflow's server as one process, which dies when it is killed."""
    code = (
        "import os, sys, uvicorn; "
        "os.environ['_MLFLOW_SERVER_FILE_STORE'] = os.environ['_MLFLOW_SERVER_REGISTRY_STORE'] "
        f"= {store!r}; "
        f"os.environ['_MLFLOW_SERVER_ARTIFACT_ROOT'] = {str(folder / 'artifacts')!r}; "
        f"uvicorn.run('mlflow.server.fastapi_app:app', port={port}, log_level='error')"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=folder)


def test_a_run_whose_making_was_not_confirmed_is_found_again(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run = MlflowClient.create_run
    lost: list[str] = []

    def create_and_lose_the_answer(self: MlflowClient, *args: Any, **kwargs: Any) -> Any:
        run = create_run(self, *args, **kwargs)
        name = kwargs["tags"]["tuner.trial"]
        if name not in lost:
            lost.append(name)
            raise ConnectionError("the answer never came")
        return run

    monkeypatch.setattr(MlflowClient, "create_run", create_and_lose_the_answer)
    tracking = track(record, store)
    begin(record, "0000")
    record.end("0000", DONE)
    wait_until(lambda: "0000" in lost and not tracking.problem)
    tracking.close()
    assert lost == ["", "0000"]
    assert trial_runs(store)["0000"].data.params == {"weight": "0.1", "seed": "0"}


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_run_that_is_made_after_it_was_asked_for_again_does_not_stay(
    record: Record, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_resumed: bool
) -> None:
    create_run = MlflowClient.create_run
    late: dict[str, Callable[[], Any]] = {}
    used: list[str] = []

    def create_late(self: MlflowClient, *args: Any, **kwargs: Any) -> Any:
        name = kwargs["run_name"]
        if name not in late:
            late[name] = partial(create_run, self, *args, **kwargs)
            raise TimeoutError("no answer yet")
        run = create_run(self, *args, **kwargs)
        late[name]()
        used.append(run.info.run_id)
        return run

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", create_late)
        tracking = track(record, store, comparison=("a comparison", "methods"))
        begin(record, "tuned-1", role=FINAL, setting_label="tuned")
        train(record, "tuned-1", range(1, 4))
        record.end("tuned-1", DONE)
        wait_until(lambda: len(used) == 4 and not tracking.problem)
        tracking.close()
    if is_resumed:
        tracking = track(next_session(record, tmp_path), store, comparison=("a comparison", ""))
        tracking.close()
    tracking.finish(files={}, metrics={}, note="", status="FINISHED")
    tracking.finish_comparison(files={}, metrics={"x": 1.0}, note="")
    client = MlflowClient(tracking_uri=store)
    left = client.search_runs([str(tracking.experiment_id)])
    assert {run.info.run_id for run in left} == set(used)
    (curve,) = [run for run in left if run.data.tags.get("tuner.trial") == "tuned-1"]
    assert history(store, curve, "val_accuracy") == [(1, 10.0), (2, 20.0), (3, 30.0)]


def test_parameters_that_were_not_sent_are_sent_later(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_batch = MlflowClient.log_batch
    calls: list[str] = []

    def fail_once(self: MlflowClient, *args: Any, **kwargs: Any) -> Any:
        calls.append("log_batch")
        if len(calls) == 1:
            raise ConnectionError("the server went away")
        return log_batch(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_batch", fail_once)
    tracking = track(record, store)
    begin(record, "0000")
    wait_until(lambda: len(calls) > 1 and not tracking.problem)
    tracking.close()
    assert trial_runs(store)["0000"].data.params == {"weight": "0.1", "seed": "0"}


def test_results_that_come_last_are_sent_even_if_the_server_was_away_until_then(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Tracking._connect
    monkeypatch.setattr(Tracking, "_connect", lambda self: 1 / 0)
    tracking = track(record, store)
    begin(record, "0000")
    train(record, "0000", range(1, 4))
    record.end("0000", DONE)
    tracking.close()
    assert tracking.problem
    monkeypatch.setattr(Tracking, "_connect", connect)
    tracking.finish(files={"a.txt": b"text"}, metrics={"x": 1.0}, note="said", status="FINISHED")
    assert tracking.problem == ""
    runs = trial_runs(store)
    assert runs["0000"].info.status == "FINISHED"
    assert runs[""].data.metrics == {"x": 1.0}
    assert runs[""].data.tags["mlflow.note.content"].startswith("said")


def test_closing_waits_no_longer_than_it_is_told_to(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tracking, "_send", lambda self, trial: time.sleep(5))
    tracking = track(record, store)
    begin(record, "0000")
    begin(record, "0001")
    began = time.monotonic()
    tracking.close(seconds=0.2)
    assert time.monotonic() - began < 3
    assert tracking.problem == "MLflow took too long"


def test_who_writes_the_record_never_waits_for_the_server(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_batch = MlflowClient.log_batch
    is_asked, may_answer = threading.Event(), threading.Event()

    def answer_late(self: MlflowClient, *args: Any, **kwargs: Any) -> Any:
        is_asked.set()
        assert may_answer.wait(60)
        return log_batch(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_batch", answer_late)
    tracking = track(record, store)
    begin(record, "0000")
    assert is_asked.wait(60)
    # While the mirror is in the middle of a request, everything else happens.
    train(record, "0000", range(1, 4))
    record.end("0000", DONE)
    for number in range(1, 16):
        begin(record, f"{number:04}")
        train(record, f"{number:04}", range(1, 4))
        record.end(f"{number:04}", DONE)
    assert not may_answer.is_set()
    may_answer.set()
    tracking.close()
    runs = trial_runs(store)
    assert len(runs) == 17
    for trial in record.trials:
        assert history(store, runs[trial], "val_accuracy") == [(1, 10.0), (2, 20.0), (3, 30.0)]


@pytest.mark.parametrize("lost", ["summary", "model"])
def test_what_is_sent_once_and_failed_stays_a_problem(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    tracking = track(record, store)
    begin(record, "tuned-1", role=FINAL, setting_label="tuned")
    record.end("tuned-1", DONE)
    tracking.close()
    with monkeypatch.context() as patch:
        patch.setattr(Tracking, "_connect", lambda self: 1 / 0)
        if lost == "summary":
            tracking.summarise("tuned", {"num_seeds": 1.0})
        else:
            tracking.register(lambda: None, "a card")
    tracking.finish(files={}, metrics={"x": 1.0}, note="", status="FINISHED")
    assert trial_runs(store)[""].data.metrics == {"x": 1.0}
    assert (
        tracking.problem == f"MLflow at {store} cannot be used: ZeroDivisionError: division by zero"
    )


def test_an_experiment_that_another_search_makes_at_the_same_time_is_shared(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = MlflowClient.get_experiment_by_name
    calls: list[str] = []

    def too_early(self: MlflowClient, name: str) -> Any:
        calls.append(name)
        if len(calls) == 1:
            found = find(self, name)
            MlflowClient(tracking_uri=store).create_experiment(name)
            return found
        return find(self, name)

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", too_early)
    tracking = track(record, store)
    tracking.close()
    assert tracking.problem == ""
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("x"), "cannot be used: KeyError: 'x'"),
        (
            ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2"),
            "cannot be used: install its driver with pip install psycopg2-binary",
        ),
        (MlflowException("the experiment is deleted"), "refuses: the experiment is deleted"),
        (TimeoutError("no answer"), "does not answer: no answer"),
        (
            MlflowException("API request failed with error code 503 != 200"),
            "does not answer: check that it runs and can be reached",
        ),
        (
            ValueError("no such place: http://me:M<R@h/x"),
            "cannot be used: ValueError: no such place: http://me:***@h/x",
        ),
    ],
)
def test_what_is_wrong_is_told_by_who_says_no(
    record: Record, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def fail(self: Tracking) -> None:
        raise error

    monkeypatch.setattr(Tracking, "_connect", fail)
    tracking = track(record, "http://me:M<R@h/x")
    tracking.close()
    assert tracking.problem == f"MLflow at http://me:***@h/x {told}"


def test_a_deleted_experiment_is_no_server_that_is_away(record: Record, store: str) -> None:
    client = MlflowClient(tracking_uri=store)
    client.delete_experiment(client.create_experiment("tests"))
    tracking = track(record, store)
    tracking.close()
    assert re.search(r" refuses: .*deleted", tracking.problem), tracking.problem


def test_a_password_in_an_address_is_used_but_not_told(record: Record) -> None:
    tracking = track(record, "http://me:MARKER@127.0.0.1:9")
    wait_until(lambda: bool(tracking.problem))
    tracking.close()
    assert tracking.problem.startswith("MLflow at http://me:***@127.0.0.1:9 does not answer: ")
    assert "MARKER" not in tracking.problem + ui_command(tracking.uri)
    assert tracking.uri == "http://me:MARKER@127.0.0.1:9"


def test_files_of_a_database_are_kept_where_they_are_told_to(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "sqlite_path", lambda uri: None)  # as any database
    monkeypatch.setattr(tracking_module, "initialisation_lock", lambda uri: nullcontext())
    folder = artifact_folder(Storage(str(tmp_path / "runs")), "elsewhere")
    tracking = track(record, f"sqlite:///{tmp_path}/mlflow.db", artifacts=folder)
    tracking.close()
    tracking.finish(files={"a.txt": b"text"}, metrics={}, note="", status="FINISHED")
    (file,) = (tmp_path / "runs" / "mlartifacts").rglob("a.txt")
    assert file.read_bytes() == b"text"
