"""When early stopping compares trials."""

REDUCTION_FACTOR = 3


def grace_period(epochs: int) -> int:
    """Epochs that every trial is trained for before a scheduler may stop it."""
    return max(1, epochs // 10)


def perturbation_interval(epochs: int) -> int:
    """Every how many epochs population-based training compares its population."""
    return max(1, epochs // 8)
