"""Whole searches and the teacher cache: the same results from every source, warm, damaged, full."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import tuner.cache
import tuner.teach
from tests.support.searching import Driver, Searches, as_flags, local_ray
from tests.support.trainings import make_training, run_to_the_end
from tuner.config.options import SearchRequest
from tuner.data import open_dataset, split
from tuner.orchestration.cluster import on_every_machine
from tuner.planning.search import plan_search
from tuner.teacher_cache import OutputsPlan
from tuner.teacher_cache.plan import CachedOutput
from tuner.teacher_cache.shard import read_shard
from tuner.teacher_cache.shared_buffer import shared_buffer_folder
from tuner.teacher_cache.store import cache_folder
from tuner.training.distillation import Distillation
from tuner.training.seeding import frozen
from tuner.training.teachers import build_teacher

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


def shards(searches: Searches) -> dict[str, int]:
    """The shards in the cache, and when each was written."""
    folder = cache_folder(searches.data_dir)
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.arrow")}


def test_a_second_search_computes_nothing(searches: Searches, cold: str) -> None:
    before = shards(searches)
    assert before
    assert searches.run("warm", "--quiet", **OPTIONS) == 0
    assert shards(searches) == before
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
    assert not list(shared_buffer_folder().rglob("*.arrow"))


def test_a_function_runs_on_every_machine_of_a_cluster(searches: Searches, tmp_path: Path) -> None:
    request = SearchRequest(space="itrd", address="auto", data_dir=searches.data_dir)
    search = plan_search(request)
    called = tmp_path / "called"

    def call() -> None:
        called.touch()

    on_every_machine(search, call)
    assert called.exists()


def test_the_plan_is_printed_and_recorded_with_its_reasons(
    searches: Searches, cold: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert searches.run("printed", **{**OPTIONS, "trials": 1, "seeds": 0, "epochs": 1}) == 0
    out = capsys.readouterr().out
    assert "embedding: cached in float16" in out
    assert "of the teacher's time" in out
    (parent,) = [
        run for run in searches.mlflow_runs(cold) if "mlflow.parentRunId" not in run.data.tags
    ]
    assert "embedding: cached in float16" in parent.data.tags["teacher_outputs"]


def test_a_flipped_byte_is_reported_and_changes_nothing(
    searches: Searches, cold: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(next(iter(shards(searches))))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert searches.run("damaged", **OPTIONS) == 0
    assert "recomputing a damaged shard" in capsys.readouterr().out
    assert epochs_of(searches, "damaged") == epochs_of(searches, cold)
    for shard in shards(searches):
        assert read_shard(Path(shard)).size


@contextmanager
def small_disk(folder: Path, num_files: int) -> Iterator[None]:
    """A file system at `folder` for this many files; skips if none can be mounted."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size=64m,nr_inodes={num_files}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def test_on_a_full_disk_the_teacher_runs_live_and_the_search_says_so(
    searches: Searches, cold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(searches.data_dir, data_dir, ignore=shutil.ignore_patterns("teacher-outputs"))
    # There is space when the plan is made; what runs out is the number of files.
    with small_disk(cache_folder(str(data_dir)), 14):
        assert searches.run("full", **{**OPTIONS, "data_dir": data_dir}) == 0
    assert "the teacher runs live" in capsys.readouterr().out
    ours, theirs = epochs_of(searches, "full"), epochs_of(searches, cold)
    assert ours.keys() == theirs.keys()
    for trial, epochs in ours.items():
        for epoch, expected in zip(epochs, theirs[trial], strict=True):
            # The teacher saw other batches: the last bits of its outputs differ.
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
    assert len(shards(both)) == len(shards(searches))
    for shard in shards(both):
        assert read_shard(Path(shard)).size


SMALL = {
    "space": "itrd",
    "limit": 200,
    "teacher": "resnet8",
    "teacher_epochs": 1,
    "student": "resnet8",
    "epochs": 3,
    "seeds": 1,
}


def test_a_search_after_precomputing_computes_nothing(
    searches: Searches, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / "data"
    after = Searches(tmp_path / "runs", str(data_dir))
    teacher = {name: SMALL[name] for name in ("limit", "teacher", "teacher_epochs")}
    assert tuner.teach.main(as_flags({**teacher, "data_dir": data_dir})) == 0
    capsys.readouterr()
    assert tuner.cache.main(["precompute", *as_flags({**SMALL, "data_dir": data_dir})]) == 0
    *reasons, last = capsys.readouterr().out.splitlines()
    assert reasons[0].startswith("embedding: cached in float16, ")
    assert last == f"the outputs for 6 augmented epochs are in {data_dir}/teacher-outputs"
    stored = shards(after)
    assert {Path(path).parent.name for path in stored} == {"0001", "0002", "0003"}
    assert after.run("after", "--quiet") == 0
    assert after.record("after").header.reasons[0].startswith("embedding: cached in float16")
    assert shards(after) == stored
    capsys.readouterr()
    assert tuner.cache.main(["list", "--data-dir", str(data_dir)]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"embedding float16 +(\d)\b", out) == ["3", "3"]


def test_half_precision_changes_accuracies_no_more_than_seeds_do(
    data_dir: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = open_dataset("digits", Path(data_dir))
    splits = split(dataset, validation_fraction=0.2, seed=0)
    teacher = train((dataset, splits), "plain", student="resnet20", epochs=8)
    differences, live_ones = [], []
    for seed in range(5):
        accuracies = [
            train(
                (dataset, splits),
                "itrd",
                teacher=build_teacher(
                    "resnet20",
                    lambda: frozen(teacher.student),
                    dataset,
                    torch.device("cpu"),
                    plan=plan,
                    data_dir=str(tmp_path),
                ),
                epochs=4,
                lr_decay_epochs=(2, 3),  # else accuracies jump by points from epoch to epoch
                seed=seed,
                data_seed=seed,
            ).history[-1]["val_accuracy"]
            for plan in (OutputsPlan(), HALF_PRECISION)
        ]
        live_ones.append(accuracies[0])
        differences.append(accuracies[1] - accuracies[0])
    with capsys.disabled():
        print(f"\nfloat16 - live, points of validation accuracy: {np.round(differences, 2)}")  # noqa: T201
    # Twice the standard error of the mean difference, or of one image if all are equal.
    error = max(np.std(differences, ddof=1), 100 / len(splits.validation)) / np.sqrt(5)
    assert abs(np.mean(differences)) < 2.8 * error  # Student's t, 4 degrees of freedom
    assert abs(np.mean(differences)) < np.std(live_ones, ddof=1) + 100 / len(splits.validation)


HALF_PRECISION = OutputsPlan((CachedOutput("embedding", 9, 9),), (), "float16")


def train(data, method, **changes) -> Distillation:
    options = {"lr_decay_epochs": (), "flip": False, "passes": 100} | changes
    return run_to_the_end(make_training(data, method, **options))
