"""What came of a reproduction's trainings, as its artefact asks for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.orchestration.record import FINAL, Record, Trial
from tuner.reports.comparison import Accuracy, Difference, accuracy_of, difference
from tuner.reproductions.experiment import Arm, Experiment, Pair
from tuner.reproductions.planning import Reproduction

Measured = dict[str, Any]
# Calls a function that measures something, unless it was measured before under this name.
Measure = Callable[[str, Callable[[], Measured]], Measured]


@dataclass(frozen=True)
class Results:
    """The trainings of every pair, and what is measured beside them."""

    reproduction: Reproduction
    records: Mapping[Pair, Record]
    teachers: Mapping[Pair, float]  # test accuracy in percent
    measure: Measure

    @property
    def experiment(self) -> Experiment:
        return self.reproduction.experiment

    @property
    def is_full_scale(self) -> bool:
        """Whether the protocol is the paper's, so that numbers may be compared."""
        return not self.reproduction.labels

    @property
    def arms(self) -> Sequence[Arm]:
        return self.experiment.arms

    @property
    def pair(self) -> Pair:
        """The only pair, or the first."""
        return self.experiment.pairs[0]

    def trials(self, label: str, pair: Pair | None = None) -> list[Trial]:
        """The finished trainings of an arm."""
        record = self.records.get(pair or self.pair)
        if record is None:
            return []
        return [t for t in record.of(FINAL) if t.label == label and t.is_full_length]

    def accuracy(
        self, label: str, pair: Pair | None = None, metric: str = "test_accuracy"
    ) -> Accuracy | None:
        """Of the last epoch, mean and deviation over the seeds, in percent."""
        return accuracy_of(self.trials(label, pair), metric)

    def difference(
        self, label: str, other: str, pair: Pair | None = None, *, num_comparisons: int = 1
    ) -> Difference | None:
        """Test accuracy of an arm minus another's, seed by seed; see `reports.comparison`."""
        return difference(
            self.trials(label, pair), self.trials(other, pair), num_comparisons=num_comparisons
        )

    def failures(self) -> list[tuple[Pair, Trial]]:
        """Trainings that failed, with their reasons."""
        return [
            (pair, trial)
            for pair, record in self.records.items()
            for trial in record.trials.values()
            if trial.status == "failed"
        ]

    def best(self, labels: Sequence[str], pair: Pair | None = None) -> str | None:
        """Of several arms the one that validates best; None where none has finished."""
        means = {
            label: found.mean
            for label in labels
            if (found := self.accuracy(label, pair, "val_accuracy")) is not None
        }
        return max(means, key=lambda label: means[label], default=None)
