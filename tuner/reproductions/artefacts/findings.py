"""What a reproduction found, in sentences that claim no more than the seeds allow."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.stats import kendalltau, norm

from tuner.reports.statistics import Accuracy, accuracy_text, interval, num_pairs, sentence
from tuner.reproductions.experiment import Pair
from tuner.reproductions.published import Value
from tuner.reproductions.results import Results
from tuner.text.formatting import count_text

NOTHING_FINISHED = "No training has finished, so nothing is compared."
MIN_RANKED = 4  # settings, for a rank correlation to say something
MOST_NAMED = 8  # settings in one sentence


def best_of_many(
    results: Results,
    labels: Sequence[str],
    base: str | None = None,
    pair: Pair | None = None,
    *,
    is_papers: bool = False,
    noun: str = "setting",
    names: Mapping[str, str] | None = None,
) -> list[str]:
    """Which arm is best, and which others it differs from beyond noise.

    The best is chosen by validation accuracy; all intervals allow for the choice. `base` is told
    with its interval; `is_papers` says that the paper prefers it. `names`: what labels are called.
    """
    names = names or {label: label for label in labels}
    best = results.best(labels, pair)
    if best is None:
        return [NOTHING_FINISHED]
    val, test = (results.accuracy(best, pair, f"{split}_accuracy") for split in ("val", "test"))
    as_there = ", as in the paper" if is_papers and best == base else ""
    found = [
        f"Of {count_text(len(labels), noun)}, {names[best]} has the highest validation accuracy"
        f"{as_there} ({accuracy_text(val)} %; test {accuracy_text(test)} %)."
    ]
    # Any of them might have been the best, and chose itself by the same trainings.
    num_compared = num_pairs(len(labels))
    behind: list[str] = []
    within: list[str] = []
    for other in labels:
        if other == best:
            continue
        # The base was no choice: as many differ from it as there are others.
        number = len(labels) - 1 if other == base else num_compared
        against = results.difference(best, other, pair, num_comparisons=number)
        if against is None:
            continue
        if other == base or len(labels) == 2:
            found.append(sentence(names[best], names[other], against))
        else:
            (within if against.is_noise else behind).append(names[other])
    corrected = f" (intervals corrected for {num_compared} comparisons)" if num_compared > 1 else ""
    if behind:
        found.append(f"{names[best]} beats {_named(behind)}{corrected}.")
    if within:
        one_seed = len(results.trials(best, pair)) < 2
        cannot = "One seed cannot tell it from" if one_seed else "Within noise of it"
        found.append(f"{cannot}: {_named(within)}.")
    return found


def spread(results: Results, labels: Sequence[str], what: str) -> str:
    """How far the mean test accuracies of some arms lie apart, beside what noise alone does."""
    means = [found.mean for label in labels if (found := results.accuracy(label)) is not None]
    if len(means) < 2:
        return f"Too few settings of {what} have finished to say how far they lie apart."
    noise = _spread_by_noise(results, labels)
    told = (
        "one seed says nothing about noise"
        if noise is None
        else f"noise alone would spread them by about {noise:.2f}"
    )
    return (
        f"Test accuracy varies by {max(means) - min(means):.2f} points over {what}"
        f" ({min(means):.2f} to {max(means):.2f} %); {told}."
    )


def beside_published(
    results: Results, published: Mapping[str, Value | None], pair: Pair | None = None
) -> list[str]:
    """How the measured accuracies agree with the paper's; by arm."""
    both = {
        label: (found, value)
        for label, value in published.items()
        if value is not None and (found := results.accuracy(label, pair)) is not None
    }
    if len(both) < 2:
        return []
    if results.is_full_scale:
        told = [_distances(results, both, pair)]
    else:
        told = ["Scaled down, accuracies cannot be compared with the paper's; their order can."]
    if (correlation := rank_correlation(list(both.values()))) is not None:
        told.append(
            f"Kendall's rank correlation with the paper's is {correlation} over"
            f" {count_text(len(both), 'setting')}."
        )
    return [" ".join([*told, _order(results, {k: v for k, (_, v) in both.items()}, pair)])]


