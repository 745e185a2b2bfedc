"""What all tests share: the real images where they are, and the environment of the commands."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from tuner.orchestration.environment import prepare

prepare()  # before any test imports ray or mlflow
torch.set_num_threads(1)  # more would only wait for each other on networks this small


@pytest.fixture(scope="session")
def cifar10() -> str:
    """The spec of the real images; skips where they are absent."""
    folder = Path(__file__).parents[2] / "shared" / "data" / "cifar10"
    if not folder.is_dir():
        pytest.skip("the real images are not on this machine")
    return f"parquet:{folder}"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One data folder for the session: the digits are built once."""
    return str(tmp_path_factory.mktemp("data"))


class Fault(NamedTuple):
    """A row of the table in docs/reliability.md."""

    fault: str
    injected: int  # times
    lost: int  # finished trials that were lost or run again
    repeated: int  # MLflow runs that are there twice
    recovery_seconds: float | None  # until the search went on, the median


FAULTS: list[Fault] = []


@pytest.fixture
def fault_row() -> Callable[..., None]:
    """Adds a row to the table that is printed at the end of the session."""

    def add(fault: str, **figures: float | None) -> None:
        FAULTS.append(Fault(fault, **figures))  # type: ignore[arg-type]

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not FAULTS:
        return
    terminalreporter.section("faults")
    terminalreporter.line("| fault | injected | lost trials | repeated runs | recovery (s) |")
    terminalreporter.line("| --- | --- | --- | --- | --- |")
    for fault, injected, lost, repeated, seconds in FAULTS:
        recovery = "–" if seconds is None else f"{seconds:.0f}"
        terminalreporter.line(f"| {fault} | {injected} | {lost} | {repeated} | {recovery} |")
