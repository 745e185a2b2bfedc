"""Benchmark `overhead`: what a trial costs that trains nothing, by the number of trials."""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.search import as_flags, run_process
from benchmarks.timing import Row, compare_all

NUMS_TRIALS = (10, 100, 1000)
BASELINE = 100  # trials: a thousand should cost no more each than a hundred


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.set_defaults(data="digits")  # nothing is trained on them
    parser.add_argument("--trials", nargs="+", type=int, default=list(NUMS_TRIALS))
    parser.add_argument("--rounds", type=int, default=1, help="default: 1")


def run(arguments: argparse.Namespace) -> Iterator[list[Row]]:
    """Seconds a trial: of the whole search, and without what comes before the trials."""
    nums_trials = sorted({BASELINE, *arguments.trials})
    seconds: dict[str, dict[str, list[float]]] = {}
    for _ in range(arguments.rounds):
        for num_trials in nums_trials:
            spans = _empty_search(num_trials, arguments.data, arguments.data_dir)
            for span, value in spans.items():
                of_span = seconds.setdefault(span, {})
                of_span.setdefault(_name(num_trials), []).append(value / num_trials)
    for span, of_span in seconds.items():
        yield compare_all(of_span, _name(BASELINE), {"seconds a trial": span})


def _name(num_trials: int) -> str:
    return f"{num_trials:,} trials"


def _empty_search(num_trials: int, data: str, data_dir: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "seconds.json")
        options = {
            "trials": num_trials,
            "data": data,
            "data_dir": data_dir,
            "folder": folder,
            "output": output,
        }
        run_process("benchmarks.empty_search", as_flags(options), Path(folder))
        spans: dict[str, float] = json.loads(output.read_text())
        return spans
