"""What a reproduction found, in sentences that claim no more than the seeds allow."""

from collections.abc import Mapping, Sequence

from scipy.stats import kendalltau

from tuner.reports.comparison import sentence
from tuner.reports.formatting import accuracy_text, count_text, value_text
from tuner.reproductions.experiment import Pair
from tuner.reproductions.published import Value
from tuner.reproductions.results import Results

MIN_RANKED = 4  # settings, for a rank correlation to say something


def best_of_many(
    results: Results, labels: Sequence[str], base: str, pair: Pair | None = None
) -> list[str]:
    """Which arm is best, and whether it differs from the base, which the paper has.

    The best is chosen by validation accuracy; its interval allows for the choice.
    """
    best = results.best(labels, pair)
    if best is None:
        return ["No training has finished, so nothing is compared."]
    val, test = (results.accuracy(best, pair, f"{split}_accuracy") for split in ("val", "test"))
    found = [
        f"Of {count_text(len(labels), 'setting')}, {best} has the highest validation accuracy "
        f"({accuracy_text(val)} %; test {accuracy_text(test)} %)."
    ]
    num_others = len(labels) - 1
    if best == base:
        found[0] += " It is the paper's own choice."
        behind, within = _against(results, best, [one for one in labels if one != best], pair)
        if behind:
            found.append(f"It beats {', '.join(behind)}{_corrected(num_others)}.")
        if within:
            found.append(_within(results, within, pair))
        return found
    compared = results.difference(best, base, pair, num_comparisons=max(1, num_others))
    if compared is not None:
        found.append(sentence(best, base, compared))
    behind, within = _against(
        results, best, [one for one in labels if one not in (best, base)], pair
    )
    if behind:
        found.append(f"It beats {', '.join(behind)}{_corrected(num_others)}.")
    if within:
        found.append(_within(results, within, pair))
    return found


def spread(results: Results, labels: Sequence[str], what: str) -> str:
    """How far the mean test accuracies of some arms lie apart, beside the noise of the seeds."""
    found = [results.accuracy(label) for label in labels]
    means = [one.mean for one in found if one is not None]
    if len(means) < 2:
        return f"Too few settings of {what} have finished to say how far they lie apart."
    stds = [one.std for one in found if one is not None and one.std is not None]
    noise = (
        f"; one setting varies over its seeds by a deviation of {sum(stds) / len(stds):.2f}"
        if stds
        else "; one seed says nothing about noise"
    )
    return (
        f"Test accuracy varies by {max(means) - min(means):.2f} points over {what}"
        f" ({min(means):.2f} to {max(means):.2f} %){noise}."
    )


def beside_published(
    results: Results, published: Mapping[str, Value | None], pair: Pair | None = None
) -> str:
    """How the measured accuracies agree with the paper's; by arm."""
    both = {
        label: (found, value)
        for label, value in published.items()
        if value is not None and (found := results.accuracy(label, pair)) is not None
    }
    if not both:
        return ""
    if results.is_full_scale:
        gaps = [abs(found.mean - value.mean) for found, value in both.values()]
        return (
            f"Against the paper's numbers the measured ones differ by {sum(gaps) / len(gaps):.2f}"
            f" points on average and {max(gaps):.2f} at most."
        )
    text = "Scaled down, accuracies cannot be compared with the paper's; their order can: "
    if len(both) < MIN_RANKED:
        ours = sorted(both, key=lambda label: -both[label][0].mean)
        theirs = sorted(both, key=lambda label: -both[label][1].mean)
        same = "the same" if ours == theirs else "not the same"
        return f"{text}it is {same} (here {' > '.join(ours)}; there {' > '.join(theirs)})."
    tau, chance = kendalltau(*zip(*((f.mean, v.mean) for f, v in both.values()), strict=True))
    return (
        f"{text}Kendall's rank correlation with it is {tau:.2f} over"
        f" {count_text(len(both), 'setting')} (p = {value_text(float(chance))})."
    )


def _against(
    results: Results, best: str, others: Sequence[str], pair: Pair | None
) -> tuple[list[str], list[str]]:
    """Those that the best arm beats, and those that it cannot be told from."""
    behind: list[str] = []
    within: list[str] = []
    for other in others:
        found = results.difference(best, other, pair, num_comparisons=max(1, len(others)))
        if found is not None:
            (within if found.is_noise else behind).append(other)
    return behind, within


def _within(results: Results, labels: Sequence[str], pair: Pair | None) -> str:
    one_seed = any(len(results.trials(label, pair)) < 2 for label in labels)
    what = "One seed cannot tell it from" if one_seed else "Within noise of it"
    return f"{what}: {', '.join(labels)}."


def _corrected(num_others: int) -> str:
    return f" (intervals corrected for {num_others} comparisons)" if num_others > 1 else ""
