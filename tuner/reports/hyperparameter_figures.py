"""The figures of searches: what was trained, and what each hyperparameter did to it."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator
from matplotlib.tri import LinearTriInterpolator, Triangulation, UniformTriRefiner
from optuna.distributions import CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from tuner.reports.document import Figure
from tuner.reports.figure_style import (
    BLUE,
    COLOUR_SCALE,
    FAINT,
    INK,
    LINE_SCALE,
    ORANGE,
    PAPER,
    drawing,
    log_scale,
    short,
)
from tuner.text.formatting import value_text

SLICES_PER_ROW = 3
MIN_TRIALS = 2  # full-length, for importances and all that compares trials


def slices(study: optuna.Study, axis: str) -> Figure:
    """Each hyperparameter against accuracy."""
    name, title = "slices", f"Each hyperparameter against {axis}"
    params, trials = compared_params(study), _complete(study)
    if not params:
        return Figure(name, title, _why_not(study))
    num_rows = math.ceil(len(params) / SLICES_PER_ROW)
    num_columns = min(len(params), SLICES_PER_ROW)
    best = max(trials, key=lambda trial: trial.value or 0.0)
    with drawing(2.15 * num_columns + 0.2, 2.1 * num_rows + 0.2) as figure:
        panels = figure.subplots(num_rows, num_columns, sharey=True, squeeze=False)
        for panel, param in zip(panels.flat, params, strict=False):
            having = [trial for trial in trials if param in trial.params]
            for colour, marker, size, members in (
                (BLUE, "o", 24, [t for t in having if t is not best]),
                (ORANGE, "*", 90, [t for t in having if t is best]),
            ):
                panel.scatter(
                    [_place(trial, param) for trial in members],
                    [trial.value for trial in members],
                    c=colour,
                    marker=marker,
                    s=size,
                    linewidths=0,
                    zorder=3,
                )
            _label_param(panel, "x", param, having)
        for row in panels:
            row[0].set_ylabel(f"{axis} (%)")
        for panel in panels.flat[len(params) :]:
            panel.remove()
    caption = (
        f"{_basis(study)} The star is the best of them. A hyperparameter shows only the trials"
        " that have it."
    )
    return Figure(name, title, caption, figure)


def importances(study: optuna.Study, axis: str) -> Figure:
    """How much of the accuracy's variation each hyperparameter accounts for."""
    name, title = "importances", f"Importance of the hyperparameters for {axis}"
    found = importance_of(study)
    if len(found) < 2:
        return Figure(name, title, _why_not(study))
    with drawing(height_inches=0.8 + 0.28 * len(found)) as figure:
        axes = figure.subplots()
        bars = axes.barh([short(param) for param in found], list(found.values()), color=BLUE)
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8, color=INK)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 1.12 * max(found.values()))
        axes.set_xlabel("importance (share of the whole, PED-ANOVA)")
    caption = f"{_basis(study)} With fewer than some twenty trials this is a hint only."
    return Figure(name, title, caption, figure)


def parallel_coordinates(study: optuna.Study, axis: str) -> Figure:
    """Every full-length trial as a line through its hyperparameters."""
    name, title = "settings", f"Settings and {axis}"
    trials, params = _complete(study), compared_params(study)
    always = [param for param in params if all(param in trial.params for trial in trials)]
    if not always:
        return Figure(name, title, _why_not(study))
    colours = ScalarMappable(_norm(trials), LINE_SCALE)
    scales = [_Scale(param, trials) for param in always]
    with drawing(max(4.0, 1.2 * len(always) + 1.4), 3.6) as figure:
        axes = figure.subplots()
        axes.axis("off")
        for place, scale in enumerate(scales):
            axes.plot([place, place], [0, 1], "-", color=FAINT, linewidth=0.8)
            axes.text(place, 1.06, short(scale.param), ha="center", va="bottom")
            for height, text in scale.ticks():
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
        # The best last, on top of the others.
        for trial in sorted(trials, key=lambda trial: trial.value or 0.0):
            heights = [scale.height(trial) for scale in scales]
            axes.plot(
                range(len(always)),
                heights,
                color=colours.to_rgba(trial.value),
                linestyle="-",
                marker="o" if len(always) == 1 else None,
            )
        axes.set_xlim(-0.5, len(always) - 0.8)
        _colour_bar(figure, colours, axes, axis)
    left_out = [param for param in params if param not in always]
    note = f" Left out, for not every trial has them: {', '.join(left_out)}." if left_out else ""
    return Figure(name, title, _basis(study) + note, figure)


