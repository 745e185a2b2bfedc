"""The figures of a report: Optuna's own where it has them, in one style.

A figure carries no colours of text or background: the page gives it those of its light
or dark template, see `TEMPLATES`.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna.visualization
import plotly.graph_objects as go
from optuna import Study
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState
from plotly.colors import hex_to_rgb, sample_colorscale

from tuner.orchestration.record import FAILED, FINAL, RUNNING, SEARCH, STOPPED, Record, Trial

# Okabe and Ito's palette, which colour-blind people can tell apart; its blue is lighter
# here, to be read on black too. Dashes repeat what colours say, for print.
BLUE, ORANGE, GREEN, RED, GREY = "#3787C0", "#E69F00", "#009E73", "#D55E00", "#8C8C8C"
LABEL_STYLES = {"tuned": (RED, "solid"), "published": (BLUE, "dash"), "plain": (GREEN, "dot")}
# Low to high; neither end vanishes on white or on black.
COLOUR_SCALE = [[0.0, "#3E6DA8"], [0.5, "#8C8C8C"], [1.0, "#E0A100"]]
SLICES_PER_ROW = 3
MIN_TRIALS = 2  # full-length, for importances and all that compares trials


def _template(text: str, paper: str, grid: str) -> dict[str, Any]:
    axis = {
        "gridcolor": grid,
        "linecolor": grid,
        "zerolinecolor": grid,
        "automargin": True,
        "ticks": "outside",
        "tickcolor": grid,
    }
    return {
        "layout": {
            "font": {"color": text, "family": "system-ui, sans-serif", "size": 13},
            "paper_bgcolor": paper,
            "plot_bgcolor": paper,
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {"bgcolor": paper, "font": {"color": text}},
        }
    }


TEMPLATES = {
    "light": _template("#1c2024", "#ffffff", "#d9dde1"),
    "dark": _template("#e4e7ea", "#16191d", "#3a4047"),
}


@dataclass(frozen=True)
class Panel:
    """A figure under its title, and how to read it; without a figure, why there is none."""

    title: str
    caption: str
    figure: go.Figure | None = None


def final_curves(record: Record, metric: str, axis: str) -> Panel:
    """Accuracy by epoch of the final trainings: mean over seeds, and from worst to best seed."""
    trials = [trial for trial in record.of(FINAL) if trial.is_full_length]
    title = f"Final trainings: {axis} by epoch"
    if not trials:
        return Panel(title, "No final training has finished.")
    figure = go.Figure()
    for label in dict.fromkeys(trial.label for trial in trials):
        curves = [_curve(trial, metric) for trial in trials if trial.label == label]
        epochs = sorted(set.intersection(*(set(curve) for curve in curves)))
        columns = [[curve[epoch] for curve in curves] for epoch in epochs]
        colour, dash = LABEL_STYLES.get(label, (ORANGE, "dashdot"))
        red, green, blue = hex_to_rgb(colour)
        figure.add_scatter(
            x=[*epochs, *reversed(epochs)],
            y=[max(column) for column in columns] + [min(column) for column in reversed(columns)],
            fill="toself",
            fillcolor=f"rgba({red},{green},{blue},0.2)",
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=label,
        )
        figure.add_scatter(
            x=epochs,
            y=[sum(column) / len(column) for column in columns],
            mode="lines+markers" if len(epochs) == 1 else "lines",
            line={"color": colour, "dash": dash, "width": 2.5},
            name=f"{label} (n = {len(curves)})",
            legendgroup=label,
        )
    _label_curves(figure, axis)
    return Panel(
        title,
        "Lines are means over n seeds; bands reach from the worst seed to the best.",
        figure,
    )


def search_curves(record: Record, winner: Trial | None, metric: str, axis: str) -> Panel:
    """Accuracy by epoch of every trial of the search."""
    trials = record.of(SEARCH)
    title = f"Trials of the search: {axis} by epoch"
    if not any(trial.epochs for trial in trials):
        return Panel(title, "No trial has finished an epoch.")
    groups = (
        ("stopped early", GREY, "solid", [t for t in trials if t.status == STOPPED]),
        ("failed", RED, "dot", [t for t in trials if t.status == FAILED]),
        ("still running", GREEN, "dash", [t for t in trials if t.status == RUNNING]),
        ("full length", BLUE, "solid", [t for t in trials if t.is_full_length and t is not winner]),
        ("winner", ORANGE, "solid", [winner] if winner else []),
    )
    figure = go.Figure()
    for name, colour, dash, members in groups:
        if members:
            _add_curves(figure, members, metric, name=name, colour=colour, dash=dash)
    _label_curves(figure, axis)
    return Panel(
        title,
        "Every line is one trial with one seed. Trials that were stopped early are grey: they"
        " are not ranked against those that ran to the end.",
        figure,
    )


def _add_curves(
    figure: go.Figure, trials: list[Trial], metric: str, *, name: str, colour: str, dash: str
) -> None:
    """All curves of a group as one trace, with gaps between them: a search may have thousands."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for trial in trials:
        curve = _curve(trial, metric)
        x += [*curve, None]
        y += [*curve.values(), None]
        text += [f"trial {trial.trial}"] * (len(curve) + 1)
    is_short = all(len(trial.epochs) < 2 for trial in trials)
    figure.add_scatter(
        x=x,
        y=y,
        text=text,
        mode="markers" if is_short else "lines",
        marker={"color": colour},
        line={"color": colour, "width": 3 if name == "winner" else 1.2, "dash": dash},
        name=f"{name} ({len(trials)})" if name != "winner" else name,
        hovertemplate="%{text}, epoch %{x}: %{y:.2f} %<extra></extra>",
    )


