"""Benchmark `search`: the same eight ITRD trials as whole processes, start-up included."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.pairs import PAIRS, write_untrained_teacher
from benchmarks.search_space import SPACE
from benchmarks.timing import Row, compare_all, measure
from tuner.teacher_cache.store import cache_folder

ROUNDS = 2
NUM_IMAGES, NUM_EPOCHS = 1000, 3


@dataclass(frozen=True)
class Case:
    """One pair, and what all candidates share."""

    workload: dict[str, Any]  # options of `tuner.search` by name; the teacher's with @CHECKPOINT
    settings: list[dict[str, Any]]
    folder: Path  # for what the processes write


Run = Callable[[], object]


def plain_ray_tune(case: Case) -> Run:
    """Ray Tune's defaults around the plain loop."""

    def run() -> None:
        arguments = [*as_flags(case.workload), "--settings", json.dumps(case.settings)]
        run_process("benchmarks.plain_search", arguments, case.folder)

    return run


def ours_cold(case: Case) -> Run:
    """`tuner search` with an empty cache."""
    data_dir = Path(case.workload["data_dir"])

    def run() -> None:
        shutil.rmtree(cache_folder(str(data_dir)), ignore_errors=True)
        _our_search(case, data_dir)

    return run


def ours_warm(case: Case) -> Run:
    """`tuner search` after another one with the same teacher, data and seed."""
    data_dir = case.folder / "warm"
    _our_search(case, data_dir)
    return lambda: _our_search(case, data_dir)


def _our_search(case: Case, data_dir: Path) -> None:
    flags = search_flags(case.workload | {"data_dir": data_dir}, case.folder)
    run_process("tuner.search", flags, case.folder)


# In the order of the table.
BASELINE = "plain Ray Tune"
CANDIDATES: dict[str, Callable[[Case], Run]] = {
    "plain Ray Tune": plain_ray_tune,
    "ours, cold": ours_cold,
    "ours, warm": ours_warm,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=["mobilenet"])
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--limit", type=int, default=NUM_IMAGES, help="training images")
    parser.add_argument("--epochs", type=int, default=NUM_EPOCHS)


def run(arguments: argparse.Namespace) -> Iterator[list[Row]]:
    """The rows of one pair after another."""
    names = [name for name in CANDIDATES if name in {BASELINE, *arguments.candidates}]
    for pair in (PAIRS[name] for name in arguments.pairs):
        with tempfile.TemporaryDirectory() as folder:
            options = {
                "data": arguments.data,
                # Its own: candidates may empty its cache.
                "data_dir": Path(folder, "data"),
                "limit": arguments.limit,
                "epochs": arguments.epochs,
                "seed": 0,
                **pair._asdict(),
            }
            checkpoint = write_untrained_teacher(options, Path(folder))
            options["teacher"] = f"{pair.teacher}@{checkpoint}"
            case = Case(options, SPACE.grid(), Path(folder))
            seconds = measure(
                {name: CANDIDATES[name](case) for name in names},
                rounds=arguments.rounds,
                # A process has nothing to warm up but the disk's pages.
                warmup_rounds=0,
            )
        yield compare_all(seconds, BASELINE, {"pair": str(pair), "method": SPACE.method})


def run_process(module: str, arguments: list[str], folder: Path) -> None:
    """`python -m module` to its end. Raises RuntimeError with what it said if it failed."""
    log = folder / f"{module}.log"
    # The repository's root: benchmarks are not installed.
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with log.open("wb") as output:
        process = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if process.returncode:
        raise RuntimeError(f"{module} failed ({process.returncode}):\n{log.read_text()[-4000:]}")


def search_flags(options: dict[str, Any], folder: Path) -> list[str]:
    """The flags of `tuner.search` for the settings of `search_space.py` in full, and no others."""
    return as_flags(
        {
            **options,
            "space": Path(__file__).with_name("search_space.py"),
            "runs_dir": folder / f"runs-{uuid.uuid4().hex}",
            "algo": "grid",
            "scheduler": "none",
            "seeds": 0,
        }
    )


def as_flags(options: dict[str, Any]) -> list[str]:
    """{"data_dir": "x"} as --data-dir x."""
    flags = []
    for name, value in options.items():
        flags += [f"--{name.replace('_', '-')}", str(value)]
    return flags
