"""Means, paired differences and intervals, against numbers worked out by hand."""

import numpy as np
import pytest

from tests.support.by_hand import new_record, train_finals
from tuner.reports.final_trainings import finals_of
from tuner.reports.statistics import (
    Accuracy,
    Difference,
    accuracy_of,
    accuracy_over,
    accuracy_text,
    columns_of,
    difference,
    difference_text,
    interval,
    num_pairs,
    paired,
    sentence,
)
from tuner.results.record import Record


@pytest.fixture
def record(tmp_path) -> Record:
    # Seeds differ by ten points, the settings within a seed by 1, 2 and 3.
    record = new_record(tmp_path)
    train_finals(record, "plain", (60.0, 70.0, 80.0))
    train_finals(record, "tuned", (61.0, 72.0, 83.0))
    return record


def difference_of(record: Record, num_comparisons: int = 1) -> Difference:
    return difference(finals_of(record, "tuned"), finals_of(record, "plain"), num_comparisons)


def test_mean_and_sample_deviation():
    found = accuracy_over([70.0, 71.0, 73.0])
    # mean 214 / 3; squares of the distances 16/9 + 1/9 + 25/9 = 42/9, halved 7/3
    assert found.mean == pytest.approx(214 / 3)
    assert found.std == pytest.approx((7 / 3) ** 0.5)
    assert accuracy_over([70.0]) == Accuracy(70.0, None)
    assert accuracy_over([]) is None


def test_only_trainings_that_finished_have_an_accuracy(record):
    record.begin(
        name="plain-4", role="final", setting_label="plain", method="plain", setting={}, seed=4,
        num_epochs=2,
    )  # fmt: skip
    record.epoch("plain-4", {"epoch": 1.0, "test_accuracy": 10.0})
    assert accuracy_of(finals_of(record, "plain"), "test_accuracy").mean == 70.0
    assert accuracy_of(finals_of(record, "plain"), "loss") is None


def test_differences_are_paired_by_seed(record):
    found = difference_of(record)
    margin = 4.302652730 / 3**0.5  # t of 0.975 with 2 degrees of freedom, deviation 1
    assert found.mean == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((2 - margin, 2 + margin))
    assert found.is_noise  # the interval reaches from -0.48 to 4.48
    assert found.reversed().reversed() == found
    assert (found.reversed().low, found.reversed().mean) == (-found.high, -found.mean)


def test_intervals_of_several_comparisons_hold_simultaneously(record):
    found = difference_of(record, num_comparisons=4)
    margin = 8.860200 / 3**0.5  # t of 1 - 0.05 / 8 with 2 degrees of freedom, deviation 1
    assert (found.low, found.high) == pytest.approx((2 - margin, 2 + margin), rel=1e-6)
    assert "(95 % interval -3.12 to 7.12, corrected for 4 comparisons, 3 seeds)" in sentence(
        "A", "B", found
    )


def test_intervals_of_the_best_of_equals_seldom_exclude_zero():
    draw = np.random.default_rng(0)
    num_runs, num_settings, num_wrong = 400, 10, 0
    for _ in range(num_runs):
        # Validation and test accuracy of a training have most of their noise in common.
        test = draw.normal(70, 1, (num_settings, 5))
        best = (test + draw.normal(0, 0.3, test.shape)).mean(axis=1).argmax()
        accuracies = [dict(enumerate(one)) for one in test.tolist()]
        found = [
            paired(accuracies[best], other, num_pairs(num_settings))
            for number, other in enumerate(accuracies)
            if number != best
        ]
        num_wrong += any(not one.is_noise for one in found)
    # Corrected for the nine comparisons alone, it would be one run in nine.
    assert num_wrong / num_runs <= 0.05


def test_one_value_has_no_interval():
    assert interval([70.0]) is None
    assert interval([70.0, 70.0]) is None
    assert interval([69.0, 71.0]) == pytest.approx((70 - 12.7062, 70 + 12.7062), rel=1e-5)


def test_without_a_common_seed_there_is_no_difference():
    assert paired({1: 70.0}, {2: 71.0}) is None
    assert paired({1: 70.0, 2: 70.0}, {2: 71.0}) == Difference(-1.0, None, None, 1)


def test_an_interval_that_says_nothing_is_stated_as_such():
    found = Difference(1.0, -30.0, 32.0, 2)
    assert difference_text(found) == "+1.00 (more than ± 20)"
    assert "95 % interval of more than 20 points to either side" in sentence("A", "B", found)


def test_cells_show_what_is_known():
    assert accuracy_text(Accuracy(81.234, 0.456)) == "81.23 ± 0.46"
    assert accuracy_text(Accuracy(81.234, None)) == "81.23"
    assert difference_text(Difference(1.0, 0.5, 1.5, 3)) == "+1.00 (+0.50 to +1.50)"
    assert difference_text(Difference(1.0, None, None, 1)) == "+1.00 (no interval)"
    assert accuracy_text(None) == difference_text(None) == "–"


def test_columns_hold_all_digits_and_nulls():
    rows = [Difference(1.0, None, None, 1), Difference(1 / 3, 0.25, 0.5, 3)]

    class Row:
        def __init__(self, found):
            self.to_plain, self.test_accuracy = found, None

    columns = columns_of([Row(one) for one in rows], ["to_plain"], ["test_accuracy"])
    assert columns["to_plain_mean"].to_pylist() == [1.0, 1 / 3]
    assert columns["to_plain_low"].to_pylist() == [None, 0.25]
    assert columns["test_accuracy_mean"].to_pylist() == [None, None]
