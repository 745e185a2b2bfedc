"""Full-length trials as points in the space, and the importances of hyperparameters."""

import math
from typing import Any

import pytest

from search_spaces import Choice, Float, Space
from tests.support.by_hand import new_record
from tuner.reports.importances import Points, points_of
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED, RUNNING, SEARCH, STOPPED

METRIC = "val_accuracy"
SPACE = Space(
    method="toy",
    params=(
        Float("weight", 0.0, 10.0, grid=(1.0,), published=1.0),
        Choice("kernel", ("polynomial", "rbf"), published="rbf"),
        Float("h", 0.1, 10.0, log=True, grid=(1.0,), published=1.0, when={"kernel": "rbf"}),
        Choice("only", ("one",), published="one"),
    ),
)


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def add(
    record: Record, weight: float, h: float | None, accuracy: float, status: str = DONE
) -> None:
    """A trial of two epochs, or of one if it is not DONE; it has `h` with the rbf kernel only."""
    name = f"{len(record.trials):04d}"
    kernel = "polynomial" if h is None else "rbf"
    setting: dict[str, Any] = {"weight": weight, "kernel": kernel, "h": h, "only": "one"}
    record.begin(
        name=name, role=SEARCH, setting_label="", method="toy", setting=setting, seed=0,
        num_epochs=2,
    )  # fmt: skip
    for epoch in range(1, 3 if status == DONE else 2):
        record.epoch(name, {"epoch": float(epoch), METRIC: accuracy})
    if status != RUNNING:
        record.end(name, status)


def many(record: Record) -> Points:
    """Twelve trials; the accuracy follows a wave of the weight."""
    for number in range(12):
        h = 1.0 + number if number % 2 else None
        add(record, number * 0.8, h, 80 + 5 * math.sin(number * 0.8))
    return points_of(record, SPACE, METRIC)


def test_only_full_length_trials_are_points(record):
    add(record, 1.0, 2.0, 80.0)
    add(record, 2.0, None, 81.0)
    for status in (STOPPED, FAILED, RUNNING):
        add(record, 9.0, None, 99.0, status)
    trials = points_of(record, SPACE, METRIC)
    assert [point.accuracy for point in trials.points] == [80.0, 81.0]
    first, second = (point.values for point in trials.points)
    assert first == {"weight": 1.0, "kernel": "rbf", "h": 2.0}  # "only" has one value
    assert second == {"weight": 2.0, "kernel": "polynomial"}


def test_what_varies_is_what_differs_between_full_length_trials(record):
    add(record, 1.0, 2.0, 80.0)
    assert points_of(record, SPACE, METRIC).varied == []
    add(record, 2.0, 2.0, 81.0)
    add(record, 9.0, None, 99.0, STOPPED)  # the only one with another kernel
    assert points_of(record, SPACE, METRIC).varied == ["weight"]


def test_a_setting_outside_a_narrowed_range_is_a_point_too(record):
    add(record, 1.0, 2.0, 80.0)
    (point,) = points_of(record, SPACE.narrow({"weight": "5:10"}), METRIC).points
    assert point.values["weight"] == 1.0
    assert point.distributions["weight"].low == 1.0


def test_options_are_numbered_and_numbers_keep_their_scale(record):
    add(record, 1.0, 2.0, 80.0)
    (point,) = points_of(record, SPACE, METRIC).points
    assert point.options("kernel") == ["polynomial", "rbf"]
    assert (point.place("kernel"), point.place("weight")) == (1.0, 1.0)
    assert (point.is_log("h"), point.is_log("weight"), point.is_log("kernel")) == (
        True,
        False,
        False,
    )


def test_importances_allow_conditions_and_do_not_change_from_run_to_run(record):
    trials = many(record)
    assert set(trials.importances) == {"weight", "kernel", "h"}
    assert sum(trials.importances.values()) == pytest.approx(1.0)
    assert list(trials.importances.values()) == sorted(trials.importances.values(), reverse=True)
    assert points_of(record, SPACE, METRIC).importances == trials.importances


def test_equal_accuracies_say_nothing_about_importance(record):
    add(record, 1.0, 2.0, 80.0)
    add(record, 2.0, None, 80.0)
    assert points_of(record, SPACE, METRIC).importances == {}


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"kernel": "rbf", "h": 1.0, "only": "one"}, KeyError),
        ({"weight": 1.0, "kernel": "cosine", "only": "one"}, ValueError),
        ({"weight": "heavy", "kernel": "polynomial", "only": "one"}, ValueError),
    ],
    ids=["no value", "another option", "no number"],
)
def test_a_trial_of_another_space_is_refused(record, setting, error):
    add(record, 1.0, 2.0, 80.0)
    record.trials["0000"].setting = setting
    with pytest.raises(error):
        points_of(record, SPACE, METRIC)
