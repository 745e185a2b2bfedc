"""What MLflow gets of a trial, as plain data."""

from typing import Any

import pytest

from tuner.results.trial import DONE, FAILED, FINAL, SEARCH, STOPPED, Trial
from tuner.tracking.content import RunContent, content_of, first_tags, with_ranked


def trial_of(*accuracies: float, **fields: Any) -> Trial:
    epochs = [
        {"epoch": float(number), "val_accuracy": accuracy, "seconds": 2.0}
        for number, accuracy in enumerate(accuracies, start=1)
    ]
    values: dict[str, Any] = {
        "name": "0000",
        "role": SEARCH,
        "setting_label": "",
        "method": "itrd",
        "setting": {"weight": 0.1, "fixed": 3},
        "seed": 7,
        "num_epochs": 3,
        "started": 1000.0,
        "epochs": epochs,
    }
    return Trial(**(values | fields))


def content(trial: Trial, *, since: int = 0, searched: tuple[str, ...] = ("weight",)) -> RunContent:
    return content_of(trial, metric="val_accuracy", searched=searched, since=since)


def test_only_what_is_searched_becomes_a_parameter_and_the_seed() -> None:
    assert content(trial_of()).params == {"weight": "0.1", "seed": "7"}


def test_a_hyperparameter_that_does_not_apply_is_no_parameter() -> None:
    trial = trial_of(setting={"weight": 0.1, "width": None})
    searched = ("weight", "width", "degree")
    assert content(trial, searched=searched).params == {"weight": "0.1", "seed": "7"}


def test_every_metric_of_every_epoch_is_a_point_at_its_step() -> None:
    points = content(trial_of(10.0, 20.0)).metrics
    assert [(point.step, point.value) for point in points if point.name == "val_accuracy"] == [
        (1, 10.0),
        (2, 20.0),
    ]
    assert {point.name for point in points} == {"val_accuracy", "accuracy", "seconds"}


def test_what_trials_are_ranked_on_has_a_name_before_all_others() -> None:
    points = content(trial_of(10.0)).metrics
    first = min(points, key=lambda point: point.name)
    assert (first.name, first.value) == ("accuracy", 10.0)
    named = with_ranked({"num_seeds": 1.0}, "val_accuracy")
    assert named == {"num_seeds": 1.0}


def test_only_epochs_that_were_not_sent_are_sent() -> None:
    trial = trial_of(10.0, 20.0)
    first = content(trial)
    assert content(trial, since=first.num_epochs).metrics == []
    trial.epochs.append({"epoch": 3.0, "val_accuracy": 30.0, "seconds": 2.0})
    later = content(trial, since=first.num_epochs)
    assert first.metrics + later.metrics == content(trial).metrics
    assert later.num_epochs == 3


def test_times_are_computed_so_that_a_point_sent_again_is_the_same() -> None:
    times = [point.timestamp for point in content(trial_of(10.0, 20.0)).metrics]
    assert sorted(set(times)) == [1002000, 1004000]  # 2 s per epoch


def test_the_stage_before_the_first_epoch_has_curves_of_its_own() -> None:
    initial = [{"initial_epoch": 1.0, "initial_loss": 0.5, "initial_seconds": 3.0}]
    points = content(trial_of(10.0, initial_epochs=initial)).metrics
    assert {point.name for point in points[:2]} == {"initial_loss", "initial_seconds"}
    assert [(p.step, p.timestamp) for p in points if p.name == "initial_loss"] == [(1, 1003000)]
    assert [p.timestamp for p in points if p.name == "val_accuracy"] == [1005000]


def test_a_running_trial_has_no_end_and_tags_only_from_its_beginning() -> None:
    found = content(trial_of(10.0))
    assert found.end is None
    assert found.tags == {}
    expected = {"kind": "search", "method": "itrd", "status": "running"}
    assert first_tags(trial_of()) == expected
    labelled = trial_of(role=FINAL, setting_label="tuned")
    assert first_tags(labelled) == expected | {"kind": "final", "label": "tuned"}


@pytest.mark.parametrize(
    ("status", "reason", "of_mlflow"),
    [
        (DONE, "", "FINISHED"),
        (STOPPED, "scheduler, after epoch 1", "FINISHED"),
        (FAILED, "the term 'mi' became nan at epoch 1", "FAILED"),
    ],
)
def test_an_ended_trial_has_its_status_its_reason_and_its_time(
    status: str, reason: str, of_mlflow: str
) -> None:
    found = content(trial_of(10.0, status=status, reason=reason, ended=2000.5))
    assert found.end == (of_mlflow, 2000500)
    assert found.tags == {"status": status} | ({"reason": reason} if reason else {})
