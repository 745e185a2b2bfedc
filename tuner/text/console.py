"""Prints to standard error, where progress and problems go; standard output is for results."""

import sys


def print_to_stderr(text: str) -> None:
    """Prints a line at once, also into a pipe or a file."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
