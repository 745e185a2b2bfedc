"""Findings claim no more than the seeds allow."""

import pytest

from tests.support.reproducing import ALPHAS, report_of, results
from tuner.reproductions.artefacts import findings
from tuner.reproductions.published import Value


def test_the_best_beats_those_it_is_clearly_above(tmp_path) -> None:
    found = results(
        "itrd-kernel",
        {"polynomial": [70.0, 70.2, 70.4], "RBF, h = 1": [60.1, 60.2, 60.5],
         "RBF, h = 5": [69.5, 71.0, 69.9]},
        tmp_path, seeds=3,
    )  # fmt: skip
    texts = findings.best_of_many(
        found, ["polynomial", "RBF, h = 1", "RBF, h = 5"], "polynomial", is_papers=True
    )
    assert texts == [
        "Of 3 settings, polynomial has the highest validation accuracy, as in the paper"
        " (71.20 ± 0.20 %; test 70.20 ± 0.20 %).",
        "polynomial beats RBF, h = 1 (intervals corrected for 3 comparisons).",
        "Within noise of it: RBF, h = 5.",
    ]


def test_one_seed_separates_nothing(tmp_path) -> None:
    found = results("itrd-log", {"without log2": [70.0], "with log2": [60.0]}, tmp_path, seeds=1)
    first, second = findings.best_of_many(found, ["without log2", "with log2"])
    assert "as in the paper" not in first
    assert second == (
        "without log2 is 10.00 points of test accuracy above with log2, but one seed says nothing"
        " about noise."
    )
    (text,) = findings.beside_published(
        found, {"without log2": Value(71.5, None, ""), "with log2": Value(71.4, None, "")}
    )
    assert (
        "do not differ beyond noise here, so their order neither confirms nor contradicts" in text
    )


def test_no_training_is_no_finding(tmp_path) -> None:
    found = results("itrd-log", {}, tmp_path)
    assert findings.best_of_many(found, ["without log2"]) == [findings.NOTHING_FINISHED]
    assert findings.beside_published(found, {"with log2": Value(1.0, None, "")}) == []
    assert "Too few" in findings.spread(found, ["without log2", "with log2"], "both")


def test_the_order_is_compared_where_it_is_beyond_noise(tmp_path) -> None:
    accuracies = {
        label: [value, value + 0.1, value + 0.25]
        for label, value in zip(ALPHAS, (51, 52, 53, 54, 55, 56, 57), strict=True)
    }
    # Equal differences by seed have no interval; these have.
    accuracies = {
        label: [v + 0.01 * n * i for i, v in enumerate(values)]
        for n, (label, values) in enumerate(accuracies.items())
    }
    found = results("itrd-alpha", accuracies, tmp_path, seeds=3, epochs=2)
    published = {label: Value(60.0 - n, None, "") for n, label in enumerate(ALPHAS)}
    (text,) = findings.beside_published(found, published)
    assert "Kendall's rank correlation with the paper's is -1.00 (p < 0.01) over 7 settings" in text
    assert "against the paper's order: " in text
    assert "Scaled down, accuracies are not comparable" in text


def test_at_full_scale_accuracies_are_compared(tmp_path) -> None:
    found = results(
        "itrd-log",
        {"without log2": [71.4, 71.6, 71.5, 71.7, 71.3], "with log2": [70.0, 70.1, 70.2, 70.1, 70]},
        tmp_path,
    )
    assert found.is_full_scale
    text = " ".join(report_of(found).findings)
    assert "differ from the published ones by 0.65 points on average and 1.28 at most" in text
    assert "1 of 2 published values lie within the 95 % interval of the measured mean" in text
    assert "The two settings differ beyond noise, in the paper's order." in text


def test_noise_alone_spreads_means(tmp_path) -> None:
    # 2/sqrt(pi) is the expected range of two normal values.
    assert findings.expected_range(2) == pytest.approx(1.128379, abs=1e-5)
    assert findings.expected_range(7) == pytest.approx(2.704, abs=1e-3)
    found = results("itrd-log", {"without log2": [70, 80], "with log2": [71, 81]}, tmp_path)
    text = findings.spread(found, ["without log2", "with log2"], "both")
    # Seeds differ by ten points, settings always by one: no noise is left.
    assert text == (
        "Test accuracy varies by 1.00 points over both (75.00 to 76.00 %);"
        " noise alone would spread them by about 0.00."
    )


@pytest.mark.parametrize(
    ("chance", "text"), [(0.1361, "p = 0.14"), (0.0004, "p < 0.01"), (1.0, "p = 1.00")]
)
def test_a_probability_has_two_digits(chance, text) -> None:
    assert findings.probability_text(chance) == text
