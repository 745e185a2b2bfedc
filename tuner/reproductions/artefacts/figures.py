"""Drawings of the papers' figures: accuracy against a weight, against epochs, over two weights."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from tuner.reports.figure_style import (
    BLUE,
    COLOUR_SCALE,
    COLOURS,
    DASHES,
    FAINT,
    INK,
    LINE_WIDTH,
    MARKERS,
    ORANGE,
    PAPER,
    drawing,
    legend_above,
    log_scale,
)
from tuner.reports.statistics import Accuracy
from tuner.reproductions.published import Value

WIDE = 8.0  # inches; five panels side by side


def sweep(
    panels: Mapping[str, Mapping[float, Accuracy | None]],
    *,
    base: Mapping[str, float] | None = None,
    published: Mapping[float, Value | None] | None = None,
    shares_axis: bool = False,
    log: bool = False,
) -> Drawing:
    """Accuracy in percent against a hyperparameter, with a panel for each.

    Error bars are deviations over the seeds; a dotted line marks the value in `base`. Published
    values have a separate axis unless they are comparable (`shares_axis`).
    """
    with drawing(LINE_WIDTH, 3.1) as figure:
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (name, points) in zip(all_axes, panels.items(), strict=True):
            measured = {x: found for x, found in points.items() if found is not None}
            _with_errors(axes, measured, colour=BLUE, marker="o", dash="-", label="measured")
            if published is not None:
                known = {x: value for x, value in published.items() if value is not None}
                right = axes if shares_axis else axes.twinx()
                _with_errors(right, known, colour=ORANGE, marker="s", dash="--", label="published")
                if not shares_axis:
                    right.set_ylabel("published test accuracy (%)")
                    right.spines["right"].set_visible(True)
                    right.grid(False)
                drawn = [container for one in (axes, right) for container in one.containers]
                legend_above(axes, handles=list(dict.fromkeys(drawn)))
            if base is not None and name in base:
                axes.axvline(base[name], color=FAINT, linestyle=":", linewidth=1.2, zorder=1)
            axes.set_xlabel(symbol(name))
            if log:
                log_scale(axes, "x")
                axes.set_xticks(list(points), [f"{value:g}" for value in points])
        all_axes[0].set_ylabel("test accuracy (%)")
    return figure


def convergence(curves: Mapping[str, Sequence[Sequence[float]]], drops: Sequence[int]) -> Drawing:
    """Validation accuracy against epochs: lines are means, bands reach from worst to best seed.

    `curves` by label, one per seed. The epochs after each drop of the learning rate are enlarged
    below.
    """
    num_epochs = max((len(curve) for runs in curves.values() for curve in runs), default=1)
    windows = _windows(drops, num_epochs)
    with drawing(LINE_WIDTH, 5.0 if windows else 3.2) as figure:
        if windows:
            grid = figure.add_gridspec(2, len(windows), height_ratios=(1.5, 1))
            whole = figure.add_subplot(grid[0, :])
            parts = [figure.add_subplot(grid[1, n]) for n in range(len(windows))]
        else:
            whole, parts = figure.add_subplot(), []
        for axes, window in ((whole, None), *zip(parts, windows, strict=True)):
            low, high = _draw_curves(axes, curves, window)
            axes.set_xlabel("epoch")
            if window is not None and low < high:
                axes.set_xlim(*window)
                axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
                margin = 0.06 * (high - low)
                axes.set_ylim(low - margin, high + margin)
                axes.set_title(f"epochs {window[0]} to {window[1]}", fontweight="normal")
        for drop in drops:
            whole.axvline(drop + 0.5, color=FAINT, linestyle=":", linewidth=1)
        for axes in (whole, *parts[:1]):
            axes.set_ylabel("validation accuracy (%)")
        if any(curves.values()):
            legend_above(whole)
    return figure


def landscape(
    accuracies: Mapping[tuple[float, ...], float],
    names: Sequence[str],
    fixed: int,
    levels: np.ndarray,
) -> Drawing:
    """Contours over two of three weights, with a panel for each value of the third.

    `accuracies` in percent by the three weights; `fixed`: the number of the third; `levels`
    are those of the contours, [L].
    """
    first, second = (number for number in range(3) if number != fixed)
    values = sorted({weights[fixed] for weights in accuracies})
    steps = [sorted({weights[n] for weights in accuracies}) for n in (first, second)]
    with drawing(WIDE, 2.0) as figure:
        all_axes = figure.subplots(1, len(values), sharex=True, sharey=True, squeeze=False)[0]
        for axes, value in zip(all_axes, values, strict=True):
            height = np.full((len(steps[1]), len(steps[0])), np.nan)
            for (row, y), (column, x) in product(enumerate(steps[1]), enumerate(steps[0])):
                weights = [0.0, 0.0, 0.0]
                weights[first], weights[second], weights[fixed] = x, y, value
                height[row, column] = accuracies.get(tuple(weights), np.nan)
            drawn = _draw_contours(axes, steps, height, levels)
            axes.set_title(f"{symbol(names[fixed])} = {value:g}", fontweight="normal")
            axes.set_xlabel(symbol(names[first]))
        all_axes[0].set_ylabel(symbol(names[second]))
        bar = figure.colorbar(drawn, ax=list(all_axes), pad=0.01, aspect=12)
        ticks = [float(level) for level in levels[:: max(1, round(len(levels) / 6))]]
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        bar.set_label("test accuracy (%)")
    return figure


def effects(panels: Mapping[str, Mapping[float, Sequence[float]]], plain: float | None) -> Drawing:
    """The accuracies of all settings against each weight, with means and 95 % intervals.

    `panels`: by weight and its value; `plain`: drawn as a line.
    """
    with drawing(LINE_WIDTH, 2.8) as figure:
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (name, by_value) in zip(all_axes, panels.items(), strict=True):
            values = sorted(by_value)
            means = [float(np.mean(by_value[value])) for value in values]
            errors = [
                1.96 * float(np.std(by_value[value], ddof=1)) / len(by_value[value]) ** 0.5
                if len(by_value[value]) > 1
                else 0.0
                for value in values
            ]
            for value in values:
                axes.plot(
                    [value] * len(by_value[value]),
                    by_value[value],
                    ".",
                    color=FAINT,
                    alpha=0.35,
                    markersize=4,
                    linestyle="none",
                )
            axes.errorbar(values, means, errors, color=BLUE, marker="o", linestyle="-")
            if plain is not None:
                axes.axhline(plain, color=ORANGE, linestyle="--", linewidth=1.2)
            axes.set_xlabel(symbol(name))
        all_axes[0].set_ylabel("test accuracy (%)")
    return figure


def symbol(name: str) -> str:
    """A weight's name as printed: the index of λ_g is set lower."""
    letter, _, index = name.partition("_")
    return rf"${letter}_{{\mathrm{{{index}}}}}$" if index and " " not in name else name


