"""Benchmark `memory`: what one more trial at a time takes, against its student alone."""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.pairs import PAIRS, write_untrained_teacher
from benchmarks.processes import Mapping, Memory, mapped, samples
from benchmarks.search import as_flags, run_process, search_flags
from benchmarks.timing import Row, compare_all
from tuner.teacher_cache.store import cache_folder

NUM_IMAGES, NUM_EPOCHS, NUM_TRIALS = 1000, 2, 2
NO_MEMORY, NO_FILES = Memory(0, 0, 0), Mapping(0, 0, 0)


@dataclass(frozen=True)
class Peak:
    """The highest values of a run, each for itself; in bytes."""

    proportional: int = 0  # of all processes together, while all trials are training
    trial: Memory = NO_MEMORY  # of one trial's process
    data: Mapping = NO_FILES  # what it maps of the data
    cache: Mapping = NO_FILES  # and of the teacher's outputs: the shards open at one moment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=["resnet"])
    parser.add_argument("--limit", type=int, default=NUM_IMAGES, help="training images")
    parser.add_argument("--epochs", type=int, default=NUM_EPOCHS)


def run(arguments: argparse.Namespace) -> Iterator[list[Row]]:
    """The rows of one pair after another."""
    for pair in (PAIRS[name] for name in arguments.pairs):
        with tempfile.TemporaryDirectory() as folder:
            data = {"data": arguments.data, "data_dir": Path(folder, "data")}
            options = {**data, "limit": arguments.limit, "epochs": arguments.epochs, "seed": 0}
            checkpoint = write_untrained_teacher(options | pair._asdict(), Path(folder))
            floor = _floor_peak(data | pair._asdict(), Path(folder))
            options |= {"student": pair.student, "teacher": f"{pair.teacher}@{checkpoint}"}
            # Fills the cache, so that no trial has to load the teacher.
            run_process("tuner.search", _flags(options, Path(folder), 1), Path(folder))
            one, two = (_search_peak(options, Path(folder), number) for number in (1, 2))
        yield from _rows(str(pair), floor, one, two)


def _rows(pair: str, floor: Memory, one: Peak, two: Peak) -> Iterator[list[Row]]:
    tables = {
        "private": {
            "floor": floor.private,
            "one more, PSS": two.proportional - one.proportional,
            "trial": two.trial.private,
        },
        "anonymous": {
            "floor": floor.anonymous,
            "trial": two.trial.anonymous,
        },
    }
    for name, mapping in (("data", two.data), ("cache", two.cache)):
        tables[f"mapped {name}"] = {
            "files": mapping.size,
            "touched": mapping.resident,
            "PSS": mapping.proportional,
        }
    for memory, values in tables.items():
        measured = {name: [float(value)] for name, value in values.items()}
        yield compare_all(
            measured, next(iter(measured)), {"pair": pair, "memory": memory}, unit="bytes"
        )


def _floor_peak(options: dict[str, Any], folder: Path) -> Memory:
    peak = NO_MEMORY
    for sample in samples("benchmarks.floor_process", as_flags(options), folder):
        peak = _larger(peak, sample.root)
    return peak


def _search_peak(options: dict[str, Any], folder: Path, num_concurrent: int) -> Peak:
    peak = Peak()
    flags = _flags(options, folder, num_concurrent)
    for sample in samples("tuner.search", flags, folder):
        # Before and after the trials the driver does what no trial adds to.
        if len(sample.trials) < num_concurrent:
            continue
        trial = peak.trial
        for memory in sample.trials.values():
            trial = _larger(trial, memory)
        data, cache = peak.data, peak.cache
        with suppress(OSError):  # it has just ended
            pid = next(iter(sample.trials))
            data = _more(data, mapped(pid, Path(options["data_dir"], "arrow")))
            cache = _more(cache, mapped(pid, cache_folder(options["data_dir"])))
        peak = Peak(max(peak.proportional, sample.proportional), trial, data, cache)
    return peak


def _flags(options: dict[str, Any], folder: Path, num_concurrent: int) -> list[str]:
    return search_flags(options | {"trials": NUM_TRIALS, "max_concurrent": num_concurrent}, folder)


def _larger(one: Memory, other: Memory) -> Memory:
    return Memory(*map(max, one, other))


def _more(one: Mapping, other: Mapping) -> Mapping:
    return max(one, other, key=lambda mapping: mapping.resident)
