"""Running out of memory within a trial's share, and what that share is measured from."""

import subprocess
import sys

import torch

from benchmarks.gpu.check import Check
from benchmarks.gpu.trainings import STUDENT, TEACHER, make_data
from tuner.orchestration.gpu_share import gpu_fraction

SHARE_CASES = (
    ("kd", STUDENT, TEACHER),
    ("crd", STUDENT, TEACHER),
    ("ab", STUDENT, TEACHER),
    ("kd", "ResNet50", "ResNet50"),
)


def check_out_of_memory(check: Check) -> None:
    """What a process within its share sees when it runs out of memory, and holds afterwards."""
    if not check.on_gpu:
        return
    command = [sys.executable, "-m", "benchmarks.gpu.fence_process"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    for line in done.stdout.splitlines() or done.stderr.splitlines()[-1:]:
        check.add("memory", "fence", line)


def check_shares(check: Check) -> None:
    """The peak that a share is measured from, against what a trial then reserves."""
    if not check.on_gpu:
        return
    make_data(50000, 100)
    total = torch.cuda.get_device_properties(0).total_memory
    for method, student, teacher in SHARE_CASES:
        if not check.has_time("share", method, 80):
            return
        with check.guarded("share", method):
            measured, trial = _peaks(method, student, teacher)
            fraction = gpu_fraction(measured << 20, total)
            check.add(
                "share",
                f"{method} {teacher} > {student}: measured, trial (MiB)",
                f"{measured}, {trial}; 1/{1 / fraction:.0f} of the GPU",
                "ok" if trial <= 1.15 * measured else f"LOOK: {trial / measured:.2f}x as much",
            )


def _peaks(method: str, student: str, teacher: str) -> tuple[int, int]:
    """MiB reserved as the share is measured, and in a trial; both at the same time."""
    command = [sys.executable, "-m", "benchmarks.gpu.share_process", method, student, teacher]
    children = [
        subprocess.Popen(
            [*command, what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for what in ("measured", "trial")
    ]
    peaks = []
    for child in children:
        out, err = child.communicate(timeout=120)
        found = [int(line.split()[1]) for line in out.splitlines() if line.startswith("PEAK")]
        if not found:
            raise RuntimeError(err.splitlines()[-1] if err else "no answer")
        peaks += found
    measured, trial = peaks
    return measured, trial
