"""Tuned, published and plain: the rows of the comparison and its verdict."""

import pytest

from tests.support.by_hand import begin, new_record, train_finals
from tuner.reports.final_trainings import finals_of, winners_finals
from tuner.reports.settings import compare, rows_of_students, verdict
from tuner.reports.statistics import Accuracy
from tuner.results.record import Record
from tuner.results.trial import FINAL, TEACHER


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def train(record: Record, label: str, *test_accuracies: float | None, role: str = FINAL) -> None:
    train_finals(record, label, test_accuracies, role=role)


def rows_of(record: Record) -> dict:
    return {row.label: row for row in compare(record)}


def test_rows_stand_from_tuned_to_teacher(record):
    train(record, "teacher", 80.0, role=TEACHER)
    train(record, "plain", 70.0)
    train(record, "published", 71.0)
    train(record, "tuned", 72.0)
    assert list(rows_of(record)) == ["tuned", "published", "plain", "teacher"]
    students = [row.label for row in rows_of_students(compare(record))]
    assert students == ["tuned", "published", "plain"]


def test_a_row_has_accuracies_and_the_number_of_seeds(record):
    train(record, "plain", 70.0, 71.0, 73.0)
    row = rows_of(record)["plain"]
    assert row.test_accuracy.mean == pytest.approx(214 / 3)
    assert row.val_accuracy.mean == pytest.approx(217 / 3)
    assert row.num_seeds == 3


def test_one_seed_has_no_deviation_and_no_interval(record):
    train(record, "plain", 70.0)
    train(record, "tuned", 71.0)
    row = rows_of(record)["tuned"]
    assert row.test_accuracy == Accuracy(71.0, None)
    assert (row.to_plain.mean, row.to_plain.low, row.to_plain.high) == (1.0, None, None)
    assert row.to_plain.is_noise


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
    assert "but 3 identical differences say nothing about noise" in verdict(compare(record))


def test_the_published_setting_is_handed_out_where_it_validates_better(record):
    train(record, "plain", 70.0, 70.1)
    train(record, "tuned", 71.0, 71.1)
    train(record, "published", 72.0, 71.9)
    assert [row.label for row in compare(record)] == ["published", "tuned", "plain"]
    assert winners_finals(record) == finals_of(record, "published")
    sentences = verdict(compare(record))
    assert sentences.startswith("The published setting validates better than the tuned one. Publ")
    assert "Tuned and published differ within noise: -0.90 points" in sentences


def test_the_tuned_setting_is_handed_out_where_both_validate_equally_well(record):
    train(record, "published", 71.0, 71.2)
    train(record, "tuned", 71.2, 71.0)
    assert winners_finals(record) == finals_of(record, "tuned")


def test_a_tuned_setting_whose_trainings_failed_is_not_handed_out(record):
    train(record, "plain", 70.0)
    train(record, "published", 71.0)
    train(record, "tuned", None)
    assert verdict(compare(record)).startswith(
        "All final trainings of the tuned setting failed. Published is 1.00 points"
    )


def test_the_published_setting_is_not_handed_out_while_the_tuned_one_trains(record):
    train(record, "published", 71.0)
    begin(record, "tuned-1", FINAL, setting_label="tuned")
    assert verdict(compare(record)) == "No final training of the tuned setting has finished yet."


def test_the_verdict_is_labelled_where_the_test_set_was_selected_on(record):
    train(record, "plain", 70.0)
    train(record, "tuned", 71.0)
    assert "selected on the test set" in verdict(compare(record), select_on="test")
    assert "selected on the test set" not in verdict(compare(record), select_on="val")


def test_without_final_trainings_nothing_is_claimed(record):
    assert compare(record) == []
    assert verdict([]) == "The final trainings have not begun, so nothing is compared yet."
