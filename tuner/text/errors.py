"""The one exception that a person's mistake raises, and texts of others made fit to be shown."""

LONGEST = 2000  # characters of a message


class RequestError(ValueError):
    """A request that cannot be carried out; the message is one sentence that says what to do."""


def printable(text: str) -> str:
    """One line in which a terminal finds nothing to obey: "\\x1b" instead of an escape."""
    line = "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in " ".join(text.split())
    )
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


def said(error: BaseException) -> str:
    """What another's error says, in one line."""
    return printable(f"{type(error).__name__}: {error}")
