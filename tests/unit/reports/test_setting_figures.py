"""Figures of whole settings."""

import pytest

from tests.support.by_hand import new_record
from tests.unit.reports.test_importances import METRIC, SPACE, add, many
from tuner.reports.importances import points_of
from tuner.reports.setting_figures import contour, parallel_coordinates
from tuner.results.record import Record


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def test_a_line_passes_through_what_every_trial_has(record):
    figure = parallel_coordinates(many(record), "accuracy")
    assert figure.caption.endswith(" Omitted, because not every trial has them: h.")
    lines = [line for line in figure.drawing.axes[0].lines if list(line.get_xdata()) == [0, 1]]
    assert len(lines) == 12
    weights, kernels = zip(*(line.get_ydata() for line in lines), strict=True)
    assert sorted(weights) == pytest.approx([number / 11 for number in range(12)])
    assert sorted(kernels) == [0.0] * 6 + [1.0] * 6


def test_a_contour_is_over_the_two_most_important_that_vary_together(record):
    trials = many(record)
    axes, bar = contour(trials, "accuracy").drawing.axes
    # "kernel" does not vary among the trials that have "h".
    names = [name for name in trials.importances if name in ("weight", "h", "kernel")]
    assert {axes.get_xlabel(), axes.get_ylabel()} != {"kernel", "h"}
    assert {axes.get_xlabel(), axes.get_ylabel()} <= set(names)
    assert bar.get_ylabel() == "accuracy (%)"


def test_two_trials_make_no_contour(record):
    add(record, 1.0, 2.0, 80.0)
    add(record, 2.0, 3.0, 81.0)
    figure = contour(points_of(record, SPACE, METRIC), "accuracy")
    assert figure.drawing is None
    assert figure.caption.startswith("Not enough variety")


def test_points_on_one_line_have_no_colours_between_them(record):
    for number in range(1, 4):
        add(record, float(number), 10.0 ** (number / 4), 80.0 + number)
    trials = points_of(record, SPACE, METRIC)
    straight = contour(trials, "accuracy").drawing
    assert straight is None or len(straight.axes[0].collections) == 3  # the rings of the points
