"""Means over seeds, paired differences with intervals, and the sentences that state them.

Final trainings of the same seed share initial weights, images and order, so two settings are
compared by their differences within each seed, which vary far less than the accuracies.
Intervals cover the seeds, not the choice of the test images.

The winner of a search is trained again with seeds that did not choose it, so having been the best
of many trials no longer favours it. Where the same trainings both choose the best of several and
compare it with the rest (methods, searches), it is favoured: the m intervals are then widened
(Bonferroni, 1 - 0.05 / m each) so that all of them hold simultaneously at 95 %. Any candidate could
have been the best, so m counts all pairs, not only the pairs that are shown: the best is by choice
far from the worst (17 equal methods: 10 to 16 % false differences instead of 5 %).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from scipy.stats import t

from tuner.results.trial import Trial
from tuner.text.formatting import NOTHING

CONFIDENCE = 0.95
WIDE = 20.0  # points to either side; a wider interval says nothing


@dataclass(frozen=True)
class Accuracy:
    """Mean over seeds, in percent, and sample standard deviation (None for one seed)."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Difference:
    """Mean paired difference of test accuracy, in points, and its 95 % t-interval.

    `low` and `high` are None without an interval: for one pair, and for pairs that all differ by
    the same amount (a few images of a small test set). `num_comparisons` intervals hold
    simultaneously at 95 %.
    """

    mean: float
    low: float | None
    high: float | None
    num_seeds: int
    num_comparisons: int = 1

    @property
    def is_noise(self) -> bool:
        """Whether the interval contains 0, or there is none."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high

    @property
    def is_wide(self) -> bool:
        """Whether the interval is too wide to say anything, as with two seeds it often is."""
        if self.low is None or self.high is None:
            return False
        return self.high - self.low > 2 * WIDE

    def reversed(self) -> "Difference":
        """The same difference seen from the other side."""
        low = None if self.high is None else -self.high
        high = None if self.low is None else -self.low
        return Difference(-self.mean, low, high, self.num_seeds, self.num_comparisons)


def accuracy_of(trials: Sequence[Trial], metric: str) -> Accuracy | None:
    """The metric at the last epoch, over the trainings that finished; None if none has it."""
    finished = [trial for trial in trials if trial.is_full_length]
    return accuracy_over([value for one in finished if (value := one.last(metric)) is not None])


def validation_mean(trials: Sequence[Trial]) -> float:
    """Mean validation accuracy in percent, to rank by; -1 where no training has finished."""
    found = accuracy_of(trials, "val_accuracy")
    return -1.0 if found is None else found.mean


def accuracy_over(values: Sequence[float]) -> Accuracy | None:
    """Mean and deviation of one accuracy per seed, in percent; None without any."""
    if not values:
        return None
    return Accuracy(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def difference(
    trials: Sequence[Trial], others: Sequence[Trial], num_comparisons: int = 1
) -> Difference | None:
    """Test accuracy of `trials` minus that of `others`, over the seeds that both finished.

    None without such a seed. `num_comparisons` is how many intervals are stated together.
    """
    return paired(_by_seed(trials), _by_seed(others), num_comparisons)


def paired(
    ours: Mapping[int, float], theirs: Mapping[int, float], num_comparisons: int = 1
) -> Difference | None:
    """As `difference`, of accuracies in percent by seed."""
    pairs = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    if not pairs:
        return None
    low, high = interval(pairs, num_comparisons) or (None, None)
    return Difference(statistics.fmean(pairs), low, high, len(pairs), num_comparisons)


def interval(values: Sequence[float], num_comparisons: int = 1) -> tuple[float, float] | None:
    """The t-interval of a mean; `num_comparisons` of them hold simultaneously at 95 %.

    None for a single value, and for values that are all the same.
    """
    if len(values) == 1 or math.isclose(min(values), max(values), abs_tol=1e-9):
        return None
    mean = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    quantile = 1 - (1 - CONFIDENCE) / (2 * num_comparisons)
    margin = float(t.ppf(quantile, len(values) - 1)) * error
    return mean - margin, mean + margin


def num_pairs(number: int) -> int:
    """Pairs among so many candidates, any of which could have been the best; at least 1."""
    return max(1, math.comb(number, 2))


def sentence(name: str, other: str, found: Difference) -> str:
    """States the difference `name` minus `other`."""
    points = f"{abs(found.mean):.2f} points of test accuracy"
    if found.low is None or found.high is None:
        side = "above" if found.mean >= 0 else "below"
        number = found.num_seeds
        what = "one seed says" if number == 1 else f"{number} identical differences say"
        return f"{name} is {points} {side} {other}, but {what} nothing about noise."
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


def accuracy_text(accuracy: Accuracy | None) -> str:
    """A table's cell, such as "81.23 ± 0.45"."""
    if accuracy is None:
        return NOTHING
    spread = "" if accuracy.std is None else f" ± {accuracy.std:.2f}"
    return f"{accuracy.mean:.2f}{spread}"


def difference_text(difference: Difference | None) -> str:
    """A table's cell, such as "+1.20 (+0.35 to +2.05)"."""
    if difference is None:
        return NOTHING
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.2f} (no interval)"
    if difference.is_wide:
        return f"{difference.mean:+.2f} (more than ± {WIDE:.0f})"
    return f"{difference.mean:+.2f} ({difference.low:+.2f} to {difference.high:+.2f})"


def columns_of(
    rows: Sequence[Any],
    differences: Sequence[str],
    accuracies: Sequence[str] = ("val_accuracy", "test_accuracy"),
) -> dict[str, pa.Array]:
    """Arrow columns of the rows' accuracies (percent) and differences (points) at full precision.

    `accuracies` and `differences` name attributes of a row; None becomes null.
    """
    fields = [
        *((name, field) for name in accuracies for field in ("mean", "std")),
        *((name, field) for name in differences for field in ("mean", "low", "high")),
    ]
    return {
        f"{name}_{field}": pa.array(
            [getattr(getattr(row, name), field, None) for row in rows], pa.float64()
        )
        for name, field in fields
    }


def _by_seed(trials: Sequence[Trial]) -> dict[int, float]:
    return {
        trial.seed: accuracy
        for trial in trials
        if trial.is_full_length and (accuracy := trial.last("test_accuracy")) is not None
    }