def bars(panels: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Drawing:
    """Bars of measured and published values by name, with a panel for each quantity."""
    names = list(dict.fromkeys(n for p in panels.values() for g in p.values() for n in g))
    with drawing(LINE_WIDTH, 0.9 + 0.42 * len(names)) as figure:
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (quantity, groups) in zip(all_axes, panels.items(), strict=True):
            height = 0.8 / len(groups)
            for number, (group, values) in enumerate(groups.items()):
                offset = (number - (len(groups) - 1) / 2) * height
                drawn = axes.barh(
                    [n + offset for n in range(len(names))],
                    [values.get(name, 0.0) for name in names],
                    height * 0.92,
                    label=group,
                    color=COLOURS[number],
                    hatch=("", "///")[number % 2],
                )
                labels = [f"{values[name]:.2f}" if name in values else "" for name in names]
                axes.bar_label(drawn, labels, padding=3, fontsize=8, color=INK)
            axes.set_xlabel(quantity)
            axes.margins(x=0.18)
            axes.grid(axis="y", visible=False)
        all_axes[0].set_yticks(range(len(names)), names)
        all_axes[0].invert_yaxis()
        legend_above(all_axes[0])
    return figure


def _with_errors(
    axes: Axes,
    points: Mapping[float, Accuracy | Value],
    *,
    colour: str,
    marker: str,
    dash: str,
    label: str,
) -> None:
    axes.errorbar(
        list(points),
        [found.mean for found in points.values()],
        [found.std or 0.0 for found in points.values()],
        color=colour,
        marker=marker,
        linestyle=dash,
        label=label,
        markerfacecolor=PAPER if marker == "s" else colour,
    )


def _draw_contours(
    axes: Axes, steps: Sequence[Sequence[float]], height: np.ndarray, levels: np.ndarray
) -> QuadContourSet:
    """Fills the contours of a panel [len(steps[1]), len(steps[0])] and marks its settings."""
    drawn = axes.contourf(*steps, height, levels=levels, cmap=COLOUR_SCALE, extend="both")
    axes.contour(*steps, height, levels=levels, colors="white", linewidths=0.4, alpha=0.7)
    axes.plot(
        *np.meshgrid(*steps),
        ".",
        color="white",
        markersize=4.5,
        markeredgecolor="black",
        markeredgewidth=0.5,
        clip_on=False,
        zorder=3,
    )
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_aspect("equal")
    axes.grid(False)
    return drawn


def _windows(drops: Sequence[int], num_epochs: int) -> list[tuple[int, int]]:
    """The epochs to enlarge: from each drop to the next, if they are enough for a line."""
    ends = [*drops[1:], num_epochs]
    return [(drop, end) for drop, end in zip(drops, ends, strict=True) if end - drop >= 2]


def _draw_curves(
    axes: Axes, curves: Mapping[str, Sequence[Sequence[float]]], window: tuple[int, int] | None
) -> tuple[float, float]:
    """Draws lines and bands; returns the lowest and the highest accuracy in the window."""
    low, high = np.inf, -np.inf
    for number, (label, runs) in enumerate(curves.items()):
        if not runs:
            continue
        values = np.array(runs)
        epochs = np.arange(1, values.shape[1] + 1)
        colour = COLOURS[number % len(COLOURS)]
        axes.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.18, lw=0)
        axes.plot(
            epochs,
            values.mean(0),
            color=colour,
            linestyle=DASHES[number % len(DASHES)],
            label=f"{label} (n = {len(runs)})",
            marker=None if len(epochs) > 1 else MARKERS[number % len(MARKERS)],
        )
        seen = values if window is None else values[:, window[0] - 1 : window[1]]
        low, high = min(low, float(seen.min())), max(high, float(seen.max()))
    return low, high
