"""`tuner cache`: what it lists, checks, deletes and precomputes."""

import fcntl
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import models
import tuner.cache
from losses import DistillationLoss
from search_spaces import Choice, Fixed, Space
from tests.support.searching import as_flags
from tuner.config.command_line import ENVIRONMENT
from tuner.config.options import SearchRequest
from tuner.orchestration import precompute
from tuner.planning.search import plan_search
from tuner.teacher_cache import OutputsPlan, shared_buffer
from tuner.teacher_cache.plan import CachedOutput
from tuner.teacher_cache.shard import read_shard
from tuner.teacher_cache.store import Entry, cache_folder
from tuner.training.workload_data import open_data

ROWS = 64
NUM_IMAGES = 150  # per augmented epoch two shards, and a third shorter one


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(shared_buffer, "shared_buffer_folder", lambda: tmp_path / "buffer")


@pytest.fixture
def cache(tmp_path, capsys):
    """`tuner cache ARGUMENTS` on a folder of its own: exit status, lines out, lines on error."""

    def call(command: str, *arguments: str) -> tuple[int, list[str], list[str]]:
        status = tuner.cache.main([command, "--data-dir", str(tmp_path), *arguments])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return call


def store_entry(
    data_dir: Path, seed: int = 0, *, age: float = 0.0, shards: int = 6, root: Path | None = None
) -> Entry:
    """An entry of two augmented epochs with three shards each, of which the first ones exist."""
    about = {
        "teacher": "resnet20",
        "data": "digits",
        "num_images": NUM_IMAGES,
        "seed": seed,
    }
    entry = Entry(root or cache_folder(str(data_dir)), about)
    with entry.in_use():
        for number in range(shards):
            epoch, shard = f"{number // 3 + 1:04d}", f"{number % 3:05d}"
            with entry.try_lock("float16.64", epoch, shard):
                values = np.full((ROWS, 8), number, np.float16)
                entry.write(f"embedding.float16.{ROWS}", epoch, shard, values)
    when = time.time() - age
    os.utime(entry.folder / "about.json", (when, when))
    return entry


def shards_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("[0-9]*.arrow"))


# list


def test_an_empty_cache_is_reported_in_one_sentence(cache, tmp_path):
    expected = [f"{tmp_path}/teacher-outputs holds no teacher outputs yet"]
    assert cache("list") == (0, expected, [])


def test_entries_are_listed_the_last_used_first(cache, tmp_path):
    old, new = store_entry(tmp_path, 1, age=3600), store_entry(tmp_path, 0, shards=4)
    status, out, err = cache("list")
    assert (status, err) == (0, [])
    head, first, second, total = out
    assert head.split()[:7] == ["id", "teacher", "data", "seed", "outputs", "epochs", "size"]
    names = ["resnet20", "digits"]
    assert first.split()[:10] == [
        new.folder.name, *names, "0", "embedding", "float16", "1", "+", "1", "partial",
    ]  # fmt: skip
    assert second.split()[:7] == [old.folder.name, *names, "1", "embedding", "float16", "2"]
    minute = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() - 3600))
    assert second.rstrip().endswith(minute)
    size = sum(path.stat().st_size for path in shards_in(tmp_path))
    assert total == f"{size / 1000:.1f} kB in {tmp_path}/teacher-outputs"


def test_a_list_for_programs_is_one_json_object(cache, tmp_path):
    entry = store_entry(tmp_path, 7)
    status, (line,), err = cache("list", "--json")
    assert (status, err) == (0, [])
    content = json.loads(line)
    (listed,) = content["entries"]
    assert listed["id"] == entry.folder.name
    assert listed["about"]["seed"] == 7
    (output,) = listed["outputs"]
    size = sum(path.stat().st_size for path in shards_in(tmp_path))
    assert content["bytes"] == listed["bytes"] == output["num_bytes"] == size
    assert (output["name"], output["num_passes"], output["num_begun"]) == ("embedding", 2, 0)


