"""Memory of a process and its descendants, from /proc (Linux only); all numbers in bytes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SAMPLING_SECONDS = 0.2
# What Ray calls the processes that hold a trial.
TRIAL_PROCESS = "ray::ImplicitFunc"


class Memory(NamedTuple):
    """What a process has in memory."""

    proportional: int  # PSS: a page that n processes map counts as 1/n
    private: int  # USS: pages that no other process maps
    anonymous: int  # private or copied pages that are no file's; a copy of data would be here


class Mapping(NamedTuple):
    """What a process has of one kind of mapped files."""

    size: int  # of the files
    resident: int  # pages of them that the process has touched
    proportional: int  # its share of those


@dataclass(frozen=True)
class Sample:
    """One look at a process and its descendants."""

    proportional: int  # summed over all of them
    trials: dict[int, Memory]  # by process id, of those that hold a trial
    root: Memory


def samples(module: str, arguments: list[str], folder: Path) -> Iterator[Sample]:
    """Runs `python -m module` to its end and looks at it again and again.

    Raises RuntimeError with what it said if it failed.
    """
    # The repository's root: benchmarks are not installed.
    root = Path(__file__).parents[1]
    log = folder / f"{module}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while process.poll() is None:
            # A process may end between being listed and being read.
            with suppress(OSError):
                yield _sample(process.pid)
            time.sleep(SAMPLING_SECONDS)
    finally:
        process.terminate()
        process.wait()
    if process.returncode:
        raise RuntimeError(f"{module} failed ({process.returncode}):\n{log.read_text()[-4000:]}")


def mapped(pid: int, folder: Path) -> Mapping:
    """What a process maps of the Arrow files below a folder. Raises OSError if it has ended."""
    sizes: dict[str, int] = {}
    resident = proportional = 0
    path = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *fields = line.split(maxsplit=5)
        if not first.endswith(":"):  # the heading of a mapping, with its file if it has one
            path = fields[4] if len(fields) == 5 else ""
            is_wanted = path.startswith(f"{folder}/") and path.endswith(".arrow")
            if is_wanted and path not in sizes:
                sizes[path] = Path(path).stat().st_size
        elif is_wanted and first == "Rss:":
            resident += 1024 * int(fields[0])
        elif is_wanted and first == "Pss:":
            proportional += 1024 * int(fields[0])
    return Mapping(sum(sizes.values()), resident, proportional)


def _sample(root: int) -> Sample:
    total, trials = 0, {}
    for pid in _descendants(root):
        try:
            memory = _memory(pid)
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue  # it has just ended
        total += memory.proportional
        if command.startswith(TRIAL_PROCESS):
            trials[pid] = memory
    return Sample(total, trials, _memory(root))


def _memory(pid: int) -> Memory:
    kilobytes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        kilobytes[name.rstrip(":")] = int(value)
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return Memory(1024 * kilobytes["Pss"], 1024 * private, 1024 * kilobytes["Anonymous"])


def _descendants(root: int) -> set[int]:
    """The process and all that it started, directly or not."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                # The name in parentheses may hold spaces; state and parent follow it.
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(folder.name))
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting += children.get(pid, [])
    return found
