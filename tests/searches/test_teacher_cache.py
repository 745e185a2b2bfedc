"""Whole searches and the teacher cache: the same results by every road, warm, damaged or full."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.searching import Driver, Searches, local_ray
from tuner.config.options import SearchRequest
from tuner.orchestration.cluster import on_every_machine
from tuner.planning.search import plan_search
from tuner.teacher_cache.piece import read_piece
from tuner.teacher_cache.store import cache_folder, window_folder

# Two trials at a time, each to its end: who finishes first then decides nothing.
OPTIONS = {"algo": "random", "scheduler": "none", "epochs": 2, "max_concurrent": 2, "trials": 4}


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searches]:
    """Searches with a data folder of their own, whose cache they fill, damage and empty."""
    data_dir = tmp_path_factory.mktemp("data")
    with local_ray():
        yield Searches(tmp_path_factory.mktemp("searches"), str(data_dir))


@pytest.fixture(scope="module")
def cold(searches: Searches) -> str:
    """A search that has filled the cache."""
    assert searches.run("cold", "--quiet", **OPTIONS) == 0
    return "cold"


def epochs_of(searches: Searches, name: str) -> dict[str, list[dict[str, float]]]:
    """What each trial reported, without the seconds."""
    return {
        trial.name: [
            {key: value for key, value in epoch.items() if not key.endswith("seconds")}
            for epoch in trial.epochs
        ]
        for trial in searches.record(name).trials.values()
        if trial.role != "teacher"
    }


def pieces(searches: Searches) -> dict[str, int]:
    """The pieces in the cache, and when each was written."""
    folder = cache_folder(searches.data_dir)
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.arrow")}


def test_a_second_search_computes_nothing(searches: Searches, cold: str) -> None:
    before = pieces(searches)
    assert before
    assert searches.run("warm", "--quiet", **OPTIONS) == 0
    assert pieces(searches) == before
    assert epochs_of(searches, "warm") == epochs_of(searches, cold)


@pytest.mark.parametrize("space", ["itrd", "mimkd"])
def test_trials_that_share_the_teacher_are_what_each_would_be_alone(
    searches: Searches, space: str
) -> None:
    options = {**OPTIONS, "space": space, "cache_budget": 0}
    assert searches.run(f"together-{space}", "--quiet", **options) == 0
    assert searches.run(f"alone-{space}", "--quiet", **{**options, "max_concurrent": 1}) == 0
    headers = [searches.record(f"{how}-{space}").header for how in ("together", "alone")]
    assert [bool(header.outputs.shared) for header in headers] == [True, False]
    assert epochs_of(searches, f"together-{space}") == epochs_of(searches, f"alone-{space}")
    # No memory is left behind.
    assert not list(window_folder().rglob("*.arrow"))


def test_every_machine_of_a_cluster_is_told(searches: Searches, tmp_path: Path) -> None:
    request = SearchRequest(space="itrd", address="auto", data_dir=searches.data_dir)
    search = plan_search(request)
    told = tmp_path / "told"

    def tell() -> None:
        told.touch()

    on_every_machine(search, tell)
    assert told.exists()


def test_the_decision_is_told_with_its_reason_and_kept(
    searches: Searches, cold: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert searches.run("told", **{**OPTIONS, "trials": 1, "seeds": 0, "epochs": 1}) == 0
    out = capsys.readouterr().out
    assert "embedding: cached in float16" in out
    assert "of the teacher's time" in out
    (parent,) = [
        run for run in searches.mlflow_runs(cold) if "mlflow.parentRunId" not in run.data.tags
    ]
    assert "embedding: cached in float16" in parent.data.tags["teacher_outputs"]


def test_a_flipped_byte_is_found_told_and_changes_nothing(
    searches: Searches, cold: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(next(iter(pieces(searches))))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert searches.run("damaged", **OPTIONS) == 0
    assert "a damaged piece is computed again" in capsys.readouterr().out
    assert epochs_of(searches, "damaged") == epochs_of(searches, cold)
    for piece in pieces(searches):
        assert read_piece(Path(piece)).size


@contextmanager
def small_disk(folder: Path, num_files: int) -> Iterator[None]:
    """A file system for so many files at `folder`; skips where none can be mounted."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size=64m,nr_inodes={num_files}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def test_on_a_full_disk_the_search_goes_on_live_and_says_so(
    searches: Searches, cold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(searches.data_dir, data_dir, ignore=shutil.ignore_patterns("teacher-outputs"))
    # Bytes are plenty when the plan is made; what runs out is room for files.
    with small_disk(cache_folder(str(data_dir)), 14):
        assert searches.run("full", **{**OPTIONS, "data_dir": data_dir}) == 0
    assert "the teacher runs live" in capsys.readouterr().out
    ours, theirs = epochs_of(searches, "full"), epochs_of(searches, cold)
    assert ours.keys() == theirs.keys()
    for trial, epochs in ours.items():
        for epoch, expected in zip(epochs, theirs[trial], strict=True):
            # The teacher saw other batches: the last bits of its answers differ.
            assert epoch["train_loss"] == pytest.approx(expected["train_loss"], rel=0.02)


def test_two_searches_at_once_share_one_cache(
    searches: Searches, cold: str, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(searches.data_dir, data_dir, ignore=shutil.ignore_patterns("teacher-outputs"))
    both = Searches(tmp_path / "runs", str(data_dir))
    both.runs.mkdir()
    options = {**OPTIONS, "max_concurrent": 1}
    drivers = [
        Driver([*both.arguments(name, **options)], tmp_path / name) for name in ("one", "other")
    ]
    for driver in drivers:
        assert driver.wait() == 0
    for name in ("one", "other"):
        assert epochs_of(both, name) == epochs_of(searches, cold)
    assert len(pieces(both)) == len(pieces(searches))
    for piece in pieces(both):
        assert read_piece(Path(piece)).size
