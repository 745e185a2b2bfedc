"""What all tests share: the real images where they are, and the environment of the commands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


FAULTS: list[str] = []


@pytest.fixture
def fault_row() -> Callable[..., None]:
    """Notes a fault that a test injected, and what came of it, for the end of the session."""

    def note(
        fault: str, *, injected: int, lost: int, repeated: int, recovery_seconds: float | None
    ) -> None:
        seconds = "" if recovery_seconds is None else f"{recovery_seconds:.1f}"
        FAULTS.append(f"| {fault} | {injected} | {lost} | {repeated} | {seconds} |")

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The faults that were injected."""
    for line in FAULTS:
        terminalreporter.write_line(line)
