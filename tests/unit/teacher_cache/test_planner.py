"""Which outputs are cached, shared or live: decided from sizes and speeds alone, with a reason."""

import json
import random
import re

import pytest
import torch

import models
from models import Shapes
from tuner.teacher_cache import OutputsPlan, planner, probing
from tuner.teacher_cache.plan import LIVE, CachedOutput
from tuner.teacher_cache.planner import TeacherLoad, plan_outputs
from tuner.teacher_cache.probing import Capacity, Speeds, measure_capacity, measure_speeds
from tuner.teacher_cache.sizes import bytes_per_image
from tuner.training.seeding import frozen

SHAPES = Shapes((100,), (64,), {"stage1": (16, 32, 32), "stage2": (32, 16, 16)})
SMALL, ATTENTION, MAP = ("logits", "embedding"), "attention_maps.stage1", "feature_maps.stage1"
NAMES = (*SMALL, ATTENTION, MAP)
NEEDS = (NAMES, SMALL, (ATTENTION, *SMALL))  # in whatever order settings are tried
NUM_IMAGES, NUM_EPOCHS, NUM_SEEDS, BATCH_SIZE = 1000, 10, 3, 64
ALL_EPOCHS = NUM_EPOCHS * (1 + NUM_SEEDS)
SPEEDS = Speeds(teacher_seconds=1e-3, disk_bytes=1e9, memory_bytes=1e10)
CAPACITY = Capacity(budget=10**12, free_memory=0, buffer=10**9)


def load(**changes) -> TeacherLoad:
    options = {
        "needs": NEEDS,
        "num_images": NUM_IMAGES,
        "num_epochs": NUM_EPOCHS,
        "num_seeds": NUM_SEEDS,
        "has_trials": True,
        "batch_size": BATCH_SIZE,
        "max_concurrent": 4,
    }
    return TeacherLoad(**{**options, **changes})


def capacity_of(**changes) -> Capacity:
    return Capacity(**{**vars(CAPACITY), **changes})


def speeds(**changes) -> Speeds:
    return Speeds(**{**vars(SPEEDS), **changes})


def plan(wanted=None, *, precision="float16", speeds=SPEEDS, capacity=CAPACITY):
    return plan_outputs(wanted or load(), SHAPES, precision, speeds, capacity)


def epochs_of(planned: OutputsPlan) -> dict[str, tuple[int, int]]:
    return {output.name: (output.search_epochs, output.final_epochs) for output in planned.cached}


def epoch_bytes(*names: str, precision="float16") -> int:
    return bytes_per_image(SHAPES, names, precision) * NUM_IMAGES


# Cached.


def test_what_fits_is_cached_for_every_augmented_epoch():
    planned, _ = plan()
    assert epochs_of(planned) == dict.fromkeys(NAMES, (NUM_EPOCHS, NUM_EPOCHS))
    assert (planned.shared, planned.buffer_bytes, planned.precision) == ((), 0, "float16")


def test_what_is_smaller_comes_first():
    (small, attention, maps) = plan()[1]
    assert small.startswith("logits, embedding: cached")
    assert attention.startswith("attention_maps.stage1: cached")
    assert maps.startswith("feature_maps.stage1: cached")


def test_a_budget_to_the_byte_is_enough_and_a_byte_less_is_an_epoch_less():
    names = ("logits",)
    whole = epoch_bytes("logits") * ALL_EPOCHS
    planned, _ = plan(load(needs=(names,)), capacity=capacity_of(budget=whole))
    assert epochs_of(planned) == {"logits": (10, 10)}
    planned, _ = plan(load(needs=(names,)), capacity=capacity_of(budget=whole - 1))
    assert epochs_of(planned) == {"logits": (10, 9)}


@pytest.mark.parametrize(
    ("num_epochs", "expected"), [(4, (4, 0)), (10, (10, 0)), (12, (10, 0)), (13, (10, 1))]
)
def test_a_small_budget_keeps_the_first_epochs_of_the_search_then_of_the_finals(
    num_epochs, expected
):
    budget = epoch_bytes("logits") * num_epochs
    planned, (line,) = plan(load(needs=(("logits",),)), capacity=capacity_of(budget=budget))
    assert epochs_of(planned) == {"logits": expected}
    assert (
        f"{expected[0]} of 10 augmented epochs of the search and {expected[1]} of each final seed"
        in line
    )
    assert "all would take 8.0 MB" in line


def test_large_outputs_get_what_the_small_ones_leave():
    budget = epoch_bytes(*SMALL) * ALL_EPOCHS + epoch_bytes(ATTENTION) * 2
    planned, _ = plan(capacity=capacity_of(budget=budget))
    assert epochs_of(planned) == {
        "logits": (10, 10), "embedding": (10, 10), ATTENTION: (2, 0),
    }  # fmt: skip


