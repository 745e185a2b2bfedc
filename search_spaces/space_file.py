"""Reads the user's own search space, and its loss if the method is new, from a Python file."""

from dataclasses import replace
from pathlib import Path

from search_spaces.space import Space, SpaceError
from search_spaces.wording import fault_text


def read_space_file(path: Path) -> Space:
    """Runs the file and returns its SPACE, with the class LOSS if it defines one.

    Raises SpaceError if the file fails, or defines something else under these names.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise SpaceError(f"{path}: {error.strerror}; check the path") from error
    names: dict[str, object] = {"__name__": path.stem, "__file__": str(path)}
    try:
        exec(compile(source, str(path), "exec"), names)
    except KeyboardInterrupt:
        raise
    # Anything can go wrong in the user's code, and all of it is theirs to fix.
    except BaseException as error:
        problem = str(error) if isinstance(error, SpaceError) else ""
        raise SpaceError(fault_text(path, error, problem)) from error
    space = names.get("SPACE")
    if not isinstance(space, Space):
        found = (
            "defines no SPACE" if space is None else f"has a SPACE of type {type(space).__name__}"
        )
        raise SpaceError(
            f"{path} {found}; add SPACE = Space(method=..., params=(...), source=...)"
            " from search_spaces.space"
        )
    loss = names.get("LOSS", space.loss)
    if loss is not None and not isinstance(loss, type):
        raise SpaceError(
            f"{path} has a LOSS of type {type(loss).__name__}; give the class itself,"
            " LOSS = MyLoss without parentheses"
        )
    return replace(space, loss=loss)
