"""`RequestError`, the exception of every refused request, and foreign text made safe to print."""

LONGEST = 2000  # characters of a message


class RequestError(ValueError):
    """A request that cannot be carried out; the message is one sentence with the remedy."""


def printable(text: str) -> str:
    """The text in one line without terminal control codes ("\\x1b" for an escape), shortened."""
    line = "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in " ".join(text.split())
    )
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