def contour(study: optuna.Study, axis: str) -> Figure:
    """Accuracy over the two most important hyperparameters."""
    name, title = "contour", f"The two most important hyperparameters and {axis}"
    pair = _contour_pair(study)
    if pair is None:
        return Figure(name, title, _why_not(study))
    trials = [t for t in _complete(study) if all(param in t.params for param in pair)]
    colours = ScalarMappable(_norm(trials), COLOUR_SCALE)
    x, y = ([_place(trial, param) for trial in trials] for param in pair)
    values = [trial.value or 0.0 for trial in trials]
    with drawing(5.0, 3.8) as figure:
        axes = figure.subplots()
        axes.plot(x, y, linestyle="none")  # for the limits of the axes
        axes.margins(0.06)
        for which, param in zip(("x", "y"), pair, strict=True):
            _label_param(axes, which, param, trials)
        limits = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
        _colour_between(axes, x, y, values, _norm(trials))
        axes.set(**limits)  # room for the points on the edges, which contours take away
        # Rings that show on every colour, and on every page.
        axes.scatter(x, y, s=46, c="black", linewidths=0, zorder=3)
        axes.scatter(x, y, s=36, c="white", linewidths=0, zorder=3)
        axes.scatter(x, y, s=20, c=values, norm=_norm(trials), linewidths=0, zorder=3)
        axes.grid(False)
        _colour_bar(figure, colours, axes, axis)
    caption = f"{_basis(study)} Points are trials; the colours between them are a guess."
    return Figure(name, title, caption, figure)


def compared_params(study: optuna.Study) -> list[str]:
    """Hyperparameters of the full-length trials that are not the same in all, in their order.

    Empty where there are not two such trials to compare.
    """
    complete = _complete(study)
    if len(complete) < MIN_TRIALS:
        return []
    names = dict.fromkeys(name for trial in complete for name in trial.params)
    return [
        name
        for name in names
        if len({trial.params[name] for trial in complete if name in trial.params}) > 1
    ]


def importance_of(study: optuna.Study) -> dict[str, float]:
    """PED-ANOVA importances, which have no randomness and allow conditions; highest first."""
    params = compared_params(study)
    # Equal accuracies say nothing about what matters.
    if len({trial.value for trial in _complete(study)}) < 2:
        return {}
    with _quiet():
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=params)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _contour_pair(study: optuna.Study) -> tuple[str, str] | None:
    """The most important two that vary together in at least three trials."""
    names = list(importance_of(study))
    for index, second in enumerate(names):
        for first in names[:index]:
            both = [
                (trial.params[first], trial.params[second])
                for trial in _complete(study)
                if first in trial.params and second in trial.params
            ]
            if len(both) > 2 and all(len(set(values)) > 1 for values in zip(*both, strict=True)):
                return first, second
    return None


