"""Teacher outputs: the same from every source, computed once, never torn, never waited for."""

import errno
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import models
from losses import LOSSES, build_objective
from search_spaces import SPACES
from tests.support.teacher_outputs import (
    BATCH_SIZE,
    NAMES,
    NUM_IMAGES,
    SHARED,
    Counting,
    assert_equal,
    cached,
    make_teacher,
    read_epoch,
    shards_in,
    views_of,
)
from tests.support.trainings import CPU, digits, untrained_network
from tuner.teacher_cache import OutputsPlan, epoch_shards, store, teacher
from tuner.teacher_cache.plan import CachedOutput
from tuner.teacher_cache.shard import DamagedShardError, read_shard, write_shard
from tuner.teacher_cache.sizes import bytes_per_image, cached_shard_rows
from tuner.teacher_cache.store import describe_entry, entry_key
from tuner.training.seeding import seeded
from tuner.training.teachers import weights_digest


@pytest.fixture(scope="module")
def data(data_dir):
    return digits(data_dir, NUM_IMAGES)


@pytest.fixture(scope="module")
def network():
    return untrained_network()


@pytest.fixture(autouse=True)
def shared_buffer(tmp_path, monkeypatch):
    """The folder of this test's own shared buffer."""
    folder = tmp_path / "buffer"
    monkeypatch.setattr(teacher, "shared_buffer_folder", lambda: folder)
    return folder


def live_epoch(data, network, views, epoch=1):
    return read_epoch(make_teacher(data, network, Path(), OutputsPlan()), views, epoch)


# Every source gives the same.


@pytest.mark.parametrize("plan", [cached(), SHARED], ids=["cached", "shared"])
def test_every_source_has_the_bits_of_a_live_teacher(data, network, tmp_path, plan):
    views = views_of(data)
    live = live_epoch(data, network, views)
    source = make_teacher(data, network, tmp_path, plan)
    assert_equal(read_epoch(source, views), live)
    assert_equal(read_epoch(source, views), live)  # now read, not computed
    assert live["logits"].shape == (NUM_IMAGES, 10)


def test_half_precision_rounds_and_nothing_else(data, network, tmp_path):
    views = views_of(data)
    live = live_epoch(data, network, views)
    stored = read_epoch(make_teacher(data, network, tmp_path, cached("float16")), views)
    assert_equal(stored, {name: values.half().float() for name, values in live.items()})


def test_what_half_precision_cannot_hold_is_its_largest_number(data, tmp_path):
    huge = untrained_network()
    huge.fc.weight.mul_(1e8)
    read = read_epoch(make_teacher(data, huge, tmp_path, cached("float16")), views_of(data))
    assert read["logits"].isfinite().all()
    assert read["logits"].abs().max() == torch.finfo(torch.float16).max


@pytest.mark.parametrize("batch_size", [7, 32, 64, 299, 300])
def test_any_batch_size_reads_the_same(data, network, tmp_path, batch_size):
    views = views_of(data)
    first = read_epoch(make_teacher(data, network, tmp_path, cached()), views)
    other = make_teacher(data, network, tmp_path, cached())
    assert_equal(read_epoch(other, views, batch_size=batch_size), first)


