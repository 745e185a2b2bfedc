"""ITRD's Figure 2: how soon each method learns."""

from collections.abc import Sequence

from tuner.reports.document import Figure, Table
from tuner.reports.statistics import accuracy_text
from tuner.reproductions.artefacts import figures
from tuner.reproductions.artefacts import findings as words
from tuner.reproductions.artefacts.arms_table import numbers, table_of
from tuner.reproductions.experiment import Artefact
from tuner.reproductions.planning import drops_of
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.text.formatting import NOTHING

Curves = dict[str, list[list[float]]]  # by arm and seed: validation accuracy by epoch
GAIN_EPOCHS = 5  # after a drop of the learning rate, that a gain is looked for in


def convergence(results: Results) -> Artefact:
    curves = {
        arm.label: [
            [epoch["val_accuracy"] for epoch in trial.epochs] for trial in results.trials(arm.label)
        ]
        for arm in results.arms
    }
    drops = drops_of(results.reproduction.workloads[0])
    claims = "; ".join(
        f"{row['claim']}, {row['text']}" for row in published("itrd-convergence").rows
    )
    return Artefact(
        [
            *words.best_of_many(results, list(curves), "itrd", is_papers=True, noun="method"),
            *_gains(curves, drops),
            f"The paper: {claims}.",
        ],
        [
            Figure(
                "convergence",
                "Figure 2: validation accuracy against epochs",
                "Lines are means over n seeds, bands reach from the worst seed to the best. The"
                " learning rate drops at the dotted lines; what follows a drop by two epochs or"
                " more is shown larger below.",
                figures.convergence(curves, drops),
            ),
            _reached(results, curves),
        ],
    )


def _reached(results: Results, curves: Curves) -> Table:
    rows, data = [], []
    for label, runs in curves.items():
        epochs = [_epochs_to_reach(run) for run in runs]
        mean = sum(epochs) / len(epochs) if epochs else None
        final = results.accuracy(label, metric="val_accuracy")
        shown = NOTHING if mean is None else f"{mean:.1f}"
        rows.append([label, accuracy_text(final), shown, str(len(runs))])
        data.append(
            {
                "method": label,
                **numbers("final_val_accuracy", final),
                "epochs_to_final_minus_half": mean,
                "num_seeds": len(runs),
            }
        )
    return Table(
        "convergence",
        "How soon each method is within 0.5 points of its last epoch",
        ("method", "last epoch (%)", "within 0.5 points after (epochs)", "seeds"),
        rows,
        table_of(data),
        note="Validation accuracy; the first epoch from which on it stays within 0.5 points of the"
        " last epoch's, or above, on average over the seeds.",
    )


def _epochs_to_reach(curve: list[float]) -> int:
    """The first epoch (from 1) from which on a curve stays above its end minus half a point."""
    below = [number for number, value in enumerate(curve, 1) if value < curve[-1] - 0.5]
    return below[-1] + 1 if below else 1


def _gains(curves: Curves, drops: Sequence[int]) -> list[str]:
    """What each method gains after each drop of the learning rate, on average over the seeds."""
    told = []
    for drop in drops:
        gains = {
            label: sum(_gain(run, drop) for run in runs) / len(runs)
            for label, runs in curves.items()
            if runs and len(runs[0]) > drop
        }
        listed = ", ".join(f"{label} {gain:+.2f}" for label, gain in gains.items())
        told.append(f"after epoch {drop}: {listed}")
    if not told:
        return []
    return [
        f"Points of validation accuracy gained within {GAIN_EPOCHS} epochs of each drop of the"
        f" learning rate, {'; '.join(told)}."
    ]


def _gain(curve: list[float], drop: int) -> float:
    return curve[min(drop + GAIN_EPOCHS, len(curve)) - 1] - curve[drop - 1]
