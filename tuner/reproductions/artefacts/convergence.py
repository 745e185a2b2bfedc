"""ITRD's Figure 2: how fast each method learns."""

from collections.abc import Mapping, Sequence

from tuner.reports.document import Figure, Table
from tuner.reports.statistics import accuracy_text
from tuner.reproductions.artefacts import figures, findings
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.columns import table_of, value_columns
from tuner.reproductions.departures import drops_of
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.text.formatting import NOTHING

Curves = Mapping[str, list[list[float]]]  # by label and seed: validation accuracy by epoch
GAIN_EPOCHS = 5  # after a drop of the learning rate, in which the gain is measured


def convergence(results: Results) -> Artefact:
    """Curves over the epochs, and the epoch at which each method is near its last accuracy."""
    curves = {
        label: [[epoch["val_accuracy"] for epoch in t.epochs] for t in results.trials(label)]
        for label in results.labels
    }
    drops = drops_of(results.reproduction.workloads[0])
    claims = "; ".join(
        f"{row['claim']}, {row['text']}" for row in published("itrd-convergence").rows
    )
    return Artefact(
        [
            *findings.best_of_many(results, results.labels, "itrd", is_papers=True, noun="method"),
            *_gains(curves, drops),
            f"The paper says: {claims}.",
        ],
        [
            Figure(
                "convergence",
                "Figure 2: validation accuracy against epochs",
                "Lines are means over n seeds; bands reach from the worst seed to the best. Dotted"
                " lines mark the drops of the learning rate; the epochs between drops, if there"
                " are at least two, are enlarged below.",
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
            {"method": label}
            | value_columns("final_val_accuracy", final)
            | {"epochs_to_final_minus_half": mean, "num_seeds": len(runs)}
        )
    return Table(
        "convergence",
        "Epochs until each method is within 0.5 points of its last epoch",
        ("method", "last epoch (%)", "within 0.5 points after (epochs)", "seeds"),
        rows,
        table_of(data),
        note="Validation accuracy. The first epoch from which it stays no more than 0.5 points"
        " below that of the last epoch; mean over the seeds.",
    )


def _epochs_to_reach(curve: Sequence[float]) -> int:
    """The first epoch (from 1) from which a curve stays above its last value minus half a point."""
    below = [number for number, value in enumerate(curve, 1) if value < curve[-1] - 0.5]
    return below[-1] + 1 if below else 1


def _gains(curves: Curves, drops: Sequence[int]) -> list[str]:
    """What each method gains after each drop of the learning rate, as a mean over the seeds."""
    texts = []
    for drop in drops:
        gains = {
            label: sum(_gain(run, drop) for run in runs) / len(runs)
            for label, runs in curves.items()
            if runs and len(runs[0]) > drop
        }
        if gains:
            listed = ", ".join(f"{label} {gain:+.2f}" for label, gain in gains.items())
            texts.append(f"after epoch {drop}: {listed}")
    if not texts:
        return []
    return [
        f"Points of validation accuracy gained within {GAIN_EPOCHS} epochs of each drop of the"
        f" learning rate, {'; '.join(texts)}."
    ]


def _gain(curve: Sequence[float], drop: int) -> float:
    return curve[min(drop + GAIN_EPOCHS, len(curve)) - 1] - curve[drop - 1]
