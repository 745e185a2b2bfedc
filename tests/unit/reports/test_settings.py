"""Means, paired differences and verdicts, against numbers worked out by hand."""

import numpy as np
import pytest

from tuner.reports.settings import compare, verdict
from tuner.reports.statistics import Accuracy, difference, interval, num_pairs, paired, sentence
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED, FINAL, TEACHER
from tuner.storage.folder import Storage


@pytest.fixture
def record(tmp_path) -> Record:
    return Record(Storage(str(tmp_path)))


def train(record: Record, label: str, *test_accuracies: float | None, role: str = FINAL) -> None:
    """One finished training per accuracy, with seeds 1, 2, ...; None fails."""
    for seed, accuracy in enumerate(test_accuracies, start=1):
        name = f"{label}-{seed}"
        record.begin(
            name=name,
            role=role,
            setting_label=label,
            method="plain" if label == "plain" else "kd",
            setting={},
            seed=seed,
            num_epochs=1,
        )
        if accuracy is None:
            record.end(name, FAILED, "diverged")
            continue
        metrics = {"epoch": 1, "val_accuracy": accuracy + 1, "test_accuracy": accuracy}
        record.epoch(name, metrics)
        record.end(name, DONE)


def rows_of(record: Record) -> dict:
    return {row.label: row for row in compare(record)}


def test_rows_stand_from_tuned_to_teacher(record):
    train(record, "teacher", 80.0, role=TEACHER)
    train(record, "plain", 70.0)
    train(record, "published", 71.0)
    train(record, "tuned", 72.0)
    assert list(rows_of(record)) == ["tuned", "published", "plain", "teacher"]


def test_mean_and_sample_deviation(record):
    train(record, "plain", 70.0, 71.0, 73.0)
    row = rows_of(record)["plain"]
    # mean 214 / 3; squares of the distances 16/9 + 1/9 + 25/9 = 42/9, halved 7/3
    assert row.test_accuracy.mean == pytest.approx(214 / 3)
    assert row.test_accuracy.std == pytest.approx((7 / 3) ** 0.5)
    assert row.val_accuracy.mean == pytest.approx(217 / 3)
    assert row.num_seeds == 3


def test_one_seed_has_no_deviation_and_no_interval(record):
    train(record, "plain", 70.0)
    train(record, "tuned", 71.0)
    row = rows_of(record)["tuned"]
    assert row.test_accuracy == Accuracy(71.0, None)
    assert (row.to_plain.mean, row.to_plain.low, row.to_plain.high) == (1.0, None, None)
    assert row.to_plain.is_noise


def test_differences_are_paired_by_seed(record):
    # Seeds differ by ten points, the settings within a seed by 1, 2 and 3.
    train(record, "plain", 60.0, 70.0, 80.0)
    train(record, "tuned", 61.0, 72.0, 83.0)
    found = rows_of(record)["tuned"].to_plain
    margin = 4.302652730 / 3**0.5  # t of 0.975 with 2 degrees of freedom, deviation 1
    assert found.mean == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((2 - margin, 2 + margin))
    assert found.is_noise  # the interval reaches from -0.48 to 4.48


def test_intervals_of_several_comparisons_hold_together(record):
    train(record, "plain", 60.0, 70.0, 80.0)
    train(record, "tuned", 61.0, 72.0, 83.0)
    plain, tuned = (
        [trial for trial in record.trials_of(FINAL) if trial.setting_label == label]
        for label in ("plain", "tuned")
    )
    found = difference(tuned, plain, num_comparisons=4)
    margin = 8.860200 / 3**0.5  # t of 1 - 0.05 / 8 with 2 degrees of freedom, deviation 1
    assert (found.low, found.high) == pytest.approx((2 - margin, 2 + margin), rel=1e-6)
    assert "(95 % interval -3.12 to 7.12, corrected for 4 comparisons, 3 seeds)" in sentence(
        "A", "B", found
    )


def test_intervals_of_the_best_of_equals_seldom_hold_a_difference():
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


def test_only_seeds_that_both_finished_are_paired(record):
    train(record, "plain", 60.0, 70.0, 80.0)
    train(record, "tuned", 61.0, None, 83.0)
    row = rows_of(record)["tuned"]
    assert (row.num_seeds, row.num_failed, row.to_plain.num_seeds) == (2, 1, 2)
    assert row.to_plain.mean == pytest.approx(2.0)


def test_a_training_that_did_not_reach_its_last_epoch_does_not_count(record):
    record.begin(
        name="plain-1",
        role=FINAL,
        setting_label="plain",
        method="plain",
        setting={},
        seed=1,
        num_epochs=2,
    )
    record.epoch("plain-1", {"epoch": 1, "val_accuracy": 50.0})
    row = rows_of(record)["plain"]
    assert (row.num_seeds, row.val_accuracy, row.test_accuracy) == (0, None, None)


def test_the_verdict_names_difference_interval_and_seeds(record):
    train(record, "plain", 70.0, 70.0, 70.0)
    train(record, "published", 71.0, 71.5, 69.5)
    train(record, "tuned", 71.0, 71.1, 71.2)
    # Differences to plain have deviation 0.1: 4.3027 * 0.1 / sqrt(3) = 0.248. Those to
    # published are 0, -0.4, 1.7: mean 0.433, deviation 1.115, and so 2.770 to each side.
    assert verdict(compare(record)) == (
        "Tuned beats plain by 1.10 points of test accuracy"
        " (95 % interval 0.85 to 1.35, 3 seeds)."
        " Tuned and published differ within noise: +0.43 points of test accuracy"
        " (95 % interval -2.34 to 3.20, 3 seeds)."
    )


def test_the_verdict_admits_a_loss(record):
    train(record, "plain", 71.0, 71.1, 71.2)
    train(record, "tuned", 70.0, 70.0, 70.0)
    assert "Tuned loses to plain by 1.10 points" in verdict(compare(record))


def test_the_verdict_says_that_one_seed_says_nothing(record):
    train(record, "plain", 70.0)
    train(record, "tuned", 71.0)
    assert verdict(compare(record)) == (
        "Tuned is 1.00 points of test accuracy above plain, but one seed says nothing about noise."
    )


def test_the_verdict_says_that_the_published_setting_won(record):
    train(record, "plain", 70.0, 70.1)
    train(record, "published", 72.0, 72.15)
    assert verdict(compare(record)).startswith(
        "The published setting won the search. Published beats plain by 2.03 points"
    )


def test_equal_differences_of_few_seeds_are_no_proof(record):
    # Three seeds on a small test set often differ by the same few images.
    train(record, "plain", 70.0, 70.1, 70.2)
    train(record, "published", 70.3, 70.4, 70.5)
    assert "but 3 equal seeds say nothing about noise" in verdict(compare(record))


def test_a_tuned_setting_whose_trainings_failed_does_not_make_the_published_one_win(record):
    train(record, "plain", 70.0)
    train(record, "published", 71.0)
    train(record, "tuned", None)
    assert verdict(compare(record)) == "No final training of the tuned setting has finished yet."


def test_the_verdict_is_labelled_where_the_test_set_was_selected_on(record):
    train(record, "plain", 70.0)
    train(record, "tuned", 71.0)
    assert "selected on the test set" in verdict(compare(record), select_on="test")
    assert "selected on the test set" not in verdict(compare(record), select_on="val")


def test_without_final_trainings_nothing_is_claimed(record):
    assert compare(record) == []
    assert verdict([]) == "The final trainings have not begun, so nothing is compared yet."
