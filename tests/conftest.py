"""What all tests share: the environment, data folders, and the table of injected faults."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tuner.config.environment import set_library_defaults

ROOT = Path(__file__).parents[1]
MAX_WORKERS = 8

set_library_defaults()  # before any test imports ray or mlflow
torch.set_num_threads(1)  # these networks are too small for more
# Commands that tests start run the code beside these tests, wherever tuner is installed from.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (str(ROOT), os.environ.get("PYTHONPATH", "")))
)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process per core for folders; none beside this one for single files, which are quick."""
    only_files = all(Path(argument.partition("::")[0]).is_file() for argument in config.args)
    return 0 if only_files else min(os.cpu_count() or 1, MAX_WORKERS)


@pytest.fixture(scope="session")
def cifar10() -> str:
    """The spec of real CIFAR-10 images; skips where they are absent."""
    folder = ROOT.parent / "shared" / "data" / "cifar10"
    if not folder.is_dir():
        pytest.skip("the real images are not on this machine")
    return f"parquet:{folder}"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data folder for the session, in which the digits are built once."""
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture
def fault_row(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Adds a row to the table for docs/reliability.md, which is printed at the end."""

    def add(
        fault: str, *, injected: int, lost: int, repeated: int, recovery_seconds: float | None
    ) -> None:
        """`lost`: finished trials lost or run again; `repeated`: duplicate MLflow runs;
        `recovery_seconds`: the median time until the search continued.
        """
        recovery = "–" if recovery_seconds is None else f"{recovery_seconds:.0f}"
        row = f"| {fault} | {injected} | {lost} | {repeated} | {recovery} |"
        # A property of the test's report, which reaches the main process from a worker too.
        request.node.user_properties.append(("fault", row))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table of injected faults."""
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
