"""The mirror of a record: nothing twice, nothing lost, nothing raised, nobody kept waiting."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.mirrors import begin, history, mirror_of, run_by_trial, train
from tests.support.searching import next_session
from tests.support.servers import wait_until
from tuner.results.record import Record
from tuner.results.trial import DONE
from tuner.terminal.outcome import how_to_open
from tuner.tracking import mirror as mirror_module
from tuner.tracking.mirror import Mirror

CURVE = [(1, 10.0), (2, 20.0), (3, 30.0)]


def failing_once(call: Callable, calls: list[str], error: Exception) -> Callable:
    """The call, which fails the first time, before anything has happened."""

    def fail_or_call(*args: Any, **kwargs: Any) -> Any:
        calls.append("called")
        if len(calls) == 1:
            raise error
        return call(*args, **kwargs)

    return fail_or_call


def test_a_trial_becomes_a_run_with_its_curve_and_its_end(record: Record, store: str) -> None:
    with mirror_of(record, store) as mirror:
        begin(record, "0000")
        train(record, "0000")
        record.end("0000", DONE)
    runs = run_by_trial(store, record)
    run = runs["0000"]
    assert mirror.problem == ""
    assert mirror.is_complete
    assert run.data.params == {"weight": "0.1", "seed": "0"}
    assert run.data.tags["status"] == DONE
    assert history(store, run) == history(store, run, "accuracy") == CURVE
    assert run.info.status == "FINISHED"
    assert run.info.end_time == int((record.trials["0000"].ended or 0) * 1000)
    assert runs[""].info.status == "RUNNING"


def test_a_resumed_record_makes_no_run_and_no_point_twice(
    record: Record, store: str, tmp_path: Path
) -> None:
    with mirror_of(record, store):
        begin(record, "0000")
        train(record, "0000")
        record.end("0000", DONE)
        begin(record, "0001")
        train(record, "0001", range(1, 3))
    before = run_by_trial(store, record)
    # Another session: what was read from the journal is compared once more, then it goes on.
    loaded = next_session(record, tmp_path)
    with mirror_of(loaded, store):
        train(loaded, "0001", range(3, 4))
        loaded.end("0001", DONE)
    after = run_by_trial(store, record)
    assert {name: run.info.run_id for name, run in after.items()} == {
        name: run.info.run_id for name, run in before.items()
    }
    for trial in ("0000", "0001"):
        assert history(store, after[trial]) == CURVE
        assert len(history(store, after[trial], "seconds")) == 3


def test_a_setting_that_a_population_changes_is_no_parameter_that_changes(
    record: Record, store: str, tmp_path: Path
) -> None:
    """MLflow refuses another value of a parameter."""
    with mirror_of(record, store) as mirror:
        begin(record, "0000")
        wait_until(lambda: mirror.is_complete and "0000" in run_by_trial(store, record))
        record.change("0000", {"weight": 0.2, "fixed": 3})
        train(record, "0000", range(1, 3))
    with mirror_of(next_session(record, tmp_path), store) as resumed:
        pass
    assert mirror.problem == resumed.problem == ""
    assert run_by_trial(store, record)["0000"].data.params["weight"] == "0.1"


def test_a_run_whose_creation_was_not_confirmed_is_found_again(
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
    with mirror_of(record, store) as mirror:
        begin(record, "0000")
        record.end("0000", DONE)
        wait_until(lambda: "0000" in lost and not mirror.problem)
    assert lost == ["", "0000"]
    assert run_by_trial(store, record)["0000"].data.params == {"weight": "0.1", "seed": "0"}


def test_parameters_that_were_not_sent_are_sent_later(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    broken = failing_once(MlflowClient.log_batch, calls, ConnectionError("the server went away"))
    monkeypatch.setattr(MlflowClient, "log_batch", broken)
    with mirror_of(record, store) as mirror:
        begin(record, "0000")
        wait_until(lambda: len(calls) > 1 and not mirror.problem)
    assert run_by_trial(store, record)["0000"].data.params == {"weight": "0.1", "seed": "0"}


def test_leaving_waits_no_longer_than_allowed(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer = threading.Event()
    monkeypatch.setattr(Mirror, "_send", lambda self, runs, trial: may_answer.wait(60))
    monkeypatch.setattr(mirror_module, "CLOSE_SECONDS", 0.2)
    with mirror_of(record, store) as mirror:
        begin(record, "0000")
        begin(record, "0001")
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert mirror.problem == "MLflow took too long"
    assert mirror.attempt(lambda runs: "called") is None  # beside a thread that still waits
    may_answer.set()


def test_the_writer_of_the_record_never_waits_for_the_server(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_batch = MlflowClient.log_batch
    is_asked, may_answer = threading.Event(), threading.Event()

    def answer_late(self: MlflowClient, *args: Any, **kwargs: Any) -> Any:
        is_asked.set()
        assert may_answer.wait(60)
        return log_batch(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_batch", answer_late)
    with mirror_of(record, store):
        begin(record, "0000")
        assert is_asked.wait(60)
        # While the mirror is in the middle of a request, everything else happens.
        train(record, "0000")
        record.end("0000", DONE)
        for trial in ("0001", "0002", "0003"):
            begin(record, trial)
            train(record, trial)
            record.end(trial, DONE)
        assert not may_answer.is_set()
        may_answer.set()
    runs = run_by_trial(store, record)
    assert len(runs) == 5
    for trial in record.trials:
        assert history(store, runs[trial]) == CURVE


def test_a_password_in_an_address_is_used_but_not_shown(record: Record) -> None:
    with mirror_of(record, "http://me:MARKER@127.0.0.1:9") as mirror:
        wait_until(lambda: bool(mirror.problem))
    assert mirror.problem.startswith("MLflow at http://me:***@127.0.0.1:9 does not answer: ")
    assert "MARKER" not in mirror.problem + how_to_open(mirror.store, "a/page")
    assert mirror.store.uri == "http://me:MARKER@127.0.0.1:9"
