"""What can be wrong with the name of a network."""

import difflib
from collections.abc import Iterable


class UnknownModel(ValueError):  # noqa: N818, says what it is
    """A name that is no network's, or whose network cannot be used; one sentence says why."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Joins a refusal to its remedy, with the known word most like `word`."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ";"


def said(error: BaseException) -> str:
    """What another's error says, in one line."""
    try:
        return " ".join(f"{type(error).__name__}: {error}".split())
    except Exception:  # theirs cannot even be printed
        return type(error).__name__
