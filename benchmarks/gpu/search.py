"""Real searches on the device: fractions of a GPU, measured shares, CPU trials, a kill."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.gpu.check import Check

SECTION = "search"
SECONDS_OF_A_SEARCH = 100  # 97 beside the other sections, on an H200 and 16 cores
COMMON = (
    "--data", "digits", "--image-size", "32", "--teacher", "resnet20", "--student", "resnet8",
    "--epochs", "3", "--teacher-epochs", "3", "--trials", "4", "--seeds", "1",
)  # fmt: skip
NO_GPU = ("--gpus-per-trial", "0", "--max-concurrent", "4")


class SearchCheck:
    """Searches in a thread, beside the sections between its start and its end."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._folder = Path(tempfile.gettempdir())

    def start(self, check: Check) -> None:
        """Starts the searches."""
        self._thread = threading.Thread(target=self._run, args=(check,), daemon=True)
        self._thread.start()

    def finish(self, check: Check) -> None:
        """Waits for them, as long as there is time."""
        if self._thread is None:
            self.start(check)
        assert self._thread is not None
        self._thread.join(max(1, check.seconds_left - 5))
        if self._thread.is_alive():
            check.add(SECTION, "still running", "", "SKIP")

    def _run(self, check: Check) -> None:
        missing = [name for name in ("ray", "optuna", "pydantic") if find_spec(name) is None]
        if missing:
            check.add(SECTION, f"{missing[0]} is missing", "", "SKIP")
            return
        self._folder = Path(tempfile.mkdtemp())
        share = ("--gpus-per-trial", "0.25") if check.on_gpu else ()
        for what, space, options in (
            ("kd, 0.25 of a GPU", "kd", share),
            ("crd, measured share", "crd", ()),
            ("cpu trials beside a GPU", "kd", NO_GPU),
        ):
            if check.has_time(SECTION, what, SECONDS_OF_A_SEARCH):
                with check.guarded(SECTION, what):
                    self._search(check, what, space, options)
        if check.seconds_left > SECONDS_OF_A_SEARCH:
            with check.guarded(SECTION, "killed and resumed"):
                self._kill_and_resume(check, share)

    def _command(self, name: str, space: str, options: tuple[str, ...]) -> list[str]:
        folders = ("--runs-dir", f"{self._folder}/runs", "--data-dir", f"{self._folder}/data")
        command = [sys.executable, "-m", "tuner.search", "--space", space, *COMMON, *folders]
        return [*command, *options, "--name", name]

    def _search(self, check: Check, what: str, space: str, options: tuple[str, ...]) -> None:
        begin, name = time.perf_counter(), re.sub(r"[ ,]+", "_", what)
        child = subprocess.Popen(
            self._command(name, space, options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        meanwhile = _processes_on_gpu() if check.on_gpu and options == NO_GPU else ""
        out, err = child.communicate(timeout=max(30, check.seconds_left - 10))
        seconds = time.perf_counter() - begin
        check.add(
            SECTION,
            what,
            f"exit {child.returncode} in {seconds:.0f} s: {_last_line(out, err)}{meanwhile}",
            "ok" if child.returncode == 0 else "FAIL",
        )
        check.out.mkdir(parents=True, exist_ok=True)
        (check.out / f"search-{name}.log").write_text(f"{out}\n--\n{err}")

    def _kill_and_resume(self, check: Check, share: tuple[str, ...]) -> None:
        command = self._command("killed", "kd", (*share, "--trials", "6", "--epochs", "8"))
        child = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        journal, end = self._folder / "runs/killed/journal.jsonl", time.monotonic() + 60
        while time.monotonic() < end and (
            not journal.exists() or journal.read_text().count('"epoch"') < 6
        ):
            time.sleep(0.3)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        time.sleep(3)
        resume = [sys.executable, "-m", "tuner.search", "--resume", "killed"]
        done = subprocess.run(
            [*resume, "--runs-dir", f"{self._folder}/runs"],
            capture_output=True,
            text=True,
            timeout=max(20, min(120, check.seconds_left - 10)),
        )
        check.add(
            SECTION,
            "killed and resumed",
            f"exit {done.returncode}: {_last_line(done.stdout, done.stderr)}",
            "ok" if done.returncode == 0 else "FAIL",
        )


def _processes_on_gpu() -> str:
    """Whether trials that asked for no GPU hold one, after they had time to start."""
    time.sleep(25)
    command = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader"]
    found = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return f"; processes on the GPU meanwhile: {len(found)}"


def _last_line(out: str, err: str) -> str:
    for line in out.splitlines():
        if re.search("[0-9]+ done, ", line):
            return line[:130]
    return (err.splitlines() or ["nothing"])[-1][:130]
