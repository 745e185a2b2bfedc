"""`tuner reproduce --dry-run`, without Ray."""

import re

import pytest

from tests.support.reproducing import plan
from tuner import reproduce
from tuner.config.step_mode import modes_for
from tuner.reproductions.dry_run import missing_trainings
from tuner.results.ledger import Ledger, TrainingKey
from tuner.results.trial import DONE, FINAL, Trial
from tuner.training.workload_data import open_data

SMALL = {"data": "digits", "limit": 100, "seeds": 2}


def test_what_is_missing_is_estimated_and_nothing_is_written(tmp_path, capsys) -> None:
    folders = {"runs-dir": tmp_path / "runs", "data-dir": tmp_path / "data"}
    options = {**SMALL, **folders, "teacher": "resnet8", "student": "resnet8", "epochs": 2}
    flags = [f"--{name}={value}" for name, value in options.items()]
    assert reproduce.main(["itrd-log", "--dry-run", *flags]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"resnet8-resnet8 +itrd +4 +0 +2", printed)
    assert "4 trainings: 0 finished already, 4 to run" in printed
    assert "1 teacher to train first" in printed
    assert re.search(r"about \d.* on this machine, \d+ trainings? at a time", printed)
    assert "of disk for teacher outputs" in printed
    assert not (tmp_path / "runs").exists()


def test_nothing_is_estimated_where_nothing_is_trained(capsys) -> None:
    assert reproduce.main(["mimkd-pairs", "--dry-run"]) == 0
    assert "nothing is trained" in capsys.readouterr().out


@pytest.mark.parametrize("step_mode", modes_for("auto"), ids=str)
def test_a_finished_training_is_not_missing(tmp_path, data_dir, step_mode) -> None:
    options = {**SMALL, "methods": ("plain", "kd"), "pairs": ("resnet8:resnet8",)}
    planned = plan("crd-benchmark", runs=tmp_path, data_dir=data_dir, epochs=1, **options)
    (task,) = planned.tasks
    ledger = Ledger(planned.runs)
    assert missing_trainings(task, ledger) == task.trainings
    dataset, _ = open_data(task.workload)
    key = TrainingKey(
        task.workload, dataset.fingerprint, "teacher", step_mode, (), task.request.cache_precision
    )
    for training in task.trainings:
        trial = Trial(
            name=training.name, role=FINAL, setting_label=training.setting_label,
            method=training.method, setting=training.setting, seed=training.seed, num_epochs=1,
            started=0.0, status=DONE, ended=1.0,
        )  # fmt: skip
        ledger.add(trial, key, "somewhere")
    # Those of kd had another teacher than the one that is still to be trained.
    assert {training.method for training in missing_trainings(task, ledger)} == {"kd"}
