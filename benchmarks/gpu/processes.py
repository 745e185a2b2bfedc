"""Trials side by side on one GPU, a process each, as Ray runs them."""

import subprocess
import sys
import tempfile
import time

import torch

from benchmarks.gpu.check import Check

SECONDS = 5


def check_processes(check: Check) -> None:
    """Steps per second of 1 to 16 processes together."""
    if not check.on_gpu:
        return
    folder = tempfile.mkdtemp()
    first: float | None = None
    for number in (1, 4, 8, 16):
        if not check.has_time("processes", number, 75):
            return
        with check.guarded("processes", str(number)):
            rate, ready_seconds, used_gib = _rate_of(number, folder)
            first = first or rate
            check.add(
                "processes",
                f"{number} processes on one GPU (time-sliced)",
                f"{rate:.0f} steps/s in all, {1e3 / rate:.3f} ms a trial's step; ready after "
                f"{ready_seconds:.0f} s, {used_gib:.1f} GiB used",
                f"{rate / first:.2f}x",
            )


def _rate_of(number: int, folder: str) -> tuple[float, float, float]:
    command = [sys.executable, "-m", "benchmarks.gpu.step_process", "float32", folder]
    children = [
        subprocess.Popen(
            [*command, str(SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(number)
    ]
    try:
        begin = time.perf_counter()
        for child in children:
            assert child.stdout is not None
            assert "READY" in child.stdout.readline()
        ready_seconds = time.perf_counter() - begin
        free, total = torch.cuda.mem_get_info()
        num_steps = 0
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        for child in children:
            assert child.stdout is not None
            num_steps += int(child.stdout.readline().split()[1])
    finally:
        for child in children:
            child.kill()
            child.wait()
    return num_steps / SECONDS, ready_seconds, (total - free) / 2**30
