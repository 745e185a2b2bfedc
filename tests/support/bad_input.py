"""Runs commands as a person would, up to the moment at which something would train."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import tuner.driver.comparison
import tuner.driver.run
import tuner.orchestration.precompute
import tuner.training.distillation
import tuner.training.in_process
from tuner.config.command_line import ENVIRONMENT
from tuner.training.precision import FLOAT32

RUNS, REFUSED = "runs", "is refused"


class WouldRunNow(BaseException):
    """Everything is checked; from here on it would train. Nobody catches this by accident."""


@contextmanager
def nothing_trains(folder: Path) -> Iterator[None]:
    """Works in `folder`; where Ray would start, or a training, WouldRunNow is raised instead."""

    def would_run(*_: Any, **__: Any) -> Any:
        raise WouldRunNow

    @contextmanager
    def no_ray(*_: Any) -> Iterator[None]:
        raise WouldRunNow
        yield

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variable in ENVIRONMENT.values():
            patch.delenv(variable, raising=False)
        for module in (tuner.driver.comparison, tuner.orchestration.precompute, tuner.driver.run):
            patch.setattr(module, "ray_for", no_ray)
        # The end of `teach` and of `distill`: the first epoch, or the first accuracy.
        patch.setattr(tuner.training.in_process, "_run", would_run)
        patch.setattr(tuner.training.in_process, "choose_step_mode", lambda *_, **__: (FLOAT32, ""))
        patch.setattr(tuner.training.distillation, "evaluate", would_run)
        yield


def outcome(
    capfd: pytest.CaptureFixture[str],
    command: Any,
    *arguments: str,
    told: list[str] | None = None,
) -> str:
    """RUNS or REFUSED; fails where it is neither, or where something was written.

    A refusal is put into `told`.
    """
    before = snapshot(Path())
    capfd.readouterr()
    out = io.StringIO()
    warned: list[warnings.WarningMessage] = []
    try:
        with redirect_stdout(out), warnings.catch_warnings(record=True) as warned:
            for hidden in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
                warnings.simplefilter("ignore", hidden)  # as in a person's terminal
            status = command.main(list(arguments))
    except WouldRunNow:
        status = 0
    except SystemExit as end:  # --help and --version
        status = end.code
    err = capfd.readouterr().err
    shown = (arguments, status, err)
    assert [str(warning.message) for warning in warned] == [], shown
    assert snapshot(Path()) == before, shown
    assert status in (0, 2), shown
    if status == 0:
        assert err == "" or err.startswith("left out: "), shown
        return RUNS
    assert out.getvalue() == "", shown
    is_one_sentence(err)
    if told is not None:
        told.append(err)
    return REFUSED


def is_one_sentence(err: str) -> None:
    """A line of printable text that begins as all refusals do, and is no traceback."""
    assert err.startswith("tuner: "), err
    assert err.endswith("\n"), err
    line = err[:-1]
    assert len(line) > len("tuner: "), err
    assert all(sign.isprintable() for sign in line), err
    assert len(line) < 3000, err
    assert "Traceback" not in line, err


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of everything in a folder, but for where data are kept."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.parts[0] != "data"
    }
