"""Figures of whole settings: parallel coordinates, and accuracy over two hyperparameters."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Drawing
from matplotlib.tri import LinearTriInterpolator, Triangulation, UniformTriRefiner

from tuner.reports.document import Figure
from tuner.reports.figure_style import COLOUR_SCALE, FAINT, LINE_SCALE, PAPER, drawing, short
from tuner.reports.hyperparameter_figures import basis, label_param, why_none
from tuner.reports.importances import Point, Points
from tuner.text.formatting import value_text


def parallel_coordinates(trials: Points, axis: str) -> Figure:
    """Every full-length trial as a line through its hyperparameters, coloured by accuracy."""
    name, title = "settings", f"Settings and {axis}"
    points = trials.points
    always = [param for param in trials.varied if len(trials.having(param)) == len(points)]
    if not always:
        return Figure(name, title, why_none(trials))
    norm = _norm(points)
    scales = [_Scale(param, points) for param in always]
    with drawing(max(4.0, 1.2 * len(always) + 1.4), 3.6) as figure:
        axes = figure.subplots()
        axes.axis("off")
        for place, scale in enumerate(scales):
            scale.draw(axes, place)
        # The best last, on top of the others.
        for point in sorted(points, key=lambda point: point.accuracy):
            axes.plot(
                range(len(always)),
                [scale.height(point) for scale in scales],
                color=LINE_SCALE(norm(point.accuracy)),
                linestyle="-",
                marker="o" if len(always) == 1 else None,
            )
        axes.set_xlim(-0.5, len(always) - 0.8)
        _colour_bar(figure, ScalarMappable(norm, LINE_SCALE), axes, axis)
    omitted = [param for param in trials.varied if param not in always]
    note = f" Omitted, because not every trial has them: {', '.join(omitted)}." if omitted else ""
    return Figure(name, title, basis(trials) + note, figure)


def contour(trials: Points, axis: str) -> Figure:
    """Accuracy over the two most important hyperparameters."""
    name, title = "contour", f"The two most important hyperparameters and {axis}"
    pair = _contour_pair(trials)
    if pair is None:
        return Figure(name, title, why_none(trials))
    points = trials.having(*pair)
    norm = _norm(points)
    x, y = ([point.place(param) for point in points] for param in pair)
    accuracies = [point.accuracy for point in points]
    with drawing(5.0, 3.8) as figure:
        axes = figure.subplots()
        axes.plot(x, y, linestyle="none")  # for the limits of the axes
        axes.margins(0.06)
        label_param(axes, "x", pair[0], points)
        label_param(axes, "y", pair[1], points)
        limits = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
        _colour_between(axes, x, y, accuracies, norm)
        axes.set(**limits)  # contours would leave no room for points at the edges
        # Rings that are visible on every colour, and on a light and a dark page.
        axes.scatter(x, y, s=46, c="black", linewidths=0, zorder=3)
        axes.scatter(x, y, s=36, c="white", linewidths=0, zorder=3)
        axes.scatter(x, y, s=20, c=accuracies, norm=norm, linewidths=0, zorder=3)
        axes.grid(False)
        _colour_bar(figure, ScalarMappable(norm, COLOUR_SCALE), axes, axis)
    caption = f"{basis(trials)} Points are trials; colours between trials are interpolated."
    return Figure(name, title, caption, figure)


def _contour_pair(trials: Points) -> tuple[str, str] | None:
    """The two most important hyperparameters that vary together in at least three trials."""
    names = list(trials.importances)
    for index, second in enumerate(names):
        for first in names[:index]:
            both = [(one.values[first], one.values[second]) for one in trials.having(first, second)]
            if len(both) > 2 and all(len(set(values)) > 1 for values in zip(*both, strict=True)):
                return first, second
    return None


def _colour_between(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    accuracies: Sequence[float],
    norm: Normalize,
) -> None:
    """Colours the triangles between points: linear as drawn, on logarithmic axes too."""
    points = axes.transScale.transform(np.column_stack([x, y]))
    low = points.min(axis=0)
    spread = points.max(axis=0) - low
    try:
        triangles = Triangulation(*((points - low) / spread).T)
        # Fine enough for straight edges on a logarithmic axis.
        fine, between = UniformTriRefiner(triangles).refine_field(
            accuracies,
            LinearTriInterpolator(triangles, accuracies),
            subdiv=4 if len(accuracies) < 50 else 2,
        )
    except (RuntimeError, ValueError):  # all on one line, or nearly
        return
    scaled = low + spread * np.column_stack([fine.x, fine.y])
    places = axes.transScale.inverted().transform(scaled)
    axes.tricontourf(
        Triangulation(places[:, 0], places[:, 1], fine.triangles),
        between,
        levels=12,
        cmap=COLOUR_SCALE,
        norm=norm,
    )


class _Scale:
    """One axis of the parallel coordinates, from 0 to 1."""

    def __init__(self, param: str, points: Sequence[Point]) -> None:
        self._param = param
        self._options = points[0].options(param)
        self._is_log = points[0].is_log(param)
        self._places = sorted({self._scaled(point) for point in points})
        self._low, self._span = self._places[0], self._places[-1] - self._places[0]

    def height(self, point: Point) -> float:
        """Where a trial's line crosses the axis."""
        return self._height(self._scaled(point))

    def draw(self, axes: Axes, place: float) -> None:
        """Draws the axis with its name and ticks at x = `place`."""
        axes.plot([place, place], [0, 1], "-", color=FAINT, linewidth=0.8)
        axes.text(place, 1.06, short(self._param), ha="center", va="bottom")
        for height, text in self._ticks():
            axes.plot([place - 0.03, place], [height, height], "-", color=FAINT, linewidth=0.8)
            axes.text(
                place - 0.05,
                height,
                short(text),
                ha="right",
                va="center",
                fontsize=7.5,
                # Lines pass behind it.
                bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
                zorder=3,
            )

    def _ticks(self) -> list[tuple[float, str]]:
        """(height, text): every option that was tried, or five values from low to high."""
        if self._options is not None:
            return [(self._height(x), value_text(self._options[int(x)])) for x in self._places]
        values = [self._low + self._span * quarter / 4 for quarter in range(5)]
        texts = [f"{math.exp(value) if self._is_log else value:.3g}" for value in values]
        return [(quarter / 4, text) for quarter, text in enumerate(texts)]

    def _scaled(self, point: Point) -> float:
        place = point.place(self._param)
        return math.log(place) if self._is_log else place

    def _height(self, scaled: float) -> float:
        return (scaled - self._low) / self._span


def _norm(points: Sequence[Point]) -> Normalize:
    accuracies = [point.accuracy for point in points]
    return Normalize(min(accuracies), max(accuracies))


def _colour_bar(figure: Drawing, colours: ScalarMappable, axes: Axes, axis: str) -> None:
    bar = figure.colorbar(colours, ax=axes, label=f"{axis} (%)", aspect=30, pad=0.02)
    bar.outline.set_visible(False)