def test_a_repeated_augmented_epoch_is_read_in_the_new_order(data, network, tmp_path):
    views = views_of(data, num_augmented_epochs=2)
    counting = Counting(network, tmp_path / "count")
    source = make_teacher(data, counting, tmp_path, cached())
    for epoch in (1, 2, 3, 4):
        ours, theirs = read_epoch(source, views, epoch), live_epoch(data, network, views, epoch)
        # Batches are composed differently, so sums round differently.
        assert_equal(ours, theirs, rtol=1e-4, atol=1e-5)
    assert counting.num_images == 2 * NUM_IMAGES


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("float16", 5e-3)], ids=str
)
@pytest.mark.parametrize("method", ["itrd", "mimkd"])
def test_losses_with_the_cache_are_those_with_a_live_teacher(
    data, network, tmp_path, method, precision, tolerance
):
    pins = {"width": "4", "num_locations": "2"} if method == "mimkd" else {}
    views = views_of(data)
    student = seeded(1, lambda: models.build("resnet8", 10))
    shapes = models.shapes_of(student, data[0].image_size, "resnet8")
    setting = SPACES[method].narrow(pins).published()
    objective = seeded(2, lambda: build_objective(LOSSES[method], shapes, shapes, setting))
    totals = []
    for plan in (OutputsPlan(), all_cached(precision)):
        source = make_teacher(data, network, tmp_path, plan)
        total: dict[str, float] = {}
        with torch.no_grad(), source.open(objective.needs, views, 1, 50) as outputs:
            for step, batch in enumerate(views.batches(1, 50, CPU)):
                terms = objective(
                    student(batch.images), outputs.read(50 * step, batch.images), batch
                )
                for name, term in terms.items():
                    total[name] = total.get(name, 0.0) + term.item()
        totals.append(total)
    live, stored = totals
    assert stored == pytest.approx(live, rel=tolerance)
    if precision == "float16":
        assert stored != live  # it was the cache that was read


def all_cached(precision) -> OutputsPlan:
    maps = [f"feature_maps.{name}" for name in ("stem", "stage1", "stage2", "stage3")]
    names = ("logits", "embedding", *maps)
    return OutputsPlan(tuple(CachedOutput(name, 9, 9) for name in names), (), precision)


# Computed once.


def test_later_trials_and_searches_compute_nothing(data, network, tmp_path):
    counting = Counting(network, tmp_path / "count")
    for _ in range(3):
        read_epoch(make_teacher(data, counting, tmp_path, cached()), views_of(data))
    assert counting.num_images == NUM_IMAGES


@pytest.mark.parametrize(
    "change", [{"digest": "e"}, {"seed": 1}, {"precision": "float16"}, {"epoch": 2}], ids=str
)
def test_everything_that_determines_an_output_changes_its_address(data, network, tmp_path, change):
    counting = Counting(network, tmp_path / "count")
    read_epoch(make_teacher(data, counting, tmp_path, cached()), views_of(data))
    source = make_teacher(
        data,
        counting,
        tmp_path,
        cached(change.get("precision", "float32")),
        change.get("digest", "d"),
    )
    read_epoch(source, views_of(data, seed=change.get("seed", 0)), change.get("epoch", 1))
    assert counting.num_images == 2 * NUM_IMAGES


def test_a_loss_that_needs_less_reads_what_is_stored(data, network, tmp_path):
    counting = Counting(network, tmp_path / "count")
    read_epoch(make_teacher(data, counting, tmp_path, cached()), views_of(data))
    source = make_teacher(data, counting, tmp_path, cached())
    with source.open(("embedding",), views_of(data), 1, BATCH_SIZE) as outputs:
        read = outputs.read(0, views_of(data).images(views_of(data).order(1)[:5], 1, CPU))
    assert read.embedding.shape == (5, 64)
    assert read.logits.numel() == 0
    assert not read.feature_maps
    assert counting.num_images == NUM_IMAGES


@pytest.mark.parametrize("plan", [cached(), SHARED], ids=["cached", "shared"])
def test_trials_that_run_together_share_the_work(data, network, tmp_path, plan):
    counting = Counting(network, tmp_path / "count", seconds=0.02)
    expected = live_epoch(data, network, views_of(data))

    def trial(_):
        return read_epoch(make_teacher(data, counting, tmp_path, plan), views_of(data))

    with ThreadPoolExecutor(3) as pool:
        for read in pool.map(trial, range(3)):
            assert_equal(read, expected)
    assert counting.num_images == NUM_IMAGES


class Hanging:
    """A network that says when it begins to compute, and then waits to be released."""

    def __init__(self, network) -> None:
        self.network = network
        self.has_begun, self.is_released = threading.Event(), threading.Event()

    def to(self, *args, **kwargs):
        return self

    def __call__(self, images):
        self.has_begun.set()
        assert self.is_released.wait(60)
        return self.network(images)


