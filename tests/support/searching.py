"""Runs small searches for the integration tests, in this process or in one that can be killed.

A search of this size trains for a second or two; starting a worker takes longer.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tuner.teach
from tuner.config.environment import set_library_defaults
from tuner.results.record import Record
from tuner.search import main
from tuner.storage.folder import Storage

SMALL = {
    "space": "itrd",
    "limit": 200,
    "teacher": "resnet8",
    "teacher_epochs": 1,
    "student": "resnet8",
    "epochs": 3,
    "trials": 4,
    "seeds": 1,
    "max_concurrent": 1,
}
# Columns that differ whenever a search is run again.
TIMES = ("seconds", "started", "ended")
LIBRARY_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "RAY_ADDRESS")
DEADLINE_SECONDS = 120.0


def teach(data_dir: str, limit: int = SMALL["limit"]) -> None:
    """Trains the teacher of small searches; else the first would have its training as a row."""
    options = {"teacher": SMALL["teacher"], "teacher_epochs": 1, "limit": limit}
    assert tuner.teach.main(as_flags({**options, "data_dir": data_dir})) == 0


class Searches:
    """A folder of searches, and the data folder that all tests share."""

    def __init__(self, runs: Path | str, data_dir: str) -> None:
        """`runs`: a folder, or the URI of one."""
        self.runs, self.data_dir = runs, data_dir

    def run(self, name: str, *flags: str, **options: Any) -> int:
        """Runs `tuner search` in this process; `options` add to SMALL or replace it."""
        return main(self.arguments(name, *flags, **options))

    def resume(self, name: str, *flags: str) -> int:
        """Runs `tuner search --resume` in this process."""
        return main([*self.resume_arguments(name), *flags])

    def arguments(self, name: str, *flags: str, **options: Any) -> list[str]:
        """The arguments of a new search."""
        values = {**SMALL, "name": name, "runs_dir": self.runs, "data_dir": self.data_dir}
        return [*as_flags({**values, **options}), *flags]

    def resume_arguments(self, name: str) -> list[str]:
        """The arguments that resume a search."""
        return ["--resume", name, "--runs-dir", str(self.runs)]

    def storage(self, name: str) -> Storage:
        """The storage of one search."""
        return Storage(str(self.runs)).sub(name)

    def folder(self, name: str) -> Path:
        """The folder of one search, on this machine."""
        return Path(self.runs, name)

    def record(self, name: str) -> Record:
        """The record that a search's journal holds."""
        return Record.load(self.storage(name))

    def journal(self, name: str) -> bytes:
        """The journal's bytes so far; empty if there is none."""
        try:
            return self.storage(name).read("journal.jsonl")
        except FileNotFoundError:
            return b""

    def table(self, name: str, file: str) -> pd.DataFrame:
        """The table `trials` or `epochs` of a search, without its columns of times."""
        content = self.storage(name).read(f"{file}.parquet")
        table = pq.read_table(pa.BufferReader(content)).to_pandas()
        return table.drop(columns=[column for column in table if column.endswith(TIMES)])

    @property
    def tracking_uri(self) -> str:
        """Where searches are tracked by default."""
        return f"sqlite:///{self.runs}/mlflow.db"

    def client(self) -> Any:
        """An MLflow client of the default store."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_uri)

    def mlflow_runs(self, name: str) -> list[Any]:
        """All MLflow runs of a search, including its parent run."""
        return runs_of(self.client(), self.record(name).header.id)


def as_flags(options: dict[str, Any]) -> list[str]:
    """{"max_concurrent": 2} becomes --max-concurrent 2; a tuple repeats its flag."""
    flags = []
    for name, value in options.items():
        for single in value if isinstance(value, tuple) else (value,):
            flags += [f"--{name.replace('_', '-')}", str(single)]
    return flags


def runs_of(client: Any, search_id: str) -> list[Any]:
    """All MLflow runs that have the tag of a search."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`tuner.search` = '{search_id}'"))


def next_session(record: Record, folder: Path) -> Record:
    """The record that a later session would load, while this one still holds the journal."""
    storage = Storage(str(folder / f"session-{time.monotonic_ns()}"))
    storage.write("journal.jsonl", b"".join(_journal_of(record)))
    return Record.load(storage)


def _journal_of(record: Record) -> Iterator[bytes]:
    for event in (record.header.as_event(), *record.events):
        yield json.dumps(event).encode() + b"\n"


