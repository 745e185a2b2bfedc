"""States what was found, in sentences that claim no more than the seeds allow."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.stats import kendalltau, norm

from tuner.reports.statistics import Accuracy, accuracy_text, interval, num_pairs, sentence
from tuner.reproductions.published import Value
from tuner.reproductions.results import Results
from tuner.text.formatting import count_text

NOTHING_FINISHED = "No training has finished, so there is nothing to compare."
MIN_RANKED = 4  # settings; a rank correlation of fewer says nothing
MOST_NAMED = 8  # settings in one sentence


def best_of_many(
    results: Results,
    labels: Sequence[str],
    base: str | None = None,
    *,
    is_papers: bool = False,
    noun: str = "setting",
    names: Mapping[str, str] | None = None,
) -> list[str]:
    """Which variant is best, and which others it differs from beyond noise.

    The best is chosen by validation accuracy, and all intervals allow for that choice. The
    difference from `base` has a sentence with its interval; `is_papers`: the paper prefers it.
    `names`: what labels are called here.
    """
    names = names or {label: label for label in labels}
    best = results.best(labels)
    if best is None:
        return [NOTHING_FINISHED]
    val, test = (results.accuracy(best, metric=f"{split}_accuracy") for split in ("val", "test"))
    as_in_paper = ", as in the paper" if is_papers and best == base else ""
    found = [
        f"Of {count_text(len(labels), noun)}, {names[best]} has the highest validation accuracy"
        f"{as_in_paper} ({accuracy_text(val)} %; test {accuracy_text(test)} %)."
    ]
    # Any of them might have been the best, chosen by these same trainings.
    num_compared = num_pairs(len(labels))
    behind: list[str] = []
    within: list[str] = []
    for other in labels:
        if other == best:
            continue
        # The base was fixed beforehand: it is compared with as many as there are others.
        number = len(labels) - 1 if other == base else num_compared
        against = results.difference(best, other, num_comparisons=number)
        if against is None:
            continue
        if other == base or len(labels) == 2:
            found.append(sentence(names[best], names[other], against))
        else:
            (within if against.is_noise else behind).append(names[other])
    corrected = f" (intervals corrected for {num_compared} comparisons)" if num_compared > 1 else ""
    if behind:
        found.append(f"{names[best]} beats {_listed(behind)}{corrected}.")
    if within:
        one_seed = len(results.trials(best)) < 2
        cannot = "One seed cannot distinguish it from" if one_seed else "Within noise of it"
        found.append(f"{cannot}: {_listed(within)}.")
    return found


def spread(results: Results, labels: Sequence[str], what: str) -> str:
    """The range of some variants' mean test accuracies, beside the range noise alone gives."""
    means = [found.mean for label in labels if (found := results.accuracy(label)) is not None]
    if len(means) < 2:
        return f"Too few settings of {what} have finished to measure how far they lie apart."
    noise = _spread_by_noise(results, labels)
    beside = (
        "one seed says nothing about noise"
        if noise is None
        else f"noise alone would spread them by about {noise:.2f}"
    )
    return (
        f"Test accuracy varies by {max(means) - min(means):.2f} points over {what}"
        f" ({min(means):.2f} to {max(means):.2f} %); {beside}."
    )


def beside_published(results: Results, published: Mapping[str, Value | None]) -> list[str]:
    """How well measured and published accuracies agree; `published` by label."""
    both = {
        label: (found, value)
        for label, value in published.items()
        if value is not None and (found := results.accuracy(label)) is not None
    }
    if len(both) < 2:
        return []
    if results.is_full_scale:
        sentences = [_distances(results, both)]
    else:
        sentences = ["Scaled down, accuracies are not comparable with the paper's; their order is."]
    if (correlation := rank_correlation(list(both.values()))) is not None:
        sentences.append(
            f"Kendall's rank correlation with the paper's is {correlation} over"
            f" {count_text(len(both), 'setting')}."
        )
    values = {label: value for label, (_, value) in both.items()}
    return [" ".join([*sentences, _order(results, values)])]


