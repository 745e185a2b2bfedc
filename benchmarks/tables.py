"""What a benchmark found, as a table for people and as JSON for programs."""

import json
import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.timing import Row, Spread
from tuner.planning.resources import num_cpus

RESULTS = Path(__file__).parent / "results"
# The first is shown if all medians are at least 1 of it.
SCALES = {"seconds": (("s", 1.0), ("ms", 1e3)), "bytes": (("GB", 1e-9), ("MB", 1e-6))}


def print_table(title: str, rows: Sequence[Row]) -> None:
    """A line a row: labels, then minimum, median and maximum of the values and the ratios."""
    table = Table(title=title)
    labels = list(dict.fromkeys(label for row in rows for label in row.labels))
    for heading in (*labels, "what", "unit"):
        table.add_column(heading, no_wrap=True)
    for heading in ("min", "median", "max", "ratio min", "median", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("to", no_wrap=True)
    previous: dict[str, str] | None = None
    for row in rows:
        if previous is not None and row.labels != previous:
            table.add_section()
        previous = row.labels
        unit, scale = _scale(row.unit, rows)
        table.add_row(
            *(row.labels.get(label, "") for label in labels),
            row.name,
            unit,
            *(f"{scale * value:.2f}" for value in Spread.of(row.values)),
            *(f"{ratio:.3f}" for ratio in Spread.of(row.ratios)),
            row.baseline,
        )
    # A file or a pipe has no width; 80 columns would cut the numbers off.
    Console(width=None if Console().is_terminal else 160).print(table)


def _scale(unit: str, rows: Sequence[Row]) -> tuple[str, float]:
    """The name to show a unit by, and its factor; one for all rows, so that they compare."""
    large, small = SCALES[unit]
    medians = [Spread.of(row.values).median for row in rows if row.unit == unit]
    return large if large[1] * min(medians) >= 1 else small


def write_json(path: Path, benchmark: str, arguments: Sequence[str], rows: Sequence[Row]) -> None:
    """The machine, the command and the rows; values in their units, unscaled."""
    content = {
        "benchmark": benchmark,
        "command": shlex.join(["python", "-m", "benchmarks", *arguments]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "rows": [row.as_dict() for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def machine() -> dict[str, Any]:
    """What the numbers depend on besides the code."""
    return {
        "cpu": _cpu_model(),
        "cores": num_cpus(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
