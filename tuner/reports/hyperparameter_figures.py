"""Figures of single hyperparameters: each against accuracy, and how much each matters."""

import math
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tuner.reports.document import Figure
from tuner.reports.figure_style import BLUE, INK, ORANGE, drawing, log_scale, short
from tuner.reports.importances import Point, Points
from tuner.text.formatting import value_text

PANELS_PER_ROW = 3
MIN_TRIALS = 2  # of full length, for anything that compares trials
LONGEST_TICKS = 22  # characters of an axis's options side by side; longer ones are slanted


def slices(trials: Points, axis: str) -> Figure:
    """Each hyperparameter against accuracy, one panel each."""
    name, title = "slices", f"Each hyperparameter against {axis}"
    params = trials.varied
    if not params:
        return Figure(name, title, why_none(trials))
    num_rows = math.ceil(len(params) / PANELS_PER_ROW)
    num_columns = min(len(params), PANELS_PER_ROW)
    best = max(trials.points, key=lambda point: point.accuracy)
    with drawing(2.15 * num_columns + 0.2, 2.1 * num_rows + 0.2) as figure:
        panels = figure.subplots(num_rows, num_columns, sharey=True, squeeze=False)
        for panel, param in zip(panels.flat, params, strict=False):
            _scatter(panel, param, trials.having(param), best)
        for row in panels:
            row[0].set_ylabel(f"{axis} (%)")
        for panel in panels.flat[len(params) :]:
            panel.remove()
    caption = (
        f"{basis(trials)} The star marks the best. A panel shows only the trials that have its"
        " hyperparameter."
    )
    return Figure(name, title, caption, figure)


def importance_bars(trials: Points, axis: str) -> Figure:
    """The share of the accuracy's variation that each hyperparameter accounts for."""
    name, title = "importances", f"Importance of the hyperparameters for {axis}"
    found = trials.importances
    if len(found) < 2:
        return Figure(name, title, why_none(trials))
    with drawing(height_inches=0.8 + 0.28 * len(found)) as figure:
        axes = figure.subplots()
        bars = axes.barh([short(param) for param in found], list(found.values()), color=BLUE)
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8, color=INK)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 1.12 * max(found.values()))
        axes.set_xlabel("importance (share of the whole, PED-ANOVA)")
    caption = f"{basis(trials)} With fewer than about 20 trials this is only a hint."
    return Figure(name, title, caption, figure)


def basis(trials: Points) -> str:
    """The sentence that begins each caption: what the figure is drawn from."""
    return f"Based on the {len(trials.points)} trials that ran to the end, one seed each."


def why_none(trials: Points) -> str:
    """The caption in place of a figure that cannot be drawn."""
    number = len(trials.points)
    if number < MIN_TRIALS:
        return f"Not enough full-length trials: {number}; at least {MIN_TRIALS} are needed."
    return (
        f"Not enough variety: the {number} trials that ran to the end differ in too few"
        " hyperparameters, or not in accuracy."
    )


def label_param(axes: Axes, which: Literal["x", "y"], param: str, points: list[Point]) -> None:
    """Labels an axis with a hyperparameter: its options, or its linear or logarithmic scale."""
    axes.set(**{f"{which}label": short(param)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    options = points[0].options(param)
    if options is not None:
        tried = sorted({point.place(param) for point in points})
        axis.set_ticks(tried, [short(value_text(options[int(place)])) for place in tried])
        axes.set(**{f"{which}lim": (tried[0] - 0.5, tried[-1] + 0.5)})
        labels = axis.get_ticklabels()
        if which == "x" and sum(len(text.get_text()) for text in labels) > LONGEST_TICKS:
            axis.set_tick_params(rotation=30)
            for text in axis.get_ticklabels():
                text.set(ha="right", rotation_mode="anchor")
    elif points[0].is_log(param):
        log_scale(axes, which)
    else:
        axis.set_major_locator(MaxNLocator(5))


def _scatter(panel: Axes, param: str, points: list[Point], best: Point) -> None:
    for colour, marker, size, members in (
        (BLUE, "o", 24, [point for point in points if point is not best]),
        (ORANGE, "*", 90, [point for point in points if point is best]),
    ):
        panel.scatter(
            [point.place(param) for point in members],
            [point.accuracy for point in members],
            c=colour,
            marker=marker,
            s=size,
            linewidths=0,
            zorder=3,
        )
    label_param(panel, "x", param, points)
