"""The one exception that a person's mistake raises."""


class RequestError(ValueError):
    """A request that cannot be carried out; the message is one sentence that says what to do."""
