"""Methods compared, from records made by hand."""

import json
from dataclasses import asdict

import pytest

from tests.support.searched import make_method
from tuner.reports.methods import compare_methods, methods_findings, row_texts
from tuner.results.record import Record
from tuner.results.trial import FINAL


@pytest.fixture
def records(tmp_path) -> dict[str, Record]:
    return {
        "kd": make_method(tmp_path, "kd", tuned=(60.0, 61.5, 62.0), published=(59.0, 60.0, 61.0)),
        "at": make_method(tmp_path, "at", published=(55.0, 56.0, 57.1), seconds=2.0),
        "sp": make_method(tmp_path, "sp"),
    }


def test_methods_are_ranked_on_validation_and_compared_on_the_test_set(records):
    kd, at, sp, plain = compare_methods(records)
    assert [row.method for row in (kd, at, sp, plain)] == ["kd", "at", "sp", "plain"]
    assert kd.setting == {"weight": 2.0}  # what was searched, of the tuned setting
    assert not kd.is_published
    assert at.is_published
    assert kd.val_accuracy.mean == pytest.approx(62.1666, abs=1e-3)
    assert kd.test_accuracy.mean == pytest.approx(61.1666, abs=1e-3)
    assert kd.to_plain.mean == pytest.approx(10.1666, abs=1e-3)
    assert kd.to_best is None
    assert at.to_best.mean == pytest.approx(-(5.0 + 5.5 + 4.9) / 3)
    assert at.to_best.low < at.to_best.mean < at.to_best.high < 0
    assert plain.to_plain is None
    assert plain.to_best.mean == pytest.approx(-10.1666, abs=1e-3)


def test_cost_is_the_time_of_an_epoch_relative_to_plain_training(records):
    assert [row.cost for row in compare_methods(records)] == [2.0, 4.0, None, 1.0]


def test_a_method_without_a_finished_training_is_last_and_named(records):
    rows = compare_methods(records)
    assert rows[2].num_seeds == 0
    assert rows[2].to_best is None
    assert row_texts(rows[2]) == ("sp", "", "–", "–", "–", "–", "–")
    assert " ".join(methods_findings(rows)) == (
        "kd has the highest validation accuracy of the methods."
        # t of 1 - 0.05 / 4 with 2 degrees of freedom is 6.2053, the standard error 1 / 6.
        " kd beats plain by 10.17 points of test accuracy"
        " (95 % interval 9.13 to 11.20, corrected for 2 comparisons, 3 seeds)."
        " It beats at on the test set."
        " No final training of sp has finished."
        " These trainings also chose the best method, so intervals are corrected: its differences"
        " from the other methods hold simultaneously at 95 %."
    )


def test_methods_within_noise_are_named(tmp_path):
    records = {
        "kd": make_method(tmp_path, "kd", published=(60.0, 61.5, 62.0)),
        "at": make_method(tmp_path, "at", published=(59.0, 62.0, 61.0)),
    }
    verdict = " ".join(methods_findings(compare_methods(records), "test"))
    assert "Within noise of it: at." in verdict
    assert "selected on the test set" in verdict


def test_the_best_on_validation_may_lose_on_the_test_set(tmp_path):
    records = {
        "kd": make_method(tmp_path, "kd", published=(60.0, 61.5, 62.0)),
        "at": make_method(tmp_path, "at", published=(65.0, 66.4, 67.1)),
    }
    for trial in records["kd"].trials_of(FINAL):
        trial.epochs[0]["val_accuracy"] = 90.0
    verdict = " ".join(methods_findings(compare_methods(records)))
    assert verdict.startswith("kd has the highest validation accuracy of the methods.")
    assert "It loses to at on the test set." in verdict


def test_without_a_finished_training_nothing_is_compared(tmp_path):
    rows = compare_methods({"kd": make_method(tmp_path, "kd")})
    assert methods_findings(rows)[0].startswith("No final training of any method has finished")


def test_the_more_methods_the_wider_the_intervals_of_the_best(tmp_path):
    records = {
        "kd": make_method(tmp_path, "kd", published=(60.0, 61.5, 62.0)),
        "at": make_method(tmp_path, "at", published=(59.0, 60.2, 61.1)),
    }
    (_, two, _) = compare_methods(records)
    records |= {
        name: make_method(tmp_path, name, published=(50.0, 51.5, 52.2)) for name in ("sp", "cc")
    }
    (_, four, *_) = compare_methods(records)
    # t of 1 - 0.05 / 2 and of 1 - 0.05 / 12, with 2 degrees of freedom.
    assert two.to_best.num_comparisons == 1
    assert four.to_best.num_comparisons == 6  # pairs: each might have been the best
    margins = [row.to_best.high - row.to_best.mean for row in (two, four)]
    assert margins[1] / margins[0] == pytest.approx(10.8859 / 4.3027, rel=1e-4)


def test_a_row_is_plain_data_for_programs(records):
    row = json.loads(json.dumps(asdict(compare_methods(records)[1])))
    assert row["method"] == "at"
    assert row["to_best"]["num_seeds"] == 3
