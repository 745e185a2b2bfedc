"""Errors about networks, and texts for them."""

import difflib
from collections.abc import Iterable


class UnknownModel(ValueError):  # noqa: N818, says what it is
    """A name without a usable network; the message is one sentence with the remedy."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most similar to `word`, or None if none is similar."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Connects an error to its remedy: "; did you mean 'x'?", or ";" without a similar word."""
    match = closest(word, known)
    return ";" if match is None else f"; did you mean {match!r}?"


def error_text(error: BaseException) -> str:
    """The type and message of an error in one line."""
    try:
        return " ".join(f"{type(error).__name__}: {error}".split())
    except Exception:  # the user's own error class may fail to print
        return type(error).__name__
