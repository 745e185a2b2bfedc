"""What MLflow gets when a search ends: results, files, descriptions, ends, whatever fails."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.mirrors import begin, history, mirror_of, run_by_trial, train
from tests.support.searching import next_session
from tests.support.servers import wait_until
from tuner.results.record import Record
from tuner.results.trial import DONE, FINAL
from tuner.tracking import publish as publish_module
from tuner.tracking.publish import KILLED, Outcome, publish, publish_comparison
from tuner.tracking.store import Store

NOBODY = "http://127.0.0.1:9"
MODEL: Any = object()  # nothing looks into it where `register` is replaced


def train_tuned(record: Record) -> None:
    begin(record, "tuned-1", role=FINAL, setting_label="tuned")
    train(record, "tuned-1")
    record.end("tuned-1", DONE)


def test_a_search_gets_its_results_files_and_description(record: Record, store: str) -> None:
    with mirror_of(record, store) as mirror:
        begin(record, "0000")
        train(record, "0000")
        record.end("0000", DONE)
    metrics = {"val_accuracy": 91.5, "num_seeds": 2.0}
    files = {"report.html": b"page", "figures/a.svg": b"figure"}
    page = publish(mirror, Outcome(note="Tuned wins.", metrics=metrics, files=files))
    run = run_by_trial(store, record)[""]
    assert page == f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert run.info.status == "FINISHED"
    assert run.data.metrics == metrics | {"accuracy": 91.5}
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("Tuned wins.\n\n[Report](#/")
    assert "[Compare all trials](#/" in note
    client = MlflowClient(store)
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {
        "report.html",
        "figures",
    }


def test_a_setting_gets_the_mean_over_its_seeds(record: Record, store: str) -> None:
    with mirror_of(record, store) as mirror:
        train_tuned(record)
    settings = {"tuned": {"test_accuracy": 91.5, "num_seeds": 2.0}, "teacher": {"num_seeds": 1.0}}
    publish(mirror, Outcome(settings=settings))
    run = run_by_trial(store, record)["group:tuned"]
    assert run.data.metrics == settings["tuned"]
    assert run.data.tags["status"] == DONE
    assert run.info.status == "FINISHED"
    assert history(store, run, "test_accuracy") == [(3, 91.5)]  # where the curves end
    assert mirror.problem == ""


def test_an_interrupted_search_leaves_no_run_that_looks_alive(
    record: Record, store: str, tmp_path: Path
) -> None:
    with mirror_of(record, store) as mirror:
        begin(record, "0000")
        train(record, "0000", range(1, 2))
    publish(mirror, Outcome(status=KILLED))
    assert {run.info.status for run in run_by_trial(store, record).values()} == {"KILLED"}
    loaded = next_session(record, tmp_path)
    with mirror_of(loaded, store) as mirror:
        wait_until(
            lambda: {r.info.status for r in run_by_trial(store, record).values()} == {"RUNNING"}
        )
        train(loaded, "0000", range(2, 4))
        loaded.end("0000", DONE)
    publish(mirror, Outcome())
    assert {run.info.status for run in run_by_trial(store, record).values()} == {"FINISHED"}


def test_a_server_that_nobody_answers_for_costs_nothing_but_the_view(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        publish_module, "register", lambda *args: pytest.fail("there is nowhere to log to")
    )
    with mirror_of(record, NOBODY, comparison=("a comparison", "methods")) as mirror:
        begin(record, "0000")
        record.end("0000", DONE)
        wait_until(lambda: bool(mirror.problem))
    outcome = Outcome(
        files={"a.txt": b""}, metrics={"x": 1.0}, settings={"tuned": {"x": 1.0}}, model=MODEL
    )
    assert publish(mirror, outcome) == ""
    assert publish_comparison(mirror, Outcome()) == ""
    assert mirror.problem.startswith(f"MLflow at {NOBODY} does not answer: ")
    assert record.trials["0000"].status == DONE


def test_everything_is_sent_at_the_end_if_the_server_was_away_until_then(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Store, "connect", lambda self: 1 / 0)
        with mirror_of(record, store) as mirror:
            begin(record, "0000")
            train(record, "0000")
            record.end("0000", DONE)
    assert mirror.problem
    publish(mirror, Outcome(files={"a.txt": b"text"}, metrics={"x": 1.0}, note="said"))
    assert mirror.problem == ""
    runs = run_by_trial(store, record)
    assert runs["0000"].info.status == "FINISHED"
    assert runs[""].data.metrics == {"x": 1.0}
    assert runs[""].data.tags["mlflow.note.content"].startswith("said")


@pytest.mark.parametrize("step", ["_summarise_settings", "register", "_write_search"])
def test_a_step_that_fails_stays_a_problem_and_the_others_are_carried_out(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with mirror_of(record, store) as mirror:
        train_tuned(record)
    carried_out: list[str] = []
    monkeypatch.setattr(publish_module, "register", lambda *args: carried_out.append("register"))
    monkeypatch.setattr(publish_module, step, lambda *args: 1 / 0)
    settings = {"tuned": {"num_seeds": 1.0}}
    publish(mirror, Outcome(metrics={"x": 1.0}, settings=settings, model=MODEL))
    runs = run_by_trial(store, record)
    assert (runs["group:tuned"].data.metrics == {}) == (step == "_summarise_settings")
    assert (carried_out == []) == (step == "register")
    assert (runs[""].data.metrics == {}) == (step == "_write_search")
    assert runs[""].info.status == "FINISHED"
    expected = "cannot be used: ZeroDivisionError: division by zero"
    assert mirror.problem == f"MLflow at {store} {expected}"


def test_a_comparison_gets_its_results_above_its_searches(record: Record, store: str) -> None:
    comparison = (record.header.id, "methods")
    with mirror_of(record, store, comparison=comparison) as mirror:
        pass
    publish(mirror, Outcome())
    files = {"report.html": b"page"}
    page = publish_comparison(mirror, Outcome(note="said", metrics={"x": 1.0}, files=files))
    above = MlflowClient(store).get_run(page.rpartition("/")[2])
    assert above.info.run_name == "methods"
    assert above.info.status == "FINISHED"
    assert above.data.metrics == {"x": 1.0}
    assert above.data.tags["mlflow.note.content"].startswith("said\n\n[Report](#/")
    own = run_by_trial(store, record)[""]
    assert own.data.tags["mlflow.parentRunId"] == above.info.run_id
    assert own.info.status == "FINISHED"


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_run_that_is_created_after_it_was_asked_for_again_does_not_stay(
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

    place = Store(store, f"late {is_resumed}")
    options: dict[str, Any] = {"comparison": (record.header.id, "methods")}
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", create_late)
        with mirror_of(record, place, **options) as mirror:
            train_tuned(record)
            wait_until(lambda: len(used) == 4 and not mirror.problem)
    if is_resumed:
        with mirror_of(next_session(record, tmp_path), place, **options) as mirror:
            pass
    publish(mirror, Outcome())
    publish_comparison(mirror, Outcome(metrics={"x": 1.0}))
    client, experiment_id = place.connect()
    left = client.search_runs([experiment_id])
    assert {run.info.run_id for run in left} == set(used)
    (curve,) = [run for run in left if run.data.tags.get("tuner.trial") == "tuned-1"]
    assert history(store, curve) == [(1, 10.0), (2, 20.0), (3, 30.0)]
