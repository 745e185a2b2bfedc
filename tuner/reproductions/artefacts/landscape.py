"""MIMKD's Figures 4 to 6: accuracy over the three weights of its terms."""

from itertools import product
from statistics import fmean

import numpy as np
from matplotlib.ticker import MaxNLocator

from tuner.reports.document import Figure, Table
from tuner.reports.statistics import accuracy_text, interval
from tuner.reproductions.artefacts import figures
from tuner.reproductions.artefacts.arms_table import numbers, table_of
from tuner.reproductions.experiment import Artefact, Variant
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.text.formatting import count_text

WEIGHTS = ("lambda_g", "lambda_l", "lambda_f")
SHOWN = ("λ_g", "λ_l", "λ_f")
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)


def arms() -> tuple[Variant, ...]:
    return tuple(
        Variant(
            _text(weights),
            "mimkd",
            dict(zip(WEIGHTS, weights, strict=True)) | {"ce_weight": 1.0, "kd_weight": 0.0},
        )
        for weights in product(STEPS, repeat=3)
    )


def landscape(results: Results) -> Artefact:
    by_weights = {
        tuple(float(arm.values[name]) for name in WEIGHTS): arm.label for arm in results.arms
    }
    test, val = (
        {
            weights: found.mean
            for weights, label in by_weights.items()
            if (found := results.accuracy(label, metric=f"{split}_accuracy")) is not None
        }
        for split in ("test", "val")
    )
    if not test:
        return Artefact(["No training has finished, so there is no landscape."], [])
    levels = _levels(list(test.values()))
    names = SHOWN
    parts: list[Figure | Table] = []
    for number, fixed in ((4, 0), (5, 2), (6, 1)):
        parts.append(
            Figure(
                f"figure{number}",
                f"Figure {number}: test accuracy over two weights, at each value of {SHOWN[fixed]}",
                "Contours between the settings that were trained (points); one scale of colours"
                " for all three figures. Settings are compared by validation accuracy; test"
                " accuracy is only drawn.",
                figures.landscape(test, names, fixed, levels),  # type: ignore[arg-type]
            )
        )
    marginal = {
        shown: {
            value: [accuracy for weights, accuracy in test.items() if weights[n] == value]
            for value in sorted({weights[n] for weights in test})
        }
        for n, shown in enumerate(SHOWN)
    }
    zero = (0.0, 0.0, 0.0)
    parts.append(
        Figure(
            "effects",
            "Each weight alone",
            "Small points are settings; circles are the means of all settings with a value of the"
            " weight, with 95 % intervals over these settings; dashed: all three weights 0.",
            figures.effects(marginal, test.get(zero)),
        )
    )
    ranked = sorted(val, key=lambda weights: -val[weights])
    parts.append(_table(results, by_weights, ranked))
    return Artefact(_words(results, test, val, ranked), parts)


def _levels(accuracies: list[float]) -> np.ndarray:
    """About twelve round steps, without the lowest few: one bad corner would flatten all else."""
    low, high = float(np.percentile(accuracies, 4)), max(accuracies)
    return np.asarray(MaxNLocator(12).tick_values(low, max(high, low + 0.5)))


def _words(
    results: Results,
    test: dict[tuple[float, ...], float],
    val: dict[tuple[float, ...], float],
    ranked: list[tuple[float, ...]],
) -> list[str]:
    best, zero = ranked[0], (0.0, 0.0, 0.0)
    num_seeds = len(results.trials(_text(best)))
    findings = [
        f"Of {len(test)} settings, {_text(best)} has the highest validation accuracy"
        f" ({val[best]:.2f} %; test {test[best]:.2f} %, {count_text(num_seeds, 'seed')}).",
        f"As the best of {len(test)} its validation accuracy flatters it; its test accuracy did"
        " not choose it.",
    ]
    if zero in test:
        above = sum(accuracy > test[zero] for accuracy in test.values())
        findings.append(
            f"With all three weights 0 the student has {test[zero]:.2f} % (test); {above} of the"
            f" other {len(test) - 1} settings are above it."
        )
    findings += [_effect(test, number, shown) for number, shown in enumerate(SHOWN)]
    entry = published("mimkd-landscape")
    alone = [
        f"the {what}'s accuracy is {value.text} %"
        for what, method in (("teacher", "teacher"), ("student", "plain"))
        if (value := entry.value(method=method)) is not None
    ]
    findings.append(f"The paper prints no number of the landscape; alone {' and '.join(alone)}.")
    return findings


def _effect(test: dict[tuple[float, ...], float], number: int, shown: str) -> str:
    """What raising one weight does, over all settings of the other two: paired differences."""
    values = sorted({weights[number] for weights in test})
    low, high = values[0], values[-1]
    gains = []
    for weights, accuracy in test.items():
        other = (*weights[:number], low, *weights[number + 1 :])
        if weights[number] == high != low and other in test:
            gains.append(accuracy - test[other])
    between = interval(gains, num_comparisons=len(WEIGHTS)) if len(gains) > 1 else None
    if between is None:
        return f"{shown}: too few settings to tell its effect."
    is_noise = between[0] <= 0 <= between[1]
    effect = "no effect beyond noise" if is_noise else "a gain" if between[0] > 0 else "a loss"
    return (
        f"Raising {shown} from {low:g} to {high:g} changes test accuracy by {fmean(gains):+.2f}"
        f" points (95 % interval {between[0]:+.2f} to {between[1]:+.2f} over {len(gains)} pairs of"
        f" settings, corrected for {len(WEIGHTS)} weights): {effect}."
    )


def _text(weights: tuple[float, ...]) -> str:
    return ", ".join(f"{shown} {value:g}" for shown, value in zip(SHOWN, weights, strict=True))


def _table(
    results: Results, by_weights: dict[tuple[float, ...], str], ranked: list[tuple[float, ...]]
) -> Table:
    rows: list[list[str]] = []
    data: list[dict[str, float | None]] = []
    for weights in ranked:
        label = by_weights[weights]
        val, test = (results.accuracy(label, metric=f"{s}_accuracy") for s in ("val", "test"))
        rows.append([f"{value:g}" for value in weights] + [accuracy_text(val), accuracy_text(test)])
        data.append(
            {**dict(zip(WEIGHTS, weights, strict=True))}
            | numbers("val_accuracy", val)
            | numbers("test_accuracy", test)
        )
    return Table(
        "settings",
        "The ten best of all settings, by validation accuracy",
        (*SHOWN, "validation (%)", "test (%)"),
        rows[:10],
        table_of(data),
        note="All settings are in the files beside this page.",
        num_text_columns=0,
        emphasised=frozenset({0}),
    )
