"""Values and refusals as text, for the leaf packages and the commands alike."""

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path

LONGEST_WORD = 100  # characters that are compared, as the time grows with their square


def text_of(value: object) -> str:
    """A value as it is written on the command line and in YAML."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def list_of(values: Iterable[object]) -> str:
    """Values as text, separated by commas."""
    return ", ".join(map(text_of, values))


def nearest(word: object, known: Iterable[object]) -> str | None:
    """The known word most like `word`, or None if none is like it."""
    word = text_of(word)[:LONGEST_WORD]
    return next(iter(difflib.get_close_matches(word, list(map(text_of, known)), n=1)), None)


def suggestion(word: object, known: Iterable[object]) -> str:
    """Joins a refusal of `word` to its remedy: "; did you mean 'kd'?", or ";" alone."""
    close = nearest(word, known)
    return f"; did you mean {close!r}?" if close else ";"


def error_text(error: BaseException) -> str:
    """The type and message of an error of foreign code, in one line."""
    try:
        return " ".join(f"{type(error).__name__}: {error}".split())
    except Exception:  # its own __str__ may fail
        return type(error).__name__


def fault_text(path: Path, error: BaseException, problem: str = "") -> str:
    """Says where the user's file fails and with what; by default with the error's own text.

    A syntax error may be in another file, which this one imports.
    """
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    place = f"{path} line {lines[-1]}" if lines else str(path)
    problem = problem or error_text(error)
    if isinstance(error, SyntaxError):
        problem = error.msg or problem
        place = f"{error.filename} line {error.lineno}" if error.lineno else place
    return f"{place}: {problem}; fix it and run again"