def rank_correlation(both: Sequence[tuple[Accuracy, Value]]) -> str | None:
    """Kendall's, of measured and published means; None for too few or without an order."""
    if len(both) < MIN_RANKED:
        return None
    means = [(found.mean, value.mean) for found, value in both]
    tau, chance = kendalltau(*zip(*means, strict=True))
    if not np.isfinite(tau):  # equal accuracies
        return None
    return f"{tau:.2f} ({probability_text(float(chance))})"


def probability_text(chance: float) -> str:
    """A p value with two digits."""
    return f"p = {chance:.2f}" if chance >= 0.01 else "p < 0.01"


def expected_range(number: int) -> float:
    """The expected difference of the largest and the smallest of so many normal values."""
    x = np.linspace(-8, 8, 4001)
    below = norm.cdf(x)
    return float(np.trapezoid(1 - below**number - (1 - below) ** number, x))


def _distances(results: Results, both: Mapping[str, tuple[Accuracy, Value]]) -> str:
    gaps = [abs(found.mean - value.mean) for found, value in both.values()]
    intervals = {
        label: interval([trial.last("test_accuracy") or 0.0 for trial in trials])
        for label in both
        if len(trials := results.trials(label)) > 1
    }
    held = [
        label
        for label, found in intervals.items()
        if found is not None and found[0] <= both[label][1].mean <= found[1]
    ]
    inside = (
        f"; {len(held)} of {len(intervals)} published values lie within the 95 % interval of the"
        " measured mean"
        if intervals
        else ""
    )
    return (
        f"The measured accuracies differ from the published ones by {sum(gaps) / len(gaps):.2f}"
        f" points on average and {max(gaps):.2f} at most{inside}."
    )


def _order(results: Results, published: Mapping[str, Value]) -> str:
    """Of the pairs of settings that differ beyond noise, how many do so in the paper's order."""
    compared = list(combinations(published, 2))
    num_agree = 0
    against: list[str] = []
    for one, other in compared:
        found = results.difference(one, other, num_comparisons=len(compared))
        if found is None or found.is_noise:
            continue
        better, worse = (one, other) if found.mean > 0 else (other, one)
        if published[better].mean > published[worse].mean:
            num_agree += 1
        else:
            against.append(f"{better} > {worse}")
    num_differ = num_agree + len(against)
    pairs = "The two settings" if len(compared) == 1 else f"Of {len(compared)} pairs of settings"
    if not num_differ:
        none = "do not differ" if len(compared) == 1 else "none differs"
        return (
            f"{pairs} {none} beyond noise here, so their order neither confirms nor contradicts"
            " the paper's."
        )
    differ = "" if len(compared) == 1 else f", {num_differ}"
    if not against:
        return f"{pairs}{differ} differ beyond noise, in the paper's order."
    return f"{pairs}{differ} differ beyond noise; against the paper's order: {_listed(against)}."


def _spread_by_noise(results: Results, labels: Sequence[str]) -> float | None:
    """The expected range of the means of equal settings, in points of test accuracy.

    The noise is what is left of the accuracies after the effects of setting and seed (a two-way
    table without interaction). None for fewer than two settings or common seeds.
    """
    accuracies = [
        {trial.seed: trial.last("test_accuracy") or 0.0 for trial in results.trials(label)}
        for label in labels
    ]
    accuracies = [by_seed for by_seed in accuracies if by_seed]
    seeds = sorted(set.intersection(*map(set, accuracies))) if accuracies else []
    if len(seeds) < 2 or len(accuracies) < 2:
        return None
    table = np.array([[by_seed[seed] for seed in seeds] for by_seed in accuracies])
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    num_settings, num_seeds = table.shape
    variance = float((rest**2).sum()) / ((num_settings - 1) * (num_seeds - 1))
    return expected_range(num_settings) * (variance / num_seeds) ** 0.5


def _listed(names: Sequence[str]) -> str:
    separator = "; " if any("," in name for name in names) else ", "
    if len(names) <= MOST_NAMED:
        return separator.join(names)
    return f"{separator.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} others"
