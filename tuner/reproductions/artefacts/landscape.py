"""MIMKD's Figures 4 to 6: accuracy over the three weights of its terms."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from matplotlib.ticker import MaxNLocator

from tuner.reports.document import Figure, Table
from tuner.reports.statistics import accuracy_text, interval
from tuner.reproductions.artefacts import figures
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.columns import table_of, value_columns
from tuner.reproductions.papers.mimkd import LANDSCAPE_WEIGHTS, weights_label
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.text.formatting import count_text

SYMBOLS = tuple(LANDSCAPE_WEIGHTS.values())
FIGURES = {4: 0, 5: 2, 6: 1}  # the paper's number, and the weight that each panel fixes

Weights = tuple[float, ...]  # λ_g, λ_l and λ_f
Accuracies = Mapping[Weights, float]  # in percent
ZERO: Weights = (0.0, 0.0, 0.0)


def landscape(results: Results) -> Artefact:
    """Contours of test accuracy, the effect of each weight alone, and the ten best settings."""
    test, val = (_accuracies(results, f"{split}_accuracy") for split in ("test", "val"))
    if not test:
        return Artefact(["No training has finished, so there is no landscape."], [])
    ranked = sorted(val, key=lambda weights: -val[weights])
    return Artefact(
        [
            *_best(results, test, val, ranked[0]),
            *(_effect(test, number, symbol) for number, symbol in enumerate(SYMBOLS)),
            _published(),
        ],
        [*_contours(test), _effects_figure(test), _table(results, ranked)],
    )


def levels_of(accuracies: Sequence[float]) -> np.ndarray:
    """About twelve round contour levels, [L], without the lowest few accuracies.

    One bad corner would flatten all the rest.
    """
    low, high = float(np.percentile(accuracies, 4)), max(accuracies)
    return np.asarray(MaxNLocator(12).tick_values(low, max(high, low + 0.5)))


def _accuracies(results: Results, metric: str) -> dict[Weights, float]:
    by_weights = {
        tuple(float(variant.values[name]) for name in LANDSCAPE_WEIGHTS): variant.label
        for variant in results.variants
    }
    return {
        weights: found.mean
        for weights, label in by_weights.items()
        if (found := results.accuracy(label, metric=metric)) is not None
    }


def _best(results: Results, test: Accuracies, val: Accuracies, best: Weights) -> list[str]:
    label = weights_label(best)
    num_seeds = len(results.trials(label))
    findings = [
        f"Of {len(test)} settings, {label} has the highest validation accuracy"
        f" ({val[best]:.2f} %; test {test[best]:.2f} %, {count_text(num_seeds, 'seed')}).",
        f"As the best of {len(test)}, its validation accuracy is optimistic; its test accuracy had"
        " no part in the choice.",
    ]
    if ZERO in test:
        above = sum(accuracy > test[ZERO] for accuracy in test.values())
        findings.append(
            f"With all three weights 0 the student reaches {test[ZERO]:.2f} % (test); {above} of"
            f" the other {len(test) - 1} settings are above it."
        )
    return findings


def _effect(test: Accuracies, number: int, symbol: str) -> str:
    """The effect of raising one weight over all settings of the other two: paired differences."""
    values = sorted({weights[number] for weights in test})
    low, high = values[0], values[-1]
    gains = []
    for weights, accuracy in test.items():
        other = (*weights[:number], low, *weights[number + 1 :])
        if weights[number] == high != low and other in test:
            gains.append(accuracy - test[other])
    between = interval(gains, num_comparisons=len(SYMBOLS)) if len(gains) > 1 else None
    if between is None:
        return f"{symbol}: too few settings to measure its effect."
    is_noise = between[0] <= 0 <= between[1]
    effect = "no effect beyond noise" if is_noise else "a gain" if between[0] > 0 else "a loss"
    return (
        f"Raising {symbol} from {low:g} to {high:g} changes test accuracy by {fmean(gains):+.2f}"
        f" points (95 % interval {between[0]:+.2f} to {between[1]:+.2f} over {len(gains)} pairs of"
        f" settings, corrected for {len(SYMBOLS)} weights): {effect}."
    )


def _published() -> str:
    entry = published("mimkd-landscape")
    teacher, student = entry.value(method="teacher"), entry.value(method="plain")
    assert teacher is not None
    assert student is not None
    return (
        "The paper prints no numbers of the landscape, only the accuracies of the teacher"
        f" ({teacher.text} %) and of the plain student ({student.text} %)."
    )


def _contours(test: Accuracies) -> list[Figure]:
    levels = levels_of(list(test.values()))
    return [
        Figure(
            f"figure{number}",
            f"Figure {number}: test accuracy over two weights, at each value of {SYMBOLS[fixed]}",
            "Contours between the settings that were trained (points); all three figures have one"
            " scale of colours. Settings are compared by validation accuracy; test accuracy is"
            " only drawn.",
            figures.landscape(test, SYMBOLS, fixed, levels),
        )
        for number, fixed in FIGURES.items()
    ]


def _effects_figure(test: Accuracies) -> Figure:
    by_value = {
        symbol: {
            value: [accuracy for weights, accuracy in test.items() if weights[number] == value]
            for value in sorted({weights[number] for weights in test})
        }
        for number, symbol in enumerate(SYMBOLS)
    }
    return Figure(
        "effects",
        "Each weight alone",
        "Small points are settings. Circles are the means of all settings with a value of the"
        " weight, with 95 % intervals over these settings. Dashed: all three weights 0.",
        figures.effects(by_value, test.get(ZERO)),
    )


def _table(results: Results, ranked: Sequence[Weights]) -> Table:
    rows: list[list[str]] = []
    data: list[dict[str, float | None]] = []
    for weights in ranked:
        label = weights_label(weights)
        val, test = (results.accuracy(label, metric=f"{s}_accuracy") for s in ("val", "test"))
        rows.append([f"{value:g}" for value in weights] + [accuracy_text(val), accuracy_text(test)])
        data.append(
            {**dict(zip(LANDSCAPE_WEIGHTS, weights, strict=True))}
            | value_columns("val_accuracy", val)
            | value_columns("test_accuracy", test)
        )
    return Table(
        "settings",
        "The ten best of all settings, by validation accuracy",
        (*SYMBOLS, "validation (%)", "test (%)"),
        rows[:10],
        table_of(data),
        note="The files beside this page have all settings.",
        num_text_columns=0,
        emphasised=frozenset({0}),
    )
