"""Totals of an epoch: means of its steps, and an error that names the first bad one."""

import pytest
import torch

from tuner.training.epoch_totals import DivergedError, EpochTotals, Step


def step(ce: float, kd: float, num_correct: int | None = 1, seconds: float = 0.0) -> Step:
    correct = None if num_correct is None else torch.tensor(num_correct)
    return Step({"ce": torch.tensor(ce), "kd": torch.tensor(kd)}, correct, seconds)


def totals_of(*steps: Step) -> EpochTotals:
    totals = EpochTotals(epoch=3, lr=0.05)
    for one in steps:
        totals.add(one)
    return totals


def test_terms_are_averaged_over_steps_and_the_rest_is_summed():
    totals = totals_of(step(1.0, 2.0, 3, 0.5), step(3.0, 6.0, 4, 0.25))
    assert totals.metrics("train") == {"train_loss": 6.0, "train_ce": 2.0, "train_kd": 4.0}
    assert (totals.num_correct, totals.teacher_seconds) == (7, 0.75)


def test_without_a_student_nothing_is_correct():
    assert totals_of(step(1.0, 1.0, None)).num_correct == 0


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_the_first_term_that_is_not_finite_is_named(value):
    bad = float(value)
    totals = totals_of(step(1.0, 1.0), step(1.0, bad), step(bad, bad))
    with pytest.raises(
        DivergedError, match=rf"^the term 'kd' became {value} at epoch 3, step 2 \(lr 0\.05\)$"
    ):
        totals.metrics("train")
