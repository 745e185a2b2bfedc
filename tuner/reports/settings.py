"""Is the tuned setting better than the published one and than no distillation at all?

The final trainings of a seed share their initial weights, images and order, so two
settings are compared by the differences within each seed, which vary much less than
the accuracies do. Intervals cover the seeds, not the choice of the test images.

The winner of a search is trained again with seeds that did not choose it, so that it was the best
of many trials favours it no longer. Where the same trainings choose the best of several and
compare it with the others (methods, searches), it does: m intervals are then made wider, so that
with a probability of 95 % all of them hold (Bonferroni: each covers 1 - 0.05 / m). Any of them
might have been the best, so m counts all pairs, not only those that are looked at in the end:
the best is chosen to lie far from the worst (17 equal methods: 10 to 16 % instead of 5 %).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t

from tuner.results.record import FAILED, FINAL, TEACHER, Record, Setting, Trial

CONFIDENCE = 0.95
WIDE = 20.0  # points to either side: an interval beyond them says nothing
LABELS = ("tuned", "published", "plain", "teacher")  # the order of the rows
SELECTED_ON_TEST = (
    "Settings were selected on the test set (the papers' protocol), so these test accuracies"
    " are optimistic."
)


@dataclass(frozen=True)
class Accuracy:
    """Mean over seeds, in percent, and its standard deviation (n - 1; None for one seed)."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences of test accuracy, in points, and its 95 % t-interval.

    `num_comparisons` is how many such intervals hold together with 95 %.

    One pair has no interval, nor have pairs that all differ by the same (a few images of
    a small test set): `low` and `high` are None.
    """

    mean: float
    low: float | None
    high: float | None
    num_seeds: int
    num_comparisons: int = 1

    @property
    def is_noise(self) -> bool:
        """Whether the interval holds 0; one seed cannot show the contrary."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high

    @property
    def is_wide(self) -> bool:
        """Whether the interval is so wide that it says nothing, as two seeds' often is."""
        if self.low is None or self.high is None:
            return False
        return self.high - self.low > 2 * WIDE


@dataclass(frozen=True)
class Row:
    """The final trainings of one setting; what has no finished training is None."""

    label: str  # "tuned", "published", "plain" or "teacher"
    method: str
    setting: Setting
    num_seeds: int  # finished
    num_failed: int
    val_accuracy: Accuracy | None
    test_accuracy: Accuracy | None
    to_plain: Difference | None  # this minus plain
    to_published: Difference | None  # this minus published; of "tuned" only


def compare(record: Record) -> list[Row]:
    """A row per setting that was trained in full, and the teacher's if it was trained here.

    A training that has not reached its last epoch does not count.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in [*record.of(FINAL), *record.of(TEACHER)]:
        groups.setdefault(trial.label, []).append(trial)
    rows = []
    for label in sorted(groups, key=_rank):
        trials = groups[label]
        is_student = trials[0].kind == FINAL
        finished = [trial for trial in trials if trial.is_full_length]
        rows.append(
            Row(
                label=label,
                method=trials[0].method,
                setting=trials[0].setting,
                num_seeds=len(finished),
                num_failed=sum(trial.status == FAILED for trial in trials),
                val_accuracy=accuracy_of(finished, "val_accuracy"),
                test_accuracy=accuracy_of(finished, "test_accuracy"),
                to_plain=(
                    difference(trials, groups.get("plain", []))
                    if is_student and label != "plain"
                    else None
                ),
                to_published=(
                    difference(trials, groups.get("published", [])) if label == "tuned" else None
                ),
            )
        )
    return rows


def difference(
    trials: Sequence[Trial], others: Sequence[Trial], num_comparisons: int = 1
) -> Difference | None:
    """Test accuracy of `trials` minus that of `others`, over the seeds that both finished.

    `num_comparisons`: of how many that are made at once, see above.
    """
    return paired(_by_seed(trials), _by_seed(others), num_comparisons)


def paired(
    ours: Mapping[int, float], theirs: Mapping[int, float], num_comparisons: int = 1
) -> Difference | None:
    """The same of accuracies by seed."""
    pairs = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    if not pairs:
        return None
    low, high = interval(pairs, num_comparisons) or (None, None)
    return Difference(statistics.fmean(pairs), low, high, len(pairs), num_comparisons)


def interval(values: Sequence[float], num_comparisons: int = 1) -> tuple[float, float] | None:
    """The t-interval of a mean, 95 % for `num_comparisons` of them together.

    None where the values are one, or all the same.
    """
    if len(values) == 1 or math.isclose(min(values), max(values), abs_tol=1e-9):
        return None
    mean = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    quantile = 1 - (1 - CONFIDENCE) / (2 * num_comparisons)
    margin = float(t.ppf(quantile, len(values) - 1)) * error
    return mean - margin, mean + margin


def verdict(rows: list[Row], select_on: str = "val") -> str:
    """What the final trainings say, in one to three plain sentences."""
    by_label = {row.label: row for row in rows}
    best = by_label.get("tuned") or by_label.get("published")
    if best is None:
        return "The final trainings have not begun, so nothing is compared yet."
    sentences = []
    if best.label == "published":
        sentences.append("The published setting won the search.")
    if best.num_seeds == 0:
        sentences.append(f"No final training of the {best.label} setting has finished yet.")
    else:
        for other, found in (("plain", best.to_plain), ("published", best.to_published)):
            if found is not None:
                sentences.append(sentence(best.label.capitalize(), other, found))
        if best.to_plain is None:
            sentences.append("No final training of the plain student has finished to compare with.")
    if select_on == "test":
        sentences.append(SELECTED_ON_TEST)
    return " ".join(sentences)


def sentence(name: str, other: str, found: Difference) -> str:
    """What the difference between two trainings says."""
    points = f"{abs(found.mean):.2f} points of test accuracy"
    if found.low is None or found.high is None:
        side = "above" if found.mean >= 0 else "below"
        seeds = "one seed says" if found.num_seeds == 1 else f"{found.num_seeds} equal seeds say"
        return f"{name} is {points} {side} {other}, but {seeds} nothing about noise."
    several = found.num_comparisons
    corrected = f", corrected for {several} comparisons" if several > 1 else ""
    between = f"95 % interval {found.low:.2f} to {found.high:.2f}"
    if found.is_wide:
        between = f"95 % interval of more than {WIDE:.0f} points to either side"
    evidence = f"({between}{corrected}, {found.num_seeds} seeds)"
    if found.is_noise:
        return (
            f"{name} and {other} differ within noise:"
            f" {found.mean:+.2f} points of test accuracy {evidence}."
        )
    return f"{name} {'beats' if found.mean > 0 else 'loses to'} {other} by {points} {evidence}."


def _rank(label: str) -> int:
    return LABELS.index(label) if label in LABELS else len(LABELS)


def _by_seed(trials: Sequence[Trial]) -> dict[int, float]:
    return {
        trial.seed: accuracy
        for trial in trials
        if trial.is_full_length and (accuracy := trial.last("test_accuracy")) is not None
    }


def num_pairs(number: int) -> int:
    """Comparisons of the best of so many with the others, which it is the best of; at least 1."""
    return max(1, math.comb(number, 2))


def accuracy_of(trials: Sequence[Trial], metric: str) -> Accuracy | None:
    """Of each trial's last epoch, over the trials; None where none has the metric."""
    return accuracy_over([value for trial in trials if (value := trial.last(metric)) is not None])


def accuracy_over(values: Sequence[float]) -> Accuracy | None:
    """Of the accuracies of several seeds; None where there are none."""
    if not values:
        return None
    return Accuracy(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)