def test_an_entry_that_lost_its_name_is_listed_all_the_same(cache, tmp_path):
    (store_entry(tmp_path).folder / "about.json").write_text("{")
    status, out, _ = cache("list")
    assert status == 0
    assert out[1].split()[1:4] == ["?", "?", "?"]


# check


def test_a_whole_cache_passes(cache, tmp_path):
    store_entry(tmp_path)
    status, out, err = cache("check")
    size = sum(path.stat().st_size for path in shards_in(tmp_path))
    assert (status, out, err) == (0, [f"read 6 shards ({size / 1000:.1f} kB), 0 damaged"], [])
    assert len(shards_in(tmp_path)) == 6


def test_an_empty_cache_passes(cache):
    assert cache("check") == (0, ["read 0 shards (0 bytes), 0 damaged"], [])


def test_damaged_shards_are_named_and_deleted(cache, tmp_path):
    store_entry(tmp_path)
    flipped, cut, emptied, *whole = shards_in(tmp_path)
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    cut.write_bytes(cut.read_bytes()[:100])
    emptied.write_bytes(b"")
    damaged = [flipped, cut, emptied]
    status, out, _ = cache("check", "--dry-run")
    assert status == 1
    assert out[:-1] == [f"{path}: damaged" for path in damaged]
    assert all(path.exists() for path in damaged)
    status, out, _ = cache("check")
    assert status == 1
    assert out[:-1] == [f"{path}: damaged, deleted" for path in damaged]
    assert out[-1].endswith(", 3 damaged")
    assert shards_in(tmp_path) == whole
    assert cache("check")[0] == 0


def test_files_of_dead_processes_are_removed_and_those_of_living_ones_kept(cache, tmp_path):
    entry = store_entry(tmp_path)
    locks, epoch = entry.folder / "claims", entry.folder / f"embedding.float16.{ROWS}" / "0003"
    epoch.mkdir()
    for number in ("00000", "00001"):
        (locks / f"float16.{ROWS}-0003-{number}").touch()
        (epoch / f"{number}.partial").write_bytes(b"half")
    (epoch / "00002.partial").write_bytes(b"its lock is gone")
    with entry.try_lock(f"float16.{ROWS}", "0003", "00001") as is_ours:
        assert is_ours
        status, out, _ = cache("check")
        assert status == 0
        assert out[0] == "removed 2 files left by dead processes"
        assert [path.name for path in locks.iterdir()] == [f"float16.{ROWS}-0003-00001"]
        assert [path.name for path in epoch.iterdir()] == ["00001.partial"]


# prune


def test_the_least_recently_used_goes_until_the_rest_fits(cache, tmp_path):
    entries = [store_entry(tmp_path, seed, age=100 * seed) for seed in range(3)]
    size = sum(path.stat().st_size for path in shards_in(entries[0].folder))
    status, out, err = cache("prune", "--keep", str(int(2.5 * size)), "--dry-run")
    assert (status, err) == (0, [])
    assert out[0].startswith(f"would delete {entries[2].folder.name} (resnet20 on digits, seed 2, ")
    assert out[1] == f"would free {size / 1000:.1f} kB"
    assert len(shards_in(tmp_path)) == 18
    status, out, _ = cache("prune", "--keep", str(int(2.5 * size)))
    assert out[1] == f"freed {size / 1000:.1f} kB"
    assert [entry.folder.exists() for entry in entries] == [True, True, False]
    assert cache("prune", "--keep", "1GB") == (0, ["freed 0 bytes"], [])
    assert cache("prune", "--keep", "0")[0] == 0
    assert shards_in(tmp_path) == []


def test_what_was_not_used_for_long_goes(cache, tmp_path):
    day = 86400
    entries = [store_entry(tmp_path, seed, age=days * day) for seed, days in enumerate((0, 6, 8))]
    cache("prune", "--older-than", "7d")
    assert [entry.folder.exists() for entry in entries] == [True, True, False]
    cache("prune", "--older-than", "12h")
    assert [entry.folder.exists() for entry in entries] == [True, False, False]