def read_first(source, views):
    with source.open(NAMES, views, 1, BATCH_SIZE) as outputs:
        outputs.read(0, views.images(views.order(1)[:BATCH_SIZE], 1, CPU))


def test_no_trial_waits_while_shards_are_left(data, network, tmp_path):
    """While one trial computes a shard, another computes all others before it waits."""
    views = views_of(data)
    hanging, counting = Hanging(network), Counting(network, tmp_path / "count")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(read_first, make_teacher(data, hanging, tmp_path, cached()), views)
        assert hanging.has_begun.wait(60)
        quick = pool.submit(read_epoch, make_teacher(data, counting, tmp_path, cached()), views)
        deadline = time.monotonic() + 60
        while counting.num_images < NUM_IMAGES - BATCH_SIZE and time.monotonic() < deadline:
            time.sleep(0.01)
        hanging.is_released.set()
        first.result()
        assert_equal(quick.result(), live_epoch(data, network, views))
    assert counting.num_images == NUM_IMAGES - BATCH_SIZE


@pytest.mark.parametrize("plan", [cached(), SHARED], ids=["cached", "shared"])
def test_a_trial_that_hangs_holds_up_no_other(data, network, tmp_path, monkeypatch, plan):
    monkeypatch.setattr(epoch_shards, "PATIENCE", 0.1)
    views, hanging = views_of(data), Hanging(network)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(read_first, make_teacher(data, hanging, tmp_path, plan), views)
        assert hanging.has_begun.wait(60)
        read = read_epoch(make_teacher(data, network, tmp_path, plan), views)
        assert not first.done()
        hanging.is_released.set()
    assert_equal(read, live_epoch(data, network, views))


# The shared buffer.


def test_the_shared_buffer_keeps_its_limit_and_a_late_trial_computes_again(
    data, network, tmp_path, shared_buffer
):
    shapes = make_teacher(data, network, tmp_path, SHARED).shapes
    batch_bytes = bytes_per_image(shapes, NAMES, "float32") * BATCH_SIZE
    plan = OutputsPlan(shared=NAMES, buffer_bytes=int(2.5 * batch_bytes), look_ahead=1)
    counting = Counting(network, tmp_path / "count")
    expected = live_epoch(data, network, views_of(data))
    for _ in range(2):
        assert_equal(
            read_epoch(make_teacher(data, counting, tmp_path, plan), views_of(data)), expected
        )
        stored = sum(path.stat().st_size for path in shards_in(shared_buffer))
        assert 0 < stored < 3 * batch_bytes
    assert NUM_IMAGES < counting.num_images <= 2 * NUM_IMAGES


def test_no_other_user_can_read_the_shared_buffer(data, network, tmp_path, shared_buffer):
    read_epoch(make_teacher(data, network, tmp_path, SHARED), views_of(data))
    assert shared_buffer.stat().st_mode & 0o777 == 0o700


# Never torn, never wrong.