def _label_curves(figure: go.Figure, axis: str) -> None:
    figure.update_layout(
        height=420,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
    figure.update_xaxes(title_text="epoch", rangemode="tozero")
    figure.update_yaxes(title_text=f"{axis} (%)")


def slices(study: Study, axis: str) -> list[Panel]:
    """Each hyperparameter against accuracy, a few to a row."""
    title = f"Each hyperparameter against {axis}"
    params = compared_params(study)
    if not params:
        return [Panel(title, _why_not(study))]
    panels = []
    for first in range(0, len(params), SLICES_PER_ROW):
        row = params[first : first + SLICES_PER_ROW]
        figure = optuna.visualization.plot_slice(study, row, target_name=f"{axis} (%)")
        figure.update_traces(marker={"colorscale": COLOUR_SCALE, "size": 9})
        _label_log_axes(figure, study)
        _restyle(figure, height=340)
        is_last = first + SLICES_PER_ROW >= len(params)
        caption = f"{_basis(study)} A hyperparameter shows only the trials that have it."
        panels.append(Panel("" if first else title, caption if is_last else "", figure))
    return panels


def importances(study: Study, axis: str) -> Panel:
    """How much of the accuracy's variation each hyperparameter accounts for."""
    title = f"Importance of the hyperparameters for {axis}"
    found = importance_of(study)
    if len(found) < 2:
        return Panel(title, _why_not(study))
    with _quiet():
        figure = optuna.visualization.plot_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(),
            params=list(found),
            target_name=f"{axis} (%)",
        )
    figure.update_traces(marker={"color": BLUE})
    _restyle(figure, height=max(220, 90 + 34 * len(found)))
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title_text="importance (share of the whole, PED-ANOVA)")
    figure.update_yaxes(title_text="")
    return Panel(
        title, f"{_basis(study)} With fewer than some twenty trials this is a hint only.", figure
    )


