"""Figures of single hyperparameters."""

import pytest

from tests.support.by_hand import new_record
from tests.unit.reports.test_importances import METRIC, SPACE, add, many
from tuner.reports.hyperparameter_figures import importance_bars, slices
from tuner.reports.importances import points_of
from tuner.results.record import Record
from tuner.results.trial import STOPPED


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def test_a_slice_shows_full_length_trials_only(record):
    add(record, 1.0, 2.0, 80.0)
    add(record, 2.0, 2.0, 81.0)
    add(record, 9.0, None, 99.0, STOPPED)
    figure = slices(points_of(record, SPACE, METRIC), "accuracy")
    (axes,) = figure.drawing.axes
    points = [x for drawn in axes.collections for x, _ in drawn.get_offsets()]
    assert sorted(points) == [1.0, 2.0]
    assert figure.caption.startswith("Based on the 2 trials that ran to the end")


def test_every_varied_hyperparameter_has_a_panel_and_a_bar(record):
    trials = many(record)
    figure = slices(trials, "accuracy")
    assert [axes.get_xlabel() for axes in figure.drawing.axes] == ["weight", "kernel", "h"]
    kernel, h = figure.drawing.axes[1:]
    assert [text.get_text() for text in kernel.get_xticklabels()] == ["polynomial", "rbf"]
    assert h.get_xscale() == "log"
    (axes,) = importance_bars(trials, "accuracy").drawing.axes
    shown = {text.get_text() for text in axes.get_yticklabels()}
    assert shown == {"weight", "kernel", "h"}


@pytest.mark.parametrize(
    ("accuracies", "reason"),
    [
        ([80.0], "Not enough full-length trials: 1; at least 2 are needed."),
        ([80.0, 80.0], "Not enough variety: the 2 trials"),
    ],
)
def test_what_cannot_be_drawn_says_why(record, accuracies, reason):
    for accuracy in accuracies:
        add(record, 1.0, 2.0, accuracy)
    trials = points_of(record, SPACE, METRIC)
    for figure in (slices(trials, "accuracy"), importance_bars(trials, "accuracy")):
        assert figure.drawing is None
        assert figure.caption.startswith(reason)