def test_no_plan_takes_more_than_its_budget():
    draw = random.Random(0)
    for _ in range(200):
        budget = int(10 ** draw.uniform(3, 10))
        precision = draw.choice(["float16", "float32"])
        planned, lines = plan(precision=precision, capacity=capacity_of(budget=budget))
        taken = sum(
            epoch_bytes(output.name, precision=precision)
            * (output.search_epochs + NUM_SEEDS * output.final_epochs)
            for output in planned.cached
        )
        assert taken <= budget
        assert all(0 < o.search_epochs <= NUM_EPOCHS for o in planned.cached)
        assert all(0 <= o.final_epochs <= o.search_epochs for o in planned.cached)
        assert {*epochs_of(planned), *planned.shared} <= set(NAMES)
        assert len(lines) == 3


def test_single_precision_takes_twice_as_much():
    budget = epoch_bytes("logits") * NUM_EPOCHS
    planned, _ = plan(
        load(needs=(("logits",),)), precision="float32", capacity=capacity_of(budget=budget)
    )
    assert epochs_of(planned) == {"logits": (5, 0)}
    assert planned.precision == "float32"


@pytest.mark.parametrize(("share", "is_cached"), [(0.49, True), (0.51, False)])
def test_what_is_read_more_slowly_than_half_the_teachers_time_is_not_cached(share, is_cached):
    seconds = bytes_per_image(SHAPES, (MAP,), "float16") / SPEEDS.disk_bytes / share
    planned, lines = plan(speeds=speeds(teacher_seconds=seconds))
    assert (MAP in epochs_of(planned)) == is_cached
    assert {*SMALL, ATTENTION} <= set(epochs_of(planned))
    assert ("would take 51 % of the teacher's time" in lines[2]) != is_cached


def test_what_fits_in_memory_is_read_at_the_speed_of_memory():
    slow = speeds(disk_bytes=1e6)
    assert MAP not in epochs_of(plan(speeds=slow)[0])
    assert MAP in epochs_of(plan(speeds=slow, capacity=capacity_of(free_memory=10**12))[0])


# Shared and live.


def test_large_maps_of_trials_side_by_side_are_shared():
    planned, lines = plan(capacity=capacity_of(budget=epoch_bytes(*SMALL) * ALL_EPOCHS))
    assert planned.shared == (ATTENTION, MAP)
    assert planned.buffer_bytes == CAPACITY.buffer
    assert set(epochs_of(planned)) == set(SMALL)
    assert (
        "shared by trials that run at the same time; an augmented epoch takes 32.8 MB" in lines[2]
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"wanted": load(max_concurrent=1)}, "one trial at a time"),
        ({"capacity": capacity_of(budget=0, buffer=10**6)}, "too small a buffer"),
        ({"capacity": capacity_of(budget=0, buffer=0)}, "no buffer"),
        ({"speeds": speeds(memory_bytes=1e8)}, "slow memory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_neither_be_cached_nor_shared_is_live(changes, why):
    planned, lines = plan(**{"capacity": capacity_of(budget=0), **changes})
    assert MAP not in planned.shared
    assert lines[2].startswith("feature_maps.stage1: live; ")
    assert not planned.cached


def test_the_buffer_must_hold_some_batches_of_every_trial():
    batch_bytes = bytes_per_image(SHAPES, (MAP,), "float32") * BATCH_SIZE
    least = planner.MIN_BUFFER_BATCHES * 4 * batch_bytes
    for buffer, expected in ((least, (MAP,)), (least - 1, ())):
        planned, _ = plan(load(needs=((MAP,),)), capacity=capacity_of(budget=0, buffer=buffer))
        assert planned.shared == expected


def test_without_a_need_there_is_nothing_to_plan():
    assert plan(load(needs=((),))) == (LIVE, ())


def test_epochs_beyond_the_budget_are_shared():
    planned, (line,) = plan(
        load(needs=(("logits",),)), capacity=capacity_of(budget=epoch_bytes("logits") * 4)
    )
    assert planned.source(("logits",), 4, final=False) == "cached"
    assert planned.source(("logits",), 5, final=False) == "shared"
    assert planned.look_ahead == 4
    assert "the others shared" in line
    planned, (line,) = plan(
        load(needs=(("logits",),), max_concurrent=1),
        capacity=capacity_of(budget=epoch_bytes("logits") * 4),
    )
    assert planned.source(("logits",), 5, final=False) == "live"
    assert "the others live" in line


# The reasons.


@pytest.mark.parametrize("budget", [0, 10**5, 10**7, 10**9, 10**12])
@pytest.mark.parametrize("max_concurrent", [1, 4])
@pytest.mark.parametrize("teacher_seconds", [1e-3, 1e-5])
def test_every_reason_names_outputs_what_is_done_and_why(budget, max_concurrent, teacher_seconds):
    planned, lines = plan(
        load(max_concurrent=max_concurrent),
        speeds=speeds(teacher_seconds=teacher_seconds),
        capacity=capacity_of(budget=budget),
    )
    named = []
    for line in lines:
        names, source, reason = re.fullmatch(
            r"([\w., ]+): (cached|shared|live)\b(.+)", line
        ).groups()
        named += names.split(", ")
        if source == "cached":
            assert re.search(
                r"because reading [\d.]+ \w+ per image takes [\d.e-]+ % of the", reason
            )
            assert set(names.split(", ")) <= set(epochs_of(planned))
        else:
            assert "; an augmented epoch takes " in reason or "; reading " in reason
            assert (source == "shared") == (set(names.split(", ")) <= set(planned.shared))
    assert sorted(named) == sorted(NAMES)


# The plan.


def test_a_training_takes_the_source_that_all_its_outputs_have():
    planned = OutputsPlan(
        (CachedOutput("logits", 5, 2), CachedOutput("embedding", 3, 0)),
        (MAP,),
        buffer_bytes=1,
    )
    sources = {
        (("logits",), 5, False): "cached",
        (("logits",), 6, False): "shared",  # beyond what is kept, trials can still share it
        (("logits",), 2, True): "cached",
        (("logits",), 3, True): "shared",
        (("logits", "embedding"), 3, False): "cached",
        (("logits", "embedding"), 4, False): "shared",
        (("logits", MAP), 1, False): "shared",
        (("logits", ATTENTION), 1, False): "live",
    }
    for (names, number, final), expected in sources.items():
        assert planned.source(names, number, final=final) == expected
    assert LIVE.source(("logits",), 1, final=False) == "live"
    bufferless = OutputsPlan(planned.cached)
    assert bufferless.source(("logits",), 6, final=False) == "live"


def test_a_plan_in_an_earlier_journal_is_read():
    planned = OutputsPlan((CachedOutput("logits", 5, 2),), (MAP,), "float32", 123, 4)
    content = {
        "cached": [{"name": "logits", "search_passes": 5, "final_passes": 2}],
        "shared": [MAP],
        "precision": "float32",
        "window_bytes": 123,
        "look_ahead": 4,
    }
    assert OutputsPlan.from_json(content) == planned
    assert json.loads(json.dumps(planned.as_json())) == content


@pytest.mark.parametrize("budget", [0, 10**7, 10**12])
def test_a_plan_survives_the_journal(budget):
    planned, _ = plan(capacity=capacity_of(budget=budget))
    assert OutputsPlan.from_json(json.loads(json.dumps(planned.as_json()))) == planned


# Measured.


def test_speeds_are_measured_and_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "PROBED_BYTES", 2**20)
    network = frozen(models.build("resnet8", 10))
    measured = measure_speeds(network, (8, 8), tmp_path / "not" / "yet", torch.device("cpu"))
    assert 1e-7 < measured.teacher_seconds < 10
    assert 1e5 < measured.disk_bytes <= measured.memory_bytes
    assert list(tmp_path.iterdir()) == []