def parallel_coordinates(study: Study, axis: str) -> Panel:
    """Every full-length trial as a line through its hyperparameters."""
    title = f"Settings and {axis}"
    complete = _complete(study)
    params = compared_params(study)
    always = [name for name in params if all(name in trial.params for trial in complete)]
    if not always:
        return Panel(title, _why_not(study))
    figure = optuna.visualization.plot_parallel_coordinate(study, always, target_name=f"{axis} (%)")
    for trace in figure.data:
        if trace.type == "parcoords":  # Optuna before 5
            trace.line.update(colorscale=COLOUR_SCALE, reversescale=False)
        elif trace.mode == "lines":  # the first axis is the accuracy, from 0 to 1
            trace.update(
                line={"color": sample_colorscale(COLOUR_SCALE, trace.y[0])[0], "width": 2},
                opacity=0.9,
            )
        else:
            trace.marker.update(colorscale=COLOUR_SCALE, reversescale=False)
    _restyle(figure, height=440)
    figure.update_layout(margin={"l": 90, "r": 40, "t": 50, "b": 60})
    figure.update_annotations(font_color=None)
    left_out = [name for name in params if name not in always]
    note = f" Left out, for not every trial has them: {', '.join(left_out)}." if left_out else ""
    return Panel(title, _basis(study) + note, figure)


def contour(study: Study, axis: str) -> Panel:
    """Accuracy over the two most important hyperparameters."""
    title = f"The two most important hyperparameters and {axis}"
    pair = _contour_pair(study)
    if pair is None:
        return Panel(title, _why_not(study))
    figure = optuna.visualization.plot_contour(study, list(pair), target_name=f"{axis} (%)")
    for trace in figure.data:
        if trace.type == "contour":
            trace.update(colorscale=COLOUR_SCALE, reversescale=False, line={"width": 0})
        else:
            trace.marker.update(color="white", size=8, line={"color": "black", "width": 1.5})
    _label_log_axes(figure, study)
    _restyle(figure, height=460)
    figure.update_layout(showlegend=False)
    return Panel(
        title, f"{_basis(study)} Points are trials; the colours between them are a guess.", figure
    )


def compared_params(study: Study) -> list[str]:
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


def importance_of(study: Study) -> dict[str, float]:
    """PED-ANOVA importances, which have no randomness and allow conditions; highest first."""
    params = compared_params(study)
    # Equal accuracies say nothing about what matters.
    if len({trial.value for trial in _complete(study)}) < 2:
        return {}
    with _quiet():
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=params)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _contour_pair(study: Study) -> tuple[str, str] | None:
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings that few trials make importances uncertain: the caption has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _complete(study: Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _basis(study: Study) -> str:
    return f"From the {len(_complete(study))} trials that ran to the end, one seed each."


def _why_not(study: Study) -> str:
    complete = len(_complete(study))
    if complete < MIN_TRIALS:
        return f"Not enough full-length trials: {complete}, and it takes at least {MIN_TRIALS}."
    return (
        f"Not enough variety: the {complete} trials that ran to the end do not differ in enough"
        " hyperparameters, or not in accuracy."
    )


def _curve(trial: Trial, metric: str) -> dict[int, float]:
    return {int(epoch["epoch"]): epoch[metric] for epoch in trial.epochs if metric in epoch}


def _restyle(figure: go.Figure, *, height: int) -> None:
    """Takes out what Optuna sets and the page gives: title, width, background."""
    figure.update_layout(
        title=None,
        width=None,
        height=height,
        plot_bgcolor=None,
        margin={"l": 70, "r": 20, "t": 40, "b": 60},  # the toolbar has its place on top
    )


def _label_log_axes(figure: go.Figure, study: Study) -> None:
    """Fewer labels on logarithmic axes, where Plotly has one for every digit."""
    for axis in [*figure.select_xaxes({"type": "log"}), *figure.select_yaxes({"type": "log"})]:
        name = axis.title.text
        values = [trial.params[name] for trial in _complete(study) if name in trial.params]
        num_decades = math.log10(max(values) / min(values))
        if num_decades > 0.5:  # else Plotly's own are few enough
            digits = (1,) if num_decades > 3 else (1, 2, 5) if num_decades > 1 else (1, 2, 3, 5, 7)
            ticks = [digit * 10.0**power for power in range(-12, 13) for digit in digits]
            axis.update(tickmode="array", tickvals=ticks)
