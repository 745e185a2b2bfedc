"""Figures of accuracy: curves by epoch, the final trainings, the best so far."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tuner.reports.document import Figure
from tuner.reports.figure_style import (
    BLUE,
    COLOURS,
    DASHES,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    PAPER,
    RED,
    drawing,
    legend_above,
    literal,
    short,
)
from tuner.reports.statistics import interval
from tuner.results.record import Record
from tuner.results.trial import (
    FAILED,
    FINAL,
    PLAIN,
    PUBLISHED,
    RUNNING,
    SEARCH,
    STOPPED,
    TUNED,
    Trial,
)

LABEL_COLOURS = {TUNED: RED, PUBLISHED: BLUE, PLAIN: GREEN}
LABEL_DASHES = {TUNED: "-", PUBLISHED: "--", PLAIN: ":"}
MAX_DRAWN = 20_000  # points of lines in an SVG; more are drawn as a bitmap


def final_curves(record: Record, metric: str, axis: str) -> Figure:
    """Accuracy by epoch of the final trainings: means over seeds, bands from worst to best seed."""
    name, title = "final-curves", f"Final trainings: {axis} by epoch"
    trials = [trial for trial in record.trials_of(FINAL) if trial.is_full_length]
    if not trials:
        return Figure(name, title, "No final training has finished.")
    with drawing() as figure:
        axes = figure.subplots()
        for label in dict.fromkeys(trial.setting_label for trial in trials):
            curves = [_curve(trial, metric) for trial in trials if trial.setting_label == label]
            epochs = sorted(set.intersection(*(set(curve) for curve in curves)))
            columns = [[curve[epoch] for curve in curves] for epoch in epochs]
            colour = LABEL_COLOURS.get(label, ORANGE)
            low, high = [min(column) for column in columns], [max(column) for column in columns]
            axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(
                epochs,
                [sum(column) / len(column) for column in columns],
                color=colour,
                linestyle=LABEL_DASHES.get(label, "-."),
                linewidth=2,
                marker="o" if len(epochs) == 1 else None,
                label=literal(f"{label} (n = {len(curves)})"),
            )
        _label_curves(axes, axis)
    caption = "Lines are means over n seeds; bands span the worst to the best seed."
    return Figure(name, title, caption, figure)


def search_curves(record: Record, winner: Trial | None, metric: str, axis: str) -> Figure:
    """Accuracy by epoch of every trial of the search."""
    name, title = "search-curves", f"Trials of the search: {axis} by epoch"
    trials = record.trials_of(SEARCH)
    if not any(trial.epochs for trial in trials):
        return Figure(name, title, "No trial has finished an epoch.")
    full_length = [trial for trial in trials if trial.is_full_length and trial is not winner]
    groups = (
        ("stopped early", GREY, "-", [trial for trial in trials if trial.status == STOPPED]),
        ("failed", RED, ":", [trial for trial in trials if trial.status == FAILED]),
        ("still running", GREEN, "--", [trial for trial in trials if trial.status == RUNNING]),
        ("full length", BLUE, "-", full_length),
        ("winner", ORANGE, "-", [winner] if winner else []),
    )
    with drawing() as figure:
        axes = figure.subplots()
        for group, colour, dash, members in groups:
            x: list[float] = []
            y: list[float] = []
            for trial in members:
                curve = _curve(trial, metric)
                x += [*curve, math.nan]  # a gap: one line serves thousands of trials
                y += [*curve.values(), math.nan]
            if not members:
                continue
            axes.plot(
                x,
                y,
                color=colour,
                linestyle=dash,
                linewidth=2.4 if group == "winner" else 1,
                marker="o" if all(len(trial.epochs) < 2 for trial in members) else None,
                rasterized=len(x) > MAX_DRAWN,
                label=group if group == "winner" else f"{group} ({len(members)})",
            )
        _label_curves(axes, axis)
    caption = (
        "Each line is one trial with one seed. Trials that were stopped early are grey; they are"
        " not ranked against those that ran to the end."
    )
    return Figure(name, title, caption, figure)


def final_accuracies(groups: Mapping[str, Sequence[Trial]]) -> Figure:
    """Test accuracy of final trainings, one row per group: seeds, their mean and its interval."""
    name, title = "final-accuracies", "Final trainings: test accuracy"
    values = {
        group: [
            accuracy
            for trial in trials
            if trial.is_full_length and (accuracy := trial.last("test_accuracy")) is not None
        ]
        for group, trials in groups.items()
    }
    values = {group: found for group, found in values.items() if found}
    if not values:
        return Figure(name, title, "No final training has finished.")
    with drawing(height_inches=0.9 + 0.36 * len(values)) as figure:
        axes = figure.subplots()
        for place, (group, found) in enumerate(values.items()):
            colour = LABEL_COLOURS.get(group.rpartition(", ")[2], BLUE)
            mean, bounds = sum(found) / len(found), interval(found)
            if bounds is not None:
                reach = [[mean - bounds[0]], [bounds[1] - mean]]
                axes.errorbar(mean, place, xerr=reach, color=colour, linestyle="none")
            axes.plot(mean, place, "s", color=colour, markersize=6, zorder=3)
            axes.plot(
                found,
                [place + 0.22] * len(found),
                "o",
                color=PAPER,
                markeredgecolor=colour,
                markersize=4,
            )
        axes.set_yticks(range(len(values)), [short(group, 48) for group in values])
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("test accuracy (%)")
    caption = (
        "Circles are seeds; squares are their means with individual 95 % t-intervals over the"
        " seeds. Judge differences by the paired column, not by overlap."
    )
    return Figure(name, title, caption, figure)


def best_so_far(searches: Mapping[str, tuple[Record, str]], axis: str) -> Figure:
    """The best full-length accuracy of each search against the epochs trained until then.

    `searches` maps a search's name to its record and the metric that ranks its trials.
    """
    part, title = "best-so-far", f"Best {axis} by epochs trained"
    curves = {name: _best_curve(*search) for name, search in searches.items()}
    curves = {name: curve for name, curve in curves.items() if curve}
    if not curves:
        return Figure(part, title, "No trial ran to its last epoch.")
    with drawing() as figure:
        axes = figure.subplots()
        for number, (name, curve) in enumerate(curves.items()):
            epochs, best = zip(*curve, strict=True)
            axes.step(
                epochs,
                best,
                where="post",
                color=COLOURS[number % len(COLOURS)],
                linestyle=DASHES[number % len(DASHES)],
                marker=MARKERS[number % len(MARKERS)],
                markevery=[index for index in range(len(best)) if best[index - 1] != best[index]]
                or [0],
                label=short(name),
            )
        _label_curves(axes, axis, "epochs trained by all trials together")
    caption = (
        "The best trial so far among those that ran to their last epoch; trials stopped early add"
        " only their epochs. One seed each, so the best of many is optimistic."
    )
    return Figure(part, title, caption, figure)


def _curve(trial: Trial, metric: str) -> dict[int, float]:
    return {int(epoch["epoch"]): epoch[metric] for epoch in trial.epochs if metric in epoch}


def _best_curve(record: Record, metric: str) -> list[tuple[int, float]]:
    """(epochs trained by all trials, best accuracy) at the end of each full-length trial."""
    curve: list[tuple[int, float]] = []
    num_epochs = 0
    for trial in sorted(record.trials_of(SEARCH), key=lambda trial: trial.ended or math.inf):
        num_epochs += len(trial.epochs)
        value = trial.last(metric)
        if trial.is_full_length and value is not None:
            curve.append((num_epochs, max(value, curve[-1][1]) if curve else value))
    return [*curve, (num_epochs, curve[-1][1])] if curve else []


def _label_curves(axes: Axes, axis: str, along: str = "epoch") -> None:
    axes.set(xlabel=along, ylabel=f"{axis} (%)")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes)