def rank_correlation(both: Sequence[tuple[Accuracy, Value]]) -> str | None:
    """Kendall's, of measured and published means; None for too few, or without an order."""
    if len(both) < MIN_RANKED:
        return None
    means = [(found.mean, value.mean) for found, value in both]
    tau, chance = kendalltau(*zip(*means, strict=True))
    if not np.isfinite(tau):  # equal accuracies
        return None
    return f"{tau:.2f} ({probability_text(float(chance))})"


def probability_text(chance: float) -> str:
    """A p value, with as many digits as mean something."""
    return f"p = {chance:.2f}" if chance >= 0.01 else "p < 0.01"


def _distances(
    results: Results, both: Mapping[str, tuple[Accuracy, Value]], pair: Pair | None
) -> str:
    gaps = [abs(found.mean - value.mean) for found, value in both.values()]
    intervals = {
        label: interval([trial.last("test_accuracy") or 0.0 for trial in trials])
        for label in both
        if len(trials := results.trials(label, pair)) > 1
    }
    held = [
        label
        for label, found in intervals.items()
        if found is not None and found[0] <= both[label][1].mean <= found[1]
    ]
    inside = (
        f"; {len(held)} of {len(intervals)} published values lie in the 95 % interval of ours"
        if intervals
        else ""
    )
    return (
        f"The measured accuracies differ from the published ones by {sum(gaps) / len(gaps):.2f}"
        f" points on average and {max(gaps):.2f} at most{inside}."
    )


def _order(results: Results, published: Mapping[str, Value], pair: Pair | None) -> str:
    """Of the pairs of settings that differ beyond noise, how many do as in the paper."""
    compared = list(combinations(published, 2))
    agree: list[str] = []
    against: list[str] = []
    for one, other in compared:
        found = results.difference(one, other, pair, num_comparisons=len(compared))
        if found is None or found.is_noise:
            continue
        better, worse = (one, other) if found.mean > 0 else (other, one)
        is_same = published[better].mean > published[worse].mean
        (agree if is_same else against).append(f"{better} > {worse}")
    num_told = len(agree) + len(against)
    pairs = "The two settings" if len(compared) == 1 else f"Of {len(compared)} pairs of settings"
    if not num_told:
        none = "do not differ" if len(compared) == 1 else "none differs"
        return f"{pairs} {none} beyond noise here, so their order neither agrees nor disagrees."
    differ = f"{pairs}" + ("" if len(compared) == 1 else f", {num_told}") + " differ beyond noise"
    if not against:
        return f"{differ}, in the paper's order."
    return f"{differ}; against the paper's order: {_named(against)}."


def _spread_by_noise(results: Results, labels: Sequence[str]) -> float | None:
    """The expected range of equal settings' means, from how their differences vary by seed."""
    accuracies = [
        {trial.seed: trial.last("test_accuracy") or 0.0 for trial in results.trials(label)}
        for label in labels
    ]
    accuracies = [by_seed for by_seed in accuracies if by_seed]
    seeds = sorted(set.intersection(*map(set, accuracies))) if accuracies else []
    if len(seeds) < 2 or len(accuracies) < 2:
        return None
    table = np.array([[by_seed[seed] for seed in seeds] for by_seed in accuracies])
    # What is left when settings and seeds have had their say: a seed favours all settings alike.
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    num_settings, num_seeds = table.shape
    variance = float((rest**2).sum()) / ((num_settings - 1) * (num_seeds - 1))
    return expected_range(num_settings) * (variance / num_seeds) ** 0.5


def expected_range(number: int) -> float:
    """Of so many standard normal values, the mean of the largest minus the smallest."""
    x = np.linspace(-8, 8, 4001)
    below = norm.cdf(x)
    return float(np.trapezoid(1 - below**number - (1 - below) ** number, x))


def _named(names: Sequence[str]) -> str:
    separator = "; " if any("," in name for name in names) else ", "
    if len(names) <= MOST_NAMED:
        return separator.join(names)
    return f"{separator.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} others"