def same_results(searches: Searches, one: str, other: str) -> None:
    """Asserts that two searches have the same trials and epochs, but for times."""
    for file in ("trials", "epochs"):
        pd.testing.assert_frame_equal(
            searches.table(one, file), searches.table(other, file), check_exact=True
        )


def same_mlflow_runs(searches: Searches, name: str) -> None:
    """Asserts that a search's record and its MLflow runs agree, one run per trial."""
    record = searches.record(name)
    runs = searches.mlflow_runs(name)
    names = [run.data.tags["tuner.trial"] for run in runs]
    groups = {f"group:{trial.setting_label}" for trial in record.trials_of("final")}
    assert sorted(names) == sorted(["", *record.trials, *groups])
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        trial = record.trials.get(run.data.tags["tuner.trial"])
        if trial is not None:
            history = searches.client().get_metric_history(run.info.run_id, "val_accuracy")
            assert [point.value for point in sorted(history, key=lambda point: point.step)] == [
                epoch["val_accuracy"] for epoch in trial.epochs
            ]


@contextmanager
def local_ray() -> Iterator[None]:
    """Starts one Ray for all searches of a module; `tuner.search` uses a running Ray."""
    set_library_defaults()
    os.environ["RAY_AUTH_MODE"] = "disabled"
    for name in LIBRARY_VARIABLES:
        os.environ.pop(name, None)
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=200_000_000,
    )
    try:
        yield
    finally:
        ray.shutdown()


class Driver:
    """Runs `python -m tuner.search`, or another command, in its own session with its own Ray."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        command: str = "search",
        variables: dict[str, str] | None = None,
        before: str = "",
    ) -> None:
        """`variables` add to its environment; `before` is Python code that it runs first."""
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = [folder / f"{stream}-{time.monotonic_ns()}" for stream in ("out", "err")]
        environment = {k: v for k, v in os.environ.items() if k not in LIBRARY_VARIABLES}
        name = f"tuner.{command}"
        code = f"import sys; import {name}; {before or 'pass'}; sys.exit({name}.main())"
        with self._paths[0].open("wb") as out, self._paths[1].open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                cwd=folder,
                env=environment | (variables or {}),
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Waits until the search has done something; fails when it ends or takes too long."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"it ended or timed out before:\n{self.out}\n{self.err}")
            time.sleep(0.005)

    def wait(self) -> int:
        """Waits for the end; returns the exit status."""
        return self.process.wait(timeout=DEADLINE_SECONDS)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the driver alone, not to its Ray."""
        self.process.send_signal(number)

    def reap(self, seconds: float = 10.0) -> list[str]:
        """Waits for the session's processes to end; kills the rest and returns their commands."""
        deadline = time.monotonic() + seconds
        while (left := processes_of_session(self.process.pid)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        return list(left.values())

    @property
    def out(self) -> str:
        """Its standard output so far."""
        return self._paths[0].read_text()

    @property
    def err(self) -> str:
        """Its standard error so far."""
        return self._paths[1].read_text()


class TrialProcesses:
    """Watches the processes that train trials of this process's Ray, and kills some on request."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.killed: list[int] = []
        self._stop = threading.Event()

    @contextmanager
    def watching(self, is_time_to_kill: Callable[[int], bool] = lambda killed: False) -> Iterator:
        """`is_time_to_kill` is called all the time with the number of processes killed so far."""
        thread = threading.Thread(target=self._watch, args=(is_time_to_kill,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _watch(self, is_time_to_kill: Callable[[int], bool]) -> None:
        while not self._stop.wait(0.01):
            trials = trial_processes(os.getpid())
            self.seen.update(trials)
            if trials and is_time_to_kill(len(self.killed)):
                (pid, *_) = trials
                self.killed.append(pid)
                os.kill(pid, signal.SIGKILL)


def processes_of_session(session: int) -> dict[int, str]:
    """Maps the id of every living process of a session to its command."""
    return {
        pid: _command(pid)
        for pid, fields in _processes().items()
        if int(fields[3]) == session and fields[0] != "Z"
    }


def trial_processes(ancestor: int) -> list[int]:
    """The ids of the workers that hold a trial, among the descendants of a process."""
    processes = _processes()
    found = []
    for pid in processes:
        if not _command(pid).startswith("ray::ImplicitFunc"):
            continue
        parent = pid
        while parent in processes and parent != ancestor:
            parent = int(processes[parent][1])
        if parent == ancestor:
            found.append(pid)
    return found


def _processes() -> dict[int, list[str]]:
    """Per process id: state, parent, group, session, ... as in /proc/PID/stat."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""
