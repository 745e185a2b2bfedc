"""Means, paired differences and their intervals, and the sentences that state them."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t

from tuner.results.trial import Trial
from tuner.text.formatting import NOTHING

CONFIDENCE = 0.95
WIDE = 20.0  # points to either side: an interval beyond them says nothing


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


def accuracy_text(accuracy: Accuracy | None) -> str:
    if accuracy is None:
        return NOTHING
    spread = "" if accuracy.std is None else f" ± {accuracy.std:.2f}"
    return f"{accuracy.mean:.2f}{spread}"


def difference_text(difference: Difference | None) -> str:
    if difference is None:
        return NOTHING
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.2f} (no interval)"
    if difference.is_wide:
        return f"{difference.mean:+.2f} (more than ± {WIDE:.0f})"
    return f"{difference.mean:+.2f} ({difference.low:+.2f} to {difference.high:+.2f})"
