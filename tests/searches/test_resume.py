"""Whatever interrupts a search, it resumes to the result of an undisturbed one."""

import errno
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.searching import (
    Driver,
    Searches,
    TrialProcesses,
    local_ray,
    same_mlflow_runs,
    same_results,
    teach,
)
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED, RUNNING, SEARCH, STOPPED

STRAIGHT = "straight"
# Compared after a cooldown in the first epoch; about half of the trials are stopped.
OPTIONS = {"trials": 6, "epochs": 4, "limit": 300, "algo": "priorband", "scheduler": "cooldown"}


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Iterator[Searches]:
    teach(data_dir, limit=300)
    with local_ray():
        yield Searches(tmp_path_factory.mktemp("resume"), data_dir)


@pytest.fixture(scope="module")
def straight(searches: Searches) -> str:
    """The name of an undisturbed search."""
    assert searches.run(STRAIGHT, "--quiet", **OPTIONS) == 0
    trials = searches.record(STRAIGHT).trials_of(SEARCH)
    assert {trial.status for trial in trials} >= {DONE, STOPPED}  # else this shows nothing
    return STRAIGHT


def test_a_search_killed_repeatedly_ends_like_an_undisturbed_one(
    searches: Searches, straight: str, tmp_path: Path
) -> None:
    length = searches.journal(straight).count(b"\n")
    arguments = searches.arguments("killed", "--quiet", **OPTIONS)
    for kill_at in (4, length // 2, length - 3):
        driver = Driver(arguments, tmp_path)
        try:
            driver.wait_until(
                lambda lines=kill_at: searches.journal("killed").count(b"\n") >= lines
            )
            driver.send(signal.SIGKILL)
        finally:
            driver.reap()
        arguments = [*searches.resume_arguments("killed"), "--quiet"]
    assert searches.resume("killed", "--quiet") == 0
    same_results(searches, straight, "killed")
    same_mlflow_runs(searches, "killed")


# Cheaper than killing: the journal as it is on disk at such a moment, with a torn last line.
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.6, 0.9])
def test_a_search_resumes_from_any_line_of_its_journal(
    searches: Searches, straight: str, fraction: float
) -> None:
    name = f"cut-{fraction}"
    lines = searches.journal(straight).splitlines(keepends=True)
    kept = 1 + int(fraction * (len(lines) - 1))
    folder = searches.folder(name)
    folder.mkdir()
    for file in ("search.yaml", "teacher.pt"):
        shutil.copy(searches.folder(straight) / file, folder / file)
    shutil.copytree(searches.folder(straight) / "checkpoints", folder / "checkpoints")
    torn = lines[kept][:20]
    header = json.loads(lines[0]) | {"id": name}  # another search to MLflow
    del header["crc"]
    content = b"".join([json.dumps(header).encode() + b"\n", *lines[1:kept], torn])
    (folder / "journal.jsonl").write_bytes(content)
    assert searches.resume(name, "--quiet") == 0
    same_results(searches, straight, name)


def test_a_finished_search_that_is_resumed_changes_nothing(
    searches: Searches, straight: str
) -> None:
    journal = searches.journal(straight)
    best = (searches.folder(straight) / "best.yaml").read_bytes()
    runs = {run.info.run_id for run in searches.mlflow_runs(straight)}
    versions = searches.client().search_model_versions("name='resnet8-itrd'")
    assert searches.resume(straight, "--quiet") == 0
    assert searches.journal(straight) == journal
    assert (searches.folder(straight) / "best.yaml").read_bytes() == best
    assert not (searches.folder(straight) / "ray").exists()
    assert {run.info.run_id for run in searches.mlflow_runs(straight)} == runs
    assert len(searches.client().search_model_versions("name='resnet8-itrd'")) == len(versions)
    same_mlflow_runs(searches, straight)


def test_a_lost_tracking_store_is_filled_again(searches: Searches, straight: str) -> None:
    database = searches.runs / "mlflow.db"
    aside = searches.runs / "aside.db"
    database.rename(aside)
    try:
        assert searches.resume(straight, "--quiet") == 0
        same_mlflow_runs(searches, straight)
    finally:
        aside.replace(database)


def test_an_unreachable_tracking_server_is_reported_and_costs_nothing(
    searches: Searches,
    straight: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert searches.resume(straight, "--quiet", "--tracking-uri", "http://127.0.0.1:9") == 0
    out = capsys.readouterr().out
    assert "MLflow at http://127.0.0.1:9 does not answer" in out
    assert f"--resume {straight}" in out


def test_ctrl_c_ends_with_130_and_the_command_that_resumes(
    searches: Searches, straight: str, tmp_path: Path
) -> None:
    driver = Driver(searches.arguments("interrupted", **OPTIONS), tmp_path)
    try:
        driver.wait_until(lambda: searches.journal("interrupted").count(b'"epoch"') >= 5)
        driver.send(signal.SIGINT)
        assert driver.wait() == 130
    finally:
        left = driver.reap()
    assert left == []
    assert f"python -m tuner.search --resume interrupted --runs-dir {searches.runs}" in driver.err
    assert "Traceback" not in driver.out + driver.err
    ended = [trial for trial in searches.record("interrupted").trials_of(SEARCH) if trial.ended]
    assert len(ended) < 6
    assert "RUNNING" not in {run.info.status for run in searches.mlflow_runs("interrupted")}
    assert searches.resume("interrupted", "--quiet") == 0
    same_results(searches, straight, "interrupted")
    same_mlflow_runs(searches, "interrupted")


def test_a_trial_whose_process_is_killed_continues_from_its_checkpoint(
    searches: Searches, straight: str
) -> None:
    def is_time_to_kill(num_killed: int) -> bool:
        # In the first trial's second epoch, then in the fourth one's.
        record = searches.record("hurt") if searches.journal("hurt") else None
        trial = record and record.trials.get(("0000", "0003", "")[num_killed])
        return bool(trial and trial.status == RUNNING and len(trial.epochs) >= 1)

    processes = TrialProcesses()
    with processes.watching(is_time_to_kill):
        assert searches.run("hurt", "--quiet", **OPTIONS) == 0
    assert len(processes.killed) == 2
    assert FAILED not in {trial.status for trial in searches.record("hurt").trials.values()}
    same_results(searches, straight, "hurt")


def test_a_full_disk_ends_the_search_instead_of_hanging_it(
    searches: Searches,
    straight: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Tune logs what its scheduler raises and waits for ever.
    written = Record._write

    def fail_at_the_second_end(record: Record, event: dict[str, Any]) -> Any:
        if event["event"] == "end" and event["trial"] == "0001":
            record.listeners.insert(0, full)
        return written(record, event)

    def full(event: dict[str, Any], trial: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Record, "_write", fail_at_the_second_end)
        assert searches.run("full", "--quiet", **OPTIONS) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert searches.resume("full", "--quiet") == 0
    same_results(searches, straight, "full")


def test_a_process_still_busy_with_the_previous_trial_loses_none(
    searches: Searches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No time at all for a trial's thread to end: Tune gives the next trial up, silently.
    monkeypatch.setenv("TUNE_FUNCTION_THREAD_TIMEOUT_S", "0")
    options = {"space": "kd", "trials": 4, "epochs": 1, "scheduler": "none"}
    driver = Driver(searches.arguments("busy", "--quiet", **options), tmp_path)
    try:
        assert driver.wait() == 0, driver.err
    finally:
        driver.reap()
    assert [trial.status for trial in searches.record("busy").trials_of(SEARCH)] == [DONE] * 4
