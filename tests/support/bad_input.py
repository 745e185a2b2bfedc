"""Runs commands as a user would, up to the moment at which a training would start."""

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
from tuner.config.step_mode import FLOAT32

RUNS, REFUSED = "runs", "is refused"


class WouldRunNow(BaseException):
    """All checks have passed and training would start. No `except Exception` catches it."""


@contextmanager
def nothing_trains(folder: Path) -> Iterator[None]:
    """Works in `folder`; raises WouldRunNow where Ray or a training would start."""

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
        # Where `teach` and `distill` begin to compute: the first epoch, or the first accuracy.
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
    """Runs a command; returns RUNS or REFUSED, and fails if it did neither or wrote something.

    The sentence of a refusal is appended to `told`.
    """
    before = snapshot(Path())
    capfd.readouterr()
    out = io.StringIO()
    warned: list[warnings.WarningMessage] = []
    try:
        with redirect_stdout(out), warnings.catch_warnings(record=True) as warned:
            for hidden in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
                warnings.simplefilter("ignore", hidden)  # as in a terminal
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


def refusal_of(capfd: pytest.CaptureFixture[str], command: Any, *arguments: str) -> str:
    """The sentence with which a command must refuse its arguments."""
    told: list[str] = []
    assert outcome(capfd, command, *arguments, told=told) == REFUSED
    return told[0].removeprefix("tuner: ").strip()


def is_one_sentence(err: str) -> None:
    """Asserts that a refusal is one line of printable text and no traceback."""
    assert err.startswith("tuner: "), err
    assert err.endswith("\n"), err
    line = err[:-1]
    assert len(line) > len("tuner: "), err
    assert all(sign.isprintable() for sign in line), err
    assert len(line) < 3000, err
    assert "Traceback" not in line, err


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of everything in a folder, except its data folder."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.parts[0] != "data"
    }