def test_a_larger_teacher_is_slower(tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "PROBED_BYTES", 2**16)
    small, large = (
        min(
            measure_speeds(network, (32, 32), tmp_path, torch.device("cpu")).teacher_seconds
            for _ in range(3)
        )
        for network in (frozen(models.build(name, 10)) for name in ("resnet8", "resnet32x4"))
    )
    assert large > 2 * small


def test_stored_outputs_count_against_the_budget(tmp_path):
    folder = tmp_path / "teacher-outputs"
    empty = measure_capacity(folder, 10**6)
    assert empty.budget == 10**6
    shard = folder / "entry" / "logits.float16.64" / "0001" / "00000-0.arrow"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(bytes(400_000))
    assert measure_capacity(folder, 10**6).budget == 600_000
    assert measure_capacity(folder, 10**5).budget == 0
    assert measure_capacity(folder, 0).budget == 0


def test_the_default_budget_is_half_of_the_free_disk(tmp_path, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(probing.shutil, "disk_usage", lambda path: usage(0, 0, 1000))
    assert measure_capacity(tmp_path, None).budget == 500
    assert measure_capacity(tmp_path, 10**9).budget == 1000  # never more than is free


def test_memory_is_counted(tmp_path):
    import os

    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    measured = measure_capacity(tmp_path, 0)
    assert 0 < measured.free_memory <= physical
    assert 0 <= measured.buffer <= probing.MEMORY_SHARE * physical


def test_without_shared_memory_there_is_no_buffer(tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "SHARED_MEMORY", tmp_path / "absent")
    assert measure_capacity(tmp_path, 0).buffer == 0


def test_the_planner_caches_logits_of_imagenet_and_no_maps():
    network = models.build_untrained("torchvision:resnet34", 1000)
    shapes = models.shapes_of(network, (224, 224))
    maps = ("logits", *(f"feature_maps.{name}" for name in shapes.feature_maps))
    imagenet = load(
        needs=(("logits",), maps),
        num_images=1_229_920,
        num_epochs=100,
        num_seeds=0,
        batch_size=256,
        max_concurrent=1,
    )
    gpu = Speeds(teacher_seconds=3e-4, disk_bytes=2e9, memory_bytes=1e10)
    capacity = Capacity(budget=500 * 10**9, free_memory=10**11, buffer=10**10)
    found, (logits, live) = plan_outputs(imagenet, shapes, "float16", gpu, capacity)
    assert found.cached == (CachedOutput("logits", 100, 100),)
    assert logits.startswith("logits: cached in float16, 246.0 GB in all")
    assert live.startswith("feature_maps.stage1, ")
    assert ": live; " in live
