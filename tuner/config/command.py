"""Runs a command: turns exceptions into one sentence on standard error and an exit status."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tuner.config.environment import set_library_defaults
from tuner.text.errors import RequestError, printable
from tuner.text.time_left import left_text

# Paths that no disk could hold: a mistake of the request, not a fault of the machine.
IMPOSSIBLE_PATHS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP)


def run_command(command: Callable[[], int]) -> int:
    """Returns the command's exit status, or prints why it failed and returns another.

    2: a bad request; 1: a fault of the disk; 130: Ctrl-C.
    """
    set_library_defaults()
    # The leaf packages can be used alone, so they raise errors of their own.
    from losses import LossError
    from models import CheckpointError, UnknownModel
    from search_spaces import SpaceError

    try:
        return command()
    except (RequestError, LossError, CheckpointError, UnknownModel, SpaceError) as error:
        return _fail(str(error), 2)
    except OSError as error:  # a full disk, a folder that has disappeared
        if error.errno in IMPOSSIBLE_PATHS:
            return _fail(f"{error.filename}: {error.strerror}; give another path", 2)
        return _fail(
            f"{error}; free disk space or check the folder, then run the command again "
            "(a search: with --resume NAME)",
            1,
        )
    except KeyboardInterrupt:
        return _fail("interrupted; resume a search that had started with --resume NAME", 130)


def output_file(location: str) -> Path:
    """The absolute path of a file to write. Raises RequestError if it cannot be written."""
    path = Path(location).expanduser().absolute()
    folder = next(parent for parent in path.parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise RequestError(f"cannot write to {path}; give --output a file in a writable folder")
    return path


def print_epoch(who: str, metrics: dict[str, float], left: float) -> None:
    """Prints one epoch of a training in one line; `left`: seconds until the training ends."""
    if "initial_epoch" in metrics:
        line = (
            f"{who}  initial epoch {int(metrics['initial_epoch']):>3}  "
            f"loss {metrics['initial_loss']:.4f}  {metrics['initial_seconds']:.1f} s"
        )
    else:
        line = (
            f"{who}  epoch {int(metrics['epoch']):>3}  loss {metrics['train_loss']:.4f}  "
            f"validation accuracy {metrics['val_accuracy']:.2f} %  {metrics['seconds']:.1f} s"
        )
    # Flushed: otherwise a file or a pipe would show nothing for minutes.
    print(f"{line}  {left_text(left)}".rstrip(), flush=True)  # noqa: T201


def _fail(message: str, status: int) -> int:
    print(f"tuner: {printable(message)}", file=sys.stderr)  # noqa: T201
    return status
