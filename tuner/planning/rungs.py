"""When schedulers compare trials: rungs of early stopping, the interval of a population."""

from tuner.results.trial import COOLDOWN_ACCURACY

REDUCTION_FACTOR = 3  # of the trials at a rung, one in three continues
COOLDOWN_RUNGS = (0.1, 0.2)  # fractions of a training
COOLDOWN_RATES = (0.1,)  # of the learning rate, for an epoch each


def rungs(scheduler: str, epochs: int) -> tuple[int, ...]:
    """The epochs after which a scheduler may stop trials of `epochs` epochs."""
    if scheduler == "cooldown":
        found = [max(1, round(fraction * epochs)) for fraction in COOLDOWN_RUNGS]
    elif scheduler in ("asha", "hyperband"):
        found = [grace_period(epochs)]
        while found[-1] < epochs:
            found.append(found[-1] * REDUCTION_FACTOR)
    else:
        found = []
    return tuple(dict.fromkeys(rung for rung in found if rung < epochs))


def cooldown_epochs(scheduler: str, epochs: int) -> tuple[int, ...]:
    """The epochs after which a trial is cooled down, to compare it."""
    return rungs(scheduler, epochs) if scheduler == "cooldown" else ()


def longest_trial(scheduler: str, epochs: int) -> int:
    """What a trial trains that runs to its end, in epochs; those of cooldowns count."""
    return epochs + len(COOLDOWN_RATES) * len(cooldown_epochs(scheduler, epochs))


def shortest_trial(scheduler: str, epochs: int) -> int:
    """What a trial trains that is stopped as early as may be, likewise."""
    first = min([*rungs(scheduler, epochs), epochs])
    return first + len(COOLDOWN_RATES) * (first in cooldown_epochs(scheduler, epochs))


def trained_epochs(epochs: list[dict[str, float]]) -> int:
    """What a trial has trained so far, likewise."""
    return len(epochs) + len(COOLDOWN_RATES) * sum(COOLDOWN_ACCURACY in one for one in epochs)


def grace_period(epochs: int) -> int:
    """Epochs that every trial runs before one of Ray's schedulers may stop it."""
    return max(1, epochs // 10)


def perturbation_interval(epochs: int) -> int:
    """Epochs between two comparisons of population-based training."""
    return max(1, epochs // 8)
