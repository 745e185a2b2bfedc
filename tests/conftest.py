"""What all tests share: the real images where they are, and the environment of the commands."""

from collections.abc import Callable
from pathlib import Path

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


@pytest.fixture
def fault_row() -> Callable[..., None]:
    """Adds a row to the table of faults that is printed at the end."""
    return _add_fault_row


_fault_rows: list[str] = []


def _add_fault_row(
    fault: str, *, injected: int, lost: int, repeated: int, recovery_seconds: float | None
) -> None:
    seconds = "" if recovery_seconds is None else f"{recovery_seconds:.1f}"
    _fault_rows.append(f"| {fault} | {injected} | {lost} | {repeated} | {seconds} |")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _fault_rows:
        terminalreporter.write_line("| fault | injected | lost | repeated | seconds |")
    for row in _fault_rows:
        terminalreporter.write_line(row)