def _colour_between(
    axes: Axes, x: Sequence[float], y: Sequence[float], values: Sequence[float], norm: Normalize
) -> None:
    """Colours the triangles between points, linear as they lie on the axes, logarithmic or not."""
    points = axes.transScale.transform(np.column_stack([x, y]))
    low = points.min(axis=0)
    spread = points.max(axis=0) - low
    try:
        triangles = Triangulation(*((points - low) / spread).T)
        # Fine enough for straight edges on a logarithmic axis too.
        fine, between = UniformTriRefiner(triangles).refine_field(
            values, LinearTriInterpolator(triangles, values), subdiv=4 if len(values) < 50 else 2
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings that few trials make importances uncertain: the caption has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _basis(study: optuna.Study) -> str:
    return f"From the {len(_complete(study))} trials that ran to the end, one seed each."


def _why_not(study: optuna.Study) -> str:
    complete = len(_complete(study))
    if complete < MIN_TRIALS:
        return f"Not enough full-length trials: {complete}, and it takes at least {MIN_TRIALS}."
    return (
        f"Not enough variety: the {complete} trials that ran to the end do not differ in enough"
        " hyperparameters, or not in accuracy."
    )


def _options(param: str, trial: FrozenTrial) -> Sequence[Any] | None:
    distribution = trial.distributions[param]
    is_choice = isinstance(distribution, CategoricalDistribution)
    return distribution.choices if is_choice else None


def _place(trial: FrozenTrial, param: str) -> float:
    """Where a trial lies on the axis of a hyperparameter: options are numbered."""
    options = _options(param, trial)
    value = trial.params[param]
    return float(value if options is None else list(options).index(value))


def _is_log(param: str, trials: Sequence[FrozenTrial]) -> bool:
    return any(getattr(trial.distributions[param], "log", False) for trial in trials)


def _label_param(axes: Axes, which: Any, param: str, trials: Sequence[FrozenTrial]) -> None:
    """An axis of the figure as the hyperparameter's: its options, or its scale."""
    axes.set(**{f"{which}label": short(param)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    options = _options(param, trials[0])
    if options is not None:
        tried = sorted({_place(trial, param) for trial in trials})
        axis.set_ticks(tried, [short(value_text(options[int(place)])) for place in tried])
        axes.set(**{f"{which}lim": (tried[0] - 0.5, tried[-1] + 0.5)})
        if which == "x" and sum(len(text.get_text()) for text in axis.get_ticklabels()) > 22:
            axis.set_tick_params(rotation=30)
            for text in axis.get_ticklabels():
                text.set(ha="right", rotation_mode="anchor")
    elif _is_log(param, trials):
        log_scale(axes, which)
    else:
        axis.set_major_locator(MaxNLocator(5))


class _Scale:
    """One axis of the parallel coordinates, from 0 to 1."""

    def __init__(self, param: str, trials: Sequence[FrozenTrial]) -> None:
        self.param = param
        self._options = _options(param, trials[0])
        self._is_log = _is_log(param, trials)
        places = sorted({self._scaled(_place(trial, param)) for trial in trials})
        self._places = places
        self._low, self._span = places[0], places[-1] - places[0]

    def height(self, trial: FrozenTrial) -> float:
        return self._height(self._scaled(_place(trial, self.param)))

    def ticks(self) -> list[tuple[float, str]]:
        """(height, text): every option that was tried, or five values from low to high."""
        if self._options is not None:
            return [(self._height(x), value_text(self._options[int(x)])) for x in self._places]
        values = [self._low + self._span * quarter / 4 for quarter in range(5)]
        texts = [f"{math.exp(value) if self._is_log else value:.3g}" for value in values]
        return [(quarter / 4, text) for quarter, text in enumerate(texts)]

    def _scaled(self, place: float) -> float:
        return math.log(place) if self._is_log else place

    def _height(self, scaled: float) -> float:
        return (scaled - self._low) / self._span


def _norm(trials: Sequence[FrozenTrial]) -> Normalize:
    values = [trial.value for trial in trials if trial.value is not None]
    return Normalize(min(values), max(values))


def _colour_bar(figure: Drawing, colours: ScalarMappable, axes: Axes, axis: str) -> None:
    bar = figure.colorbar(colours, ax=axes, label=f"{axis} (%)", aspect=30, pad=0.02)
    bar.outline.set_visible(False)
