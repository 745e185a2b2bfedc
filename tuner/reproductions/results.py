"""The results of a reproduction's trainings, as its artefact reads them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from tuner.config.workload import Workload
from tuner.planning.fixed_trainings import FixedTask
from tuner.reports.statistics import Accuracy, Difference, accuracy_of, difference
from tuner.reproductions.experiment import Experiment, Pair, Variant
from tuner.reproductions.measuring import Measured, Measurer, NotMeasuredError
from tuner.reproductions.planning import Reproduction
from tuner.results.record import Record
from tuner.results.trial import DONE, FINAL, TEACHER, Trial
from tuner.storage.folder import Storage
from tuner.training.evaluation import evaluate
from tuner.training.precision import device_for
from tuner.training.teachers import read_teacher
from tuner.training.workload_data import open_data


@dataclass(frozen=True)
class Results:
    """The trainings of every pair, and what is measured beside them."""

    reproduction: Reproduction
    records: Mapping[Pair, Record]
    teachers: Mapping[Pair, float]  # test accuracy in percent
    measure: Measurer

    @property
    def experiment(self) -> Experiment:
        return self.reproduction.experiment

    @property
    def is_full_scale(self) -> bool:
        """Whether the protocol is the paper's, so that accuracies are comparable."""
        return not self.reproduction.departures

    @property
    def variants(self) -> Sequence[Variant]:
        return self.experiment.variants

    @property
    def labels(self) -> list[str]:
        """Those of all variants."""
        return [variant.label for variant in self.variants]

    @property
    def pair(self) -> Pair:
        """The only pair, or the first."""
        return self.experiment.pairs[0]

    def trials(self, label: str, pair: Pair | None = None) -> list[Trial]:
        """The finished trainings of a variant."""
        record = self.records.get(pair or self.pair)
        if record is None:
            return []
        return [t for t in record.trials_of(FINAL) if t.setting_label == label and t.is_full_length]

    def accuracy(
        self, label: str, pair: Pair | None = None, metric: str = "test_accuracy"
    ) -> Accuracy | None:
        """Mean and deviation over the seeds at the last epoch, in percent.

        Of "teacher" its test accuracy, where that is known.
        """
        if label == TEACHER and metric == "test_accuracy":
            accuracy = self.teachers.get(pair or self.pair)
            return None if accuracy is None else Accuracy(accuracy, None)
        return accuracy_of(self.trials(label, pair), metric)

    def difference(
        self, label: str, other: str, pair: Pair | None = None, *, num_comparisons: int = 1
    ) -> Difference | None:
        """Test accuracy of one variant minus another's, paired by seed."""
        return difference(
            self.trials(label, pair), self.trials(other, pair), num_comparisons=num_comparisons
        )

    def best(self, labels: Sequence[str], pair: Pair | None = None) -> str | None:
        """The variant with the highest validation accuracy; None where none has finished."""
        means = {
            label: found.mean
            for label in labels
            if (found := self.accuracy(label, pair, "val_accuracy")) is not None
        }
        return max(means, key=lambda label: means[label], default=None)


def results_of(
    reproduction: Reproduction, records: Mapping[Pair, Record], measure: Measurer
) -> Results:
    """With the accuracy of each pair's teacher, where it is known or can be measured."""
    teachers = {}
    for pair, task in reproduction.tasks_by_pair.items():
        if pair in records:
            with suppress(NotMeasuredError):
                teachers[pair] = _teacher_accuracy(task, records[pair], measure)
    return Results(reproduction, records, teachers, measure)


def _teacher_accuracy(task: FixedTask, record: Record, measure: Measurer) -> float:
    """Test accuracy in percent: from its own training here, else evaluated once."""
    trained = [trial for trial in record.trials_of(TEACHER) if trial.status == DONE]
    if trained and (accuracy := trained[-1].last("test_accuracy")) is not None:
        return accuracy
    evaluation = partial(_evaluated, task.workload, task.storage.uri)
    return float(measure(f"teacher-{task.name}", evaluation)["accuracy"])


def _evaluated(workload: Workload, folder: str) -> Measured:
    dataset, splits = open_data(workload)
    # The pair's own copy: another machine may lack the one kept for later searches.
    teacher = read_teacher(Storage(folder), workload.teacher, dataset.num_classes)
    device = device_for()
    return dict(evaluate(teacher.to(device), dataset, splits.test, device))
