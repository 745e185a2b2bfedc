"""What the commands share: from arguments to an exit status, refusals told in one sentence."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from tuner.config.command_line import fail
from tuner.config.environment import set_library_defaults
from tuner.text.errors import RequestError
from tuner.text.time_left import left_text

# What no disk could hold, however much room it had.
IMPOSSIBLE_PATHS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP)


def run_command(command: Callable[[], int]) -> int:
    """Returns the command's exit status, and tells a person what to do where it could not end well.

    2: a bad request; 1: the disk; 130: Ctrl-C.
    """
    set_library_defaults()
    # The leaf packages have errors of their own, as they can be used without this one.
    from losses import LossError
    from models import CheckpointError, UnknownModel
    from search_spaces import SpaceError

    try:
        return command()
    except (RequestError, LossError, CheckpointError, UnknownModel, SpaceError) as error:
        return fail(str(error))
    except OSError as error:  # a disk that is full, a folder that is gone
        if error.errno in IMPOSSIBLE_PATHS:
            return fail(f"{error.filename}: {error.strerror}; give another path")
        fail(f"{error}; make room or check the folder, then run it again (a search: --resume NAME)")
        return 1
    except KeyboardInterrupt:
        fail("interrupted; a search that had begun goes on with --resume NAME")
        return 130


def output_file(location: str) -> Path:
    """The absolute path of a file to write. Raises RequestError where it cannot be written."""
    path = Path(location).expanduser().absolute()
    folder = next(parent for parent in path.parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise RequestError(f"cannot write to {path}; give a file in a folder of yours as --output")
    return path


def print_epoch(who: str, metrics: dict[str, float], left: float) -> None:
    """One epoch of a training in one line, with the seconds that are left of it in words."""
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
    # Flushed: in a file or a pipe nothing would be seen for minutes.
    print(f"{line}  {left_text(left)}".rstrip(), flush=True)  # noqa: T201
