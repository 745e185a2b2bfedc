"""What all tests share: the real images where they are, and the environment of the commands."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tuner.config.environment import set_library_defaults

set_library_defaults()  # before any test imports ray or mlflow
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
def fault_row(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Adds a row to the table of docs/reliability.md, which is printed at the end."""

    def add(
        fault: str, *, injected: int, lost: int, repeated: int, recovery_seconds: float | None
    ) -> None:
        """`lost`: finished trials lost or run again; `repeated`: MLflow runs that are there twice;
        `recovery_seconds`: until the search went on, the median.
        """
        recovery = "–" if recovery_seconds is None else f"{recovery_seconds:.0f}"
        row = f"| {fault} | {injected} | {lost} | {repeated} | {recovery} |"
        # A property of the test's report, so that it arrives from a process beside this one too.
        request.node.user_properties.append(("fault", row))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The faults that were injected."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    rows = [
        value
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == "fault"
    ]
    if rows:
        terminalreporter.section("faults")
        terminalreporter.line("| fault | injected | lost trials | repeated runs | recovery (s) |")
        terminalreporter.line("| --- | --- | --- | --- | --- |")
    for row in rows:
        terminalreporter.line(row)
