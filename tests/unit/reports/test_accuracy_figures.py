"""What the figures of accuracy draw."""

import pytest

from tests.support.by_hand import new_record, train_finals
from tests.support.searched import make_search
from tuner.reports.accuracy_figures import (
    best_so_far,
    final_accuracies,
    final_curves,
    search_curves,
)
from tuner.reports.final_trainings import finals_of


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def legend_of(figure) -> list[str]:
    (axes,) = figure.drawing.axes
    return [text.get_text().strip() for text in axes.get_legend().get_texts()]


def test_curves_of_final_trainings_are_means_over_seeds():
    record = make_search("a", (60.0, 61.0, 65.0)).record
    figure = final_curves(record, "val_accuracy", "validation accuracy")
    assert legend_of(figure) == ["tuned (n = 3)", "published (n = 3)", "plain (n = 3)"]
    tuned, *_ = figure.drawing.axes[0].lines
    assert list(tuned.get_xdata()) == [1, 2]
    assert list(tuned.get_ydata()) == [63.0, 63.0]


def test_curves_of_trials_are_grouped_by_what_became_of_them():
    record = make_search("a", (60.0,)).record
    winner = record.trials["0002"]
    figure = search_curves(record, winner, "val_accuracy", "validation accuracy")
    assert legend_of(figure) == ["stopped early (1)", "full length (1)", "winner"]


def test_each_seed_its_mean_and_interval_are_drawn_where_there_is_one(tmp_path):
    record = new_record(tmp_path)
    train_finals(record, "tuned", (60.0, 61.0, 65.0))
    train_finals(record, "plain", (50.0,))
    groups = {label: finals_of(record, label) for label in ("tuned", "plain", "published")}
    (axes,) = final_accuracies(groups).drawing.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["tuned", "plain"]
    squares = [line for line in axes.lines if line.get_marker() == "s"]
    assert [line.get_xdata()[0] for line in squares] == [62.0, 50.0]
    assert len(axes.containers) == 1  # one seed has no interval


def test_a_stopped_trial_is_never_the_best_so_far():
    one = make_search("a", (60.0, 61.0, 63.0))
    figure = best_so_far({"a": (one.record, "val_accuracy")}, "validation accuracy")
    (line,) = figure.drawing.axes[0].lines
    assert list(line.get_xdata()) == [2, 5, 5]  # the stopped trial's epoch counts
    assert list(line.get_ydata()) == [61.0, 63.0, 63.0]


def test_a_name_that_begins_like_one_of_matplotlibs_own_is_in_the_legend():
    searches = {name: (make_search(name, (60.0,)).record, "val_accuracy") for name in ("_a", "$b$")}
    assert legend_of(best_so_far(searches, "accuracy")) == ["_a", r"\$b\$"]


def test_without_trainings_a_figure_says_why(tmp_path):
    record = new_record(tmp_path)
    for figure, reason in (
        (final_curves(record, "val_accuracy", ""), "No final training has finished."),
        (search_curves(record, None, "val_accuracy", ""), "No trial has finished an epoch."),
        (final_accuracies({"plain": []}), "No final training has finished."),
        (best_so_far({"a": (record, "val_accuracy")}, ""), "No trial ran to its last epoch."),
    ):
        assert (figure.drawing, figure.caption) == (None, reason)
