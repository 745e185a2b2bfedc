"""What can be wrong with the name of a network."""


class UnknownModel(ValueError):  # noqa: N818, says what it is
    """A name that is no network's, or whose network cannot be used; one sentence says why."""