def test_all_means_shared_memory_too(cache, tmp_path):
    store_entry(tmp_path)
    store_entry(tmp_path, 1, root=tmp_path / "buffer")
    status, out, _ = cache("prune", "--keep", "0", "--dry-run")
    assert len(out) == 2
    status, out, _ = cache("prune", "--all")
    assert (status, len(out)) == (0, 3)
    assert shards_in(tmp_path) == []
    assert list((tmp_path / "teacher-outputs").iterdir()) == []


@pytest.mark.parametrize("arguments", [("--all",), ("--keep", "0"), ("--older-than", "1s")])
def test_an_entry_that_a_trial_reads_is_kept(cache, tmp_path, arguments):
    used, unused = store_entry(tmp_path, 0, age=200), store_entry(tmp_path, 1, age=100)
    with used.in_use():
        os.utime(used.folder / "about.json", (0, 0))
        status, out, _ = cache("prune", *arguments)
        assert status == 0
        assert out[0].startswith(f"deleted {unused.folder.name} ")
        assert out[1].startswith(f"kept {used.folder.name} (resnet20 on digits, seed 0, ")
        assert out[1].endswith("): a running trial is reading it")
        assert len(shards_in(used.folder)) == 6
    cache("prune", *arguments)
    assert not used.folder.exists()


def test_a_pruned_entry_can_be_created_again_at_once(cache, tmp_path):
    folder = store_entry(tmp_path).folder
    killed = folder.with_name(f".{folder.name}.deleted")  # what an earlier prune did not finish
    killed.mkdir()
    (killed / "rest").touch()
    cache("prune", "--all")
    assert list(folder.parent.iterdir()) == []
    assert store_entry(tmp_path).folder == folder
    killed.mkdir()
    assert cache("list", "--json")[0] == 0
    assert cache("check")[1][0] == "removed 1 file left by dead processes"
    assert not killed.exists()


def test_pruning_does_not_wait_for_a_lock(tmp_path, cache):
    entry = store_entry(tmp_path)
    with (entry.folder / "about.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        begin = time.monotonic()
        cache("prune", "--all", "--dry-run")
        assert time.monotonic() - begin < 5


# What a user can get wrong.


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give a command; known: list, check, prune, precompute; see tuner cache --help"),
        (["lst"], "unknown command 'lst'; known: list, check, prune, precompute; see "),
        (["--data-dir", "x", "list"], "unrecognized arguments: --data-dir; see "),
        (["list", "x"], "unrecognized arguments: x; see tuner cache list --help"),
        (["prune"], "say what to delete with one of --keep SIZE (such as 20GB), "),
        (["prune", "--all", "--keep", "1GB"], "say what to delete with one of "),
        (["prune", "--dry-run"], "say what to delete with one of "),
        (["prune", "--keep", "lots"], "keep is 'lots'; give a size such as 200GB"),
        (["prune", "--keep", "3 XB"], "keep is '3 XB'; give a size such as 200GB"),
        (["prune", "--keep", "-1"], "keep is '-1'; "),
        (["prune", "--older-than", "xd"], "older_than is 'xd'; give a number, or a time such as "),
        (["prune", "--older-than=-1d"], "older_than is '-1d'; it must be at least 0"),
        (["precompute"], "space is missing; give --space"),
        (["fill"], "space is missing; give --space"),
        (["precompute", "--space", "itdr"], "unknown space 'itdr'; did you mean 'itrd'? "),
        (["precompute", "--space", "itrd", "--algo", "grid"], "unrecognized arguments: --algo"),
        (["precompute", "--space", "itrd", "--epochs", "0"], "epochs is '0'; it must be at "),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_in_one_sentence(arguments, sentence, capsys, tmp_path):
    if arguments and arguments[0] in ("list", "prune", "precompute", "fill"):
        arguments = [*arguments, "--data-dir", str(tmp_path)]
    assert tuner.cache.main(arguments, prog="tuner cache") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"tuner: {sentence}")


@pytest.mark.parametrize("command", [(), ("list",), ("check",), ("prune",), ("precompute",)])
def test_every_command_has_its_help(command, capsys):
    with pytest.raises(SystemExit) as done:
        tuner.cache.main([*command, "--help"], prog="tuner cache")
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {' '.join(('tuner cache', *command))} ")


