"""A whole search: what it leaves on disk and in MLflow, and that its results can be used."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import tuner.distill
from search_spaces import SPACES
from tests.support.searching import Searches, local_ray
from tuner.data import open_dataset
from tuner.results.trial import DONE, FINAL, SEARCH, STOPPED, TEACHER, Trial
from tuner.tracking.registered_model import load_classifier

NAME = "whole"


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searches]:
    # A new data folder, so that the teacher is trained here.
    folder = tmp_path_factory.mktemp("end-to-end")
    with local_ray():
        yield Searches(folder / "runs", str(folder / "data"))


@pytest.fixture(scope="module")
def status(searches: Searches) -> int:
    """Of a search that trains its teacher, with TPE and ASHA, two trials at a time."""
    return searches.run(NAME, "--quiet", max_concurrent=2)


@pytest.fixture(scope="module")
def runs(searches: Searches, status: int) -> SimpleNamespace:
    """The search's MLflow run, and the runs of its trials, final settings and final trainings."""
    found = {run.data.tags["tuner.trial"]: run for run in searches.mlflow_runs(NAME)}
    parent = found.pop("")
    return SimpleNamespace(
        parent=parent,
        groups={key[6:]: run for key, run in found.items() if key.startswith("group:")},
        trials={key: run for key, run in found.items() if not key.startswith("group:")},
    )


def test_it_ends_well_and_leaves_its_files(searches: Searches, status: int) -> None:
    assert status == 0
    assert {path.name for path in searches.folder(NAME).iterdir()} == {
        "search.yaml",
        "journal.jsonl",
        "driver.json",
        "trials.parquet",
        "epochs.parquet",
        "best.yaml",
        "model-card.md",
        "report.html",
        "figures",
        "tables",
        "teacher.pt",
        "checkpoints",
    }  # and so Ray's scratch folder is gone


def better_of_tuned_and_published(searches: Searches) -> Trial:
    """Of the final trainings, of which each setting has one."""
    finals = searches.record(NAME).trials_of(FINAL)
    found = [trial for trial in finals if trial.setting_label in ("tuned", "published")]
    return max(found, key=lambda trial: (trial.last("val_accuracy"), trial.setting_label))


def test_every_trial_is_in_the_tables(searches: Searches, status: int) -> None:
    trials, epochs = searches.table(NAME, "trials"), searches.table(NAME, "epochs")
    assert trials[trials.kind == SEARCH].trial.tolist() == ["0000", "0001", "0002", "0003"]
    assert set(trials[trials.kind == SEARCH].status) <= {DONE, STOPPED}
    assert (trials[trials.kind == TEACHER].status == DONE).all()
    assert epochs.groupby("trial").size().to_dict() == dict(
        zip(trials.trial, trials.epochs, strict=True)
    )
    assert np.isfinite(epochs.train_loss).all()


def test_the_first_trial_is_the_published_setting(searches: Searches, status: int) -> None:
    first = searches.record(NAME).trials_of(SEARCH)[0]
    assert first.setting_label == "published"
    assert first.setting == SPACES["itrd"].published()


def test_winner_published_and_plain_are_trained_again_and_tested(
    searches: Searches, status: int
) -> None:
    finals = searches.record(NAME).trials_of(FINAL)
    assert {trial.setting_label for trial in finals} >= {"published", "plain"}
    assert {trial.setting_label for trial in finals} <= {"tuned", "published", "plain"}
    for trial in finals:
        assert trial.is_full_length
        assert trial.seed == 1  # not the search's own, which helped to choose
        assert trial.last("test_accuracy") is not None


def test_the_test_split_is_read_for_final_trainings_only(searches: Searches, status: int) -> None:
    epochs = searches.table(NAME, "epochs")
    assert epochs[epochs.kind == SEARCH].test_accuracy.isna().all()
    finals = epochs[epochs.kind == FINAL]
    assert (finals.test_accuracy.notna() == (finals.epoch == 3)).all()


def test_only_final_checkpoints_are_kept(searches: Searches, status: int) -> None:
    finals = [trial.name for trial in searches.record(NAME).trials_of(FINAL)]
    kept = sorted(path.stem for path in (searches.folder(NAME) / "checkpoints").iterdir())
    assert kept == sorted(finals)


def test_the_report_shows_the_search(searches: Searches, status: int) -> None:
    report = (searches.folder(NAME) / "report.html").read_text()
    assert "published" in report
    assert NAME in report


