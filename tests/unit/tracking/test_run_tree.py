"""Ids of runs: found by their tags, created once, in the right place."""

import os
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.mirrors import begin, run_by_trial
from tuner.results.record import Record
from tuner.results.trial import FINAL
from tuner.tracking.run_tree import RunTree, TrackedSearch
from tuner.tracking.store import Store

PARENT = "mlflow.parentRunId"


def tree_of(record: Record, store: str, **options: Any) -> RunTree:
    """The tree as a process finds it that has just connected."""
    search_id = record.header.id
    search = TrackedSearch(search_id, search_id, ["weight"], {"data": "digits"}, **options)
    return RunTree(*Store(store, "trees").connect(), search)


def begin_all(record: Record) -> None:
    begin(record, "0000", setting_label="published")
    for trial in ("tuned-1", "tuned-2"):
        begin(record, trial, role=FINAL, setting_label="tuned")


def test_trials_are_below_the_search_and_final_trainings_below_their_setting(
    record: Record, store: str
) -> None:
    begin_all(record)
    tree = tree_of(record, store, comparison=(record.header.id, "methods"))
    ids = {name: tree.trial(trial) for name, trial in record.trials.items()}
    ids |= {"": tree.search(), "group:tuned": tree.setting("tuned")}
    runs = run_by_trial(store, record)
    assert {name: run.info.run_id for name, run in runs.items()} == ids
    assert {name: run.data.tags[PARENT] for name, run in runs.items()} == {
        "": tree.comparison(),
        "0000": ids[""],
        "group:tuned": ids[""],
        "tuned-1": ids["group:tuned"],
        "tuned-2": ids["group:tuned"],
    }
    assert runs["0000"].data.tags["label"] == "published"
    assert runs["group:tuned"].data.params == {"weight": "0.1"}
    assert all(run.data.tags["data"] == "digits" for run in runs.values())


def test_a_setting_has_no_run_before_its_first_training(record: Record, store: str) -> None:
    assert tree_of(record, store).setting("tuned") is None


def test_a_later_process_finds_every_run(record: Record, store: str) -> None:
    begin_all(record)
    options: dict[str, Any] = {"comparison": (record.header.id, "methods")}
    found = []
    for _ in range(2):
        tree = tree_of(record, store, **options)
        ids = [tree.trial(trial) for trial in record.trials.values()]
        found.append([*ids, tree.search(), tree.setting("tuned"), tree.comparison()])
    assert found[0] == found[1]


def test_a_later_process_knows_which_runs_have_their_parameters(record: Record, store: str) -> None:
    begin_all(record)
    tree = tree_of(record, store)
    ids = {name: tree.trial(trial) for name, trial in record.trials.items()}
    tree.log(ids["0000"], params={"seed": "0"})
    assert tree_of(record, store).with_params == {ids["0000"], tree.setting("tuned")}


def test_of_two_runs_of_one_trial_the_used_one_stays(record: Record, store: str) -> None:
    """A server may create a run only after it was asked for again."""
    begin_all(record)
    tree = tree_of(record, store)
    for trial in record.trials.values():
        tree.log(tree.trial(trial), params={"seed": "0"})
    used = {name: run.info.run_id for name, run in run_by_trial(store, record).items()}
    for run_id in used.values():
        run = tree.client.get_run(run_id)
        tree.client.create_run(tree.experiment_id, run.info.start_time + 1, tags=run.data.tags)
    found = tree_of(record, store)
    assert {name: found.trial(trial) for name, trial in record.trials.items()} == {
        name: used[name] for name in record.trials
    }
    assert (found.search(), found.setting("tuned")) == (used[""], used["group:tuned"])
    found.delete_duplicates()
    left = run_by_trial(store, record)  # fails for two of one trial
    assert {name: run.info.run_id for name, run in left.items()} == used


def test_of_two_runs_of_a_comparison_the_later_stays(record: Record, store: str) -> None:
    comparison = (record.header.id, "methods")
    tree = tree_of(record, store, comparison=comparison)
    client, tags = MlflowClient(store), {"tuner.comparison": record.header.id}
    earlier, later = (
        client.create_run(tree.experiment_id, start_time=time, tags=tags).info.run_id
        for time in (1, 2)
    )
    assert tree.comparison() == later
    tree.delete_duplicates()
    assert client.get_run(earlier).info.lifecycle_stage == "deleted"
    assert client.get_run(later).info.lifecycle_stage == "active"


def test_what_an_interruption_ended_runs_again(record: Record, store: str) -> None:
    begin_all(record)
    tree = tree_of(record, store)
    for trial, status in (("0000", "FINISHED"), ("tuned-1", "KILLED")):
        tree.client.set_terminated(tree.trial(record.trials[trial]), status)
    tree.client.set_terminated(tree.search(), "KILLED")
    tree_of(record, store).reopen()
    found = {name: run.info.status for name, run in run_by_trial(store, record).items()}
    assert (found["0000"], found["tuned-1"], found[""]) == ("FINISHED", "RUNNING", "RUNNING")


def test_mlflow_does_not_repeat_the_request_that_creates_a_run(
    record: Record, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It repeats a request whose answer was lost, and would create a second run."""
    create, name = MlflowClient.create_run, "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    seen: list[str] = []

    def look(self: MlflowClient, *args: Any, **kwargs: Any) -> Any:
        seen.append(os.environ[name])
        return create(self, *args, **kwargs)

    monkeypatch.setenv(name, "3")
    monkeypatch.setattr(MlflowClient, "create_run", look)
    tree_of(record, store).search()
    assert seen == ["0"]
    assert os.environ[name] == "3"