@pytest.mark.parametrize("place", ["begin", "middle", "end", "cut", "empty"])
def test_a_damaged_shard_is_noticed_and_computed_again(data, network, tmp_path, place):
    views = views_of(data)
    expected = read_epoch(make_teacher(data, network, tmp_path, cached()), views)
    path = next(path for path in shards_in(tmp_path) if "feature_maps" in str(path))
    content = bytearray(path.read_bytes())
    if place == "cut":
        content = content[: len(content) // 2]
    elif place == "empty":
        content = bytearray()
    else:
        content[{"begin": 3, "middle": len(content) // 2, "end": -3}[place]] ^= 1
    path.write_bytes(content)
    counting = Counting(network, tmp_path / "count")
    source = make_teacher(data, counting, tmp_path, cached())
    assert_equal(read_epoch(source, views), expected)
    assert counting.num_images == BATCH_SIZE
    (note,) = source.take_notes()
    assert "damaged shard" in note
    assert source.take_notes() == []
    assert read_shard(path).size


def test_no_flipped_bit_of_a_shard_is_ever_read(data, network, tmp_path):
    read_epoch(make_teacher(data, network, tmp_path, cached()), views_of(data))
    path = next(path for path in shards_in(tmp_path) if "logits" in str(path))
    values = read_shard(path).tobytes()
    content = path.read_bytes()
    for offset in random.Random(1).sample(range(len(content)), 200):
        damaged = bytearray(content)
        damaged[offset] ^= 1 << (offset % 8)
        path.write_bytes(damaged)
        with pytest.raises(DamagedShardError, match="checksum"):
            read_shard(path)
    path.write_bytes(content)
    assert read_shard(path).tobytes() == values


def test_on_a_full_disk_the_teacher_runs_live_and_says_so(data, network, tmp_path, monkeypatch):
    views = views_of(data)
    expected = read_epoch(make_teacher(data, network, tmp_path / "roomy", cached("float16")), views)
    written = []

    def write(*args, **options):
        if len(written) >= 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(args)
        return write_shard(*args, **options)

    monkeypatch.setattr(store, "write_shard", write)
    source = make_teacher(data, network, tmp_path / "full", cached("float16"))
    assert_equal(read_epoch(source, views), expected)
    (note,) = source.take_notes()
    assert "No space left on device" in note
    assert "live" in note


def test_without_a_cache_folder_the_teacher_runs_live(data, network, tmp_path):
    (tmp_path / "teacher-outputs").write_text("a file")
    source = make_teacher(data, network, tmp_path, cached())
    assert_equal(read_epoch(source, views_of(data)), live_epoch(data, network, views_of(data)))
    (note,) = source.take_notes()
    assert "cannot be stored" in note


# Addresses and sizes.


def test_entries_and_shards_of_earlier_versions_are_still_found(data, network, tmp_path):
    views = replace(views_of(data, seed=3), padding=2, flip=True)
    about = describe_entry("resnet8", "d", views)
    assert about["format_version"] == 2
    # Of the first version that wrote this format.
    assert entry_key({**about, "fingerprint": "f"}) == "af87ebfe18d95388"
    read_epoch(make_teacher(data, network, tmp_path, cached("float16")), views)
    path = next(path for path in shards_in(tmp_path) if "logits" in str(path))
    entry, output, epoch, shard = path.relative_to(tmp_path / "teacher-outputs").parts
    assert (entry, output, epoch) == (entry_key(about), "logits.float16.64", "0001")
    assert shard.startswith("00000-")


def test_a_digest_is_of_the_weights(network):
    other = untrained_network()
    assert weights_digest(other) == weights_digest(network)
    assert weights_digest(other.to(memory_format=torch.channels_last)) == weights_digest(network)
    other.fc.bias[0] += 1e-6
    assert weights_digest(other) != weights_digest(network)


@pytest.mark.parametrize(
    ("names", "num_images", "rows"),
    [
        (("logits",), 40, 64),
        (("embedding",), 45_000, 1344),
        (("embedding",), 1_281_167, 4096),
        (("feature_maps.stage1",), 45_000, 1344),
    ],
)
def test_shards_are_whole_batches_and_small_enough_to_share(
    data, network, tmp_path, names, num_images, rows
):
    shapes = make_teacher(data, network, tmp_path, cached()).shapes
    assert cached_shard_rows(shapes, names, "float16", num_images) == rows
    assert rows % 64 == 0


def test_large_maps_come_in_small_shards():
    shapes = models.Shapes((100,), (2048,), {"stage1": (256, 32, 32)})
    rows = cached_shard_rows(shapes, ("feature_maps.stage1",), "float16", 45_000)
    assert rows == 64
    assert bytes_per_image(shapes, ("feature_maps.stage1",), "float16") * rows <= 64 * 2**20
    assert cached_shard_rows(shapes, ("feature_maps.stage1", "logits"), "float16", 45_000) == rows
    small = [
        cached_shard_rows(shapes, (name,), "float16", 45_000) for name in ("logits", "embedding")
    ]
    assert small == [1344, 1344]
