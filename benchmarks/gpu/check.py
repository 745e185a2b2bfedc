"""`python -m benchmarks gpu`: runs the sections one after another within a time limit.

Every section survives its own failure. The result is one table and `gpu.json`. Without Ray and
MLflow everything but the search is checked; with `--device cpu` it shows that the check runs.
"""

import argparse
import gc
import json
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

LEAST_SECONDS = 20  # that a section needs at least


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    section: str
    what: str
    value: str
    verdict: str  # "", "ok", "NOTE", "LOOK", "SKIP" or "FAIL", with a reason


class Check:
    """Collects findings, and knows how much time is left."""

    def __init__(self, device: torch.device, seconds: float, out: Path) -> None:
        self.device, self.out = device, out
        self.findings: list[Finding] = []
        self._begin = time.monotonic()
        self._seconds = seconds

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def seconds_left(self) -> float:
        return self._seconds - (time.monotonic() - self._begin)

    @property
    def seconds_elapsed(self) -> float:
        return time.monotonic() - self._begin

    def add(self, section: str, what: str, value: object, verdict: str = "") -> None:
        """Adds a finding and prints it."""
        self.findings.append(Finding(section, what, str(value), verdict))
        print(  # noqa: T201
            f"{self.seconds_elapsed:6.1f}s {section:9s} {what:44s} {value} {verdict}", flush=True
        )

    def has_time(self, section: str, what: object, seconds: float = 60) -> bool:
        """Whether so many seconds are left; otherwise a finding says what was skipped."""
        if self.seconds_left >= seconds:
            return True
        self.add(section, f"out of time at {what}", "", "SKIP")
        return False

    @contextmanager
    def guarded(self, section: str, what: str) -> Iterator[None]:
        """Turns an error within it into a finding, so that what follows still runs."""
        try:
            yield
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)[-4:]
            places = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
            text = (str(error).splitlines() or [""])[0][:200]
            self.add(section, what, f"{type(error).__name__}: {text} at {places}", "FAIL")

    def run(self, sections: dict[str, Callable[["Check"], None]]) -> None:
        """Runs the sections in their order; writes the JSON after each."""
        for name, section in sections.items():
            if not self.has_time(name, name, LEAST_SECONDS):
                continue
            with self.guarded(name, "section"):
                section(self)
            if self.on_gpu:
                torch.use_deterministic_algorithms(False)
                gc.collect()
                torch.cuda.empty_cache()
            content = [asdict(finding) for finding in self.findings]
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / "gpu.json").write_text(json.dumps(content, indent=1) + "\n")

    @property
    def failures(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.verdict.startswith("FAIL")]

    def print_table(self) -> None:
        """All findings once more, in columns."""
        print("\n" + "=" * 100)  # noqa: T201
        for one in self.findings:
            print(  # noqa: T201
                f"{one.section:9s} | {one.what[:60]:60s} | {one.value[:170]} | {one.verdict}"
            )
        print(  # noqa: T201
            f"{len(self.findings)} rows, {len(self.failures)} FAIL, {self.seconds_elapsed:.0f} s"
        )


def sections() -> dict[str, Callable[[Check], None]]:
    """All sections. Timings run first and alone; the rest runs beside a real search."""
    from benchmarks.gpu.cache import check_cache, check_data
    from benchmarks.gpu.graphs import check_fused, check_graphs
    from benchmarks.gpu.machine import check_machine
    from benchmarks.gpu.memory import check_out_of_memory, check_shares
    from benchmarks.gpu.parity import check_losses, check_models
    from benchmarks.gpu.processes import check_processes
    from benchmarks.gpu.resume import check_resume, check_waits
    from benchmarks.gpu.search import SearchCheck
    from benchmarks.gpu.speed import check_speed

    search = SearchCheck()
    return {
        "machine": check_machine,
        "speed": check_speed,
        "graphs": check_graphs,
        "processes": check_processes,
        "fused": check_fused,
        "start-search": search.start,
        "data": check_data,
        "losses": check_losses,
        "memory": check_out_of_memory,
        "cache": check_cache,
        "models": check_models,
        "share": check_shares,
        "resume": check_resume,
        "waits": check_waits,
        "search": search.finish,
    }


def main(arguments: list[str]) -> int:
    """Returns 0, or 1 if a check failed."""
    known = sections()
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("--sections", default=",".join(known), help="comma-separated names")
    parser.add_argument("--seconds", type=float, default=430, help="time limit")
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda" if torch.cuda.is_available() else "cpu",
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), metavar="DIR")
    given = parser.parse_args(arguments)
    names = [name for name in given.sections.split(",") if name]
    for name in names:
        if name not in known:
            parser.error(f"unknown section {name!r}; known: {', '.join(known)}")
    warnings.filterwarnings("ignore", message=".*deterministic.*")
    check = Check(torch.device(given.device), given.seconds, given.out)
    check.run({name: known[name] for name in names})
    check.print_table()
    return 1 if check.failures else 0
