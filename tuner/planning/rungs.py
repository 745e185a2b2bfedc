"""The epochs at which early stopping compares trials."""

REDUCTION_FACTOR = 3


def grace_period(epochs: int) -> int:
    """Epochs that every trial runs before a scheduler may stop it."""
    return max(1, epochs // 10)


def perturbation_interval(epochs: int) -> int:
    """Epochs between two comparisons of population-based training."""
    return max(1, epochs // 8)
