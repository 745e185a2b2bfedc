"""The error about networks."""


class UnknownModel(ValueError):  # noqa: N818, says what it is
    """A name without a usable network; the message is one sentence with the remedy."""