# precompute


SMALL = {
    "space": "itrd",
    "limit": 200,
    "teacher": "resnet8",
    "teacher_epochs": 1,
    "student": "resnet8",
    "epochs": 3,
    "seeds": 1,
}


def search_of(data_dir: str, **options):
    return plan_search(SearchRequest(**{**SMALL, "data_dir": data_dir, **options}))


def job_of(search) -> precompute.PrecomputeJob:
    dataset, _ = open_data(search.workload)
    plan = OutputsPlan((CachedOutput("embedding", 4, 1), CachedOutput("logits", 1, 1)))
    return precompute.PrecomputeJob(
        workload=search.workload,
        fingerprint=dataset.fingerprint,
        digest="d",
        plan=plan,
        epochs=precompute.cached_epochs(search, search.needs(dataset), plan),
        num_threads=1,
        gpus=0,
    )


def weights() -> bytes:
    return precompute.weights_of(models.build("resnet8", 10))


def test_the_epochs_are_those_that_trials_read(data_dir):
    job = job_of(search_of(data_dir, seeds=2, seed=5))
    needs = ("embedding",)
    assert job.epochs == (
        *(precompute.EpochOutputs(needs, 5, number) for number in (1, 2, 3)),
        precompute.EpochOutputs(
            needs, 6, 1
        ),  # the final trainings: the plan caches one epoch of each
        precompute.EpochOutputs(needs, 7, 1),
    )


def test_what_a_trial_would_not_read_is_not_precomputed(data_dir):
    # MIMKD needs maps too, which this plan does not cache: its trials run the teacher anyway.
    assert job_of(search_of(data_dir, space="mimkd")).epochs == ()


def test_every_choice_of_a_space_is_asked_what_it_needs(data_dir):
    class Chosen(DistillationLoss):
        def __init__(self, student, teacher, *, layer, weight):
            super().__init__()
            self.needs = (f"feature_maps.{layer}",) if layer else ()

    search = search_of(data_dir)
    layers = Choice("layer", ("stage1", "stage2"), published="stage1")
    space = Space("x", (layers, Fixed("weight", 1)), source="-")
    search = replace(search, space=space, method=Chosen, published={"layer": None, "weight": 1})
    dataset, _ = open_data(search.workload)
    needs = search.needs(dataset)
    assert needs == ((), ("feature_maps.stage1",), ("feature_maps.stage2",))


def test_precomputing_again_computes_nothing(tmp_path):
    search = search_of(str(tmp_path))
    job = job_of(search)
    yielded = list(precompute.compute_missing(job, weights()))
    _, splits = open_data(search.workload)
    total = len(job.epochs) * len(splits.train)
    assert sum(num_images for num_images, _ in yielded) == total
    stored = {path: path.stat().st_mtime_ns for path in shards_in(tmp_path)}
    assert len(stored) == len(yielded) == 4 * len(job.epochs)
    assert sum(num for num, _ in precompute.compute_missing(job, weights())) == total
    assert {path: path.stat().st_mtime_ns for path in shards_in(tmp_path)} == stored
    assert all(read_shard(path).size for path in stored)


def test_precomputing_stops_and_says_why_nothing_can_be_stored(tmp_path):
    job = job_of(search_of(str(tmp_path)))
    (tmp_path / "teacher-outputs").write_text("a file")
    ((num_images, notes),) = precompute.compute_missing(job, weights())
    assert num_images == 0
    assert "cannot be stored" in notes[0]


def test_without_a_teacher_it_says_how_to_train_one(capsys, tmp_path, monkeypatch):
    import ray

    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("too late"))
    arguments = ["precompute", *as_flags({**SMALL, "data_dir": tmp_path})]
    assert tuner.cache.main(arguments) == 2
    assert capsys.readouterr().err.startswith(
        "tuner: there is no teacher resnet8 for digits yet; train it with "
        "`tuner teach --data digits --teacher resnet8 --teacher-epochs 1` "
    )