def test_mlflow_has_one_run_for_the_search_and_one_below_it_for_every_trial(
    searches: Searches, runs: SimpleNamespace
) -> None:
    record = searches.record(NAME)
    assert runs.parent.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in runs.parent.data.tags
    assert runs.trials.keys() == record.trials.keys()
    assert runs.groups.keys() == {trial.setting_label for trial in record.trials_of(FINAL)}
    for name, run in {**runs.trials, **runs.groups}.items():
        trial = record.trials.get(name)
        above = runs.groups[trial.setting_label] if trial and trial.role == FINAL else runs.parent
        assert run.data.tags["mlflow.parentRunId"] == above.info.run_id
        assert run.info.status == "FINISHED"
    total = len(searches.mlflow_runs(NAME))
    assert total == 1 + len(runs.trials) + len(runs.groups)


def test_mlflow_has_every_epoch_of_every_metric_at_its_step(
    searches: Searches, runs: SimpleNamespace
) -> None:
    client, record = searches.client(), searches.record(NAME)
    for name, run in runs.trials.items():
        epochs = record.trials[name].epochs
        for metric in ("val_accuracy", "train_loss"):
            history = client.get_metric_history(run.info.run_id, metric)
            assert {point.step: point.value for point in history} == {
                int(epoch["epoch"]): epoch[metric] for epoch in epochs
            }
            assert len(history) == len(epochs)


def test_mlflow_parameters_are_plain_and_tags_hold_the_rest(
    searches: Searches, runs: SimpleNamespace
) -> None:
    record = searches.record(NAME)
    for name, run in runs.trials.items():
        trial = record.trials[name]
        for parameter, text in run.data.params.items():
            value = trial.setting.get(parameter, trial.seed)
            assert text == str(value)
            assert not text.startswith(("{", "["))
        assert run.data.tags["status"] == trial.status
        assert run.data.tags["method"] == trial.method
        assert run.data.tags["student"] == "resnet8"
        assert run.data.tags["teacher"] == "resnet8"
        assert run.data.tags["data"] == "digits"
        if trial.reason:
            assert run.data.tags["reason"] == trial.reason


def test_mlflow_has_the_searchs_files(searches: Searches, runs: SimpleNamespace) -> None:
    files = {file.path for file in searches.client().list_artifacts(runs.parent.info.run_id)}
    assert files >= {
        "search.yaml",
        "best.yaml",
        "model-card.md",
        "report.html",
        "trials.parquet",
        "epochs.parquet",
        "figures",  # which the report leads to
        "tables",
    }


def test_the_registered_model_predicts_what_the_checkpoint_predicts(
    searches: Searches, runs: SimpleNamespace, request: pytest.FixtureRequest
) -> None:
    import mlflow

    client = searches.client()
    (version,) = client.search_model_versions("name='resnet8-itrd'")
    assert version.run_id == runs.parent.info.run_id
    mlflow.set_tracking_uri(searches.tracking_uri)
    request.addfinalizer(lambda: mlflow.set_tracking_uri(None))
    model = mlflow.pytorch.load_model("models:/resnet8-itrd/1")
    dataset = open_dataset("digits", Path(searches.data_dir), image_size=None)
    images = torch.from_numpy(dataset.images[:50].copy()).float() / 255
    best = better_of_tuned_and_published(searches).name
    checkpoint = (searches.folder(NAME) / "checkpoints" / f"{best}.pt").read_bytes()
    expected = load_classifier(checkpoint, "resnet8", dataset)
    with torch.inference_mode():
        torch.testing.assert_close(model(images), expected(images))


def test_a_search_leaves_mlflows_tracking_uri_as_it_was(status: int) -> None:
    assert "MLFLOW_TRACKING_URI" not in os.environ  # where MLflow keeps it, for all that follows


def test_best_yaml_feeds_into_distill(
    searches: Searches, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    best = searches.folder(NAME) / "best.yaml"
    assert tuner.distill.main(["--config", str(best), "--test"]) == 0
    assert "test accuracy" in capsys.readouterr().out


def test_best_yaml_holds_what_validates_better_of_tuned_and_published(
    searches: Searches, status: int
) -> None:
    best: dict[str, Any] = yaml.safe_load((searches.folder(NAME) / "best.yaml").read_text())
    setting = better_of_tuned_and_published(searches).setting
    assert best["set"] == {k: v for k, v in setting.items() if v is not None}
    assert best["method"] == "itrd"
    assert best["epochs"] == 3
