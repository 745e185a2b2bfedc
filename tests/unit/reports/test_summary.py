"""What a search found, in words."""

import pytest

from tests.support.by_hand import begin, new_record, run, train_finals
from tuner.reports.settings import compare
from tuner.reports.summary import findings, is_interrupted
from tuner.results.record import Record, winner
from tuner.results.trial import FAILED

REQUEST = {"trials": 2, "seeds": 2}


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def found(record: Record, **request) -> list[str]:
    best = winner(record, "val_accuracy")
    return findings(record, REQUEST | request, compare(record), best)


def some_trials(record: Record) -> None:
    begin(record, "0000")
    run(record, "0000", [50.0, 60.0, 70.0])
    begin(record, "0001", setting={"weight": 2.0})
    run(record, "0001", [50.0, 60.0, 71.25])
    begin(record, "0002")
    run(record, "0002", [90.0])
    begin(record, "0003")
    record.end("0003", FAILED, "diverged")


def test_the_winner_and_the_trials_are_named_with_their_limits(record):
    some_trials(record)
    train_finals(record, "tuned", (60.0, 61.5))
    train_finals(record, "published", (59.0, 60.0))
    train_finals(record, "plain", (50.0, 51.0))
    verdict, best, trials = found(record)
    assert verdict.startswith("Tuned beats plain by 10.25 points")
    assert best == (
        "Best trial: 0001 (weight 2), 71.25 % validation accuracy with one seed."
        " As the best of 2, this accuracy is optimistic; the final trainings use fresh seeds."
    )
    assert trials == (
        "4 trials: 2 ran to the end, 1 stopped early, 1 failed. Training time of all trials: 0.0 s."
    )


def test_a_trial_that_was_stopped_early_never_wins(record):
    begin(record, "0000")
    run(record, "0000", [90.0])
    best, trials = found(record)
    assert best == "There is no best trial: none ran to its last epoch."
    assert trials.endswith(
        "The search is unfinished; the command at the end of this page resumes it."
    )


def test_a_search_is_interrupted_while_something_is_left_to_train(record):
    begin(record, "0000")
    assert is_interrupted(record, {"trials": 1})  # the trial is running
    record.end("0000", FAILED, "diverged")
    assert is_interrupted(record, REQUEST)  # one of two trials has begun
    assert not is_interrupted(record, {"trials": 1})  # all failed: nothing wins
    begin(record, "0001")
    run(record, "0001", [50.0] * 3)
    assert is_interrupted(record, REQUEST)  # no final training has begun
    train_finals(record, "published", (59.0, 60.0))
    train_finals(record, "plain", (50.0,))
    assert is_interrupted(record, REQUEST)  # plain lacks a seed
    train_finals(record, "plain", (50.0, 51.0))
    assert not is_interrupted(record, REQUEST)
